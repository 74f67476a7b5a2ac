// export wireshark: the keys of all SAs, for root and where the configuration allows it.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "control/cli/values.hpp"
#include "control/daemon/services.hpp"
#include "control/daemon/wireshark.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

Expected<void> may_have_keys(const Services& services, const cli::Peer& peer) {
  // Without a pid the kernel did not say who is there.
  if (peer.pid == 0 || peer.uid != 0)
    return Error{"keys are exported to root only", "run espgatectl as root, on the gateway itself"};
  if (!services.configuration->debug_keys_export)
    return Error{"the configuration does not allow keys to be exported",
                 "set debug-keys-export = true, reload, and take it away again afterwards"};
  return {};
}

// Described one at a time, as the client reads them: the answer has each key in memory only while it is sent.
// A reload meanwhile may take connections away, so they are found anew by their place.
void export_esp(Services& services, const cli::StreamPtr& stream) {
  auto total = std::make_shared<std::uint64_t>(0);
  stream->pull(
      [&services, total, place = std::size_t{0}]() mutable -> std::optional<json> {
        const auto& connections = services.configuration->connections;
        for (; place / 2 < connections.size(); ++place) {
          const auto& connection = connections[place / 2];
          const bool inbound = place % 2 == 0;
          const auto& sa = inbound ? connection.inbound : connection.outbound;
          if (!sa) continue;
          ++place;
          ++*total;
          const auto row = wireshark_row(connection, *sa, inbound);
          return json{{"connection", connection.name},
                      {"direction", inbound ? "in" : "out"},
                      {"spi", cli::spi_text(sa->spi)},
                      {"suite", crypto::suite(connection.suite).name},
                      {"ended_s", nullptr},
                      {"line", row ? json(*row) : json(nullptr)}};
        }
        return std::nullopt;
      },
      [total] {
        return json{{"total", *total}};
      });
}

json described(const std::string& connection, const ike::Spis& spis, crypto::SuiteId id,
               const ike::SaKeys& keys, const json& ended_s) {
  const auto& suite = crypto::suite(id);
  const auto row = wireshark_row(spis, suite, keys);
  return json{
      {"connection", connection}, {"direction", nullptr}, {"spi", fmt::format("0x{:016x}", spis.initiator)},
      {"suite", suite.name},      {"ended_s", ended_s},   {"line", row ? json(*row) : json(nullptr)}};
}

// The same of IKE SAs, by their ids; behind them those that ended, by their numbers. Those are gone when a
// reload meanwhile takes the permission away.
void export_ike(Services& services, const cli::StreamPtr& stream) {
  auto total = std::make_shared<std::uint64_t>(0);
  stream->pull(
      [&services, total, last = ike::SaId{0},
       last_ended = std::uint64_t{0}]() mutable -> std::optional<json> {
        if (const auto* sa = services.ike->core().next_after(last)) {
          last = sa->id();
          if (!sa->choice() || sa->keys().d.empty()) return json();
          ++*total;
          return described(sa->connection()->name, sa->spis(), sa->choice()->suite, sa->keys(), nullptr);
        }
        const auto* entry = services.ike->ended().next_after(last_ended);
        if (entry == nullptr) return std::nullopt;
        last_ended = entry->number;
        ++*total;
        const auto since = now().steady - entry->when.steady;
        const auto& sa = entry->sa;
        return described(sa.connection, sa.spis, sa.suite, sa.keys,
                         std::chrono::duration_cast<std::chrono::seconds>(since).count());
      },
      [total] {
        return json{{"total", *total}};
      });
}

Expected<void> export_wireshark(Services& services, const cli::Request& request,
                                const cli::StreamPtr& stream) {
  const auto who = fmt::format("pid {}, uid {}", request.peer.pid, request.peer.uid);
  if (auto allowed = may_have_keys(services, request.peer); !allowed) {
    spdlog::warn("keys for Wireshark were refused to {}: {}", who, allowed.error().what);
    return allowed;
  }
  const bool ike = request.flag("ike");
  spdlog::warn("the keys of all {}SAs are exported for Wireshark to {}", ike ? "IKE " : "", who);
  ike ? export_ike(services, stream) : export_esp(services, stream);
  return {};
}

}  // namespace

void add_export_commands(Services& services, cli::Handlers& handlers) {
  handlers.stream(cli::CommandId::export_wireshark,
                  [&services](const cli::Request& request, cli::StreamPtr stream) {
                    return export_wireshark(services, request, stream);
                  });
}

}  // namespace espgate::daemon

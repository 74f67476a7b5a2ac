// show sa, show spi, sa reserve, sa delete.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "control/cli/values.hpp"
#include "control/daemon/sa_json.hpp"
#include "control/daemon/services.hpp"
#include "control/recovery/flow_search.hpp"

namespace espgate::daemon {

using nlohmann::json;

namespace {

// All SAs, connection by connection in the order of the file, then those of peers at any address, of
// connections that left, and SPIs that were reserved for none. Each connection's are described when the
// client has room for them: what a rekey or a reload changes meanwhile is shown as it is then.
class Listing {
 public:
  explicit Listing(Services& services) : services_(services) {}

  // Null: look again.
  std::optional<json> next() {
    if (described_.empty() && !describe_more()) return std::nullopt;
    if (described_.empty()) return json();
    auto first = std::move(described_.front());
    described_.pop_front();
    ++total_;
    return first;
  }
  std::uint64_t total() const { return total_; }

 private:
  bool describe_more() {
    const auto add = [this](const sa::SaReport& report) { described_.push_back(sa_json(services_, report)); };
    const auto& connections = services_.configuration->connections;
    if (place_ < connections.size()) {
      services_.sas->visit(connections[place_++].name, add);
      return true;
    }
    if (const auto* peer = services_.ike->next_peer_after(peer_)) {
      peer_ = peer->name;
      services_.sas->visit(peer_, add);
      return true;
    }
    if (services_.sas->visit_former(former_, add)) return true;
    if (std::exchange(are_unowned_shown_, true)) return false;
    services_.sas->visit(std::string(), add);
    return true;
  }

  Services& services_;
  std::size_t place_ = 0;
  std::string peer_;
  std::uint64_t former_ = 0;
  bool are_unowned_shown_ = false;
  std::deque<json> described_;
  std::uint64_t total_ = 0;
};

void show_all_sas(Services& services, const cli::StreamPtr& stream) {
  const auto listing = std::make_shared<Listing>(services);
  stream->pull([listing] { return listing->next(); },
               [listing] {
                 return json{{"total", listing->total()}};
               });
}

Expected<void> show_sa(Services& services, const cli::Request& request, const cli::StreamPtr& stream) {
  const auto spi = request.spi();
  const auto connection = request.text("connection");
  if (!spi && !connection) {
    show_all_sas(services, stream);
    return {};
  }
  std::vector<json> reports;
  const auto add = [&](const sa::SaReport& report) {
    const bool given_up = report.state == "unlinked" || report.state == "unpublished";
    if ((!spi || report.spi == *spi) && (!connection || report.connection == *connection) && !given_up)
      reports.push_back(sa_json(services, report));
  };
  if (spi) {
    std::ranges::for_each(services.sas->report(*spi).sas, add);
  } else {
    services.sas->visit(*connection, add);
    for (std::uint64_t place = 0; services.sas->visit_former(place, add);) {
    }
  }
  if (spi && reports.empty())
    return Error{"no SA has SPI " + cli::spi_text(*spi),
                 "`show spi " + cli::spi_text(*spi) + "` tells what is known of it"};
  if (connection && reports.empty())
    return Error{"connection " + *connection + " has no SA", "`show sa` lists those that have"};
  stream->pull_all(std::move(reports));
  return {};
}

std::string explain(const sa::SpiFacts& facts, const sa::SpiReport& report) {
  using Standing = sa::SpiFacts::Standing;
  const auto outbound = [](const sa::SaReport& sa) { return sa.direction == sa::Direction::outbound; };
  const auto in_use = [&](const sa::SaReport& sa) { return outbound(sa) && sa.state == "active"; };
  switch (facts.standing) {
    case Standing::larval:
      return "allocated; its SA is not installed yet";
    case Standing::active:
      return "in use: packets with it are decrypted";
    case Standing::retired:
      return facts.reason == sa::Reason::rekeyed && facts.successor != 0
                 ? "replaced by a rekey; the peer should use " + cli::spi_text(facts.successor)
                 : fmt::format("{}; no longer in use", sa::name(facts.reason));
    case Standing::before_restart:
      return fmt::format("given out on {}, by an espgated before this one; no longer in use",
                         cli::time_text(facts.since.wall));
    case Standing::outbound:
    case Standing::unknown:
      break;
  }
  if (std::ranges::any_of(report.sas, in_use)) return "we send with it to the peer";
  if (std::ranges::any_of(report.sas, outbound)) return "we sent with it to the peer";
  return "no SA has this SPI, nor had as far as is remembered";
}

std::string_view standing_text(sa::SpiFacts::Standing standing) {
  switch (standing) {
    case sa::SpiFacts::Standing::larval:
      return "larval";
    case sa::SpiFacts::Standing::active:
      return "active";
    case sa::SpiFacts::Standing::retired:
      return "retired";
    case sa::SpiFacts::Standing::before_restart:
      return "before restart";
    case sa::SpiFacts::Standing::outbound:  // its SA says in what state
    case sa::SpiFacts::Standing::unknown:
      break;
  }
  return "unknown";
}

// `invalid_packets`: with that SPI, of all flows.
json describe_spi(Services& services, std::uint32_t spi, std::uint64_t invalid_packets) {
  const auto report = services.sas->report(spi);
  json result{{"spi", cli::spi_text(spi)}, {"state", standing_text(report.facts.standing)},
              {"direction", nullptr},      {"connection", nullptr},
              {"local", nullptr},          {"remote", nullptr},
              {"replaced_by", nullptr},    {"explanation", explain(report.facts, report)},
              {"packets", nullptr},        {"bytes", nullptr},
              {"last", nullptr},           {"faults", json::array()},
              {"events", json::array()}};
  sa::Totals totals;
  if (!report.facts.connection.empty()) result["connection"] = report.facts.connection;
  const bool inbound = report.facts.standing != sa::SpiFacts::Standing::unknown &&
                       report.facts.standing != sa::SpiFacts::Standing::outbound;
  if (inbound) result["direction"] = "in";
  if (report.facts.successor != 0) result["replaced_by"] = cli::spi_text(report.facts.successor);
  for (const auto& entry : report.sas) {
    const auto described = sa_json(services, entry);
    totals += entry.totals;
    for (const auto* key : {"local", "remote"})
      if (result[key].is_null()) result[key] = described[key];
    if (result["direction"].is_null()) result["direction"] = described["direction"];
    if (result["connection"].is_null()) result["connection"] = described["connection"];
    if (!inbound || described["state"] == "expired") result["state"] = described["state"];
  }
  if (!report.sas.empty()) add_totals(result, services, totals);
  for (const auto& event : report.events)
    result["events"].push_back(
        {{"time", cli::time_text(event.when.wall)},
         {"event", sa::name(event.what)},
         {"detail", event.other_spi != 0 ? json(cli::spi_text(event.other_spi)) : json(nullptr)}});
  result["invalid_packets"] = invalid_packets;
  result["evidence"] = services.evidence->describe(spi);
  return result;
}

// Described once all flows were looked at, some at a time.
Expected<void> show_spi(Services& services, std::uint32_t spi, const cli::StreamPtr& stream) {
  const auto packets = std::make_shared<std::uint64_t>(0);
  const auto look = [&services, spi, packets, place = 0u]() mutable -> std::optional<json> {
    const auto& table = services.invalid_spi->table();
    if (table.visit_some(place, recovery::FlowSearch::at_once, [&](const recovery::Flow& flow) {
          if (flow.key.spi == spi) *packets += flow.packets;
        }))
      return json();
    return std::nullopt;
  };
  stream->pull(look, [&services, spi, packets] { return describe_spi(services, spi, *packets); });
  return {};
}

Expected<json> reserve(Services& services, std::optional<std::uint32_t> wanted) {
  std::uint32_t spi = 0;
  if (wanted) {
    spi = *wanted;
  } else {
    auto allocated = services.sas->allocate_spi();
    if (!allocated) return allocated.error();
    spi = *allocated;
  }
  if (auto reserved = services.sas->reserve("", spi, now()); !reserved) return reserved.error();
  return json{{"spi", cli::spi_text(spi)}, {"state", "larval"}};
}

// An inbound SPI names one SA of ours; an outbound SPI is the peer's choice and may occur with several.
Expected<json> remove(Services& services, std::uint32_t spi) {
  const auto report = services.sas->report(spi);
  json result{
      {"spi", cli::spi_text(spi)}, {"direction", "in"}, {"connection", nullptr}, {"state", "retired"}};
  bool found = false;
  for (const auto& entry : report.sas) {
    if (entry.state == "retired" || entry.state == "unlinked") continue;
    found = true;
    if (!entry.connection.empty()) result["connection"] = entry.connection;
    const std::string connection(entry.connection);
    if (services.ike->delete_child(connection, entry.direction, spi, now())) {
      result["direction"] = entry.direction == sa::Direction::inbound ? "in" : "out";
      result["state"] = "closing";
      return result;
    }
    if (entry.direction == sa::Direction::inbound) {
      if (auto retired = services.sas->retire_inbound(spi, sa::Reason::deleted, now()); !retired)
        return retired.error();
      return result;
    }
    result["direction"] = "out";
    if (auto retired = services.sas->retire_outbound(connection, sa::Reason::deleted, now()); !retired)
      return retired.error();
  }
  if (!found)
    return Error{report.sas.empty() ? "no SA has SPI " + cli::spi_text(spi)
                                    : "the SA with SPI " + cli::spi_text(spi) + " is retired already",
                 "`show sa` lists the SAs"};
  return result;
}

}  // namespace

void add_sa_commands(Services& services, cli::Handlers& handlers) {
  handlers.stream(cli::CommandId::show_sa, [&services](const cli::Request& request, cli::StreamPtr stream) {
    return show_sa(services, request, stream);
  });
  handlers.stream(cli::CommandId::show_spi,
                  [&services](const cli::Request& request, const cli::StreamPtr& stream) {
                    return show_spi(services, *request.spi(), stream);
                  });
  handlers.answer(cli::CommandId::sa_reserve,
                  [&services](const cli::Request& request) { return reserve(services, request.spi()); });
  handlers.answer(cli::CommandId::sa_delete,
                  [&services](const cli::Request& request) { return remove(services, *request.spi()); });
}

}  // namespace espgate::daemon

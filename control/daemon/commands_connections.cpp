// show connections, explain.
#include <fmt/format.h>

#include "control/cli/values.hpp"
#include "control/daemon/explain.hpp"
#include "control/daemon/sa_json.hpp"
#include "control/daemon/services.hpp"
#include "control/daemon/standing.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

json report_json(const Services& services, const sa::ConnectionReport& report, std::string_view keys,
                 const Standing& standing) {
  const auto spi = [](std::uint32_t value) {
    return value == 0 ? json(nullptr) : json(cli::spi_text(value));
  };
  json result{{"connection", report.name},
              {"line", report.line},
              {"keys", keys},
              {"state", standing.state},
              {"reason", standing.reason.empty() ? json(nullptr) : json(standing.reason)},
              {"inbound_spi", spi(report.inbound_spi)},
              {"outbound_spi", spi(report.outbound_spi)},
              {"in", json::object()},
              {"out", json::object()}};
  add_totals(result["in"], services, report.inbound);
  add_totals(result["out"], services, report.outbound);
  return result;
}

json connection_json(const Services& services, const config::Connection& connection,
                     const sa::ConnectionReport& report) {
  auto result =
      report_json(services, report, connection.ike ? "ike" : "manual", standing_of(services, connection));
  result["local"] = net::to_string(connection.local);
  result["remote"] = remote_text(connection);
  return result;
}

json peer_json(const Services& services, const IkeService::Peer& peer, const sa::ConnectionReport& report) {
  const auto standing =
      report.outbound_spi == 0 ? Standing{"connecting", "its child SA is not there yet"} : Standing{"up", ""};
  auto result = report_json(services, report, "ike", standing);
  result["local"] = net::to_string(peer.local);
  result["remote"] = net::to_string(peer.address);
  return result;
}

// In the order of the file, then peers at any address; each as it is when the client has room for it. A
// reload meanwhile may take connections away, so they are found anew by their place.
void show_connections(const Services& services, const cli::StreamPtr& stream) {
  const auto total = std::make_shared<std::uint64_t>(0);
  stream->pull(
      [&services, total, place = std::size_t{0}, last_peer = std::string()]() mutable -> std::optional<json> {
        const auto& connections = services.configuration->connections;
        if (place >= connections.size()) {
          const auto* peer = services.ike->next_peer_after(last_peer);
          if (peer == nullptr) return std::nullopt;
          last_peer = peer->name;
          const auto report = services.sas->connection_report(peer->name);
          if (!report) return json();
          ++*total;
          return peer_json(services, *peer, *report);
        }
        const auto& connection = connections[place++];
        const auto report = services.sas->connection_report(connection.name);
        if (!report) return json();
        ++*total;
        return connection_json(services, connection, *report);
      },
      [total] {
        return json{{"total", *total}};
      });
}

}  // namespace

void add_connection_commands(Services& services, cli::Handlers& handlers) {
  handlers.stream(cli::CommandId::show_connections,
                  [&services](const cli::Request&, const cli::StreamPtr& stream) -> Expected<void> {
                    show_connections(services, stream);
                    return {};
                  });
  handlers.answer(cli::CommandId::explain, [&services](const cli::Request& request) {
    return explain(services, *request.text("connection"));
  });
}

}  // namespace espgate::daemon

// show connections, explain.
#include <fmt/format.h>

#include "control/cli/values.hpp"
#include "control/daemon/explain.hpp"
#include "control/daemon/services.hpp"
#include "control/daemon/standing.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

json connection_json(const Services& services, const sa::ConnectionReport& report,
                     const config::Connection* connection, const Standings& standings) {
  const auto spi = [](std::uint32_t value) {
    return value == 0 ? json(nullptr) : json(cli::spi_text(value));
  };
  json result{{"connection", report.name},
              {"line", report.line},
              {"keys", nullptr},
              {"state", nullptr},
              {"reason", nullptr},
              {"local", nullptr},
              {"remote", nullptr},
              {"inbound_spi", spi(report.inbound_spi)},
              {"outbound_spi", spi(report.outbound_spi)},
              {"in", json::object()},
              {"out", json::object()}};
  add_totals(result["in"], services, report.inbound);
  add_totals(result["out"], services, report.outbound);
  if (const auto* peer = services.ike->peer(std::string(report.name))) {
    result["keys"] = "ike";
    result["state"] = report.outbound_spi == 0 ? "connecting" : "up";
    if (report.outbound_spi == 0) result["reason"] = "its child SA is not there yet";
    result["local"] = net::to_string(peer->local);
    result["remote"] = net::to_string(peer->address);
  }
  if (connection == nullptr) return result;
  const auto standing = standings.of(*connection);
  result["keys"] = connection->ike ? "ike" : "manual";
  result["state"] = standing.state;
  if (!standing.reason.empty()) result["reason"] = standing.reason;
  result["local"] = net::to_string(connection->local);
  result["remote"] = remote_text(*connection);
  return result;
}

Expected<void> show_connections(const Services& services, const cli::StreamPtr& stream) {
  std::unordered_map<std::string_view, const config::Connection*> configured;
  for (const auto& connection : services.configuration->connections)
    configured.emplace(connection.name, &connection);
  const Standings standings(services);
  std::vector<json> reports;
  for (const auto& report : services.sas->connections()) {
    const auto found = configured.find(report.name);
    reports.push_back(
        connection_json(services, report, found == configured.end() ? nullptr : found->second, standings));
  }
  stream->pull_all(std::move(reports));
  return {};
}

}  // namespace

void add_connection_commands(Services& services, cli::Handlers& handlers) {
  handlers.stream(cli::CommandId::show_connections,
                  [&services](const cli::Request&, const cli::StreamPtr& stream) {
                    return show_connections(services, stream);
                  });
  handlers.answer(cli::CommandId::explain, [&services](const cli::Request& request) {
    return explain(services, *request.text("connection"));
  });
}

}  // namespace espgate::daemon

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

json connection_json(const Services& services, const config::Connection& connection,
                     const sa::ConnectionReport& report) {
  const auto spi = [](std::uint32_t value) {
    return value == 0 ? json(nullptr) : json(cli::spi_text(value));
  };
  const auto standing = standing_of(services, connection);
  json result{{"connection", report.name},
              {"line", report.line},
              {"keys", connection.ike ? "ike" : "manual"},
              {"state", standing.state},
              {"reason", standing.reason.empty() ? json(nullptr) : json(standing.reason)},
              {"local", net::to_string(connection.local)},
              {"remote", net::to_string(connection.remote)},
              {"inbound_spi", spi(report.inbound_spi)},
              {"outbound_spi", spi(report.outbound_spi)},
              {"in", json::object()},
              {"out", json::object()}};
  add_totals(result["in"], services, report.inbound);
  add_totals(result["out"], services, report.outbound);
  return result;
}

// In the order of the file, each as it is when the client has room for it. A reload meanwhile may take
// connections away, so they are found anew by their place.
void show_connections(const Services& services, const cli::StreamPtr& stream) {
  const auto total = std::make_shared<std::uint64_t>(0);
  stream->pull(
      [&services, total, place = std::size_t{0}]() mutable -> std::optional<json> {
        const auto& connections = services.configuration->connections;
        if (place >= connections.size()) return std::nullopt;
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

#include "control/daemon/explain.hpp"

#include "control/cli/values.hpp"
#include "control/daemon/standing.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

json lines_json(const Services& services, const std::string& connection) {
  auto all = json::array();
  const auto* lines = services.ike->lines(connection);
  if (lines == nullptr) return all;
  for (const auto& line : *lines)
    all.push_back({{"time", cli::time_text(line.when.wall)}, {"text", line.text}});
  return all;
}

}  // namespace

Expected<json> explain(const Services& services, const std::string& asked) {
  // A peer of many is what its connection is.
  const auto* peer = services.ike->peer(asked);
  const auto& name = peer == nullptr ? asked : peer->connection;
  const auto& connections = services.configuration->connections;
  const auto found = std::ranges::find(connections, name, &config::Connection::name);
  if (found == connections.end())
    return Error{"no connection is called " + name, "`show connections` lists them"};
  const auto standing = standing_of(services, *found);
  return json{{"connection", name},
              {"state", standing.state},
              {"reason", standing.reason.empty() ? json(nullptr) : json(standing.reason)},
              {"settings", explain_settings(services, *found)},
              {"steps", explain_steps(services, *found)},
              {"log", lines_json(services, name)}};
}

}  // namespace espgate::daemon

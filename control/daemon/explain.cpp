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
  const auto found = named(services, asked);
  if (!found) return found.error();
  const auto& connection = *found->connection;  // a peer of many is what its connection is
  const auto standing = standing_of(services, connection);
  return json{{"connection", asked},
              {"state", standing.state},
              {"reason", standing.reason.empty() ? json(nullptr) : json(standing.reason)},
              {"settings", explain_settings(services, connection)},
              {"steps", explain_steps(services, connection)},
              {"log", lines_json(services, connection.name)}};
}

}  // namespace espgate::daemon

// Whether the gateway itself can still be reached in clear: what policies protect must come protected, even
// while there is no SA, and that may be the ssh session of whoever is to mend it.
#include <fmt/format.h>

#include <algorithm>

#include "control/config/read.hpp"

namespace espgate::config {
namespace {

// The lowest priority of a policy that bypasses something of this address; none: above all.
unsigned first_bypass(const Configuration& configuration, const net::Address& address) {
  unsigned first = ~0U;
  for (const auto& policy : configuration.policies)
    if (policy.action == PolicyAction::bypass && policy.selector.local.contains(address))
      first = std::min<unsigned>(first, policy.priority);
  return first;
}

// The first connection that wants all that some network says to this address, and is asked before `bypass`.
// What it shares with its peer alone is another matter.
std::size_t coverer(const Configuration& configuration, const net::Address& address, unsigned bypass) {
  const auto covers = [&](const Connection& connection) {
    if (connection.mode == Mode::transport || connection.priority > bypass) return false;
    return std::ranges::any_of(policies_of(connection), [&](const auto& selector) {
      return !selector.protocol && selector.local.contains(address);
    });
  };
  return static_cast<std::size_t>(std::ranges::find_if(configuration.connections, covers) -
                                  configuration.connections.begin());
}

}  // namespace

void warn_of_lockout(Report& report, const Configuration& configuration, const Checks& checks) {
  for (const auto& port : configuration.ports) {
    if (!port.ipsec) continue;
    for (const auto& [address, length] : port.addresses) {
      const auto at = coverer(configuration, address, first_bypass(configuration, address));
      if (at == configuration.connections.size()) continue;
      const auto& connection = configuration.connections[at];
      const auto& place = checks.places_of_connections[at];
      const auto text = net::to_string(address);
      report.warning(
          place.row, place.owner.text(),
          fmt::format(
              "its networks take in {}, our own address on port \"{}\": from its remote networks that "
              "is reached through the tunnel only, and not at all while the tunnel is down",
              text, port.name),
          fmt::format("if ssh is to work all the same, add {{ from = \"{}\"; protocol = \"tcp\"; from-port = "
                      "\"22\"; action = \"bypass\"; priority = {}; }} to policies",
                      text, connection.priority == 0 ? 0 : connection.priority - 1));
    }
  }
}

}  // namespace espgate::config

// Who gets through in clear that should not, or does not that should. What policies protect must come
// protected, even while there is no SA: the ssh session of whoever is to mend it is not to be locked out by
// that. And a bypass for our own network lets in from outside whoever claims to be there.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

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

struct Inside {
  const Port& port;
  net::AddressRange network;
};

// The only network of that family that is connected to an inside port. What goes from one to another needs
// policies.
std::optional<Inside> only_inside_network(const Configuration& configuration, net::Family family) {
  std::optional<Inside> only;
  for (const auto& port : configuration.ports) {
    if (port.ipsec) continue;
    for (const auto& [address, length] : port.addresses) {
      if (address.family != family) continue;
      if (only) return std::nullopt;
      only.emplace(Inside{port, net::AddressRange::of(net::masked(address, length))});
    }
  }
  return only;
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

void warn_of_needless_bypass(Report& report, const Configuration& configuration, const Checks& checks) {
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    const auto inside = only_inside_network(configuration, family);
    for (std::size_t i = 0; inside && i < configuration.policies.size(); ++i) {
      const auto& policy = configuration.policies[i];
      if (policy.action != PolicyAction::bypass || policy.selector.family() != family ||
          !inside->network.contains(policy.selector.remote))
        continue;
      const auto& place = checks.places_of_policies[i];
      report.warning(
          place.row, place.owner.text(),
          fmt::format("{} is behind port \"{}\", where decrypted packets and answers go without a policy: "
                      "this one lets in what comes in clear from outside and claims to be from there",
                      net::to_string(policy.selector.remote), inside->port.name),
          "remove it; a policy's `to` is the far side, and one bypass opens both ways");
    }
  }
}

}  // namespace espgate::config

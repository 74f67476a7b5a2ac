#include "control/config/configuration.hpp"

namespace espgate::config {

std::vector<net::TrafficSelector> protected_by(const Connection& connection) {
  std::vector<net::TrafficSelector> result;
  for (const auto& ours : connection.local_networks)
    for (const auto& theirs : connection.remote_networks)
      if (ours.address.family == theirs.address.family) result.push_back(net::between(ours, theirs));
  result.reserve(result.size() + connection.selectors.size());
  for (const auto& selector : connection.selectors) result.push_back(selector);
  return result;
}

std::vector<net::TrafficSelector> policies_of(const Connection& connection) {
  return connection.by_route ? std::vector<net::TrafficSelector>() : protected_by(connection);
}

std::size_t tunnel_entries(const std::vector<Tunnel>& tunnels) {
  std::size_t entries = tunnels.size();
  for (const auto& tunnel : tunnels)
    if (tunnel.kind == TunnelKind::gre_multipoint) entries += tunnel.peers.size();
  return entries;
}

}  // namespace espgate::config

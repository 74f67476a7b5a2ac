// Tunnels and the connections that their peers name, once both have been read.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "control/config/read.hpp"
#include "control/config/words.hpp"
#include "datapath/net/headers.hpp"

namespace espgate::config {
namespace {

constexpr unsigned least_mtu_bytes = 576, most_mtu_bytes = 9'000;

using Connections = std::unordered_map<std::string_view, const Connection*>;

const Connection* find(const Connections& connections, const std::string& name) {
  const auto found = connections.find(name);
  return found == connections.end() ? nullptr : found->second;
}

void check_connection(Report& report, const Claim& place, const Connection* connection,
                      const std::string& name, TunnelKind kind) {
  if (name.empty()) return;
  const auto complain = [&](std::string message, std::string remedy) {
    report.error(place.row, place.owner.of("connection"), std::move(message), std::move(remedy));
  };
  if (connection == nullptr)
    return complain(fmt::format("there is no connection {}", shown(name)),
                    "name one of connections, or add it there");
  if (connection->any_peer)
    return complain(
        fmt::format("connection {} has peers at any address, and routes lead to one", shown(name)),
        "name a connection whose remote is an address");
  const bool gre = kind != TunnelKind::vti;
  if (!gre && connection->mode != Mode::tunnel)
    complain(
        fmt::format("connection {} is in transport mode, which carries no packets of others", shown(name)),
        "set mode = \"tunnel\" in the connection, or kind = \"gre\" here");
  if (gre && connection->mode != Mode::transport)
    complain(
        fmt::format("connection {} is in tunnel mode, and GRE goes from gateway to gateway", shown(name)),
        kind == TunnelKind::gre ? "set mode = \"transport\" in the connection, or kind = \"vti\" here"
                                : "set mode = \"transport\" in the connection");
  const auto carries_gre = [](const net::TrafficSelector& selector) {
    return !selector.protocol || *selector.protocol == net::protocol_gre;
  };
  if (gre && connection->mode == Mode::transport &&
      std::ranges::none_of(protected_by(*connection), carries_gre))
    complain(fmt::format("no selector of connection {} is for GRE", shown(name)),
             "add one with protocol = \"gre\", or remove the connection's selectors");
}

// What fits through to every peer.
unsigned largest_packet(const Configuration& configuration, const Connections& connections,
                        const Tunnel& tunnel) {
  std::optional<unsigned> largest;
  for (const auto& peer : tunnel.peers)
    if (const auto* connection = find(connections, peer.connection))
      if (const auto fits = largest_inner_packet(configuration, *connection))
        largest = std::min(largest.value_or(*fits), *fits);
  const auto around =
      tunnel.kind == TunnelKind::vti ? 0 : static_cast<unsigned>(net::gre::header_bytes(tunnel.gre));
  return std::clamp(largest.value_or(1'400) - around, least_mtu_bytes, most_mtu_bytes);
}

void find_mtu(Report& report, const Checks::TunnelPlace& place, const Configuration& configuration,
              const Connections& connections, Tunnel& tunnel) {
  if (tunnel.mtu == 0)
    tunnel.mtu = static_cast<std::uint16_t>(largest_packet(configuration, connections, tunnel));
  const bool has_v6 = std::ranges::any_of(
      tunnel.addresses, [](const auto& entry) { return entry.address.family == net::Family::v6; });
  if (has_v6 && tunnel.mtu < net::ipv6_least_mtu)
    report.error(
        place.mtu_row, place.path.of("mtu"),
        fmt::format("{} bytes are too few for the tunnel's IPv6 address (RFC 8200 5)", tunnel.mtu),
        fmt::format("choose {} or more, and an outside port that carries them", net::ipv6_least_mtu));
}

}  // namespace

void check_tunnels(Report& report, Configuration& configuration, const Checks& checks) {
  Connections connections;
  for (const auto& connection : configuration.connections)
    connections.try_emplace(connection.name, &connection);
  for (std::size_t i = 0; i < configuration.tunnels.size(); ++i) {
    auto& tunnel = configuration.tunnels[i];
    const auto& place = checks.places_of_tunnels[i];
    for (std::size_t k = 0; k < tunnel.peers.size(); ++k) {
      const auto& name = tunnel.peers[k].connection;
      check_connection(report, place.peers[k], find(connections, name), name, tunnel.kind);
    }
    find_mtu(report, place, configuration, connections, tunnel);
  }
}

}  // namespace espgate::config

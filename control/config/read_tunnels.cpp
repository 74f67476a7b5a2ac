#include <fmt/format.h>

#include <algorithm>

#include "control/config/device.hpp"
#include "control/config/read.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

constexpr std::uint16_t ipv6_least_mtu_bytes = 1'280;  // RFC 8200 5
constexpr unsigned least_mtu_bytes = 576, most_mtu_bytes = 9'000;

// Ports and tunnels are interfaces of one kernel.
void read_name(const GroupReader& group, Tunnel& tunnel, Checks& checks) {
  if (!group.text("name", tunnel.name)) return;
  if (const auto valid = check_interface_name(tunnel.name); !valid)
    return group.error("name", valid.error().what, valid.error().remedy);
  const auto row = group.row_of("name");
  if (const auto* driven = checks.kernel_interfaces.find(tunnel.name))
    return group.error("name",
                       fmt::format("{} is the kernel's interface that {} drives", shown(tunnel.name),
                                   described(*driven, group.report(), row)),
                       "choose another name for the tunnel, such as \"tun0\"");
  if (const auto* first = checks.port_names.claim(tunnel.name, row, group.path()))
    group.error("name",
                fmt::format("{} is already the name of {}", shown(tunnel.name),
                            described(*first, group.report(), row)),
                "give each port and tunnel a name of its own");
}

void read_connection_name(const GroupReader& group, std::string& name, Checks& checks) {
  if (!group.text("connection", name)) return;
  const auto row = group.row_of("connection");
  if (const auto* first = checks.tunnel_connections.claim(name, row, group.path()))
    group.error(
        "connection",
        fmt::format("connection {} is already that of {}, so it is unclear which of the two its packets "
                    "come out of",
                    shown(name), described(*first, group.report(), row)),
        "give each tunnel a connection of its own");
}

void read_gre(const GroupReader& group, Tunnel& tunnel) {
  std::uint32_t key = 0;
  if (group.given("key") && group.integer("key", key)) tunnel.gre.key = key;
  group.boolean("checksum", tunnel.gre.checksum);
  for (const auto* name : {"key", "checksum"})
    if (tunnel.kind != TunnelKind::gre && group.given(name))
      group.error(name, "only GRE has one", "set kind = \"gre\", or remove it");
}

Tunnel read_tunnel(const GroupReader& group, Checks& checks) {
  Tunnel tunnel;
  const auto& place = group.report().places().of(group.row());
  tunnel.line = place.line;
  tunnel.file = place.file;
  read_name(group, tunnel, checks);
  group.choice("kind", tunnel.kind);
  read_connection_name(group, tunnel.connection, checks);
  read_gre(group, tunnel);
  group.integer("mtu", tunnel.mtu);
  for (const auto& element : group.texts("addresses"))
    if (const auto address = interface_address_of(group, element, checks))
      tunnel.addresses.push_back(*address);
  return tunnel;
}

const Connection* find(const Configuration& configuration, const std::string& name) {
  const auto found = std::ranges::find(configuration.connections, name, &Connection::name);
  return found == configuration.connections.end() ? nullptr : &*found;
}

void check_connection(Report& report, const Checks::TunnelPlace& place, const Connection* connection,
                      const Tunnel& tunnel) {
  if (tunnel.connection.empty()) return;
  const auto path = place.path.of("connection");
  if (connection == nullptr)
    return report.error(place.connection_row, path,
                        fmt::format("there is no connection {}", shown(tunnel.connection)),
                        "name one of connections, or add it there");
  const bool gre = tunnel.kind == TunnelKind::gre;
  if (!gre && connection->mode != Mode::tunnel)
    report.error(place.connection_row, path,
                 fmt::format("connection {} is in transport mode, which carries no packets of others",
                             shown(tunnel.connection)),
                 "set mode = \"tunnel\" in the connection, or kind = \"gre\" here");
  if (gre && connection->mode != Mode::transport)
    report.error(place.connection_row, path,
                 fmt::format("connection {} is in tunnel mode, and GRE goes from gateway to gateway",
                             shown(tunnel.connection)),
                 "set mode = \"transport\" in the connection, or kind = \"vti\" here");
  const auto carries_gre = [](const net::TrafficSelector& selector) {
    return !selector.protocol || *selector.protocol == net::protocol_gre;
  };
  if (gre && connection->mode == Mode::transport &&
      std::ranges::none_of(protected_by(*connection), carries_gre))
    report.error(place.connection_row, path,
                 fmt::format("no selector of connection {} is for GRE", shown(tunnel.connection)),
                 "add one with protocol = \"gre\", or remove the connection's selectors");
}

void find_mtu(Report& report, const Checks::TunnelPlace& place, const Configuration& configuration,
              const Connection* connection, Tunnel& tunnel) {
  if (tunnel.mtu == 0) {
    const auto around =
        tunnel.kind == TunnelKind::gre ? static_cast<unsigned>(net::gre::header_bytes(tunnel.gre)) : 0;
    const auto largest =
        connection == nullptr ? std::nullopt : largest_inner_packet(configuration, *connection);
    tunnel.mtu = static_cast<std::uint16_t>(
        std::clamp(largest.value_or(1'400) - around, least_mtu_bytes, most_mtu_bytes));
  }
  const bool has_v6 = std::ranges::any_of(
      tunnel.addresses, [](const auto& entry) { return entry.address.family == net::Family::v6; });
  if (has_v6 && tunnel.mtu < ipv6_least_mtu_bytes)
    report.error(
        place.mtu_row, place.path.of("mtu"),
        fmt::format("{} bytes are too few for the tunnel's IPv6 address (RFC 8200 5)", tunnel.mtu),
        fmt::format("choose {} or more, and an outside port that carries them", ipv6_least_mtu_bytes));
}

}  // namespace

void read_tunnels(const GroupReader& top, Configuration& configuration, Checks& checks) {
  top.visit("tunnels", [&](const GroupReader& group) {
    configuration.tunnels.push_back(read_tunnel(group, checks));
    checks.places_of_tunnels.push_back({group.path(), group.row_of("connection"), group.row_of("mtu")});
  });
}

void check_tunnels(Report& report, Configuration& configuration, const Checks& checks) {
  for (std::size_t i = 0; i < configuration.tunnels.size(); ++i) {
    auto& tunnel = configuration.tunnels[i];
    const auto* connection = find(configuration, tunnel.connection);
    check_connection(report, checks.places_of_tunnels[i], connection, tunnel);
    find_mtu(report, checks.places_of_tunnels[i], configuration, connection, tunnel);
  }
}

}  // namespace espgate::config

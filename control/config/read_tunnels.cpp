#include <fmt/format.h>

#include <algorithm>

#include "control/config/device.hpp"
#include "control/config/read.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

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
        "give each tunnel, and each peer of a multipoint one, a connection of its own");
}

void read_gre(const GroupReader& group, Tunnel& tunnel) {
  std::uint32_t key = 0;
  if (group.given("key") && group.integer("key", key)) tunnel.gre.key = key;
  group.boolean("checksum", tunnel.gre.checksum);
  for (const auto* name : {"key", "checksum"})
    if (tunnel.kind == TunnelKind::vti && group.given(name))
      group.error(name, "only GRE has one", "set kind = \"gre\", or remove it");
}

bool is_link_local6(const net::Address& address) {
  return address.family == net::Family::v6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

// An address that kernel routes name behind `via`.
std::optional<net::Address> next_hop_of(const GroupReader& group, const TextElement& element,
                                        Checks& checks) {
  const auto complain = [&](std::string message, std::string remedy) {
    group.report().error(element.row, element.path.text(), std::move(message), std::move(remedy));
    return std::nullopt;
  };
  const auto address = net::parse_address(element.text);
  if (!address)
    return complain(fmt::format("{} is not an IP address", shown(element.text)),
                    "write the peer's address in the tunnel, such as 10.255.0.2, without a prefix length");
  if (const auto why = not_a_host(*address); !why.empty())
    return complain(fmt::format("{} is {}", element.text, why), "write the peer's address in the tunnel");
  if (is_link_local6(*address))
    return complain(fmt::format("{} is link-local, and such addresses are not mapped to peers", element.text),
                    "give both ends addresses of a network of the tunnel's, and name the peer's");
  if (const auto* own = checks.port_addresses.find(*address))
    return complain(
        fmt::format("{} is our own address, {}", element.text, described(*own, group.report(), element.row)),
        "write the peer's address in the tunnel");
  if (const auto* first = checks.next_hops.claim(*address, element.row, element.path))
    return complain(fmt::format("{} is already {}, so it is unclear to which peer its packets go",
                                element.text, described(*first, group.report(), element.row)),
                    "give each next hop to one peer");
  return address;
}

// A route by a next hop that is on no network of the link's is refused by the kernel.
void warn_of_foreign_next_hop(const GroupReader& group, const TextElement& element,
                              const net::Address& next_hop, const Tunnel& tunnel) {
  const auto reaches = [&](const net::InterfaceAddress& own) {
    return net::masked(own.address, own.prefix_length).contains(next_hop);
  };
  if (tunnel.addresses.empty() || std::ranges::any_of(tunnel.addresses, reaches)) return;
  group.report().warning(
      element.row, element.path.text(),
      fmt::format("{} is on none of the networks of the tunnel's addresses, so the kernel takes no route "
                  "through it",
                  element.text),
      "give the tunnel an address of that network, or add the routes with `onlink`");
}

// All of the tunnel's peers, whose addresses have been read.
void read_peers(const GroupReader& group, Tunnel& tunnel, Checks::TunnelPlace& place, Checks& checks) {
  group.visit("peers", [&](const GroupReader& entry) {
    auto& peer = tunnel.peers.emplace_back();
    place.peers.push_back({entry.row_of("connection"), entry.path()});
    read_connection_name(entry, peer.connection, checks);
    for (const auto& element : entry.texts("next-hops"))
      if (const auto next_hop = next_hop_of(entry, element, checks)) {
        peer.next_hops.push_back(*next_hop);
        warn_of_foreign_next_hop(entry, element, *next_hop, tunnel);
      }
  });
}

void read_ways(const GroupReader& group, Tunnel& tunnel, Checks::TunnelPlace& place, Checks& checks) {
  if (tunnel.kind == TunnelKind::gre_multipoint) {
    if (group.given("connection"))
      group.error("connection", "a multipoint tunnel has a connection for each peer", "move it into peers");
    if (!group.given("peers")) group.missing("peers");
    return read_peers(group, tunnel, place, checks);
  }
  if (group.given("peers"))
    group.error("peers", "only a multipoint tunnel has several",
                "set kind = \"gre-multipoint\", or name the one peer's connection in connection");
  if (!group.given("connection")) return group.missing("connection");
  place.peers.push_back({group.row_of("connection"), group.path()});
  read_connection_name(group, tunnel.peers.emplace_back().connection, checks);
}

Tunnel read_tunnel(const GroupReader& group, Checks& checks) {
  Tunnel tunnel;
  const auto& file_place = group.report().places().of(group.row());
  tunnel.line = file_place.line;
  tunnel.file = file_place.file;
  read_name(group, tunnel, checks);
  for (const auto& element : group.texts("addresses"))
    if (const auto address = interface_address_of(group, element, checks))
      tunnel.addresses.push_back(*address);
  auto& place =
      checks.places_of_tunnels.emplace_back(Checks::TunnelPlace{group.path(), group.row_of("mtu"), {}});
  if (group.choice("kind", tunnel.kind)) {
    read_ways(group, tunnel, place, checks);
    read_gre(group, tunnel);
  }
  group.integer("mtu", tunnel.mtu);
  return tunnel;
}

}  // namespace

void read_tunnels(const GroupReader& top, Configuration& configuration, Checks& checks) {
  top.visit("tunnels",
            [&](const GroupReader& group) { configuration.tunnels.push_back(read_tunnel(group, checks)); });
}

}  // namespace espgate::config

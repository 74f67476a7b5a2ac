#include "control/host/route_choice.hpp"

#include <algorithm>

namespace espgate::host {
namespace {

using forward::HopKind;

HopPlan plain(HopKind kind) {
  HopPlan plan;
  plan.kind = kind;
  return plan;
}

bool is_link_local(const net::Prefix& prefix) {
  static const net::Prefix link_local = *net::parse_prefix("fe80::/10");
  return prefix.length > link_local.length && link_local.contains(prefix.address);
}

// What lies inside these is decided by them alone, except our own link-local addresses.
const FixedRoute* covering_fixed_route(const net::Prefix& prefix) {
  for (const auto& fixed : fixed_routes())
    if (prefix.length >= fixed.destination.length && fixed.destination.contains(prefix.address))
      return &fixed;
  return nullptr;
}

}  // namespace

const std::vector<FixedRoute>& fixed_routes() {
  static const std::vector<FixedRoute> routes = {
      {*net::parse_prefix("127.0.0.0/8"), HopKind::no_route},
      {*net::parse_prefix("224.0.0.0/24"), HopKind::local},
      {*net::parse_prefix("224.0.0.0/4"), HopKind::no_route},
      {*net::parse_prefix("255.255.255.255"), HopKind::local},
      {*net::parse_prefix("::1"), HopKind::no_route},
      {*net::parse_prefix("fe80::/10"), HopKind::no_route},
      {*net::parse_prefix("ff02::/16"), HopKind::local},
      {*net::parse_prefix("ff00::/8"), HopKind::no_route},
  };
  return routes;
}

std::optional<Choice> RouteChooser::choose(const net::Prefix& destination) const {
  if (const auto* fixed = covering_fixed_route(destination)) {
    if (fixed->destination == destination) return Choice{plain(fixed->kind), RouteOrigin::fixed};
    if (!is_link_local(destination)) return std::nullopt;
    const auto own = local_plan(destination);
    if (!own || own->kind != HopKind::local) return std::nullopt;
    return Choice{*own, RouteOrigin::local};
  }
  if (const auto plan = local_plan(destination)) return Choice{*plan, RouteOrigin::local};
  for (auto wider = wider_route(destination); wider; wider = wider_route(*wider))
    if (local_plan(*wider)) return std::nullopt;
  if (const auto plan = main_plan(destination)) return Choice{*plan, RouteOrigin::main};
  if (destination.length != destination.address.bits()) return std::nullopt;

  const auto on_link = covering_main_plan(destination.address);
  if (on_link && on_link->kind == HopKind::tunnel) {
    const auto peer = peer_on_link(destination.address, *on_link);
    return peer ? std::optional(Choice{*peer, RouteOrigin::neighbour}) : std::nullopt;
  }
  const PortTwin* port = on_link_port(destination.address);
  if (port == nullptr || view_.neighbour({destination.address, port->ifindex}) == nullptr)
    return std::nullopt;
  return Choice{towards(*port, destination.address, on_link->mtu), RouteOrigin::neighbour};
}

const PortTwin* RouteChooser::on_link_port(const net::Address& address) const {
  const auto plan = covering_main_plan(address);
  if (!plan || plan->kind != HopKind::glean) return nullptr;
  const auto port =
      std::find_if(ports_.begin(), ports_.end(), [&](const PortTwin& p) { return p.index == plan->port; });
  return port == ports_.end() ? nullptr : &*port;
}

const PortTwin* RouteChooser::port_of(int ifindex) const {
  const auto port =
      std::find_if(ports_.begin(), ports_.end(), [&](const PortTwin& p) { return p.ifindex == ifindex; });
  return port == ports_.end() ? nullptr : &*port;
}

const TunnelLink* RouteChooser::tunnel_of(int ifindex) const {
  const auto tunnel = std::ranges::find(tunnels_, ifindex, &TunnelLink::ifindex);
  return tunnel == tunnels_.end() ? nullptr : &*tunnel;
}

// What the local table says of just this prefix.
std::optional<HopPlan> RouteChooser::local_plan(const net::Prefix& destination) const {
  std::optional<HopPlan> result;
  for (const auto& route : view_.routes.at(destination)) {
    if (route.table != RouteTable::local || route.type == RouteType::multicast ||
        route.type == RouteType::throw_lookup)
      continue;
    if (const auto plan = through(route); plan && plan->kind != HopKind::no_route) return plan;
    result = plain(HopKind::no_route);
  }
  return result;
}

// What the main table says of just this prefix.
std::optional<HopPlan> RouteChooser::main_plan(const net::Prefix& destination) const {
  std::optional<HopPlan> result;
  for (const auto& route : view_.routes.at(destination)) {
    if (route.table != RouteTable::main || route.type == RouteType::multicast) continue;
    const auto plan = through(route);
    if (plan && (plan->kind != HopKind::no_route || route.type == RouteType::throw_lookup)) return plan;
    if (plan) result = plan;
  }
  return result;
}

// What the main table says of an address that has no host route there.
std::optional<HopPlan> RouteChooser::covering_main_plan(const net::Address& address) const {
  for (auto wider = wider_route(host_prefix(address)); wider; wider = wider_route(*wider))
    if (const auto plan = main_plan(*wider)) return plan;
  return std::nullopt;
}

// The next shorter prefix around this one that may have routes.
std::optional<net::Prefix> RouteChooser::wider_route(const net::Prefix& prefix) const {
  for (std::uint8_t length = prefix.length; length-- > 0;)
    if (view_.routes.has_length(prefix.address.family, length)) return net::masked(prefix.address, length);
  return std::nullopt;
}

// Where one route leads, or nothing if all of its next hops are dead.
std::optional<HopPlan> RouteChooser::through(const Route& route) const {
  switch (route.type) {
    case RouteType::blackhole:
    case RouteType::unreachable:
    case RouteType::prohibit:
      return plain(HopKind::blackhole);
    case RouteType::throw_lookup:
      return plain(HopKind::no_route);
    default:
      break;
  }
  // A route by a next-hop object whose content the kernel does not show.
  if (route.next_hops.empty()) return plain(HopKind::no_route);
  if (route.type != RouteType::unicast) {
    // An address stays ours while its interface is down.
    const int ifindex = route.next_hops.front().ifindex;
    return local_delivery(ifindex);
  }
  const NextHop* chosen = live_next_hop(route);
  if (chosen == nullptr) return std::nullopt;
  if (const TunnelLink* tunnel = tunnel_of(chosen->ifindex)) return into(*tunnel, *chosen, route);
  const PortTwin* port = port_of(chosen->ifindex);
  if (port == nullptr) return plain(HopKind::no_route);
  if (chosen->gateway) return towards(*port, *chosen->gateway, route.mtu);
  const auto& destination = route.destination;
  if (destination.length == destination.address.bits()) return towards(*port, destination.address, route.mtu);
  HopPlan glean = plain(HopKind::glean);
  glean.port = port->index;
  glean.mtu = mtu_of(port->mtu, port->ifindex, route.mtu);
  return glean;
}

// To an address of this interface.
HopPlan RouteChooser::local_delivery(int ifindex) const {
  const PortTwin* port = port_of(ifindex);
  const Link* link = view_.link(ifindex);
  if (port == nullptr && tunnel_of(ifindex) == nullptr && (link == nullptr || !link->loopback))
    return plain(HopKind::no_route);
  HopPlan local = plain(HopKind::local);
  if (port != nullptr) local.port = port->index;
  return local;
}

const NextHop* RouteChooser::live_next_hop(const Route& route) const {
  const NextHop* first_up = nullptr;
  for (const auto& next : route.next_hops) {
    const Link* link = view_.link(next.ifindex);
    if (next.dead || link == nullptr || !link->up) continue;
    if (link->running) return &next;
    if (first_up == nullptr) first_up = &next;
  }
  return first_up;
}

HopPlan RouteChooser::towards(const PortTwin& port, const net::Address& gateway,
                              std::uint32_t route_mtu) const {
  const Neighbour* neighbour = view_.neighbour({gateway, port.ifindex});
  HopPlan plan = plain(neighbour == nullptr ? HopKind::unresolved : HopKind::resolved);
  plan.port = port.index;
  plan.mtu = mtu_of(port.mtu, port.ifindex, route_mtu);
  plan.gateway = gateway;
  if (neighbour != nullptr) plan.mac = neighbour->mac;
  return plan;
}

HopPlan RouteChooser::into(const TunnelLink& tunnel, const NextHop& next, const Route& route) const {
  HopPlan plan = plain(HopKind::tunnel);
  plan.tunnel = tunnel.index;
  plan.mtu = mtu_of(tunnel.mtu, tunnel.ifindex, route.mtu);
  plan.gateway = next.gateway;
  const auto& destination = route.destination;
  const bool names_host = destination.length == destination.address.bits();
  if (!next.gateway && !names_host) return plan;
  const auto peer = tunnel.next_hops.find(next.gateway.value_or(destination.address));
  if (peer != tunnel.next_hops.end()) plan.tunnel = peer->second;
  return plan;
}

// A peer on a network that the link of its multipoint tunnel connects; `around` is that network's.
std::optional<HopPlan> RouteChooser::peer_on_link(const net::Address& address, const HopPlan& around) const {
  const auto tunnel = std::ranges::find(tunnels_, around.tunnel, &TunnelLink::index);
  if (around.gateway || tunnel == tunnels_.end()) return std::nullopt;
  const auto peer = tunnel->next_hops.find(address);
  if (peer == tunnel->next_hops.end()) return std::nullopt;
  HopPlan plan = around;
  plan.tunnel = peer->second;
  return plan;
}

// The smallest of the port's or tunnel's own, its link's in the kernel and the route's.
std::uint16_t RouteChooser::mtu_of(std::uint16_t own_mtu, int ifindex, std::uint32_t route_mtu) const {
  std::uint32_t mtu = own_mtu;
  if (const Link* link = view_.link(ifindex); link != nullptr && link->mtu != 0)
    mtu = std::min(mtu, link->mtu);
  if (route_mtu != 0) mtu = std::min(mtu, route_mtu);
  return static_cast<std::uint16_t>(mtu);
}

}  // namespace espgate::host

// Decides, from the kernel's view alone, what the datapath's route to a prefix should be.
//
// The kernel asks its local table first and its main table then, each by longest prefix; the datapath
// has one table by longest prefix. So what lies inside a local prefix has no route of its own, and a
// neighbour has one only where the kernel would reach it on the link. Beyond that:
// - Of several routes to a prefix the lowest metric wins that has a live next hop on a port.
// - Of several next hops the first wins whose interface has carrier; if none has, the first that is up.
//   Flows are not spread over equal paths.
// - A gateway that does not answer does not disqualify its route, as in a kernel that forwards.
// - What the kernel reaches through a tunnel's link goes into the tunnel; if that has several peers, to the
//   one whose address is the next hop. The peers' own addresses are like neighbours on the link.
// - What the kernel reaches through an interface that is neither has no route here: the packet is dropped
//   and counted rather than sent where the kernel would not send it.
// - A packet to one of our own addresses goes to the twin that has the address; to the first port's if none
//   has, as with an address of loopback or of a tunnel's link, or a multicast group.
// - Multicast and broadcast are the kernel's. IPv6 link-local destinations are never forwarded
//   (RFC 4291, 2.5.6), loopback addresses never leave a host (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3).
#pragma once

#include <optional>
#include <vector>

#include "control/host/hop_pool.hpp"
#include "drivers/host/kernel_view.hpp"

namespace espgate::host {

enum class RouteOrigin : std::uint8_t { fixed, local, main, neighbour };

struct Choice {
  HopPlan hop;
  RouteOrigin origin = RouteOrigin::main;
  bool operator==(const Choice&) const = default;
};

// Prefixes that are routed by what they are, not by what the kernel says.
struct FixedRoute {
  net::Prefix destination;
  forward::HopKind kind;
};
const std::vector<FixedRoute>& fixed_routes();

// Pure: keeps references to all three, changes nothing.
class RouteChooser {
 public:
  RouteChooser(const KernelView& view, const std::vector<PortTwin>& ports,
               const std::vector<TunnelLink>& tunnels)
      : view_(view), ports_(ports), tunnels_(tunnels) {}

  // The route that just this prefix should have, or nothing if it should have none of its own.
  std::optional<Choice> choose(const net::Prefix& destination) const;

  // The port whose link reaches the address directly, or nullptr.
  const PortTwin* on_link_port(const net::Address& address) const;
  const PortTwin* port_of(int ifindex) const;
  const TunnelLink* tunnel_of(int ifindex) const;

 private:
  HopPlan local_delivery(int ifindex) const;
  std::optional<HopPlan> local_plan(const net::Prefix& destination) const;
  std::optional<HopPlan> main_plan(const net::Prefix& destination) const;
  std::optional<HopPlan> covering_main_plan(const net::Address& address) const;
  std::optional<net::Prefix> wider_route(const net::Prefix& prefix) const;
  std::optional<HopPlan> through(const Route& route) const;
  const NextHop* live_next_hop(const Route& route) const;
  HopPlan towards(const PortTwin& port, const net::Address& gateway, std::uint32_t route_mtu) const;
  HopPlan into(const TunnelLink& tunnel, const NextHop& next, const Route& route) const;
  std::optional<HopPlan> peer_on_link(const net::Address& address, const HopPlan& around) const;
  std::uint16_t mtu_of(std::uint16_t own_mtu, int ifindex, std::uint32_t route_mtu) const;

  const KernelView& view_;
  const std::vector<PortTwin>& ports_;
  const std::vector<TunnelLink>& tunnels_;
};

}  // namespace espgate::host

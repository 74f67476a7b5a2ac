// Where packets go: routes (longest prefix -> hop) and hops (how to reach a next hop: port and ready-made
// Ethernet header). One writer, the control thread; workers look up whole bursts without a lock.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "datapath/base/expected.hpp"
#include "datapath/forward/index_pool.hpp"
#include "datapath/net/address.hpp"

namespace espgate::forward {

enum class HopKind : std::uint8_t {
  no_route,    // hop 0, what a destination without a route gets
  local,       // one of our own addresses: the kernel's
  resolved,    // `frame` holds a complete Ethernet header
  unresolved,  // the next hop's MAC address is not known; ask for `gateway`
  glean,       // directly connected network: ask for the packet's own destination
  blackhole,
  tunnel,  // into the tunnel of that number, whatever it is (tunnel::TunnelTable)
};

// One cache line; a worker reads it whole. Control replaces a hop's content by publishing another hop
// under the route, never in place.
struct alignas(64) Hop {
  HopKind kind = HopKind::no_route;
  std::uint8_t port = 0;         // index of the outgoing port
  std::uint8_t frame_bytes = 0;  // 14, and 4 for each VLAN tag
  std::uint8_t unused = 0;
  std::uint16_t mtu = 0;        // largest IP packet
  std::uint16_t tunnel = 0;     // of kind tunnel
  std::uint8_t frame[22] = {};  // destination, source, VLAN tags, type to be filled in (last two bytes)
  net::Address gateway{};       // unresolved: whom to ask for
};
static_assert(sizeof(Hop) == 64);

using HopIndex = std::uint32_t;
inline constexpr HopIndex no_route_hop = 0;

struct Limits {
  std::uint32_t routes = 16'384;
  std::uint32_t hops = 4'096;
};

class Forwarding {
 public:
  // `wait` is called when something that workers may still be reading has to be used again; not for every
  // removal, but once for all that happened since the last time (WaitForReaders in index_pool.hpp).
  static Expected<std::unique_ptr<Forwarding>> create(const Limits& limits, int numa_node,
                                                      WaitForReaders wait, void* wait_context);
  ~Forwarding();
  // What `create` takes of DPDK's memory.
  static std::size_t memory_bytes(const Limits& limits);

  // -- control thread --
  // Copies `hop` to a free entry. Error when limits.hops are in use.
  Expected<HopIndex> add_hop(const Hop& hop);
  // No route may name it any more. Its entry is given out again only when no worker can be reading it.
  void remove_hop(HopIndex index);
  // Adds or replaces. Error when the limit is reached or there is no such hop.
  Expected<void> set_route(const net::Prefix& destination, HopIndex hop);
  Expected<void> remove_route(const net::Prefix& destination);

  struct Route {
    net::Prefix destination;
    HopIndex hop;
  };
  std::vector<Route> routes() const;  // sorted by prefix, IPv4 first, for `show routes`

  // -- any thread; bursts of at most 64 --
  // IPv4 addresses in host order; IPv6 as 16 bytes in network order.
  void route4(std::span<const std::uint32_t> destinations, HopIndex* out) const;
  void route6(std::span<const std::uint8_t[16]> destinations, HopIndex* out) const;
  const Hop& hop(HopIndex index) const { return hops_[index]; }
  // Where the route of one address leads; `address` in network order.
  const Hop& hop_to(const std::uint8_t* address, net::Family family) const;

 private:
  struct Tables;
  explicit Forwarding(std::unique_ptr<Tables> tables);
  std::unique_ptr<Tables> tables_;
  const Hop* hops_;
};

}  // namespace espgate::forward

// The hops that routes share, found by what they are.
//
// A hop never changes: a neighbour that resolves, fails or moves makes another hop, the routes go over to
// it one by one, and the old one goes when no route names it. Removal waits for the workers, so it is
// done late and few at a time; a hop that is wanted again meanwhile is used again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "control/host/route_sink.hpp"
#include "datapath/net/vlan.hpp"
#include "drivers/host/mac.hpp"

namespace espgate::host {

// A port as the host path knows it.
struct PortTwin {
  std::uint8_t index = 0;  // in the datapath
  int ifindex = 0;         // of its twin in the kernel
  std::string name;
  Mac mac{};
  std::uint16_t mtu = 1500;
  net::Vlans vlans = 0;
};

// A tunnel's link in the kernel, that routes can lead into.
struct TunnelLink {
  std::uint16_t index = 0;  // in the datapath
  int ifindex = 0;
  std::string name;
  std::uint16_t mtu = 1500;
  // Multipoint: the peers behind it, each with its number in the datapath; what is for none of them goes to
  // `index`. Empty: the link is one to one peer.
  std::map<net::Address, std::uint16_t> next_hops = {};
  bool operator==(const TunnelLink&) const = default;
};

// What a hop is. Two routes with the same plan share a hop.
struct HopPlan {
  forward::HopKind kind = forward::HopKind::no_route;
  std::uint8_t port = 0;                // resolved, unresolved, glean; local: whose twin gets the packet
  std::uint16_t mtu = 0;                // resolved, unresolved, glean, tunnel
  std::optional<net::Address> gateway;  // resolved, unresolved, tunnel where the route names one
  Mac mac{};                            // resolved: the next hop's
  std::uint16_t tunnel = 0;             // tunnel: its number in the datapath, or its peer's
  auto operator<=>(const HopPlan&) const = default;
};

// Control thread only.
class HopPool {
 public:
  // `most`: hops that the datapath has room for.
  HopPool(RouteSink& sink, const std::vector<PortTwin>& ports, std::size_t most)
      : sink_(sink), ports_(ports) {
    plans_.reserve(most);
  }

  // The hop for a plan; counts one more user. Error when the datapath has no room for another.
  Expected<forward::HopIndex> acquire(const HopPlan& plan);
  void release(const HopPlan& plan);
  // Removes at most `limit` hops that nobody uses. True if none is left.
  bool reap(std::size_t limit);

  // What a worker's hop index means; nullptr if it names no hop (any more).
  const HopPlan* plan_of(forward::HopIndex index) const;
  std::size_t size() const { return entries_.size(); }
  std::size_t room() const { return plans_.bucket_count(); }  // until a table has to grow

 private:
  struct Entry {
    forward::HopIndex index = forward::no_route_hop;
    std::uint32_t users = 0;
  };

  forward::Hop build(const HopPlan& plan) const;

  RouteSink& sink_;
  const std::vector<PortTwin>& ports_;
  std::map<HopPlan, Entry> entries_;
  std::unordered_map<forward::HopIndex, HopPlan> plans_;
  std::vector<HopPlan> unused_;  // candidates for removal; may be in use again
};

}  // namespace espgate::host

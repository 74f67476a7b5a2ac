#include "control/daemon/own_addresses.hpp"

#include <algorithm>

namespace espgate::daemon {
namespace {

bool runs(const host::KernelView& view, int ifindex) {
  const auto* link = view.link(ifindex);
  return link != nullptr && link->up && (link->running || link->loopback);
}

// The interface that the kernel's main table sends by, by the longest prefix and the lowest metric; 0: none.
int way_to(const host::KernelView& view, const net::Address& peer) {
  for (int length = peer.bits(); length >= 0; --length) {
    const auto bits = static_cast<std::uint8_t>(length);
    if (!view.routes.has_length(peer.family, bits)) continue;
    const host::Route* best = nullptr;
    int way = 0;
    for (const auto& route : view.routes.at(net::masked(peer, bits))) {
      if (route.table != host::RouteTable::main || (best != nullptr && best->metric <= route.metric))
        continue;
      const auto hop = std::ranges::find_if(
          route.next_hops, [&](const host::NextHop& next) { return !next.dead && runs(view, next.ifindex); });
      if (route.type == host::RouteType::unicast && hop == route.next_hops.end()) continue;
      best = &route;
      way = route.type == host::RouteType::unicast ? hop->ifindex : 0;
    }
    if (best != nullptr) return way;
  }
  return 0;
}

}  // namespace

std::vector<net::Address> usable_addresses(const host::KernelView& view,
                                           const std::vector<net::Address>& ours, const net::Address& peer) {
  const auto way = way_to(view, peer);
  if (way == 0) return {};
  std::vector<net::Address> there, fitting;
  for (const auto& address : ours) {
    bool is_there = false, fits = false;
    for (const auto& [ifindex, entry] : view.addresses) {
      if (entry.address != address || !runs(view, ifindex)) continue;
      is_there = true;
      fits = fits || ifindex == way || view.link(ifindex)->loopback;
    }
    if (is_there) there.push_back(address);
    if (fits) fitting.push_back(address);
  }
  return fitting.empty() ? there : fitting;
}

}  // namespace espgate::daemon

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

// Of an address, what is better being more.
enum class Use : std::uint8_t { none, elsewhere_deprecated, elsewhere, deprecated, preferred };

Use use_of(const host::KernelView& view, const net::Address& address, int way) {
  auto best = Use::none;
  for (const auto& [place, state] : view.addresses) {
    const auto& [ifindex, entry] = place;
    if (entry.address != address || state == host::AddressState::tentative || !runs(view, ifindex)) continue;
    const bool preferred = state == host::AddressState::preferred;
    if (ifindex == way || view.link(ifindex)->loopback)
      best = std::max(best, preferred ? Use::preferred : Use::deprecated);
    else
      best = std::max(best, preferred ? Use::elsewhere : Use::elsewhere_deprecated);
  }
  return best;
}

}  // namespace

std::vector<net::Address> usable_addresses(const host::KernelView& view,
                                           const std::vector<net::Address>& ours, const net::Address& peer) {
  const auto way = way_to(view, peer);
  if (way == 0) return {};
  std::vector<Use> uses;
  for (const auto& address : ours) uses.push_back(use_of(view, address, way));
  const auto best = std::ranges::max(uses);
  std::vector<net::Address> usable;
  for (std::size_t i = 0; i < ours.size(); ++i)
    if (best != Use::none && uses[i] == best) usable.push_back(ours[i]);
  return usable;
}

}  // namespace espgate::daemon

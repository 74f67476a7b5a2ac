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
enum class Worth : std::uint8_t { none, elsewhere_deprecated, elsewhere, deprecated, preferred };

Worth worth_of(const host::KernelView& view, const net::Address& address, int way) {
  auto best = Worth::none;
  for (const auto& [place, state] : view.addresses) {
    const auto& [ifindex, entry] = place;
    if (entry.address != address || state == host::AddressState::tentative || !runs(view, ifindex)) continue;
    const bool preferred = state == host::AddressState::preferred;
    if (ifindex == way || view.link(ifindex)->loopback)
      best = std::max(best, preferred ? Worth::preferred : Worth::deprecated);
    else
      best = std::max(best, preferred ? Worth::elsewhere : Worth::elsewhere_deprecated);
  }
  return best;
}

}  // namespace

std::vector<net::Address> usable_addresses(const host::KernelView& view,
                                           const std::vector<net::Address>& ours, const net::Address& peer) {
  const auto way = way_to(view, peer);
  if (way == 0) return {};
  std::vector<Worth> worths;
  auto best = Worth::none;
  for (const auto& address : ours) best = std::max(best, worths.emplace_back(worth_of(view, address, way)));
  std::vector<net::Address> usable;
  for (std::size_t i = 0; i < ours.size(); ++i)
    if (best != Worth::none && worths[i] == best) usable.push_back(ours[i]);
  return usable;
}

}  // namespace espgate::daemon

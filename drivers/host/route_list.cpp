#include "drivers/host/route_list.hpp"

#include <algorithm>

namespace espgate::host {
namespace {

bool same_rank(const Route& a, const Route& b) {
  return a.table == b.table && a.metric == b.metric;
}

// By table (local first), then metric: the order in which the kernel tries them.
bool ranks_before(const Route& a, const Route& b) {
  if (a.table != b.table) return a.table == RouteTable::local;
  return a.metric < b.metric;
}

bool same_hop(const NextHop& a, const NextHop& b) {
  return a.ifindex == b.ifindex && a.gateway == b.gateway;
}

// The same route, whatever became of its next hops' state since.
bool same_route(const Route& a, const Route& b) {
  return same_rank(a, b) && a.type == b.type &&
         std::equal(a.next_hops.begin(), a.next_hops.end(), b.next_hops.begin(), b.next_hops.end(), same_hop);
}

bool is_v6(const Route& route) {
  return route.destination.address.family == net::Family::v6;
}

}  // namespace

RouteList::Outcome RouteList::add(const Route& route, RouteNotice notice) {
  auto found = routes_.find(route.destination);
  std::vector<Route> list = found == routes_.end() ? std::vector<Route>{} : found->second;

  const auto identical =
      std::find_if(list.begin(), list.end(), [&](const Route& other) { return same_route(route, other); });
  if (identical != list.end() && notice != RouteNotice::replaced) {
    if (*identical == route) return Outcome::unchanged;
    *identical = route;
    found->second = std::move(list);
    return Outcome::changed;
  }

  const auto [first, last] = std::equal_range(list.begin(), list.end(), route, ranks_before);
  const auto rivals = last - first;
  bool sure = rivals == 0 || notice == RouteNotice::listed;
  if (notice == RouteNotice::created) {
    list.insert(list.erase(first, last), route);
    sure = true;
  } else if (notice == RouteNotice::replaced && rivals > 0) {
    *first = route;
    sure = rivals == 1;
  } else if (is_v6(route) && route.next_hops.size() > 1 && notice != RouteNotice::listed) {
    // An IPv6 next hop that joined: the notice shows the whole group, in no certain order.
    list.insert(list.erase(first, last), route);
  } else {
    const bool at_front = notice == RouteNotice::prepended && !is_v6(route);
    list.insert(at_front ? first : last, route);
    sure = sure || !is_v6(route);
  }

  const std::size_t before = found == routes_.end() ? 0 : found->second.size();
  if (list.size() > before && size_ - before + list.size() > limit_) {
    overflowed_ = true;
    return Outcome::unchanged;
  }
  size_ = size_ - before + list.size();
  if (before == 0) ++count_of(route.destination);
  routes_.insert_or_assign(found, route.destination, std::move(list));
  return sure ? Outcome::changed : Outcome::doubtful;
}

RouteList::Outcome RouteList::remove(const Route& route) {
  const auto found = routes_.find(route.destination);
  if (found == routes_.end()) return Outcome::unchanged;
  auto& list = found->second;
  const auto gone =
      std::find_if(list.begin(), list.end(), [&](const Route& other) { return same_route(route, other); });
  if (gone != list.end()) {
    list.erase(gone);
    if (list.empty()) {
      routes_.erase(found);
      --count_of(route.destination);
    }
    --size_;
    return Outcome::changed;
  }
  // A next hop left a multipath route, or an earlier notice was lost.
  const bool rivals =
      std::any_of(list.begin(), list.end(), [&](const Route& other) { return same_rank(route, other); });
  return rivals ? Outcome::doubtful : Outcome::unchanged;
}

std::span<const Route> RouteList::at(const net::Prefix& prefix) const {
  const auto found = routes_.find(prefix);
  if (found == routes_.end()) return {};
  return found->second;
}

}  // namespace espgate::host

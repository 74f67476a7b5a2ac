#include "control/host/hop_pool.hpp"

#include <algorithm>

namespace espgate::host {

Expected<forward::HopIndex> HopPool::acquire(const HopPlan& plan) {
  if (plan.kind == forward::HopKind::no_route) return forward::no_route_hop;
  const auto found = entries_.find(plan);
  if (found != entries_.end()) {
    ++found->second.users;
    return found->second.index;
  }
  auto index = sink_.add_hop(build(plan));
  if (!index && !unused_.empty()) {
    while (!reap(unused_.size())) {
    }
    index = sink_.add_hop(build(plan));
  }
  if (!index) return index.error();
  entries_.emplace(plan, Entry{*index, 1});
  plans_.insert_or_assign(*index, plan);
  return *index;
}

void HopPool::release(const HopPlan& plan) {
  const auto found = entries_.find(plan);
  if (found == entries_.end()) return;
  if (--found->second.users == 0) unused_.push_back(plan);
}

bool HopPool::reap(std::size_t limit) {
  for (; limit > 0 && !unused_.empty(); --limit) {
    const auto found = entries_.find(unused_.back());
    unused_.pop_back();
    if (found == entries_.end() || found->second.users > 0) continue;
    plans_.erase(found->second.index);
    sink_.remove_hop(found->second.index);
    entries_.erase(found);
  }
  return unused_.empty();
}

const HopPlan* HopPool::plan_of(forward::HopIndex index) const {
  const auto found = plans_.find(index);
  return found == plans_.end() ? nullptr : &found->second;
}

// The frame of a resolved hop: destination, source, the port's VLAN tags and two bytes for the packet's own
// type.
forward::Hop HopPool::build(const HopPlan& plan) const {
  forward::Hop hop;
  hop.kind = plan.kind;
  hop.port = plan.port;
  hop.tunnel = plan.tunnel;
  hop.mtu = plan.mtu;
  if (plan.gateway) hop.gateway = *plan.gateway;
  if (plan.kind != forward::HopKind::resolved) return hop;
  const auto port =
      std::find_if(ports_.begin(), ports_.end(), [&](const PortTwin& p) { return p.index == plan.port; });
  if (port == ports_.end()) return hop;
  auto* at = std::copy(plan.mac.begin(), plan.mac.end(), hop.frame);
  at = std::copy(port->mac.begin(), port->mac.end(), at);
  at = net::write_tags(at, port->vlans);
  hop.frame_bytes = static_cast<std::uint8_t>(at - hop.frame + 2);
  return hop;
}

}  // namespace espgate::host

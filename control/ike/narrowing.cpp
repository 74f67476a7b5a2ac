#include "control/ike/narrowing.hpp"

#include <algorithm>

#include "control/ike/payload_layout.hpp"

namespace espgate::ike {
namespace {

constexpr std::size_t most_sides = 255;  // that a payload or an SA can have

bool contains(const SelectorSide& outer, const SelectorSide& inner) {
  return outer.addresses.contains(inner.addresses) && outer.ports.contains(inner.ports) &&
         (!outer.protocol || outer.protocol == inner.protocol);
}

std::optional<std::uint8_t> common_protocol(const SelectorSide& a, const SelectorSide& b) {
  return a.protocol ? a.protocol : b.protocol;
}

std::optional<SelectorSide> common(const SelectorSide& a, const SelectorSide& b) {
  if (a.addresses.first.family != b.addresses.first.family) return {};
  if (a.protocol && b.protocol && a.protocol != b.protocol) return {};
  if (a.ports == layout::opaque_ports || b.ports == layout::opaque_ports) return {};
  SelectorSide both;
  both.addresses = {std::max(a.addresses.first, b.addresses.first),
                    std::min(a.addresses.last, b.addresses.last)};
  both.protocol = common_protocol(a, b);
  both.ports = {std::max(a.ports.first, b.ports.first), std::min(a.ports.last, b.ports.last)};
  if (both.addresses.last < both.addresses.first || both.ports.last < both.ports.first) return {};
  return both;
}

}  // namespace

// The work is bounded whatever is offered: of what both have only so much is looked at more closely.
TrafficSelectors narrow(const TrafficSelectors& offered, const std::vector<SelectorSide>& ours) {
  constexpr std::size_t most_looked_at = 1'024;
  TrafficSelectors result;
  std::size_t looked_at = 0;
  for (const auto& theirs : offered.sides)
    for (const auto& mine : ours) {
      const auto both = common(theirs, mine);
      if (!both || result.sides.size() == most_sides) continue;
      if (++looked_at > most_looked_at) return result;
      const auto covers = [&](const SelectorSide& side) { return contains(side, *both); };
      if (std::ranges::any_of(result.sides, covers)) continue;
      std::erase_if(result.sides, [&](const SelectorSide& side) { return contains(*both, side); });
      result.sides.push_back(*both);
    }
  return result;
}

bool is_within(const TrafficSelectors& answer, const std::vector<SelectorSide>& offered) {
  const auto was_offered = [&](const SelectorSide& side) {
    return std::ranges::any_of(offered, [&](const SelectorSide& each) {
      return each.addresses.first.family == side.addresses.first.family && contains(each, side);
    });
  };
  return !answer.unknown_type && !answer.sides.empty() && std::ranges::all_of(answer.sides, was_offered);
}

std::optional<std::vector<net::TrafficSelector>> pairs(const TrafficSelectors& local,
                                                       const TrafficSelectors& remote) {
  std::vector<net::TrafficSelector> result;
  for (const auto& ours : local.sides)
    for (const auto& theirs : remote.sides) {
      if (ours.addresses.first.family != theirs.addresses.first.family) continue;
      if (ours.protocol && theirs.protocol && ours.protocol != theirs.protocol) continue;
      net::TrafficSelector pair{ours.addresses, theirs.addresses, common_protocol(ours, theirs), ours.ports,
                                theirs.ports};
      if (pair.protocol && net::is_icmp(*pair.protocol)) {
        // Type and code stand in both sides' ports.
        if (!ours.ports.contains(theirs.ports)) continue;
        pair.local_ports = theirs.ports;
        pair.remote_ports = {};
      }
      // Ports say nothing without a protocol that has them.
      if (pair.needs_ports() &&
          (!pair.protocol || !(net::has_ports(*pair.protocol) || net::is_icmp(*pair.protocol))))
        continue;
      if (result.size() == most_sides) return {};
      result.push_back(pair);
    }
  if (result.empty()) return {};
  return result;
}

std::optional<std::vector<net::TrafficSelector>> narrow_to_pairs(TrafficSelectors& local,
                                                                 TrafficSelectors& remote) {
  if (auto all = pairs(local, remote)) return all;
  while (local.sides.size() * remote.sides.size() > most_sides)
    (local.sides.size() > remote.sides.size() ? local : remote).sides.pop_back();
  return pairs(local, remote);
}

}  // namespace espgate::ike

// Finds what can never match. Comparing each policy with all before it would take minutes for 100,000, so
// they are looked up by the fields that they name: whatever takes all that a policy takes has the same fields
// once the policy's are cut to its prefix lengths.
#include <fmt/format.h>

#include <algorithm>
#include <compare>
#include <map>
#include <unordered_map>

#include "control/config/read.hpp"

namespace espgate::config {
namespace {

// More than that differ in ranges only: the datapath refuses them.
constexpr std::size_t most_alike = 256;

struct Searched {
  net::TrafficSelector selector;
  std::uint16_t priority;
  const Claim* place;
};

struct Shape {
  std::uint8_t local_bits;
  std::uint8_t remote_bits;
  net::Family family;
  bool protocol;
  bool local_port;
  bool remote_port;
  auto operator<=>(const Shape&) const = default;

  static Shape of(const net::TrafficSelector& selector) {
    return {
        selector.local.cover().length, selector.remote.cover().length,   selector.family(),
        selector.protocol.has_value(), selector.local_ports.is_single(), selector.remote_ports.is_single()};
  }
  // Whether something of this shape can contain something of the other.
  bool is_as_wide_as(const Shape& other) const {
    return family == other.family && local_bits <= other.local_bits && remote_bits <= other.remote_bits &&
           protocol <= other.protocol && local_port <= other.local_port && remote_port <= other.remote_port;
  }
};

net::TrafficSelector cut(const net::TrafficSelector& selector, const Shape& shape) {
  const auto prefix = [](const net::AddressRange& range, std::uint8_t bits) {
    return net::AddressRange::of(net::masked(range.first, bits));
  };
  net::TrafficSelector result;
  result.local = prefix(selector.local, shape.local_bits);
  result.remote = prefix(selector.remote, shape.remote_bits);
  if (shape.protocol) result.protocol = selector.protocol;
  if (shape.local_port) result.local_ports = selector.local_ports;
  if (shape.remote_port) result.remote_ports = selector.remote_ports;
  return result;
}

std::vector<Searched> in_order(const Configuration& configuration, const Checks& checks) {
  std::vector<Searched> all;
  for (std::size_t i = 0; i < configuration.connections.size(); ++i)
    for (const auto& selector : policies_of(configuration.connections[i]))
      all.push_back({selector, configuration.connections[i].priority, &checks.places_of_connections[i]});
  for (std::size_t i = 0; i < configuration.policies.size(); ++i)
    all.push_back({configuration.policies[i].selector, configuration.policies[i].priority,
                   &checks.places_of_policies[i]});
  std::ranges::stable_sort(all, {}, &Searched::priority);
  return all;
}

}  // namespace

void warn_of_shadows(Report& report, const Configuration& configuration, const Checks& checks) {
  const auto all = in_order(configuration, checks);
  std::map<Shape, std::unordered_map<net::TrafficSelector, std::vector<const Searched*>>> before;
  const auto covering = [&](const Searched& one, const Shape& own) -> const Searched* {
    for (const auto& [shape, selectors] : before) {
      if (!shape.is_as_wide_as(own)) continue;
      const auto found = selectors.find(cut(one.selector, shape));
      if (found == selectors.end()) continue;
      for (const auto* other : found->second)
        if (other->selector.contains(one.selector)) return other;
    }
    return nullptr;
  };
  for (const auto& one : all) {
    const auto own = Shape::of(one.selector);
    if (const auto* other = covering(one, own); other == nullptr) {
      auto& alike = before[own][cut(one.selector, own)];
      if (alike.size() < most_alike) alike.push_back(&one);
    } else if (other->place != one.place) {
      report.warning(
          one.place->row, one.place->owner.text(),
          fmt::format("{} never matches: {} comes first and takes all of it", net::to_string(one.selector),
                      described(*other->place, report, one.place->row)),
          fmt::format("remove it, or give it a priority below {}", other->priority));
    }
  }
}

}  // namespace espgate::config

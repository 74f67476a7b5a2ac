#include "datapath/forward/forwarding.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "datapath/forward/huge_array.hpp"
#include "datapath/forward/prefix_trie.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::forward {
namespace {

// Groups enough for prefixes that lie together as networks and sites do; the worst case, every prefix a host
// far from all others, would need 2 a prefix for IPv4 and 14 for IPv6.
constexpr std::uint32_t least_groups = 1024;
constexpr std::uint32_t groups_v4(std::uint32_t prefixes) {
  return least_groups + prefixes / 2;
}
constexpr std::uint32_t groups_v6(std::uint32_t prefixes) {
  return least_groups + prefixes;
}

// Both families' routes, under one limit.
struct RouteTable {
  PrefixTrie v4;
  PrefixTrie v6;
  std::uint32_t limit;

  PrefixTrie& of(net::Family family) { return family == net::Family::v4 ? v4 : v6; }

  Expected<void> set(const net::Prefix& prefix, std::uint32_t value) {
    if (v4.size() + v6.size() >= limit && !of(prefix.address.family).find(prefix))
      return Error{
          "no room for route " + net::to_string(prefix) + ": " + std::to_string(limit) + " are in use",
          "raise limits.routes"};
    return of(prefix.address.family).set(prefix, value);
  }
  Expected<void> remove(const net::Prefix& prefix) {
    if (of(prefix.address.family).remove(prefix)) return {};
    return Error{"no route " + net::to_string(prefix), ""};
  }

  static Expected<RouteTable> create(std::uint32_t limit, int numa_node, ReaderBarrier barrier) {
    auto v4 = PrefixTrie::create(groups_v4(limit), numa_node, barrier);
    if (!v4) return v4.error();
    auto v6 = PrefixTrie::create(groups_v6(limit), numa_node, barrier);
    if (!v6) return v6.error();
    return RouteTable{*std::move(v4), *std::move(v6), limit};
  }
  static std::size_t memory_bytes(std::uint32_t limit) {
    return PrefixTrie::memory_bytes(groups_v4(limit)) + PrefixTrie::memory_bytes(groups_v6(limit));
  }
};

// Hops in one array that workers index, and how many routes name each.
struct HopTable {
  HugeArray<Hop> hops;
  IndexPool free;
  std::vector<std::uint32_t> routes_naming;
  std::vector<bool> in_use;

  HopTable(std::uint32_t size, int numa_node, ReaderBarrier barrier)
      : hops(size, numa_node), free(1, size - 1, barrier), routes_naming(size), in_use(size) {
    if (hops) std::construct_at(hops.data());
    in_use[no_route_hop] = true;
  }
};

}  // namespace

struct Forwarding::Tables {
  HopTable hops;
  RouteTable routes;
};

Forwarding::Forwarding(std::unique_ptr<Tables> tables)
    : tables_(std::move(tables)), hops_(tables_->hops.hops.data()) {}

Forwarding::~Forwarding() = default;

std::size_t Forwarding::memory_bytes(const Limits& limits) {
  return RouteTable::memory_bytes(limits.routes) + limits.hops * sizeof(Hop);
}

Expected<std::unique_ptr<Forwarding>> Forwarding::create(const Limits& limits, int numa_node,
                                                         WaitForReaders wait, void* wait_context) {
  const ReaderBarrier barrier{wait, wait_context};
  HopTable hops(std::max<std::uint32_t>(limits.hops, 2), numa_node, barrier);
  if (!hops.hops)
    return Error{"no memory for the next hops", "give more hugepages, or lower limits.neighbours"};
  auto routes = RouteTable::create(limits.routes, numa_node, barrier);
  if (!routes) return routes.error();
  auto tables = std::make_unique<Tables>(Tables{std::move(hops), *std::move(routes)});
  return std::unique_ptr<Forwarding>(new Forwarding(std::move(tables)));
}

Expected<HopIndex> Forwarding::add_hop(const Hop& hop) {
  auto& table = tables_->hops;
  const auto index = table.free.take();
  if (!index)
    return Error{"no room for another next hop: " + std::to_string(table.in_use.size()) + " are in use",
                 "raise limits.neighbours"};
  std::construct_at(table.hops.data() + *index, hop);
  table.in_use[*index] = true;
  return *index;
}

void Forwarding::remove_hop(HopIndex index) {
  auto& table = tables_->hops;
  const bool removable = index != no_route_hop && index < table.in_use.size() && table.in_use[index] &&
                         table.routes_naming[index] == 0;
  assert(removable);
  if (!removable) return;  // A hop too many harms nobody; one given out twice sends packets astray.
  table.in_use[index] = false;
  table.free.retire(index);
}

Expected<void> Forwarding::set_route(const net::Prefix& destination, HopIndex hop) {
  auto& hops = tables_->hops;
  if (hop >= hops.in_use.size() || !hops.in_use[hop])
    return Error{"route " + net::to_string(destination) + " names hop " + std::to_string(hop) +
                     ", which does not exist",
                 ""};
  const auto before = tables_->routes.of(destination.address.family).find(destination);
  auto done = tables_->routes.set(destination, hop);
  if (!done) return done;
  ++hops.routes_naming[hop];
  if (before) --hops.routes_naming[*before];
  return {};
}

Expected<void> Forwarding::remove_route(const net::Prefix& destination) {
  const auto before = tables_->routes.of(destination.address.family).find(destination);
  if (before) --tables_->hops.routes_naming[*before];
  return tables_->routes.remove(destination);
}

std::vector<Forwarding::Route> Forwarding::routes() const {
  std::vector<Route> result;
  for (const auto* trie : {&tables_->routes.v4, &tables_->routes.v6})
    for (const auto& [prefix, value] : trie->sorted()) result.push_back({prefix, value});
  return result;
}

void Forwarding::route4(std::span<const std::uint32_t> destinations, HopIndex* out) const {
  tables_->routes.v4.lookup(destinations, out);
}

void Forwarding::route6(std::span<const std::uint8_t[16]> destinations, HopIndex* out) const {
  tables_->routes.v6.lookup(destinations, out);
}

const Hop& Forwarding::hop_to(const std::uint8_t* address, net::Family family) const {
  HopIndex index = no_route_hop;
  if (family == net::Family::v4) {
    const std::uint32_t destination = net::load_be32({address, 4}, 0);
    route4({&destination, 1}, &index);
  } else {
    std::uint8_t destination[1][16];
    std::memcpy(destination[0], address, sizeof destination[0]);
    route6(destination, &index);
  }
  return hop(index);
}

}  // namespace espgate::forward

// The kernel's state as far as it is mirrored: what the mirror keeps and the route choice reads.
#pragma once

#include <algorithm>

#include "drivers/host/kernel_values.hpp"
#include "drivers/host/route_list.hpp"

namespace espgate::host {

// Links: all. Addresses and neighbours: of the followed interfaces (addresses also of loopback).
// Routes: tables main and local, through any interface.
struct KernelView {
  explicit KernelView(std::size_t route_limit) : routes(route_limit) {}

  Links links;
  Addresses addresses;
  RouteList routes;  // `overflowed` says that some were left out
  Neighbours neighbours;
  bool neighbours_left_out = false;  // the limit was reached

  const Link* link(int ifindex) const {  // nullptr: no such interface
    const auto found = links.find(ifindex);
    return found == links.end() ? nullptr : &found->second;
  }
  // Of any interface that is followed, in whatever state.
  bool has_address(const net::Address& address) const {
    return std::ranges::any_of(addresses,
                               [&](const auto& known) { return known.first.second.address == address; });
  }
  const Neighbour* neighbour(const NeighbourKey& key) const {  // nullptr: not usable
    const auto found = neighbours.find(key);
    return found == neighbours.end() ? nullptr : &found->second;
  }
};

}  // namespace espgate::host

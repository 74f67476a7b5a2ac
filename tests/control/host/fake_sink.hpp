// Stands in for the datapath and holds HostSync to its rules: no route to a hop that is not there, no
// hop removed under a route.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "control/host/route_sink.hpp"
#include "drivers/host/kernel_values.hpp"

namespace espgate::test {

class FakeSink final : public host::RouteSink {
 public:
  std::size_t hop_limit = 100'000;
  std::size_t route_limit = 100'000;
  std::map<forward::HopIndex, forward::Hop> hops{{forward::no_route_hop, {}}};
  std::map<net::Prefix, forward::HopIndex, host::PrefixOrder> routes;
  std::size_t changes = 0;  // set_route and remove_route

  Expected<forward::HopIndex> add_hop(const forward::Hop& hop) override {
    if (hops.size() > hop_limit) return Error{"all hops in use", "raise the limit"};
    // The lowest free index, so that indexes are used again as they may be in the datapath.
    forward::HopIndex index = 1;
    while (hops.contains(index)) ++index;
    hops.emplace(index, hop);
    return index;
  }
  void remove_hop(forward::HopIndex index) override {
    REQUIRE(index != forward::no_route_hop);
    REQUIRE(hops.erase(index) == 1);
    for (const auto& [prefix, hop] : routes) REQUIRE(hop != index);
  }
  Expected<void> set_route(const net::Prefix& destination, forward::HopIndex hop) override {
    REQUIRE(hops.contains(hop));
    REQUIRE(net::masked(destination.address, destination.length) == destination);
    if (!routes.contains(destination) && routes.size() >= route_limit)
      return Error{"all routes in use", "raise the limit"};
    routes.insert_or_assign(destination, hop);
    ++changes;
    return {};
  }
  Expected<void> remove_route(const net::Prefix& destination) override {
    REQUIRE(routes.erase(destination) == 1);
    ++changes;
    return {};
  }

  // What the datapath would do with a packet to this address.
  const forward::Hop& lookup(const net::Address& address) const {
    for (int length = address.bits(); length >= 0; --length) {
      const auto found = routes.find(net::masked(address, static_cast<std::uint8_t>(length)));
      if (found != routes.end()) return hops.at(found->second);
    }
    return hops.at(forward::no_route_hop);
  }
  const forward::Hop* at(const std::string& prefix) const {
    const auto found = routes.find(*net::parse_prefix(prefix));
    return found == routes.end() ? nullptr : &hops.at(found->second);
  }
};

}  // namespace espgate::test

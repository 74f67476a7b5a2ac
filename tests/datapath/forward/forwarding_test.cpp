#include "datapath/forward/forwarding.hpp"

#include <rte_memory.h>

#include <catch2/catch.hpp>

using namespace espgate;
using namespace espgate::forward;

namespace {

std::unique_ptr<Forwarding> made(const Limits& limits) {
  auto forwarding = Forwarding::create(limits, SOCKET_ID_ANY, nullptr, nullptr);
  REQUIRE(forwarding);
  return *std::move(forwarding);
}

net::Prefix prefix(const char* text) {
  return *net::parse_prefix(text);
}

HopIndex route_of(const Forwarding& forwarding, const char* text) {
  const auto address = *net::parse_address(text);
  HopIndex hop = 12345;
  if (address.family == net::Family::v4) {
    const std::uint32_t value = address.v4_value();
    forwarding.route4({&value, 1}, &hop);
  } else {
    std::uint8_t bytes[1][16];
    std::ranges::copy(address.bytes, bytes[0]);
    forwarding.route6(bytes, &hop);
  }
  return hop;
}

}  // namespace

TEST_CASE("routes lead to hops") {
  const auto forwarding = made({.routes = 100, .hops = 10});
  Hop hop{.kind = HopKind::resolved, .port = 3, .mtu = 1400};
  const auto a = forwarding->add_hop(hop);
  hop.port = 4;
  const auto b = forwarding->add_hop(hop);
  REQUIRE((a && b));
  CHECK(*a != no_route_hop);
  REQUIRE(forwarding->set_route(prefix("10.0.0.0/8"), *a));
  REQUIRE(forwarding->set_route(prefix("10.1.0.0/16"), *b));
  REQUIRE(forwarding->set_route(prefix("2001:db8::/32"), *b));
  CHECK(forwarding->hop(route_of(*forwarding, "10.2.3.4")).port == 3);
  CHECK(forwarding->hop(route_of(*forwarding, "10.1.3.4")).port == 4);
  CHECK(forwarding->hop(route_of(*forwarding, "2001:db8::1")).mtu == 1400);
  CHECK(forwarding->hop(route_of(*forwarding, "11.0.0.1")).kind == HopKind::no_route);
  CHECK(route_of(*forwarding, "2001:db9::1") == no_route_hop);
  REQUIRE(forwarding->set_route(prefix("10.1.0.0/16"), *a));
  CHECK(route_of(*forwarding, "10.1.3.4") == *a);
  REQUIRE(forwarding->remove_route(prefix("10.0.0.0/8")));
  CHECK(route_of(*forwarding, "10.2.3.4") == no_route_hop);
  CHECK_FALSE(forwarding->remove_route(prefix("10.0.0.0/8")));
}

TEST_CASE("routes are listed in order, IPv4 first") {
  const auto forwarding = made({.routes = 100, .hops = 10});
  const auto hop = forwarding->add_hop({.kind = HopKind::blackhole});
  REQUIRE(hop);
  const std::vector<const char*> order{"10.0.0.0/8", "10.0.0.0/24", "192.0.2.0/24",
                                       "::/0",       "::/16",       "fe80::/64"};
  for (const auto i : {4, 1, 5, 3, 0, 2})
    REQUIRE(forwarding->set_route(prefix(order[static_cast<size_t>(i)]), *hop));
  const auto routes = forwarding->routes();
  REQUIRE(routes.size() == order.size());
  for (std::size_t i = 0; i < order.size(); ++i) CHECK(net::to_string(routes[i].destination) == order[i]);
}

TEST_CASE("limits are errors that name themselves") {
  const auto forwarding = made({.routes = 2, .hops = 3});
  REQUIRE(forwarding->add_hop({}));
  REQUIRE(forwarding->add_hop({}));
  const auto third = forwarding->add_hop({});
  REQUIRE_FALSE(third);
  CHECK(third.error().remedy.find("limits.neighbours") != std::string::npos);

  REQUIRE(forwarding->set_route(prefix("10.0.0.0/8"), 1));
  REQUIRE(forwarding->set_route(prefix("2001:db8::/32"), 1));
  REQUIRE(forwarding->set_route(prefix("10.0.0.0/8"), 2));  // replacing needs no room
  const auto route = forwarding->set_route(prefix("11.0.0.0/8"), 1);
  REQUIRE_FALSE(route);
  CHECK(route.error().text().find("limits.routes") != std::string::npos);
  CHECK(route_of(*forwarding, "11.0.0.1") == no_route_hop);
  CHECK_FALSE(forwarding->set_route(prefix("10.0.0.0/8"), 3));  // no such hop
  CHECK(route_of(*forwarding, "10.0.0.1") == 2);
}

TEST_CASE("a removed hop is given out again only after the readers have passed") {
  struct Count {
    int waits = 0;
    static void wait(void* context) { ++static_cast<Count*>(context)->waits; }
  } count;
  auto forwarding = Forwarding::create({.routes = 10, .hops = 3}, SOCKET_ID_ANY, &Count::wait, &count);
  REQUIRE(forwarding);
  auto& table = **forwarding;
  const auto first = table.add_hop({.port = 1});
  REQUIRE(first);
  table.remove_hop(*first);
  const auto second = table.add_hop({.port = 2});
  REQUIRE(second);
  CHECK(count.waits == 0);
  CHECK(*second != *first);
  CHECK(table.hop(*first).port == 1);  // as a worker that found it before may still read it
  const auto third = table.add_hop({.port = 3});
  REQUIRE(third);
  CHECK(count.waits == 1);
  CHECK(*third == *first);
}

TEST_CASE("too little memory is an error that says how much") {
  const auto forwarding = Forwarding::create({.routes = 8'000'000}, SOCKET_ID_ANY, nullptr, nullptr);
  REQUIRE_FALSE(forwarding);
  CHECK(forwarding.error().text().find("MB") != std::string::npos);
  CHECK(Forwarding::memory_bytes({}) < 64 << 20);
}

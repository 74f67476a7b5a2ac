#include "control/host/route_choice.hpp"

#include <catch2/catch.hpp>

namespace espgate::test {
namespace {

using forward::HopKind;
using host::KernelView;
using host::Route;
using host::RouteOrigin;
using host::RouteTable;
using host::RouteType;

constexpr int lo = 1, outside = 2, inside = 3, foreign = 4, tun0 = 5;

net::Address address(const char* text) {
  return *net::parse_address(text);
}
net::Prefix prefix(const char* text) {
  return *net::parse_prefix(text);
}

// Two ports, a tunnel, loopback and an interface that is none of these, all up.
struct Network {
  KernelView view{1000};
  std::vector<host::PortTwin> ports = {{0, outside, "outside", {2, 0, 0, 0, 0, 1}, 1500, 0},
                                       {1, inside, "inside", {2, 0, 0, 0, 0, 2}, 1500, 0}};
  std::vector<host::TunnelLink> tunnels = {{7, tun0, "tun0", 1400}};
  host::RouteChooser chooser{view, ports, tunnels};

  Network() {
    view.links[lo] = {"lo", {}, 65536, true, true, true};
    view.links[outside] = {"outside", {}, 1500, true, true, false};
    view.links[inside] = {"inside", {}, 1500, true, true, false};
    view.links[tun0] = {"tun0", {}, 1400, true, true, false};
    view.links[foreign] = {"eth0", {}, 1500, true, true, false};
  }

  void add(const char* destination, int ifindex, const char* gateway = nullptr, std::uint32_t metric = 0) {
    Route route;
    route.destination = prefix(destination);
    route.metric = metric;
    route.next_hops.push_back(
        {ifindex, gateway == nullptr ? std::nullopt : net::parse_address(gateway), false});
    view.routes.add(route, host::RouteNotice::appended);
  }
  void add_typed(const char* destination, RouteType type, RouteTable table, int ifindex) {
    Route route;
    route.destination = prefix(destination);
    route.type = type;
    route.table = table;
    if (ifindex != 0) route.next_hops.push_back({ifindex, {}, false});
    view.routes.add(route, host::RouteNotice::appended);
  }
  void add_local(const char* destination, int ifindex) {
    add_typed(destination, RouteType::local, RouteTable::local, ifindex);
  }
  void resolve(const char* neighbour, int ifindex, std::uint8_t mac) {
    view.neighbours[{address(neighbour), ifindex}] = {{2, 0, 0, 0, 0, mac}, false, false};
  }
  std::optional<host::Choice> choose(const char* destination) const {
    return chooser.choose(prefix(destination));
  }
  HopKind kind(const char* destination) const {
    const auto choice = choose(destination);
    REQUIRE(choice);
    return choice->hop.kind;
  }
};

TEST_CASE("A connected network is asked for, a known neighbour in it has its frame") {
  Network network;
  network.add("10.0.0.0/24", outside);
  CHECK(network.kind("10.0.0.0/24") == HopKind::glean);
  CHECK_FALSE(network.choose("10.0.0.2"));
  network.resolve("10.0.0.2", outside, 9);
  const auto choice = network.choose("10.0.0.2");
  REQUIRE(choice);
  CHECK(choice->origin == RouteOrigin::neighbour);
  CHECK(choice->hop.kind == HopKind::resolved);
  CHECK(choice->hop.mac == host::Mac{2, 0, 0, 0, 0, 9});
  CHECK(choice->hop.port == 0);
}

TEST_CASE("A neighbour has no route where the kernel would not reach it on that link") {
  Network network;
  network.add("10.0.0.0/24", outside);
  network.resolve("10.0.0.200", outside, 9);
  network.resolve("10.0.0.3", inside, 9);
  CHECK_FALSE(network.choose("10.0.0.3"));
  REQUIRE(network.choose("10.0.0.200"));
  network.add("10.0.0.128/25", inside, "10.1.0.2");
  CHECK_FALSE(network.choose("10.0.0.200"));
}

TEST_CASE("A gateway is resolved or asked for") {
  Network network;
  network.add("10.9.0.0/16", outside, "10.0.0.2");
  auto choice = network.choose("10.9.0.0/16");
  REQUIRE(choice);
  CHECK(choice->hop.kind == HopKind::unresolved);
  CHECK(choice->hop.gateway == address("10.0.0.2"));
  network.resolve("10.0.0.2", inside, 8);
  CHECK(network.kind("10.9.0.0/16") == HopKind::unresolved);
  network.resolve("10.0.0.2", outside, 9);
  CHECK(network.kind("10.9.0.0/16") == HopKind::resolved);
}

TEST_CASE("What the kernel reaches by a tunnel's link leads into the tunnel") {
  Network network;
  network.add("10.8.0.0/16", tun0);
  network.add("10.9.0.0/16", tun0, "10.255.0.2");
  network.add_local("10.255.0.1", tun0);
  const auto direct = network.choose("10.8.0.0/16");
  REQUIRE(direct);
  CHECK(direct->hop.kind == HopKind::tunnel);
  CHECK(direct->hop.tunnel == 7);
  CHECK(direct->hop.mtu == 1400);
  CHECK_FALSE(direct->hop.gateway);
  CHECK(network.choose("10.9.0.0/16")->hop.gateway == address("10.255.0.2"));
  CHECK(network.kind("10.255.0.1") == HopKind::local);
  // Without carrier it drops what it cannot protect, but down it is no way.
  network.view.links[tun0].running = false;
  CHECK(network.kind("10.8.0.0/16") == HopKind::tunnel);
  network.view.links[tun0].up = false;
  CHECK_FALSE(network.choose("10.8.0.0/16"));
  network.tunnels.clear();
  CHECK(network.kind("10.255.0.1") == HopKind::no_route);
}

TEST_CASE("What the kernel reaches by a multipoint tunnel's link goes to the peer that is the next hop") {
  Network network;
  network.tunnels[0].next_hops = {{address("10.255.0.2"), 21}, {address("2001:db8:ff::3"), 22}};
  const auto tunnel_of = [&](const char* destination) {
    const auto choice = network.choose(destination);
    return choice && choice->hop.kind == HopKind::tunnel ? choice->hop.tunnel : 0;
  };
  network.add("10.2.0.0/16", tun0, "10.255.0.2");
  network.add("10.3.0.0/16", tun0, "2001:db8:ff::3");  // RFC 5549
  network.add("2001:db8:3::/48", tun0, "2001:db8:ff::3");
  CHECK(tunnel_of("10.2.0.0/16") == 21);
  CHECK(tunnel_of("10.3.0.0/16") == 22);
  CHECK(tunnel_of("2001:db8:3::/48") == 22);
  // Nobody has that address, and a network without a next hop is nobody's either.
  network.add("10.4.0.0/16", tun0, "10.255.0.4");
  network.add("10.5.0.0/16", tun0);
  CHECK(tunnel_of("10.4.0.0/16") == 7);
  CHECK(tunnel_of("10.5.0.0/16") == 7);
  // A peer's own address: by a route of its own, or on the link's network.
  CHECK_FALSE(network.choose("10.255.0.2"));
  network.add("10.255.0.2", tun0);
  CHECK(tunnel_of("10.255.0.2") == 21);
  network.add("2001:db8:ff::/64", tun0);
  CHECK(tunnel_of("2001:db8:ff::3") == 22);
  CHECK(network.choose("2001:db8:ff::3")->origin == RouteOrigin::neighbour);
  CHECK(network.choose("2001:db8:ff::3")->hop.mtu == 1400);
  CHECK(tunnel_of("2001:db8:ff::/64") == 7);
  CHECK_FALSE(network.choose("2001:db8:ff::4"));
  network.view.links[tun0].up = false;
  CHECK_FALSE(network.choose("2001:db8:ff::3"));
}

TEST_CASE("An IPv4 route may have an IPv6 gateway") {
  Network network;
  network.add("10.9.0.0/16", outside, "fe80::2");
  network.resolve("fe80::2", outside, 9);
  CHECK(network.kind("10.9.0.0/16") == HopKind::resolved);
}

TEST_CASE("A host route on the link goes to that host") {
  Network network;
  network.add("192.0.2.7", outside);
  auto choice = network.choose("192.0.2.7");
  REQUIRE(choice);
  CHECK(choice->hop.kind == HopKind::unresolved);
  CHECK(choice->hop.gateway == address("192.0.2.7"));
  network.resolve("192.0.2.7", outside, 9);
  CHECK(network.kind("192.0.2.7") == HopKind::resolved);
}

TEST_CASE("The lowest metric with a live next hop wins") {
  Network network;
  network.add("10.9.0.0/16", outside, "10.0.0.2", 10);
  network.add("10.9.0.0/16", inside, "10.1.0.2", 20);
  CHECK(network.choose("10.9.0.0/16")->hop.port == 0);
  network.view.links[outside].running = false;  // the kernel still uses it
  CHECK(network.choose("10.9.0.0/16")->hop.port == 0);
  network.view.links[outside].up = false;
  CHECK(network.choose("10.9.0.0/16")->hop.port == 1);
  network.view.links[inside].up = false;
  CHECK_FALSE(network.choose("10.9.0.0/16"));
}

TEST_CASE("Of several next hops the first with carrier is taken, else the first that is up") {
  Network network;
  Route route;
  route.destination = prefix("10.9.0.0/16");
  route.next_hops = {{outside, address("10.0.0.2"), false}, {inside, address("10.1.0.2"), false}};
  network.view.routes.add(route, host::RouteNotice::created);
  CHECK(network.choose("10.9.0.0/16")->hop.port == 0);
  network.view.links[outside].running = false;
  CHECK(network.choose("10.9.0.0/16")->hop.port == 1);
  network.view.links[inside].running = false;
  CHECK(network.choose("10.9.0.0/16")->hop.port == 0);
  route.next_hops[0].dead = true;
  network.view.routes.add(route, host::RouteNotice::replaced);
  CHECK(network.choose("10.9.0.0/16")->hop.port == 1);
}

TEST_CASE("Our own addresses are the kernel's, also while their interface is down") {
  Network network;
  network.add_local("10.0.0.1", outside);
  network.add_local("192.0.2.1", lo);
  network.add_typed("10.0.0.255", RouteType::broadcast, RouteTable::local, outside);
  network.add_typed("fd00::", RouteType::anycast, RouteTable::local, outside);
  for (const char* own : {"10.0.0.1", "192.0.2.1", "10.0.0.255", "fd00::"}) {
    INFO(own);
    CHECK(network.kind(own) == HopKind::local);
  }
  network.view.links[outside].up = false;
  CHECK(network.kind("10.0.0.1") == HopKind::local);
}

TEST_CASE("A packet to one of our addresses goes to the twin that has it, else to the first port's") {
  Network network;
  network.add_local("10.0.0.1", outside);
  network.add_local("10.1.0.1", inside);
  network.add_local("192.0.2.1", lo);
  network.add_typed("10.1.0.255", RouteType::broadcast, RouteTable::local, inside);
  CHECK(network.choose("10.0.0.1")->hop.port == 0);
  CHECK(network.choose("10.1.0.1")->hop.port == 1);
  CHECK(network.choose("10.1.0.255")->hop.port == 1);
  CHECK(network.choose("192.0.2.1")->hop.port == 0);
  CHECK(network.choose("224.0.0.0/24")->hop.port == 0);
}

TEST_CASE("A local network leaves nothing inside it to the main table") {
  Network network;
  network.add("10.5.5.0/24", outside, "10.0.0.2");
  CHECK(network.choose("10.5.5.0/24"));
  network.add_local("10.5.0.0/16", lo);
  CHECK(network.kind("10.5.0.0/16") == HopKind::local);
  CHECK_FALSE(network.choose("10.5.5.0/24"));
}

TEST_CASE("What the kernel reaches through another interface has no route here") {
  Network network;
  network.add("10.66.0.0/16", foreign, "10.66.0.1");
  network.add_local("10.66.0.9", foreign);
  CHECK(network.kind("10.66.0.0/16") == HopKind::no_route);
  CHECK(network.kind("10.66.0.9") == HopKind::no_route);
  network.add("10.66.0.0/16", outside, "10.0.0.2", 500);
  CHECK(network.kind("10.66.0.0/16") == HopKind::unresolved);
}

TEST_CASE("Blackhole, unreachable and prohibit drop; throw is no route") {
  Network network;
  network.add_typed("10.1.0.0/16", RouteType::blackhole, RouteTable::main, 0);
  network.add_typed("10.2.0.0/16", RouteType::unreachable, RouteTable::main, 0);
  network.add_typed("10.3.0.0/16", RouteType::prohibit, RouteTable::main, 0);
  network.add_typed("10.4.0.0/16", RouteType::throw_lookup, RouteTable::main, 0);
  CHECK(network.kind("10.1.0.0/16") == HopKind::blackhole);
  CHECK(network.kind("10.2.0.0/16") == HopKind::blackhole);
  CHECK(network.kind("10.3.0.0/16") == HopKind::blackhole);
  CHECK(network.kind("10.4.0.0/16") == HopKind::no_route);
}

TEST_CASE(
    "A link's multicast is the kernel's, other multicast, loopback and foreign link-local go nowhere, "
    "whatever it says") {
  Network network;
  network.add("224.0.0.0/4", outside);
  network.add("239.1.0.0/16", outside, "10.0.0.2");
  network.add_local("127.0.0.0/8", lo);
  network.add_local("127.0.0.1", lo);
  network.add("fe80::/64", outside);
  network.add_local("fe80::1", outside);
  network.add_local("fe80::9", foreign);
  network.resolve("fe80::2", outside, 9);
  CHECK(network.kind("224.0.0.0/24") == HopKind::local);
  CHECK(network.kind("224.0.0.0/4") == HopKind::no_route);
  CHECK(network.kind("255.255.255.255") == HopKind::local);
  CHECK(network.kind("ff02::/16") == HopKind::local);
  CHECK(network.kind("ff00::/8") == HopKind::no_route);
  CHECK_FALSE(network.choose("239.1.0.0/16"));
  CHECK(network.kind("127.0.0.0/8") == HopKind::no_route);
  CHECK_FALSE(network.choose("127.0.0.1"));
  CHECK(network.kind("fe80::/10") == HopKind::no_route);
  CHECK_FALSE(network.choose("fe80::/64"));
  CHECK_FALSE(network.choose("fe80::2"));
  CHECK_FALSE(network.choose("fe80::9"));
  CHECK(network.kind("fe80::1") == HopKind::local);
}

TEST_CASE("The smallest MTU of port, twin and route counts") {
  Network network;
  network.ports[0].mtu = 1400;
  network.add("10.9.0.0/16", outside, "10.0.0.2");
  CHECK(network.choose("10.9.0.0/16")->hop.mtu == 1400);
  network.view.links[outside].mtu = 1300;
  CHECK(network.choose("10.9.0.0/16")->hop.mtu == 1300);
  Route route;
  route.destination = prefix("10.9.0.0/16");
  route.mtu = 1280;
  route.next_hops = {{outside, address("10.0.0.2"), false}};
  network.view.routes.add(route, host::RouteNotice::replaced);
  CHECK(network.choose("10.9.0.0/16")->hop.mtu == 1280);
}

}  // namespace
}  // namespace espgate::test

// A connection with peers at any address: each has an IKE SA, children and selectors of its own.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

// "b", whose peers come from anywhere and may have all of 10.0.0.0/8.
Connection hub() {
  auto connection = connection_of_b();
  connection.remote.reset();
  connection.children[0].remote = {side("10.0.0.0/8")};
  return connection;
}

Connection spoke(std::string_view name, std::string_view address, std::string_view network) {
  auto connection = connection_of_a();
  connection.name = name;
  connection.local = net::parse_address(address);
  connection.identity = fqdn(std::string(name) + ".example");
  connection.children[0].local = {side(network)};
  return connection;
}

struct Hub : Simulation {
  explicit Hub(Connection of_b = hub(), Connection of_a = connection_of_a())
      : Simulation(1, handle(std::move(of_a)), handle(std::move(of_b))) {}

  bool comes_up(Node& node) {
    const auto& name = node.connection().name;
    node.handle(Initiate{name, ""});
    const auto key = "net/" + to_string(node.connection().identity);
    return run_until(
        [&] {
          const auto here = node.outbound().find("net");
          const auto there = b.outbound().find(key);
          return here != node.outbound().end() && there != b.outbound().end() &&
                 b.inbound().contains(here->second.spi) && node.inbound().contains(there->second.spi);
        },
        10s);
  }
  std::string of_b(const std::string& peer) {
    return net::to_string(b.outbound().at("net/" + peer).selectors.at(0).remote);
  }
};

}  // namespace

TEST_CASE("peers at any address are up at once, each with what it asks for") {
  Hub world;
  auto& c = world.add(handle(spoke("c", "198.51.100.3", "10.3.0.0/16")));
  REQUIRE(world.comes_up(world.a));
  REQUIRE(world.comes_up(c));
  CHECK(world.of_b("a.example") == "10.1.0.0/16");
  CHECK(world.of_b("c.example") == "10.3.0.0/16");
  world.send_traffic_every(100ms);
  world.run_for(5s);
  for (auto* node : world.nodes()) CHECK(node->received > 40);
  CHECK(world.b.missed + world.a.missed + c.missed == 0);
}

TEST_CASE("each of many peers gets new keys of its own, whoever begins, and keeps its selectors") {
  Hub world;
  auto& c = world.add(handle(spoke("c", "198.51.100.3", "10.3.0.0/16")));
  REQUIRE(world.comes_up(world.a));
  REQUIRE(world.comes_up(c));
  world.send_traffic_every(50ms);
  const auto before = world.b.inbound().size();
  world.b.handle(Rekey{"b", "net", fqdn("a.example")});
  world.run_for(2s);
  CHECK(world.b.installed == before + 1);
  c.handle(Rekey{"c", "net"});
  world.b.handle(Rekey{"b", "", fqdn("c.example")});
  world.a.handle(Rekey{"a", ""});
  world.run_for(100s);
  CHECK(world.of_b("a.example") == "10.1.0.0/16");
  CHECK(world.of_b("c.example") == "10.3.0.0/16");
  CHECK(world.b.missed + world.a.missed + c.missed == 0);
  CHECK(world.b.established().size() == 2);
  INFO(world.state());
  CHECK(world.problem.empty());
}

TEST_CASE("one of many peers is closed by its name, and the others stay") {
  Hub world;
  auto& c = world.add(handle(spoke("c", "198.51.100.3", "10.3.0.0/16")));
  REQUIRE(world.comes_up(world.a));
  REQUIRE(world.comes_up(c));
  world.b.handle(Terminate{"b", "", fqdn("c.example")});
  world.run_for(5s);
  CHECK(c.outbound().empty());
  CHECK(world.b.outbound().size() == 1);
  CHECK(world.b.outbound().contains("net/a.example"));
  world.b.handle(Terminate{"b", ""});
  world.run_for(5s);
  CHECK(world.b.outbound().empty());
  CHECK(world.a.outbound().empty());
}

TEST_CASE("no peer gets what another has, and it does once that one went") {
  Hub world;
  auto& c = world.add(handle(spoke("c", "198.51.100.3", "10.1.7.0/24")));
  REQUIRE(world.comes_up(world.a));
  CHECK_FALSE(world.comes_up(c));
  CHECK(c.established().size() == 1);
  CHECK(world.of_b("a.example") == "10.1.0.0/16");
  world.a.handle(Terminate{"a", ""});
  world.run_for(5s);
  CHECK(world.comes_up(c));
}

TEST_CASE("who asks for what another peer has over and over fills no log") {
  Hub world;
  auto& c = world.add(handle(spoke("c", "198.51.100.3", "10.1.7.0/24")));
  REQUIRE(world.comes_up(world.a));
  CHECK_FALSE(world.comes_up(c));
  for (int i = 0; i < 200; ++i) {
    c.handle(Initiate{"c", "net"});
    world.run_for(50ms);
  }
  for (const auto* about : {"what another peer of this connection has", "TS_UNACCEPTABLE"}) {
    const auto told =
        std::ranges::count_if(world.b.log, [&](const auto& line) { return line.find(about) != line.npos; });
    CHECK(told >= 8);
    CHECK(told <= 16);
  }
}

TEST_CASE("a peer that starts anew from elsewhere takes the place of what it had") {
  Hub world;
  REQUIRE(world.comes_up(world.a));
  auto again = spoke("c", "198.51.100.3", "10.1.0.0/16");
  again.identity = fqdn("a.example");
  auto& c = world.add(handle(again));
  REQUIRE(world.comes_up(c));
  CHECK(world.b.established().size() == 1);
  CHECK(net::to_string(world.b.outbound().at("net/a.example").remote.address) == "198.51.100.3");
}

TEST_CASE("each of many peers is given an address, and protects nothing else") {
  auto of_b = hub();
  of_b.peer_addresses = {*net::parse_prefix("10.9.0.0/30")};
  of_b.children[0].remote = {side("10.9.0.0/24")};
  auto of_a = connection_of_a(), of_c = spoke("c", "198.51.100.3", "0.0.0.0/0"),
       of_d = spoke("d", "198.51.100.4", "0.0.0.0/0");
  of_a.children[0].local = {side("0.0.0.0/0")};
  for (auto* each : {&of_a, &of_c, &of_d}) each->request_addresses = true;
  Hub world(of_b, of_a);
  auto& c = world.add(handle(of_c));
  auto& d = world.add(handle(of_d));
  REQUIRE(world.comes_up(world.a));
  REQUIRE(world.comes_up(c));
  const auto of_first = world.of_b("a.example"), of_second = world.of_b("c.example");
  CHECK(std::set{of_first, of_second} == std::set<std::string>{"10.9.0.1/32", "10.9.0.2/32"});
  CHECK(*world.a.assigned.begin() + "/32" == of_first);
  // There is no third one; once there is, the peer has it.
  CHECK_FALSE(world.comes_up(d));
  CHECK(d.assigned.empty());
  world.a.handle(Rekey{"a", ""});
  world.run_for(100s);
  CHECK(world.of_b("a.example") == of_first);
  c.handle(Terminate{"c", ""});
  d.handle(Terminate{"d", ""});
  world.run_for(5s);
  REQUIRE(world.comes_up(d));
  CHECK(world.of_b("d.example") == of_second);
  CHECK(world.problem.empty());
}

TEST_CASE("who must have an address and asks for none gets no child") {
  auto of_b = hub();
  of_b.peer_addresses = {*net::parse_prefix("10.1.0.0/16")};
  Hub world(of_b);
  CHECK_FALSE(world.comes_up(world.a));
  CHECK(world.a.established().size() == 1);
  CHECK(world.b.installed == 0);
  REQUIRE(world.b.established().size() == 1);
  CHECK_THAT(world.b.established()[0]->child_failures().of("net"), Catch::Contains("it asks for no address"));
}

TEST_CASE("in transport mode a peer at any address protects itself alone") {
  auto of_b = hub(), of_a = connection_of_a();
  of_b.children[0].transport = of_a.children[0].transport = true;
  of_b.children[0].local = {side("192.0.2.2")};
  of_b.children[0].remote = {side("0.0.0.0/0")};
  of_a.children[0].local = {side("192.0.2.0/24")};
  of_a.children[0].remote = {side("192.0.2.2")};
  Hub world(of_b, of_a);
  REQUIRE(world.comes_up(world.a));
  CHECK(world.of_b("a.example") == "192.0.2.1/32");
}

TEST_CASE("a connection with peers at any address begins nothing") {
  Hub world;
  world.b.handle(Initiate{"b", ""});
  world.run_for(10s);
  CHECK(world.datagrams == 0);
  CHECK_FALSE(world.b.core().last_failure("b", world.now()).empty());
}

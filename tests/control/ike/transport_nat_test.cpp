// Transport mode with NATs between the two ends (RFC 7296 2.23.1): each side's selectors are of what it sees.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

const auto at_a = *net::parse_address("192.168.0.1"), at_b = *net::parse_address("10.0.0.2");
const auto public_a = *net::parse_address("203.0.113.1"), public_b = *net::parse_address("198.51.100.2");

// Two ends, each perhaps behind a NAT that gives it another address and port.
struct Natted : Simulation {
  Natted(bool a_behind, bool b_behind, bool any = false, StartAction start_of_b = StartAction::passive)
      : Simulation(1, handle(end(connection_of_a(), at_a, b_behind ? public_b : at_b, false)),
                   handle(end(connection_of_b(), at_b, a_behind ? public_a : at_a, any, start_of_b))) {
    passes = [this, a_behind, b_behind](const SendDatagram& datagram) {
      auto arrives = DatagramReceived{datagram.from, datagram.to, datagram.bytes};
      const auto leave = [](Endpoint& from, const net::Address& inside, const net::Address& outside) {
        if (from.address == inside) from = {outside, static_cast<std::uint16_t>(from.port + 20'000)};
      };
      const auto enter = [](Endpoint& to, const net::Address& inside, const net::Address& outside) {
        if (to.address != outside) return;
        to.address = inside;
        if (to.port > 20'000) to.port = static_cast<std::uint16_t>(to.port - 20'000);
      };
      if (a_behind) leave(arrives.from, at_a, public_a);
      if (b_behind && datagram.from.address == at_b) arrives.from.address = public_b;  // a fixed mapping
      enter(arrives.to, at_a, public_a);
      enter(arrives.to, at_b, public_b);
      after(5ms, [this, arrives] { node_at(arrives.to).handle(arrives); });
      return false;
    };
  }

  static Connection end(Connection connection, const net::Address& local, const net::Address& remote,
                        bool any, StartAction start = StartAction::passive) {
    connection.start = start;
    connection.local = local;
    connection.remote = remote;
    if (any) connection.remote.reset();
    connection.liveness_after = 0s;
    auto& child = connection.children[0];
    child.transport = true;
    child.algorithms.key_exchanges = {31};
    child.local = {side(net::to_string(local))};
    child.remote = {any ? side("0.0.0.0/0") : side(net::to_string(remote))};
    return connection;
  }
  bool has(Node& node, const std::string& selector) {
    const auto& all = node.outbound();
    return all.size() == 1 && all.begin()->second.transport &&
           net::to_string(all.begin()->second.selectors.at(0)) == selector;
  }
};

}  // namespace

TEST_CASE("in transport mode behind NATs each end protects what it sees of the other") {
  const bool a_behind = GENERATE(false, true), b_behind = GENERATE(false, true), any = GENERATE(false, true);
  CAPTURE(a_behind, b_behind, any);
  Natted world(a_behind, b_behind, any);
  const auto of_a = fmt::format("192.168.0.1/32 > {}/32", b_behind ? "198.51.100.2" : "10.0.0.2");
  const auto of_b = fmt::format("10.0.0.2/32 > {}/32", a_behind ? "203.0.113.1" : "192.168.0.1");
  world.a.handle(Initiate{"a", ""});
  const auto is_up = [&] { return world.has(world.a, of_a) && world.has(world.b, of_b); };
  REQUIRE(world.run_until(is_up, 10s));
  CHECK(world.a.outbound().begin()->second.udp_encapsulation == (a_behind || b_behind));
  // New keys, whoever wants them, are for the same.
  for (auto* node : {&world.a, &world.b}) {
    const auto installed = world.a.installed;
    node->handle(Rekey{node->connection().name, "net"});
    world.run_for(2s);
    CHECK(world.a.installed == installed + 1);
    CHECK(is_up());
  }
  INFO(world.state());
  CHECK(world.problem.empty());
}

TEST_CASE(
    "after a crash a peer behind a NAT is reached where its UDP encapsulation comes from, and nowhere else") {
  const auto start = GENERATE(StartAction::passive, StartAction::always);
  Natted world(true, false, false, start);
  world.a.handle(Initiate{"a", ""});
  const auto is_up = [&] { return world.a.outbound().size() == 1 && world.b.outbound().size() == 1; };
  REQUIRE(world.run_until(is_up, 10s));
  const auto stale = world.a.outbound().begin()->second.spi;
  // The NAT has forgotten the mapping of port 500.
  world.passes = [&, through = world.passes](const SendDatagram& datagram) {
    return (datagram.to.address != public_a || datagram.to.port > 20'000) && through(datagram);
  };
  world.b.restart();
  world.run_for(500ms);
  CHECK(world.b.outbound().empty());
  const bool is_known = GENERATE(true, false);
  InvalidSpi event{"b", "net", {}, stale};
  if (is_known) event.in_udp_from = Endpoint{public_a, 24'500};
  world.b.handle(event);
  const auto is_new = [&] { return is_up() && world.a.outbound().begin()->second.spi != stale; };
  CHECK(world.run_until(is_new, 500ms) == is_known);
  CHECK(world.problem.empty());
}

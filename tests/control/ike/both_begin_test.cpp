// Both sides begin, at once or one before the other is there: one IKE SA is left, and nothing is lost on the
// way.
#include <catch2/catch.hpp>

#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

TEST_CASE("both sides begin at once: one IKE SA goes on, from the start") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    auto of_a = connection_of_a(), of_b = connection_of_b();
    of_a.start = of_b.start = StartAction::always;
    Simulation world(seed, handle(of_a), handle(of_b));
    world.faults.longest = 60ms;
    world.run_for(100ms);
    world.send_traffic_every(10ms);
    REQUIRE(world.run_until([&] { return world.a.received > 0 && world.b.received > 0; }, 10s));
    world.run_for(1s);
    CHECK(world.is_well());
    world.run_for(60s);
    INFO(world.problem << '\n' << world.state());
    CHECK(world.is_well());
    CHECK(world.a.core().ike_sas().size() == 1);
    CHECK(world.b.core().ike_sas().size() == 1);
  }
}

TEST_CASE("a greeting that waits for an answer goes when the peer's own IKE SA is up first") {
  const auto start = GENERATE(StartAction::always, StartAction::on_demand);
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.start = of_b.start = start;
  Simulation world(1, handle(of_a), handle(of_b));
  // b is not there yet when a begins.
  bool is_there = false;
  world.passes = [&](const SendDatagram&) { return is_there; };
  world.a.handle(Initiate{"a", ""});
  world.b.handle(Initiate{"b", ""});
  world.run_for(100ms);
  world.b.restart();
  is_there = true;
  world.b.handle(Initiate{"b", ""});
  REQUIRE(world.run_until([&] { return world.is_well(); }, 300ms));
  world.send_traffic_every(10ms);
  const auto spis = world.a.inbound();
  world.run_for(30s);
  CHECK(world.problem.empty());
  CHECK(world.a.core().ike_sas().size() == 1);
  CHECK(world.b.core().ike_sas().size() == 1);
  CHECK(world.a.installed == 1);
  CHECK(world.a.missed + world.b.missed + world.a.unsent + world.b.unsent == 0);
}

TEST_CASE("what a greeting was for is made by the IKE SA that the peer begins instead") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.start = of_b.start = StartAction::on_demand;
  for (auto* connection : {&of_a, &of_b}) {
    connection->children.push_back(connection->children[0]);
    auto& other = connection->children[1];
    other.name = "other";
    other.local = {side(connection == &of_a ? "10.3.0.0/16" : "10.4.0.0/16")};
    other.remote = {side(connection == &of_a ? "10.4.0.0/16" : "10.3.0.0/16")};
  }
  Simulation world(1, handle(of_a), handle(of_b));
  bool is_there = false;
  world.passes = [&](const SendDatagram&) { return is_there; };
  world.a.handle(Initiate{"a", "other"});
  world.run_for(100ms);
  is_there = true;
  world.b.handle(Initiate{"b", "net"});
  CHECK(world.run_until([&] { return world.is_well_for("net") && world.is_well_for("other"); }, 2s));
  CHECK(world.a.core().ike_sas().size() == 1);
}

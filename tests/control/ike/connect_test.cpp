#include <catch2/catch.hpp>

#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

void require_up(Simulation& world) {
  const bool up = world.run_until([&] { return world.is_well(); }, 10s);
  INFO(world.problem << '\n' << world.state());
  REQUIRE(up);
}

}  // namespace

TEST_CASE("two gateways with the same key come to one IKE SA and one child in two round trips") {
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()));
  world.a.handle(Initiate{"a", ""});
  require_up(world);
  CHECK(world.datagrams == 4);
  CHECK(world.a.inbound().size() == 1);
  const auto& sa = world.a.outbound().at("net");
  CHECK(sa.extended_sequence);
  CHECK_FALSE(sa.udp_encapsulation);
  REQUIRE(sa.selectors.size() == 1);
  CHECK(net::to_string(sa.selectors[0]) == "10.1.0.0/16 > 10.2.0.0/16");
  CHECK(net::to_string(world.b.outbound().at("net").selectors[0]) == "10.2.0.0/16 > 10.1.0.0/16");
  world.send_traffic_every(100ms);
  world.run_for(10s);
  CHECK(world.problem.empty());
  CHECK(world.a.received > 90);
  CHECK(world.b.received > 90);
  CHECK(world.a.missed + world.b.missed == 0);
}

TEST_CASE("another key is refused on both sides, and nothing is installed") {
  auto other = connection_of_b();
  other.authenticator = shared_key("incorrect horse");
  Simulation world(2, handle(connection_of_a()), handle(other));
  world.a.handle(Initiate{"a", ""});
  world.run_for(60s);
  CHECK(world.problem.empty());
  CHECK(world.a.installed + world.b.installed == 0);
  CHECK_THAT(world.a.core().last_failure("a", world.now()), Catch::Contains("does not accept that we are"));
  CHECK_THAT(world.b.core().last_failure("b", world.now()), Catch::Contains("not made with our shared key"));
  CHECK(world.a.core().ike_sas().empty());
  CHECK(world.b.core().ike_sas().empty());
}

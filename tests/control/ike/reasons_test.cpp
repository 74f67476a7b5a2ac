// Who is meant, and what is said when it does not fit.
#include <catch2/catch.hpp>

#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

bool up(Simulation& world, Time longest = 10s) {
  return world.run_until([&] { return world.is_well(); }, longest);
}

}  // namespace

TEST_CASE("a responder with several identities answers by the one that is asked for") {
  auto of_a = connection_of_a(), one = connection_of_b(), two = connection_of_b();
  one.name = "b1";
  two.name = "b";
  two.identity = fqdn("b2.example");
  of_a.asked_peer = fqdn("b2.example");
  Simulation world(1, handle(of_a), handle(two));
  world.b.carry_out(world.b.core().configure({handle(one), handle(two)}, world.now()));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  CHECK(world.a.established()[0]->peer_identity() == two.identity);
}

TEST_CASE("tunnel mode here and transport mode there: both sides' lines say which") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  // Who is asked for transport mode may say no (RFC 7296 1.3.1), and who wants it may not do without.
  const bool is_asked = GENERATE(true, false);
  (is_asked ? of_a : of_b).children[0].transport = true;
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  world.run_for(10s);
  CHECK(world.a.children() + world.b.children() == 0);
  REQUIRE_FALSE(world.a.log.empty());
  if (is_asked) {
    CHECK_THAT(world.a.log.back(),
               Catch::Contains("the peer's answer") && Catch::Contains("in tunnel mode between") &&
                   Catch::Contains("does not fit our offer") && Catch::Contains("in transport mode between"));
  } else {
    CHECK_THAT(world.a.log.back(),
               Catch::Contains("we offered") && Catch::Contains("in tunnel mode between"));
    REQUIRE_FALSE(world.b.log.empty());
    CHECK_THAT(world.b.log.back(),
               Catch::Contains("it offered") && Catch::Contains("in tunnel mode between") &&
                   Catch::Contains("we allow") && Catch::Contains("in transport mode between"));
  }
}

TEST_CASE("an IKE rekey that the peer refuses: the line has its notify and our offer") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  auto next = of_b;
  next.algorithms.suites = {crypto::SuiteId::aes_cbc_256_sha256};
  const auto after = handle(next);
  // As after a reload of something that the IKE SA at hand does not show.
  world.b.carry_out(world.b.core().configure({after}, world.now(),
                                             {{world.b.established()[0]->connection(), after, {"net"}}}));
  world.a.handle(Rekey{"a", ""});
  world.run_for(1s);
  CHECK_THAT(world.a.log.back(), Catch::Contains("NO_PROPOSAL_CHOSEN (14); we offered 1: aes256-gcm16"));
  CHECK_THAT(world.b.log.back(), Catch::Contains("the peer's IKE rekey is refused") &&
                                     Catch::Contains("; in common is no encryption, no integrity"));
}

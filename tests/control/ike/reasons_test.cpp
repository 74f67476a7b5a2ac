// Who is meant, and what is said when it does not fit.
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_responder.hpp"

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
               Catch::Contains("the peer's answer does not fit our offer: it chose 1: ") &&
                   Catch::Contains("in tunnel mode between") && Catch::Contains("; we offered 1: ") &&
                   Catch::Contains("in transport mode between"));
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
  CHECK_THAT(
      world.b.log.back(),
      Catch::Contains(
          "the peer's IKE rekey is refused: in common is no encryption, no integrity; it offered 1: "));
  CHECK_THAT(world.a.established()[0]->refusal(), Catch::Contains("NO_PROPOSAL_CHOSEN"));
  CHECK_THAT(world.b.established()[0]->refusal(), Catch::Contains("in common is no encryption"));
}

TEST_CASE("why a child is not there is known on both sides, and which comparison failed, until it is") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  const auto [what, at_b] =
      GENERATE(table<std::string, std::string>({{"networks",
                                                 "TS_UNACCEPTABLE (38): in common is no network of ours; it "
                                                 "offered 1: aes128-gcm16 esn in tunnel mode "
                                                 "between 10.1.0.0"},
                                                {"algorithms",
                                                 "NO_PROPOSAL_CHOSEN (14): in common is no encryption; it "
                                                 "offered 1: aes256-gcm16 esn in tunnel mode"}}));
  CAPTURE(what);
  for (auto* of : {&of_a, &of_b}) of->children[0].algorithms.key_exchanges = {31};
  const auto good = of_a.children[0];
  if (what == "networks")
    of_a.children[0].remote = {side("10.9.0.0/16")};
  else
    of_a.children[0].algorithms.suites = {crypto::SuiteId::aes_gcm_16_256};
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  world.run_for(1s);
  REQUIRE(world.a.established().size() == 1);
  CHECK_THAT(world.a.established()[0]->child_failures().of("net"), Catch::Contains(at_b.substr(0, 15)));
  // The first child has no key exchange of its own, so none was offered.
  CHECK_THAT(world.a.established()[0]->child_failures().of("net"), !Catch::Contains("x25519"));
  const auto said_by_b = world.b.established()[0]->child_failures().of("net");
  CHECK_THAT(said_by_b, Catch::Contains(at_b) && !Catch::Contains("x25519"));
  CHECK_THAT(said_by_b, Catch::Contains("; we allow 1: "));
  CHECK_FALSE(world.a.established()[0]->is_making("net"));
  // A reload brings what fits.
  of_a.children[0] = good;
  const auto after = handle(of_a);
  world.a.carry_out(
      world.a.core().configure({after}, world.now(), {{world.a.established()[0]->connection(), after, {}}}));
  CHECK(world.a.established()[0]->child_failures().of("net").empty());
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  CHECK(world.b.established()[0]->child_failures().of("net").empty());
}

TEST_CASE("what shows with the first rekey only is known while the child is up, and over a new IKE SA") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.children[0].algorithms.key_exchanges = {20};
  of_b.children[0].algorithms.key_exchanges = {31};
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  CHECK(world.a.established()[0]->child_failures().of("net").empty());
  world.a.handle(Rekey{"a", "net"});
  world.run_for(500ms);
  REQUIRE(world.is_well());
  for (const bool is_other_ike_sa : {false, true}) {
    CAPTURE(is_other_ike_sa);
    if (is_other_ike_sa) world.a.handle(Rekey{"a", ""});
    world.run_for(500ms);
    CHECK_THAT(world.a.established()[0]->child_failures().of("net"),
               Catch::Contains("NO_PROPOSAL_CHOSEN (14); we offered 1: aes128-gcm16 ecp384"));
    CHECK_THAT(world.b.established()[0]->child_failures().of("net"),
               Catch::Contains("(14): in common is no key exchange; it offered 1: "));
  }
}

TEST_CASE("a key exchange that the peer wants and we do not allow is told of at once, by name, and once") {
  HandMadeResponder peer;
  constexpr std::uint8_t ecp384[] = {0, 20};
  for (int i = 0; i < 3; ++i)
    CHECK_FALSE(peer.answer_greeting(PayloadWriter().add(Notify{NotifyType::invalid_ke_payload, ecp384})));
  REQUIRE(peer.lines.size() == 1);
  CHECK_THAT(peer.lines[0],
             Catch::Contains("IKE_SA_INIT is refused: it wants ecp384, which is not of our offer 1: "
                             "aes256-gcm16 prf-sha256 x25519"));
}

TEST_CASE("why a child ended says who ended it: its lifetime, or an operator") {
  const bool by_operator = GENERATE(true, false);
  HandMadeResponder peer;
  peer.connect();
  const auto spi = peer.only_sa()->children()[0].inbound_spi;
  const auto actions = by_operator ? peer.handle(SaDeleted{spi}) : peer.handle(HardExpired{spi});
  std::string reason;
  for (const auto& action : actions)
    if (const auto* retired = std::get_if<RetireOutbound>(&action)) reason = retired->reason;
  CHECK(reason == (by_operator ? "an operator deleted its SA (`sa delete`)" : "its lifetime is over"));
  // The peer hears of it either way.
  REQUIRE(peer.sent.size() == 1);
  CHECK(peer.open_request(peer.sent[0].bytes).payloads.deletes.size() == 1);
}

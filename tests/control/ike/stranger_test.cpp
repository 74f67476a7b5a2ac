// What strangers send, copies of what a peer sent, and what keeps a NAT from making strangers of peers.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_peer.hpp"
#include "tests/control/ike/hand_made_responder.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr auto informational = ExchangeType::informational;

}  // namespace

TEST_CASE("a copy of IKE_AUTH from elsewhere does not make that the peer's place") {
  auto of_core = connection_of_b();
  of_core.follow_peer = GENERATE(false, true);
  HandMadePeer peer(of_core);
  peer.natted = GENERATE(false, true);
  CAPTURE(of_core.follow_peer, peer.natted);
  peer.greet();
  const auto proof = peer.seal(ExchangeType::ike_auth, 1, peer.proof_payloads()).front();
  const Endpoint elsewhere{*net::parse_address("198.51.100.9"), 500};
  peer.handle(DatagramReceived{elsewhere, peer.there, proof});
  const bool may_be = of_core.follow_peer && peer.natted;  // its NAT may have done it
  CHECK(peer.installed.empty() != may_be);
  if (may_be) return;
  CHECK(peer.sent.empty());
  // The peer's own, from another port as behind a NAT.
  peer.here.port = 4'500;
  CHECK(peer.deliver(proof));
  REQUIRE(peer.only_sa());
  CHECK(peer.only_sa()->remote() == peer.here);
  CHECK(peer.installed.size() == 2);
}

TEST_CASE("the mapping of a NAT on our side is kept while there is no child to do it") {
  const bool natted = GENERATE(true, false);
  const auto every = GENERATE(20s, 0s);
  auto of_core = connection_of_a();
  of_core.liveness_after = 0s;
  of_core.nat_keepalive = every;
  HandMadeResponder peer(of_core);
  peer.natted = natted;
  REQUIRE(peer.answer_greeting());
  HandMadeResponder::Parts parts;
  parts.child = false;
  auto payloads = peer.proof_payloads(parts);
  peer.answer(payloads.add(Notify{NotifyType::no_additional_sas, {}}));
  REQUIRE(peer.only_sa());
  REQUIRE(peer.only_sa()->state() == IkeSa::State::established);

  std::size_t kept = 0;
  const auto wait = [&](Time time) {
    for (const auto until = peer.now + time; peer.now < until;) {
      peer.now = std::max(peer.now, std::min(until, peer.core.deadline()));
      for (const auto& action : peer.handle(TimerExpired{}))
        if (const auto* keep = std::get_if<KeepNatMapping>(&action)) {
          CHECK(keep->from == Endpoint{peer.there.address, 4500});
          CHECK(keep->to == Endpoint{peer.here.address, 4500});
          ++kept;
        }
    }
    return std::exchange(kept, 0);
  };
  const bool keeps = natted && every != 0s;
  CHECK(wait(19s) == 0);
  CHECK(wait(2s) == (keeps ? 1 : 0));
  CHECK(wait(60s) == (keeps ? 3 : 0));
  REQUIRE(peer.ask(ExchangeType::create_child_sa, peer.child_payloads({}, 0x1002)));
  REQUIRE(peer.installed_sas() == 2);
  CHECK(wait(60s) == 0);
  CHECK(peer.ask(informational, PayloadWriter().add(Delete{ProtocolId::esp, {0x1002}})));
  CHECK(wait(59s) == (keeps ? 3 : 0));  // at once, then every so often
}

TEST_CASE("a request that comes again is no sign of life") {
  HandMadePeer peer;
  peer.connect();
  const auto last = peer.seal(informational, peer.next_id++, {}).front();
  REQUIRE(peer.deliver(last));
  for (int i = 0; i < 2; ++i) {
    peer.now += 10s;
    CHECK(peer.deliver(last));
  }
  peer.now += 10s;
  peer.expire();
  REQUIRE(peer.sent.size() == 1);
  CHECK(peer.open_request(peer.sent[0].bytes).header.exchange == informational);
}

TEST_CASE("an IKE_SA_INIT that is far too long is not kept, nor answered") {
  HandMadePeer peer;
  auto payloads = peer.greeting_payloads();
  const std::vector<std::uint8_t> much(Limits().greeting_bytes, 5);
  payloads.add(Notify{NotifyType::signature_hash_algorithms, much});
  CHECK_FALSE(peer.greet(peer.greeting(payloads)));
  CHECK(peer.core.half_open() == 0);
}

TEST_CASE("a stranger's failure is not the reason of what is up, or was") {
  HandMadePeer peer;
  peer.connect();
  HandMadePeer stranger;
  stranger.spis.initiator = 0x1111;
  const auto greeting = stranger.greeting(stranger.greeting_payloads());
  peer.handle(DatagramReceived{peer.here, peer.there, greeting});
  REQUIRE(peer.core.half_open() == 1);
  peer.now += 31s;
  peer.expire();
  REQUIRE(peer.core.half_open() == 0);
  CHECK(peer.core.last_failure("b", peer.now).empty());
}

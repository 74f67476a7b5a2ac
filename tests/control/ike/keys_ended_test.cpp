// The keys of IKE SAs that are no more, for who reads recorded messages: only where they are wanted.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_peer.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

Connection with_another_key(Connection connection) {
  connection.authenticator = shared_key("incorrect horse");
  return connection;
}

// What a message of the responder's has, for who has the keys.
std::optional<Payloads> read(const KeysEnded& ended, const std::vector<std::uint8_t>& datagram,
                             std::vector<std::uint8_t>& bytes) {
  Header header;
  must(!decode_header(datagram, header));
  Channel initiators(ended.spis, true, crypto::suite(ended.suite), ended.keys);
  auto opened = initiators.open(header, datagram, 65'535);
  if (!opened || !opened->is_whole) return {};
  bytes = std::move(opened->bytes);
  Payloads payloads;
  must(!decode_payloads(opened->first, bytes, payloads));
  return payloads;
}

}  // namespace

TEST_CASE("who fails to prove who he is can be read, if somebody wants the keys, and holds none himself") {
  HandMadePeer peer(with_another_key(connection_of_b()));
  peer.wants_keys = GENERATE(false, true);
  peer.greet();
  REQUIRE(peer.ask(ExchangeType::ike_auth, peer.proof_payloads())->has(NotifyType::authentication_failed));
  REQUIRE(peer.ended.size() == (peer.wants_keys ? 1 : 0));
  CHECK(peer.only_sa()->keys().encryption_initiator.empty());
  if (!peer.wants_keys) return;
  CHECK(peer.ended[0].connection == "b");
  CHECK_FALSE(peer.ended[0].is_proven);
  std::vector<std::uint8_t> bytes;
  const auto payloads = read(peer.ended[0], peer.sent.at(0).bytes, bytes);
  REQUIRE(payloads);
  CHECK(payloads->notify(NotifyType::authentication_failed) != nullptr);
}

TEST_CASE("of who says nothing in secret no key is told") {
  HandMadePeer peer;
  peer.wants_keys = true;
  peer.greet();
  REQUIRE_FALSE(peer.only_sa()->keys().d.empty());
  auto forged = peer.seal(ExchangeType::ike_auth, 1, peer.proof_payloads()).front();
  forged.back() ^= 1;
  peer.handle(DatagramReceived{peer.here, peer.there, forged});
  peer.now += 60s;
  peer.expire();
  CHECK(peer.core.is_empty());
  CHECK(peer.ended.empty());
}

TEST_CASE("both sides tell the keys of what failed, was replaced, or was closed, once") {
  const bool fails = GENERATE(false, true);
  const auto of_b = connection_of_b();
  Simulation world(1, handle(connection_of_a()), handle(fails ? with_another_key(of_b) : of_b));
  for (auto* node : {&world.a, &world.b}) node->wants_keys = true;
  const auto ended = [&](std::size_t count) {
    for (auto* node : {&world.a, &world.b}) {
      REQUIRE(node->keys_ended.size() == count);
      if (count == 0) continue;
      CHECK(node->keys_ended.back().is_proven != fails);
      CHECK(node->keys_ended.back().spis == world.a.keys_ended.back().spis);
      CHECK(node->keys_ended.back().keys.encryption_initiator ==
            world.a.keys_ended.back().keys.encryption_initiator);
    }
  };
  if (fails) {
    CHECK_FALSE(world.comes_up());
    return ended(1);
  }
  REQUIRE(world.comes_up());
  ended(0);
  world.a.handle(Rekey{"a", ""});
  world.run_for(100s);
  ended(1);
  world.b.handle(Terminate{"b", ""});
  world.run_for(100s);
  ended(2);
}

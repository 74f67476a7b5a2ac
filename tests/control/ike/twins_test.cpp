// Children of which there are two where one is wanted: the answers that say which of them goes are late, or
// somebody made the same once more.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_peer.hpp"
#include "tests/control/ike/hand_made_responder.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr auto create = ExchangeType::create_child_sa;
constexpr auto informational = ExchangeType::informational;

// Nonces of the peer's: the core's are between them.
const Nonce lowest(32, 0), highest(32, 0xff);

void rekey(HandMadeSide& peer, std::uint32_t spi, std::uint32_t successor) {
  const auto old = spi_bytes_of(spi);
  const auto payloads = peer.child_payloads(PayloadWriter().add(HandMadePeer::rekey_of(old)), successor);
  REQUIRE(peer.ask(create, payloads)->payloads.security_association);
}

void close(HandMadeSide& peer, std::uint32_t spi) {
  REQUIRE(peer.ask(informational, PayloadWriter().add(Delete{ProtocolId::esp, {spi}})));
}

// The core's DELETE is answered, if that is all it sends: what it deletes.
std::vector<std::uint32_t> answer_delete(HandMadeSide& peer) {
  if (peer.sent.size() != 1) return {};
  const auto request = peer.open_request(peer.sent.front().bytes);
  REQUIRE(request.payloads.deletes.size() == 1);
  const auto spis = request.payloads.deletes[0].spis;
  peer.answer_request(request.header, {});
  return spis;
}

std::vector<std::uint32_t> after(HandMadeSide& peer, Time wait) {
  peer.now += wait;
  peer.handle(TimerExpired{});
  return answer_delete(peer);
}

const Child* child_with(const HandMadeSide& peer, std::uint32_t outbound_spi) {
  for (const auto& child : peer.only_sa()->children())
    if (child.outbound_spi == outbound_spi) return &child;
  return nullptr;
}

bool is_used(const HandMadeSide& peer, std::uint32_t outbound_spi) {
  return std::ranges::any_of(peer.installed, [&](const Action& action) {
    const auto* outbound = std::get_if<InstallOutbound>(&action);
    return outbound != nullptr && outbound->sa.spi == outbound_spi;
  });
}

// Both sides rekey the first child, and the peer's successor, 0x1002, loses to the core's, 0x1003.
void rekey_at_once(HandMadePeer& peer) {
  peer.handle(Rekey{"b", "net"});
  const auto request = peer.sent.front().bytes;
  peer.nonce = lowest;
  rekey(peer, HandMadePeer::first_spi, 0x1002);
  peer.nonce = highest;
  peer.answer_rekey(request, 0x1003);
  answer_delete(peer);
}

Connection with_lifetime(Connection connection, std::chrono::seconds rekey_after) {
  connection.liveness_after = 0s;
  connection.children[0].rekey_after = rekey_after;
  connection.children[0].expires_after = 2 * rekey_after;
  return connection;
}

}  // namespace

TEST_CASE("what lost is deleted though what won was replaced before the answer came") {
  HandMadePeer peer;
  peer.connect();
  peer.handle(Rekey{"b", "net"});
  REQUIRE(peer.sent.size() == 1);
  const auto request = peer.sent.front().bytes;
  // The peer's wins, and is rekeyed as often as the peer likes.
  peer.nonce = highest;
  rekey(peer, HandMadePeer::first_spi, 0x1002);
  close(peer, HandMadePeer::first_spi);
  rekey(peer, 0x1002, 0x1003);
  close(peer, 0x1002);
  rekey(peer, 0x1003, 0x1004);
  close(peer, 0x1003);
  CHECK(peer.only_sa()->children().size() == 1);
  // Only now the peer's answer comes.
  peer.nonce = lowest;
  const auto deleted = peer.answer_rekey(request, 0x1005);
  REQUIRE(child_with(peer, 0x1005) != nullptr);
  CHECK(deleted == std::vector{child_with(peer, 0x1005)->inbound_spi});
  answer_delete(peer);
  REQUIRE(peer.only_sa()->children().size() == 1);
  CHECK(peer.only_sa()->children()[0].outbound_spi == 0x1004);
}

TEST_CASE("what the peer is to delete since it lost is not rekeyed, and goes in time") {
  HandMadePeer peer(with_lifetime(connection_of_b(), 1000s));
  peer.connect();
  rekey_at_once(peer);
  REQUIRE(peer.only_sa()->children().size() == 2);
  const auto lost = child_with(peer, 0x1002)->inbound_spi;
  // An operator's rekey is of the one that stays, and so is a lifetime in packets.
  peer.handle(SoftExpired{lost});
  CHECK(peer.sent.empty());
  peer.handle(Rekey{"b", "net"});
  REQUIRE(peer.sent.size() == 1);
  peer.answer_rekey(peer.sent.front().bytes, 0x1004);
  answer_delete(peer);
  CHECK(peer.sent.empty());
  REQUIRE(peer.only_sa()->children().size() == 2);
  CHECK(after(peer, 50s).empty());
  CHECK(after(peer, 11s) == std::vector{lost});
  REQUIRE(peer.only_sa()->children().size() == 1);
  CHECK(peer.only_sa()->children()[0].outbound_spi == 0x1004);
}

TEST_CASE("what lost takes over when what won goes") {
  HandMadePeer peer;
  peer.connect();
  rekey_at_once(peer);
  peer.installed.clear();
  close(peer, 0x1003);
  CHECK(is_used(peer, 0x1002));
  // It would end soon, so it is rekeyed.
  const auto next = peer.open_request(peer.sent.back().bytes);
  REQUIRE(next.payloads.notify(NotifyType::rekey_sa) != nullptr);
}

TEST_CASE("what the peer replaces is not rekeyed when the other one of two goes: its successor is used") {
  HandMadePeer peer;
  peer.connect();
  REQUIRE(peer.ask(create, peer.child_payloads({}, 0x1002))->payloads.security_association);
  rekey(peer, HandMadePeer::first_spi, 0x1003);
  peer.installed.clear();
  close(peer, 0x1002);
  CHECK(is_used(peer, 0x1003));
  CHECK(peer.core.deadline() > peer.now);  // there is nothing to do
  close(peer, HandMadePeer::first_spi);
  REQUIRE(peer.only_sa()->children().size() == 1);
  CHECK(peer.only_sa()->children()[0].outbound_spi == 0x1003);
}

TEST_CASE("of two children that are the same the one that is not sent on goes instead of being rekeyed") {
  const auto lifetime = 1000s;
  SECTION("who began the IKE SA deletes it") {
    HandMadeResponder peer(with_lifetime(connection_of_a(), lifetime));
    peer.connect();
    const auto spare = peer.only_sa()->children()[0].inbound_spi;
    peer.now += 100s;
    REQUIRE(peer.ask(create, peer.child_payloads({}, 0x1002))->payloads.security_association);
    CHECK(peer.only_sa()->children().size() == 2);
    CHECK(after(peer, 790s).empty());
    CHECK(after(peer, 110s) == std::vector{spare});
    REQUIRE(peer.only_sa()->children().size() == 1);
    CHECK(peer.only_sa()->children()[0].outbound_spi == 0x1002);
    // The one that is left is rekeyed as ever.
    peer.now += 100s;
    peer.handle(TimerExpired{});
    REQUIRE(peer.sent.size() == 1);
    CHECK(peer.open_request(peer.sent[0].bytes).payloads.notify(NotifyType::rekey_sa) != nullptr);
  }
  SECTION("the other side waits for that, but not beyond its lifetime") {
    HandMadePeer peer(with_lifetime(connection_of_b(), lifetime));
    peer.connect();
    const auto spare = peer.only_sa()->children()[0].inbound_spi;
    peer.now += 1150s;  // so that the second is not to be rekeyed before the first one's lifetime is over
    REQUIRE(peer.ask(create, peer.child_payloads({}, 0x1002))->payloads.security_association);
    for (int i = 0; i < 42; ++i) CHECK(after(peer, 20s).empty());
    CHECK(after(peer, 11s) == std::vector{spare});
    REQUIRE(peer.only_sa()->children().size() == 1);
    CHECK(peer.only_sa()->children()[0].outbound_spi == 0x1002);
  }
}

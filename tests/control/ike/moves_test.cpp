// A peer that moves, and says so (MOBIKE, RFC 4555).
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_peer.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr auto informational = ExchangeType::informational;

// Up, with children in UDP unless no NAT is there.
struct Roamer : HandMadePeer {
  explicit Roamer(bool nat = true, Connection of_core = connection_of_b()) : HandMadePeer(of_core) {
    natted = nat;
    greet();
    auto payloads = proof_payloads();
    const auto answer = ask(ExchangeType::ike_auth, payloads.add(Notify{NotifyType::mobike_supported, {}}));
    REQUIRE(answer);
    agreed = answer->has(NotifyType::mobike_supported);
    REQUIRE(only_sa()->state() == IkeSa::State::established);
  }

  // What the peer says of its place, as it sees it.
  PayloadWriter update(const Endpoint& as_seen) const {
    PayloadWriter payloads;
    payloads.add(Notify{NotifyType::update_sa_addresses, {}});
    return payloads.add(Notify{NotifyType::nat_detection_source_ip, nat_hash(spis, as_seen)})
        .add(Notify{NotifyType::nat_detection_destination_ip, nat_hash(spis, there)});
  }
  // The core's question whether the peer is where it says, as it was sent last.
  std::optional<SendDatagram> question() const {
    for (const auto& datagram : sent)
      if ((datagram.bytes[19] & flag_response) == 0) return datagram;
    return {};
  }
  // What the core wants moved once the question is answered.
  std::vector<MoveChild> answer_question(bool rightly = true) {
    const auto asked = question();
    REQUIRE(asked);
    const auto payloads = open_request(asked->bytes);
    const auto* cookie = payloads.payloads.notify(NotifyType::cookie2);
    REQUIRE(cookie != nullptr);
    std::vector<std::uint8_t> data(cookie->data.begin(), cookie->data.end());
    if (!rightly) data[0] ^= 1;
    std::vector<MoveChild> moves;
    for (const auto& action :
         answer_request(payloads.header, PayloadWriter().add(Notify{NotifyType::cookie2, data})))
      if (const auto* move = std::get_if<MoveChild>(&action)) moves.push_back(*move);
    return moves;
  }

  bool agreed = false;
};

const Endpoint elsewhere{*net::parse_address("203.0.113.9"), 4500};

}  // namespace

TEST_CASE("a peer that says that it moved is asked there, and then its traffic goes there") {
  Roamer peer;
  CHECK(peer.agreed);
  peer.here = elsewhere;
  const auto answer = peer.ask(informational, peer.update({elsewhere.address, 999}));
  REQUIRE(answer);
  CHECK(answer->has(NotifyType::nat_detection_source_ip));
  REQUIRE(peer.question());
  CHECK(peer.question()->to == elsewhere);
  const auto moves = peer.answer_question();
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].remote == elsewhere);
  CHECK(peer.only_sa()->remote() == elsewhere);
}

TEST_CASE("who does not show that he is there gets no traffic sent there") {
  Roamer peer;
  peer.here = elsewhere;
  REQUIRE(peer.ask(informational, peer.update({elsewhere.address, 999})));
  CHECK(peer.answer_question(false).empty());
}

TEST_CASE("traffic that a move takes out of UDP, or into it, gets new SAs") {
  const bool nat_before = GENERATE(false, true);
  Roamer peer(nat_before);
  peer.here = elsewhere;
  auto as_seen = elsewhere;
  if (!nat_before) as_seen.port = 999;  // now a NAT changes it
  REQUIRE(peer.ask(informational, peer.update(as_seen)));
  CHECK(peer.answer_question().empty());
  // It may make them itself, and is waited for.
  CHECK_FALSE(peer.question());
  peer.now += 200ms;
  peer.handle(TimerExpired{});
  const auto rekey = peer.question();
  REQUIRE(rekey);
  CHECK(ExchangeType{rekey->bytes[18]} == ExchangeType::create_child_sa);
}

TEST_CASE("a NAT that the peer does not want is said to be there, and nothing moves") {
  Roamer peer;
  peer.here = elsewhere;
  const bool there_is_one = GENERATE(false, true);
  std::vector<std::uint8_t> path{203, 0, 113, 9, 192, 0, 2, 2, 4500 >> 8, 4500 & 0xff, 500 >> 8, 500 & 0xff};
  if (there_is_one) path[0] = 10;
  auto payloads = peer.update(elsewhere);
  const auto answer = peer.ask(informational, payloads.add(Notify{NotifyType::no_nats_allowed, path}));
  REQUIRE(answer);
  CHECK(answer->has(NotifyType::unexpected_nat_detected) == there_is_one);
  CHECK(peer.question().has_value() != there_is_one);
}

TEST_CASE("who may not move is not followed, and hears nothing of MOBIKE") {
  auto connection = connection_of_b();
  connection.follow_peer = false;
  Roamer peer(true, connection);
  CHECK_FALSE(peer.agreed);
  const auto before = peer.only_sa()->remote();
  peer.here = elsewhere;
  REQUIRE(peer.ask(informational, peer.update(elsewhere)));
  CHECK_FALSE(peer.question());
  CHECK(peer.only_sa()->remote() == before);
}

TEST_CASE("a second move while the first is asked about is asked about again") {
  Roamer peer;
  peer.here = elsewhere;
  REQUIRE(peer.ask(informational, peer.update({elsewhere.address, 999})));
  const auto first = peer.question();
  auto further = elsewhere;
  further.port = 4600;
  peer.here = further;
  REQUIRE(peer.ask(informational, peer.update({elsewhere.address, 999})));
  CHECK_FALSE(peer.question());
  peer.sent = {*first};
  CHECK(peer.answer_question().empty());
  REQUIRE(peer.question());
  CHECK(peer.question()->to == further);
  const auto moves = peer.answer_question();
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].remote == further);
}

TEST_CASE("a responder with several addresses names the others, and is found at them") {
  const auto third = *net::parse_address("203.0.113.1");
  auto of_b = connection_of_b();
  of_b.remote.reset();
  of_b.liveness_after = 0s;
  of_b.other_locals = {third};
  HandMadePeer peer(of_b);
  peer.greet();
  auto payloads = peer.proof_payloads();
  const auto answer =
      peer.ask(ExchangeType::ike_auth, payloads.add(Notify{NotifyType::mobike_supported, {}}));
  REQUIRE(answer);
  const auto* other = answer->payloads.notify(NotifyType::additional_ip4_address);
  REQUIRE(other != nullptr);
  CHECK(std::ranges::equal(other->data, Bytes(third.bytes).first(4)));
  peer.there.address = third;
  PayloadWriter update;
  update.add(Notify{NotifyType::update_sa_addresses, {}})
      .add(Notify{NotifyType::nat_detection_source_ip, nat_hash(peer.spis, peer.here)})
      .add(Notify{NotifyType::nat_detection_destination_ip, nat_hash(peer.spis, peer.there)});
  const auto taken = peer.ask(ExchangeType::informational, update);
  REQUIRE(taken);
  CHECK_FALSE(taken->has(NotifyType::unacceptable_addresses));
  CHECK(peer.only_sa()->local().address == third);
}

TEST_CASE("a peer that moves over and over fills no log, and is counted") {
  Roamer peer;
  peer.lines.clear();
  const auto told = [&](std::string_view words) {
    return std::ranges::count_if(peer.lines, [&](const auto& line) { return line.find(words) != line.npos; });
  };
  for (std::uint16_t i = 0; i < 50; ++i) {
    peer.here = {elsewhere.address, static_cast<std::uint16_t>(5'000 + i)};
    REQUIRE(peer.ask(informational, peer.update({elsewhere.address, 999})));
    CHECK(peer.answer_question(false).empty());
  }
  CHECK(told("says that it is now at 203.0.113.9") == 8);
  CHECK(told("did not show that it is at") == 8);
  CHECK(peer.lines.size() == 16);
  peer.now += 61s;
  peer.here.port = 6'000;
  REQUIRE(peer.ask(informational, peer.update({elsewhere.address, 999})));
  CHECK_THAT(peer.lines.back(), Catch::Contains(":6000") && Catch::Contains("(and 42 times before)"));
}

TEST_CASE("a NAT that moves its peer with each message fills no log") {
  auto of_core = connection_of_b();
  of_core.follow_peer = true;
  HandMadePeer peer(of_core);
  peer.natted = true;
  peer.connect();
  peer.lines.clear();
  for (std::uint16_t i = 0; i < 50; ++i) {
    peer.here.port = static_cast<std::uint16_t>(5'000 + i);
    REQUIRE(peer.ask(informational, {}));
    CHECK(peer.only_sa()->remote() == peer.here);
  }
  CHECK(peer.lines.size() == 8);
  CHECK_THAT(peer.lines.back(), Catch::Contains("the peer is now at"));
}

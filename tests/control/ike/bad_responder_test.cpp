// What a responder must not do, and what becomes of it: success before AUTH, and answers that are none.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_responder.hpp"
#include "tests/control/ike/weak_suites.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr auto create = ExchangeType::create_child_sa;
constexpr auto informational = ExchangeType::informational;

// The core says that AUTH did not convince it, and deletes the IKE SA.
void check_refusal(HandMadeResponder& peer) {
  CHECK(peer.installed_sas() == 0);
  REQUIRE(peer.sent.size() == 1);
  const auto request = peer.open_request(peer.sent[0].bytes);
  CHECK(request.header.exchange == informational);
  CHECK(request.has(NotifyType::authentication_failed));
  CHECK(request.payloads.deletes.size() == 1);
  peer.answer_request(request.header, {});
  REQUIRE(peer.only_sa() == nullptr);
}

Connection with_peer(std::string_view name) {
  auto connection = connection_of_a();
  const std::string_view key = "correct horse battery staple";
  connection.authenticator = std::make_shared<SharedKeyAuthenticator>(
      Secret(std::vector<std::uint8_t>(key.begin(), key.end())), *IdentityPattern::parse(name));
  return connection;
}

}  // namespace

TEST_CASE("a hand-made responder that does everything right gives the core its child") {
  HandMadeResponder peer;
  peer.connect();
  REQUIRE(peer.only_sa());
  CHECK(peer.only_sa()->state() == IkeSa::State::established);
  CHECK(peer.only_sa()->children().size() == 1);
  CHECK(peer.ask(informational, {}));
}

TEST_CASE("an initiator takes no success without AUTH: IDr, SA and selectors alone give nothing") {
  HandMadeResponder peer;
  REQUIRE(peer.answer_greeting());
  HandMadeResponder::Parts parts;
  parts.authentication = false;
  peer.answer(peer.proof_payloads(parts));
  CHECK(peer.installed_sas() == 0);
  CHECK(peer.core.last_failure("a", peer.now).find("IKE_AUTH") != std::string::npos);
  for (const auto* sa : peer.core.ike_sas()) CHECK(sa->state() == IkeSa::State::gone);
  // Nor does what follows.
  CHECK_FALSE(peer.ask(create, {}));
  CHECK(peer.installed_sas() == 0);
}

TEST_CASE("an initiator takes no one else than who it wants, though the key is right") {
  HandMadeResponder peer(with_peer("b.example"));
  REQUIRE(peer.answer_greeting());
  HandMadeResponder::Parts parts;
  SECTION("b.example it is") {
    peer.answer(peer.proof_payloads(parts));
    CHECK(peer.installed_sas() == 2);
  }
  SECTION("c.example it is not") {
    parts.identity = fqdn("c.example");
    peer.answer(peer.proof_payloads(parts));
    check_refusal(peer);
    CHECK(peer.core.last_failure("a", peer.now).find("c.example") != std::string::npos);
  }
  SECTION("c.example it is not, and does not answer when it is told") {
    parts.identity = fqdn("c.example");
    peer.answer(peer.proof_payloads(parts));
    REQUIRE(peer.only_sa());
    REQUIRE(peer.only_sa()->state() == IkeSa::State::closing);
    const auto at_once = peer.core.failure("a", peer.now);
    CHECK_THAT(at_once.reason, Catch::Contains("the peer is c.example"));
    CHECK(at_once.state == IkeSa::State::proving);
    CHECK(at_once.when == peer.now);
    CHECK_FALSE(at_once.is_unanswered);
    while (peer.only_sa() && peer.only_sa()->state() == IkeSa::State::closing) {
      peer.now = peer.core.deadline();
      peer.expire();
    }
    const auto failure = peer.core.failure("a", peer.now);
    CHECK_THAT(failure.reason, Catch::Contains("the peer is c.example"));
    CHECK(failure.state == IkeSa::State::proving);
    CHECK_FALSE(failure.is_unanswered);
  }
  SECTION("AUTH is another's than IDr") {
    parts.identity = fqdn("c.example");
    const auto others = peer.proof_payloads(parts);
    Payloads payloads;
    REQUIRE_FALSE(decode_payloads(others.first(), others.bytes(), payloads));
    PayloadWriter mixed;
    mixed.add_id_responder(fqdn("b.example").payload()).add(*payloads.authentication);
    peer.answer(mixed.add(*payloads.security_association)
                    .add_ts_initiator(*payloads.ts_initiator)
                    .add_ts_responder(*payloads.ts_responder));
    check_refusal(peer);
  }
}

TEST_CASE("requests of a responder that has not proved who it is are not answered") {
  HandMadeResponder peer;
  REQUIRE(peer.answer_greeting());
  REQUIRE(peer.only_sa()->state() == IkeSa::State::proving);
  PayloadWriter close;
  close.add(Delete{ProtocolId::ike, {}});
  PayloadWriter refusal;
  refusal.add(Notify{NotifyType::authentication_failed, {}});
  for (const auto exchange : {informational, create, ExchangeType::ike_auth, ExchangeType::ike_intermediate})
    for (const auto* payloads : {&close, &refusal}) {
      CHECK_FALSE(peer.deliver(peer.seal(exchange, 0, *payloads).front()));
      CHECK(peer.sent.empty());
    }
  CHECK(peer.only_sa()->state() == IkeSa::State::proving);
  CHECK(peer.installed_sas() == 0);
  // Its proof still counts.
  peer.answer(peer.proof_payloads());
  CHECK(peer.installed_sas() == 2);
  CHECK(peer.ask(informational, {}));
}

TEST_CASE("an answer's key exchange value of the wrong length, or of no use, makes no keys") {
  SECTION("in IKE_SA_INIT, which anybody could have sent, the right one is waited for") {
    HandMadeResponder peer;
    for (const std::size_t size : {1u, 31u, 33u, 200u}) {
      CAPTURE(size);
      CHECK_FALSE(peer.answer_greeting(peer.greeting_payloads({}, std::vector<std::uint8_t>(size, 9))));
    }
    peer.connect();
  }
  SECTION("of the right length, and zero") {
    HandMadeResponder peer;
    CHECK_FALSE(peer.answer_greeting(peer.greeting_payloads({}, std::vector<std::uint8_t>(32, 0))));
    CHECK(peer.installed_sas() == 0);
    CHECK(peer.core.last_failure("a", peer.now).find("is no key") != std::string::npos);
  }
  SECTION("in CREATE_CHILD_SA, what the peer believes to have is deleted") {
    auto of_core = connection_of_a();
    of_core.children[0].algorithms.key_exchanges = {31};
    HandMadeResponder peer(of_core);
    peer.connect();
    const auto size = GENERATE(1u, 31u, 32u, 33u);
    peer.handle(Rekey{"a", "net"});
    REQUIRE(peer.sent.size() == 1);
    const auto request = peer.open_request(peer.sent[0].bytes);
    const auto choice =
        choose(*request.payloads.security_association, peer.connection.children[0].algorithms, 31);
    REQUIRE(choice);
    const auto spi = spi_bytes_of(0x1002);
    const std::vector<std::uint8_t> value(size, 0);
    PayloadWriter reply;
    reply.add(ike::answer(*choice, spi))
        .add_nonce(peer.nonce)
        .add(KeyExchange{31, value})
        .add_ts_initiator(*request.payloads.ts_initiator)
        .add_ts_responder(*request.payloads.ts_responder);
    peer.answer_request(request.header, reply);
    CHECK(peer.installed_sas() == 2);
    REQUIRE(peer.sent.size() == 1);
    const auto then = peer.open_request(peer.sent[0].bytes);
    REQUIRE(then.payloads.deletes.size() == 1);
    CHECK(then.payloads.deletes[0].spis.size() == 1);
    CHECK(peer.only_sa()->children().size() == 1);
  }
}

TEST_CASE("an answer whose cipher has no key, or one of no length, is not taken") {
  auto of_core = connection_of_a();
  using crypto::SuiteId;
  of_core.algorithms.suites = {SuiteId::aes_gcm_16_256, SuiteId::aes_cbc_256_sha256};
  of_core.children[0].algorithms.suites = {SuiteId::aes_gcm_16_128, SuiteId::aes_cbc_128_sha256};
  for (const auto& weak : weak_suites()) {
    CAPTURE(weak.what);
    HandMadeResponder peer(of_core);
    const auto answer = peer.greeting_answer(peer.greeting_payloads(ike_proposal(weak.transforms)));
    CHECK_FALSE(peer.answer_greeting(zero_key_lengths(answer)));
    REQUIRE(peer.only_sa());
    CHECK(peer.only_sa()->refusal().find("which is not of our offer") != std::string::npos);
    // The right one is still taken; then the same with the child's.
    REQUIRE(peer.answer_greeting());
    HandMadeResponder::Parts parts;
    parts.child = false;
    auto payloads = peer.proof_payloads(parts);
    const auto spi = spi_bytes_of(HandMadeResponder::first_spi);
    payloads.add(esp_proposal(weak.transforms, spi))
        .add_ts_initiator(*peer.request.payloads.ts_initiator)
        .add_ts_responder(*peer.request.payloads.ts_responder);
    peer.handle(DatagramReceived{peer.here, peer.there,
                                 peer.seal_raw(ExchangeType::ike_auth, 1, payloads.first(),
                                               zero_key_lengths(payloads.bytes()), true)});
    CHECK(peer.installed_sas() == 0);
    // The IKE SA is good; what the peer believes to have is deleted.
    CHECK(peer.only_sa()->state() == IkeSa::State::established);
    REQUIRE(peer.sent.size() == 1);
    CHECK(peer.open_request(peer.sent[0].bytes).payloads.deletes.size() == 1);
  }
}

TEST_CASE("a responder may want proof again at any time, and not all the time") {
  const auto seconds = GENERATE(std::uint32_t{0}, std::uint32_t{300});
  auto of_core = connection_of_a();
  of_core.liveness_after = 0s;
  HandMadeResponder peer(of_core);
  peer.connect();
  const auto told = spi_bytes_of(seconds);
  const auto begins_anew_by = [&](Time when) {
    peer.now = when;
    peer.handle(TimerExpired{});
    return std::ranges::any_of(peer.sent, [](const SendDatagram& datagram) {
      return ExchangeType{datagram.bytes[18]} == ExchangeType::ike_sa_init;
    });
  };
  // What is no lifetime says nothing.
  CHECK(
      peer.ask(informational, PayloadWriter().add(Notify{NotifyType::auth_lifetime, Bytes(told).first(3)})));
  CHECK(peer.core.deadline() > peer.now + 2'000s);
  CHECK(peer.ask(informational, PayloadWriter().add(Notify{NotifyType::auth_lifetime, told})));
  const auto began = peer.now;
  CHECK_FALSE(begins_anew_by(began + (seconds == 0 ? 7s : 239s)));
  CHECK(begins_anew_by(began + (seconds == 0 ? 9s : 271s)));
}

TEST_CASE("what a responder leaves out of our networks is said, with what would help") {
  HandMadeResponder peer;
  REQUIRE(peer.answer_greeting());
  HandMadeResponder::Parts parts;
  parts.child = false;
  auto payloads = peer.proof_payloads(parts);
  const auto spi = spi_bytes_of(HandMadeResponder::first_spi);
  const auto is_told = [&](std::string_view what) {
    return std::ranges::any_of(peer.lines, [&](const std::string& line) {
      return line.find(what) != std::string::npos && line.find("child-of") != std::string::npos;
    });
  };
  SECTION("it takes less, and would take the rest") {
    payloads.add(Notify{NotifyType::additional_ts_possible, {}})
        .add(esp_proposal({{TransformType::encryption, 20, 128}}, spi))
        .add_ts_initiator(*peer.request.payloads.ts_initiator)
        .add_ts_responder({{side("10.2.3.0/24")}});
    peer.answer(payloads);
    CHECK(peer.installed_sas() == 2);
    CHECK(is_told("child net is between 10.1.0.0/16 and 10.2.3.0/24 only"));
  }
  SECTION("it takes one pair of networks") {
    peer.answer(payloads.add(Notify{NotifyType::single_pair_required, {}}));
    CHECK(peer.installed_sas() == 0);
    CHECK(is_told("SINGLE_PAIR_REQUIRED (34)"));
  }
}

TEST_CASE("two of what an answer to IKE_AUTH has one of: nothing of it is used") {
  const std::vector<std::uint8_t> proof(32, 1);
  for (const int which : {0, 1, 2}) {
    CAPTURE(which);
    HandMadeResponder peer;
    REQUIRE(peer.answer_greeting());
    auto payloads = peer.proof_payloads();
    payloads.add_vendor_id(proof);
    if (which == 0) payloads.add_id_responder(fqdn("b.example").payload());
    if (which == 1) payloads.add(Authentication{AuthMethod::shared_key, proof});
    if (which == 2) payloads.add_ts_responder({{side("10.2.0.0/24")}});
    peer.answer(payloads);
    CHECK(peer.installed_sas() == 0);
    for (const auto* sa : peer.core.ike_sas()) CHECK(sa->state() == IkeSa::State::gone);
    CHECK(peer.core.last_failure("a", peer.now).find("two of this payload") != std::string::npos);
  }
}

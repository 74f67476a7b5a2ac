// What a peer must not do, and what becomes of it: mistakes that come after decoding, each by name.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_peer.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr auto create = ExchangeType::create_child_sa;
constexpr auto informational = ExchangeType::informational;
constexpr auto first_spi = HandMadePeer::first_spi;

}  // namespace

TEST_CASE("a hand-made peer that does everything right gets its child") {
  HandMadePeer peer;
  peer.connect();
  CHECK(peer.installed.size() == 2);
  REQUIRE(peer.only_sa());
  CHECK(peer.only_sa()->state() == IkeSa::State::established);
  CHECK(peer.core.half_open() == 0);
  const auto answer = peer.ask(create, peer.child_payloads({}, 0x1002));
  REQUIRE(answer);
  CHECK(answer->payloads.security_association);
}

TEST_CASE("success is not accepted before AUTH: no other exchange is answered, nothing is installed") {
  HandMadePeer peer;
  peer.greet();
  CHECK_FALSE(peer.deliver(peer.seal(create, 1, peer.child_payloads({}, 0x1002)).front()));
  CHECK_FALSE(peer.deliver(peer.seal(informational, 1, {}).front()));
  CHECK_FALSE(peer.deliver(peer.seal(ExchangeType::ike_auth, 2, peer.proof_payloads()).front()));
  CHECK(peer.installed.empty());
  CHECK(peer.core.half_open() == 1);
  // The right one still is.
  CHECK(peer.ask(ExchangeType::ike_auth, peer.proof_payloads()));
  CHECK(peer.installed.size() == 2);
}

TEST_CASE("IKE_AUTH without AUTH, or without an identity, ends the attempt") {
  HandMadePeer peer;
  peer.greet();
  PayloadWriter payloads;
  if (GENERATE(false, true)) payloads.add_id_initiator(fqdn("a.example").payload());
  const auto answer = peer.ask(ExchangeType::ike_auth, payloads);
  REQUIRE(answer);
  CHECK(answer->has(NotifyType::authentication_failed));
  CHECK(peer.installed.empty());
}

TEST_CASE("an attempt that failed counts until nothing is left of it, and holds no keys") {
  HandMadePeer peer;
  peer.spis.initiator = 1;
  const auto fail = [&] {
    peer.greet();
    const auto answer = peer.ask(ExchangeType::ike_auth, PayloadWriter());
    REQUIRE(answer);
    CHECK(answer->has(NotifyType::authentication_failed));
  };
  const auto without_cookie = Limits().half_open_per_source / 10;
  for (; peer.spis.initiator < without_cookie; ++peer.spis.initiator) fail();
  fail();
  CHECK(peer.core.half_open() == without_cookie);
  for (const auto* sa : peer.core.ike_sas()) CHECK(sa->keys().d.empty());
  // Who asks again hears the same.
  CHECK(peer.deliver(peer.seal(ExchangeType::ike_auth, 1, PayloadWriter()).front()));
  peer.spis = {100, 0};
  const auto answer = peer.greet(peer.greeting(peer.greeting_payloads()));
  REQUIRE(answer);
  CHECK(answer->has(NotifyType::cookie));
  peer.now += Limits().linger_of_strangers;
  peer.expire();
  CHECK(peer.core.half_open() == 0);
  CHECK(peer.core.ike_sas().empty());
  CHECK(peer.core.deadline() == never);
  fail();
}

TEST_CASE("a peer that no connection knows leaves nothing half built") {
  auto of_core = connection_of_b();
  of_core.authenticator = std::make_shared<SharedKeyAuthenticator>(Secret(std::vector<std::uint8_t>{'x'}),
                                                                   fqdn("somebody.example"));
  HandMadePeer peer(of_core);
  peer.greet();
  const auto answer = peer.ask(ExchangeType::ike_auth, peer.proof_payloads());
  REQUIRE(answer);
  CHECK(answer->has(NotifyType::authentication_failed));
  CHECK_FALSE(answer->payloads.id_responder);
  // The same answer for who asks again; then nothing is left.
  CHECK(peer.deliver(peer.seal(ExchangeType::ike_auth, 1, peer.proof_payloads()).front()));
  peer.now += 31s;
  peer.expire();
  CHECK(peer.core.ike_sas().empty());
  CHECK(peer.core.deadline() == never);
}

TEST_CASE("who is asked for in IDr is known however its name is written") {
  HandMadePeer peer;
  peer.greet();
  const bool is_ours = GENERATE(true, false);
  const auto asked = fqdn(is_ours ? "B.Example" : "c.example");
  const auto answer =
      peer.ask(ExchangeType::ike_auth, peer.proof_payloads().add_id_responder(asked.payload()));
  REQUIRE(answer);
  CHECK(answer->has(NotifyType::authentication_failed) != is_ours);
  CHECK(peer.installed.size() == (is_ours ? 2u : 0u));
}

TEST_CASE("an identity that is none is refused before anybody looks for its connection") {
  const std::vector<std::uint8_t> nothing, blank{'a', ' ', 'b'}, long_one(24'000, 'a');
  const Identification bad[] = {{IdType::fqdn, blank},
                                {IdType::fqdn, nothing},
                                {IdType::distinguished_name, blank},
                                {IdType{77}, blank},
                                {IdType::key_id, long_one}};
  for (const auto& identity : bad)
    for (const bool initiators : {true, false}) {
      HandMadePeer peer;
      peer.greet();
      PayloadWriter payloads;
      payloads.add_id_initiator(initiators ? identity : fqdn("a.example").payload());
      if (!initiators) payloads.add_id_responder(identity);
      const std::vector<std::uint8_t> data(32, 1);
      payloads.add(Authentication{AuthMethod::shared_key, data});
      const auto answer = peer.ask(ExchangeType::ike_auth, payloads);
      REQUIRE(answer);
      CHECK(answer->has(NotifyType::authentication_failed));
      REQUIRE(peer.only_sa());
      CHECK(peer.only_sa()->reason().size() < 200);
      CHECK(peer.only_sa()->reason().find("no connection is for this peer") == std::string::npos);
    }
}

TEST_CASE("a message id that was answered is answered the same, and done once") {
  HandMadePeer peer;
  peer.connect();
  const auto request = peer.seal(create, peer.next_id++, peer.child_payloads({}, 0x1002)).front();
  REQUIRE(peer.deliver(request));
  const auto first = peer.sent.front().bytes;
  const auto installed = peer.installed.size();
  REQUIRE(peer.deliver(request));
  CHECK(peer.sent.front().bytes == first);
  CHECK(peer.installed.size() == installed);
  // Older and later ones are not answered.
  CHECK_FALSE(peer.deliver(peer.seal(informational, peer.next_id - 2, {}).front()));
  CHECK_FALSE(peer.deliver(peer.seal(informational, peer.next_id + 1, {}).front()));
}

TEST_CASE("a request of ours comes back to us: it is nobody's") {
  HandMadePeer peer;
  peer.connect();
  auto request = peer.seal(informational, peer.next_id, {}).front();
  REQUIRE(peer.deliver(request));
  const auto answer = peer.sent.front().bytes;
  CHECK_FALSE(peer.deliver(answer));
}

TEST_CASE("REKEY_SA of protocol 0 or 1, of another length, or of a strange SPI finds no child") {
  HandMadePeer peer;
  peer.connect();
  const auto spi = spi_bytes_of(first_spi), strange = spi_bytes_of(0x9999);
  const Notify bad[] = {
      HandMadePeer::rekey_of(spi, ProtocolId::none),
      HandMadePeer::rekey_of(spi, ProtocolId::ike),
      HandMadePeer::rekey_of(spi, ProtocolId::ah),
      HandMadePeer::rekey_of(strange),
      {NotifyType::rekey_sa, {}, ProtocolId::esp, Bytes(spi).first(3)},
      {NotifyType::rekey_sa, {}, ProtocolId::esp, {}},
  };
  for (const auto& notify : bad) {
    const auto answer = peer.ask(create, peer.child_payloads(PayloadWriter().add(notify), 0x1002));
    REQUIRE(answer);
    const auto* refusal = answer->payloads.notify(NotifyType::child_sa_not_found);
    REQUIRE(refusal != nullptr);
    CHECK(refusal->protocol == notify.protocol);
    CHECK(std::ranges::equal(refusal->spi, notify.spi));
  }
  CHECK(peer.installed.size() == 2);
  const auto good = PayloadWriter().add(HandMadePeer::rekey_of(spi));
  CHECK(peer.ask(create, peer.child_payloads(good, 0x1002))->payloads.security_association);
}

TEST_CASE("a child that goes while the answer to its rekey is worked out is named by the peer's SPI") {
  auto of_core = connection_of_b();
  of_core.children[0].algorithms.key_exchanges = {31};
  const bool has_followup = GENERATE(false, true);
  if (has_followup) of_core.children[0].algorithms.additional = {{19}};
  HandMadePeer peer(of_core);
  peer.connect();
  const auto spi = spi_bytes_of(first_spi);
  auto payloads = peer.child_payloads(PayloadWriter().add(HandMadePeer::rekey_of(spi)), 0x1002);
  payloads.add(KeyExchange{31, peer.half.value()});
  const auto request = peer.seal(create, peer.next_id++, payloads).front();
  const auto actions = peer.core.handle(DatagramReceived{peer.here, peer.there, request}, peer.now);
  REQUIRE(actions.size() == 1);
  const auto& work = std::get<RunWork>(actions[0]);
  // An operator deletes it, and the peer says yes.
  peer.handle(SaDeleted{peer.only_sa()->children()[0].inbound_spi});
  REQUIRE(peer.sent.size() == 1);
  const auto deletion = peer.open_request(peer.sent[0].bytes);
  peer.answer_request(deletion.header, PayloadWriter().add(Delete{ProtocolId::esp, {first_spi}}));
  REQUIRE(peer.only_sa()->children().empty());
  work.run();
  peer.handle(WorkFinished{work.ticket});
  const auto answer = peer.deliver(request);  // as it was answered
  REQUIRE(answer);
  const auto* notify = answer->payloads.notify(NotifyType::child_sa_not_found);
  REQUIRE(notify != nullptr);
  CHECK(notify->protocol == ProtocolId::esp);
  CHECK(std::ranges::equal(notify->spi, spi));
}

TEST_CASE("a rekey by the peer twice at once makes one successor") {
  HandMadePeer peer;
  peer.connect();
  const auto spi = spi_bytes_of(first_spi);
  const auto notify = PayloadWriter().add(HandMadePeer::rekey_of(spi));
  CHECK(peer.ask(create, peer.child_payloads(notify, 0x1002))->payloads.security_association);
  CHECK(peer.ask(create, peer.child_payloads(notify, 0x1003))->has(NotifyType::temporary_failure));
  CHECK(peer.only_sa()->children().size() == 2);
  // Once it has given up the first, it may.
  CHECK(peer.ask(informational, PayloadWriter().add(Delete{ProtocolId::esp, {0x1002}})));
  CHECK(peer.ask(create, peer.child_payloads(notify, 0x1004))->payloads.security_association);
}

TEST_CASE("the responder of a rekey sends on the new child after the DELETE, or the first packet") {
  HandMadePeer peer;
  peer.connect();
  const auto spi = spi_bytes_of(first_spi);
  peer.installed.clear();
  REQUIRE(peer.ask(create, peer.child_payloads(PayloadWriter().add(HandMadePeer::rekey_of(spi)), 0x1002)));
  REQUIRE(peer.installed.size() == 1);
  const auto inbound = std::get<InstallInbound>(peer.installed[0]).sa.spi;
  SECTION("by DELETE") {
    const auto answer = peer.ask(informational, PayloadWriter().add(Delete{ProtocolId::esp, {first_spi}}));
    REQUIRE(answer);
    CHECK(answer->payloads.deletes.size() == 1);
    REQUIRE(peer.installed.size() == 3);
    CHECK(std::get<RetireInbound>(peer.installed[2]).replaced);
  }
  SECTION("by a packet") {
    peer.handle(TrafficArrived{inbound});
    REQUIRE(peer.installed.size() == 2);
    peer.handle(TrafficArrived{inbound});
    REQUIRE(peer.installed.size() == 2);
  }
  CHECK(std::get<InstallOutbound>(peer.installed[1]).sa.spi == 0x1002);
}

TEST_CASE("a delete followed by more payloads for the same SA does each once") {
  HandMadePeer peer;
  peer.connect();
  PayloadWriter payloads;
  payloads.add(Delete{ProtocolId::esp, {first_spi, first_spi, 0x7777}})
      .add(Delete{ProtocolId::esp, {first_spi}})
      .add(Delete{ProtocolId::ah, {first_spi}})
      .add(Delete{ProtocolId::ike, {}})
      .add(Delete{ProtocolId::esp, {first_spi}});
  const auto answer = peer.ask(informational, payloads);
  REQUIRE(answer);
  REQUIRE(answer->payloads.deletes.size() == 1);
  CHECK(answer->payloads.deletes[0].spis.size() == 1);
  CHECK(peer.only_sa()->state() == IkeSa::State::gone);
  CHECK(peer.installed.size() == 4);
  // Nothing that comes for it is done any more.
  CHECK_FALSE(peer.ask(create, peer.child_payloads({}, 0x1002)));
}

TEST_CASE("children have a limit") {
  Limits limits;
  limits.children_per_ike_sa = 3;
  HandMadePeer peer(connection_of_b(), limits);
  peer.connect();
  for (std::uint32_t spi = 0x1002; spi < 0x1004; ++spi)
    CHECK(peer.ask(create, peer.child_payloads({}, spi))->payloads.security_association);
  CHECK(peer.ask(create, peer.child_payloads({}, 0x1004))->has(NotifyType::no_additional_sas));
  CHECK(peer.only_sa()->children().size() == 3);
  // One that takes the place of another is no more.
  const auto spi = spi_bytes_of(first_spi);
  CHECK(peer.ask(create, peer.child_payloads(PayloadWriter().add(HandMadePeer::rekey_of(spi)), 0x1005))
            ->payloads.security_association);
}

TEST_CASE("a critical payload that is unknown is named in the answer, and the SA stays") {
  HandMadePeer peer;
  peer.connect();
  PayloadWriter payloads;
  payloads.add_vendor_id(std::vector<std::uint8_t>{1});
  auto bytes = std::vector<std::uint8_t>(payloads.bytes().begin(), payloads.bytes().end());
  // The vendor id's payload becomes one of type 200, marked as critical.
  bytes[1] = 0x80;
  const auto raw = peer.seal_raw(informational, peer.next_id++, PayloadType{200}, bytes);
  const auto answer = peer.deliver(raw);
  REQUIRE(answer);
  const auto* notify = answer->payloads.notify(NotifyType::unsupported_critical_payload);
  REQUIRE(notify);
  CHECK(std::ranges::equal(notify->data, std::array<std::uint8_t, 1>{200}));
  CHECK(peer.ask(informational, {}));
}

TEST_CASE("key exchange values of the wrong length or of no use are refused") {
  auto of_core = connection_of_b();
  of_core.children[0].algorithms.key_exchanges = {31};
  HandMadePeer peer(of_core);
  SECTION("in IKE_SA_INIT") {
    for (const std::size_t size : {1u, 31u, 33u, 200u}) {
      const std::vector<std::uint8_t> value(size, 9);
      PayloadWriter payloads;
      payloads.add(offer(of_core.algorithms, {})).add(KeyExchange{31, value}).add_nonce(peer.nonce);
      const auto answer = peer.greet(peer.greeting(payloads));
      REQUIRE(answer);
      CHECK(answer->has(NotifyType::invalid_syntax));
    }
    // Of small order: the secret would be zero.
    const std::vector<std::uint8_t> zero(32, 0);
    PayloadWriter payloads;
    payloads.add(offer(of_core.algorithms, {})).add(KeyExchange{31, zero}).add_nonce(peer.nonce);
    CHECK_FALSE(peer.greet(peer.greeting(payloads)));
    CHECK(peer.core.half_open() == 0);
  }
  SECTION("in CREATE_CHILD_SA") {
    peer.connect();
    for (const std::size_t size : {1u, 31u, 32u, 33u}) {
      const std::vector<std::uint8_t> value(size, 0);
      const auto payloads = PayloadWriter().add(KeyExchange{31, value});
      CHECK(peer.ask(create, peer.child_payloads(payloads, 0x1002))->has(NotifyType::invalid_syntax));
    }
    // Of another method, or none at all.
    const std::vector<std::uint8_t> value(64, 1);
    for (const auto& payloads : {PayloadWriter().add(KeyExchange{19, value}), PayloadWriter()}) {
      const auto answer = peer.ask(create, peer.child_payloads(payloads, 0x1002));
      REQUIRE(answer);
      const auto* notify = answer->payloads.notify(NotifyType::invalid_ke_payload);
      REQUIRE(notify);
      CHECK(std::ranges::equal(notify->data, std::array<std::uint8_t, 2>{0, 31}));
    }
    CHECK(peer.only_sa()->children().size() == 1);
  }
}

TEST_CASE("a reused responder SPI after a failed exchange belongs to nobody") {
  HandMadePeer peer;
  peer.greet();
  const auto old = peer.seal(ExchangeType::ike_auth, 1, peer.proof_payloads()).front();
  peer.now += 31s;
  peer.expire();
  CHECK(peer.core.ike_sas().empty());
  CHECK_FALSE(peer.deliver(old));
  CHECK(peer.sent.empty());
}

TEST_CASE("parts of a request are put together, and the answer is repeated for the first part only") {
  HandMadePeer peer;
  peer.connect();
  const auto id = peer.next_id++;
  const auto parts = peer.seal(create, id, peer.child_payloads({}, 0x1002), 120);
  REQUIRE(parts.size() > 2);
  for (std::size_t i = parts.size() - 1; i > 0; --i) {
    peer.deliver(parts[i]);
    CHECK(peer.sent.empty());
  }
  CHECK(peer.deliver(parts[0])->payloads.security_association);
  peer.deliver(parts[1]);
  CHECK(peer.sent.empty());
  CHECK(peer.deliver(parts[0]));
}

// RFC 7296 2.8.1, with nonces of our choosing: the peer's are the lowest there can be.
TEST_CASE("of two rekeys at once the one with the lowest of the four nonces loses") {
  HandMadePeer peer;
  peer.connect();
  const auto old_inbound = peer.only_sa()->children()[0].inbound_spi;
  peer.handle(Rekey{"b", "net"});
  REQUIRE(peer.sent.size() == 1);
  const auto request = peer.sent.front().bytes;
  const bool theirs_is_lowest = GENERATE(true, false);

  // Ours, while the core's waits.
  peer.nonce = theirs_is_lowest ? Nonce(32, 0) : Nonce(32, 1);
  const auto spi = spi_bytes_of(first_spi);
  REQUIRE(peer.ask(create, peer.child_payloads(PayloadWriter().add(HandMadePeer::rekey_of(spi)), 0x1002)));
  CHECK(peer.only_sa()->children().size() == 2);

  // The answer to the core's: its nonce is the lower, or the higher.
  peer.nonce = theirs_is_lowest ? Nonce(32, 1) : Nonce(32, 0);
  const auto deleted = peer.answer_rekey(request, 0x1003);
  REQUIRE(deleted.size() == 1);
  const auto& children = peer.only_sa()->children();
  REQUIRE(children.size() == 3);
  CHECK(deleted[0] == (theirs_is_lowest ? old_inbound : children[2].inbound_spi));
  CHECK(children[2].outbound_waiting.has_value() == !theirs_is_lowest);
}

// Messages with what must not be in them, from a peer whose every other word is right, and from strangers.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "tests/control/ike/hand_made_peer.hpp"
#include "tests/control/ike/weak_suites.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr auto create = ExchangeType::create_child_sa;
constexpr auto informational = ExchangeType::informational;

// Both ways of AES, so that every weak transform has a strong one beside it.
Connection with_aes() {
  auto connection = connection_of_b();
  using crypto::SuiteId;
  connection.algorithms.suites = {SuiteId::aes_gcm_16_256, SuiteId::aes_cbc_256_sha256};
  connection.children[0].algorithms.suites = {SuiteId::aes_gcm_16_128, SuiteId::aes_cbc_128_sha256};
  return connection;
}

std::vector<std::uint8_t> in_clear(const Header& header, PayloadType first, Bytes payloads) {
  auto with_first = header;
  with_first.first = first;
  auto message = write_header(with_first, header_bytes + payloads.size());
  message.resize(header_bytes);
  message.insert(message.end(), payloads.begin(), payloads.end());
  return message;
}

}  // namespace

// They are authentic here, as a peer could send them: the ICV covers them.
TEST_CASE("payloads in clear in front of SK and SKF are not acted on, and what is inside is") {
  const bool as_fragment = GENERATE(false, true);
  CAPTURE(as_fragment);
  HandMadePeer peer;
  peer.connect();

  PayloadWriter to_delete;
  to_delete.add(Delete{ProtocolId::ike, {}}).add(Delete{ProtocolId::esp, {HandMadePeer::first_spi}});
  PayloadWriter to_refuse;
  to_refuse.add(Notify{NotifyType::authentication_failed, {}});
  PayloadWriter unknown;
  unknown.add_vendor_id(peer.nonce);
  std::uint32_t spi = 0x1002;
  for (const auto& clear : {to_delete, to_refuse, unknown}) {
    const auto inside = peer.child_payloads({}, spi++);
    const auto good =
        peer.seal_behind(clear.first(), clear.bytes(), create, peer.next_id, inside, as_fragment);
    // What is in clear is covered: a changed byte of it is no message at all.
    auto changed = good;
    changed[header_bytes + 2 * payload_header_bytes - 1] ^= 1;
    CHECK_FALSE(peer.deliver(changed));
    const auto answer = peer.deliver(good);
    REQUIRE(answer);
    CHECK(answer->payloads.security_association);
    ++peer.next_id;
    REQUIRE(peer.only_sa());
    CHECK(peer.only_sa()->state() == IkeSa::State::established);
  }
  CHECK(peer.only_sa()->children().size() == 4);
}

TEST_CASE(
    "an unknown payload in front of SK and SKF is passed over, and a critical one makes it no message") {
  const bool as_fragment = GENERATE(false, true);
  CAPTURE(as_fragment);
  HandMadePeer peer;
  peer.connect();
  std::vector<std::uint8_t> unknown = {0, 0x80, 0, 8, 1, 2, 3, 4};
  PayloadWriter inside;
  inside.add_vendor_id(peer.nonce);
  const auto datagram = [&] {
    return peer.seal_behind(PayloadType{200}, unknown, informational, peer.next_id, inside, as_fragment);
  };
  CHECK_FALSE(peer.deliver(datagram()));
  CHECK(peer.sent.empty());
  unknown[1] = 0;
  CHECK(peer.deliver(datagram()));
}

TEST_CASE("an offer whose cipher has no key, or one of no length, is refused") {
  for (const auto& weak : weak_suites()) {
    CAPTURE(weak.what);
    HandMadePeer peer(with_aes());
    PayloadWriter greeting;
    greeting.add(ike_proposal(weak.transforms)).add(KeyExchange{31, peer.half.value()}).add_nonce(peer.nonce);
    const auto refused = peer.greet(zero_key_lengths(peer.greeting(greeting)));
    REQUIRE(refused);
    CHECK(refused->has(NotifyType::no_proposal_chosen));
    CHECK(peer.core.half_open() == 0);

    peer.connect();
    const auto spi = spi_bytes_of(0x1002);
    PayloadWriter child;
    child.add(esp_proposal(weak.transforms, spi))
        .add_nonce(peer.nonce)
        .add_ts_initiator({peer.connection.children[0].remote})
        .add_ts_responder({peer.connection.children[0].local});
    const auto answer =
        peer.deliver(peer.seal_raw(create, peer.next_id++, child.first(), zero_key_lengths(child.bytes())));
    REQUIRE(answer);
    CHECK(answer->has(NotifyType::no_proposal_chosen));
    CHECK(peer.installed_sas() == 2);
  }
}

TEST_CASE("two of what IKE_AUTH has one of, apart from each other: nothing of it is used") {
  const std::vector<std::uint8_t> proof(32, 1);
  const auto spi = spi_bytes_of(0x1005);
  const auto core = fqdn("b.example");
  const auto id_r = core.payload();
  using Add = std::function<void(PayloadWriter&)>;
  const std::pair<const char*, Add> twice[] = {
      {"SA",
       [&](auto& out) {
         out.add(esp_proposal({{TransformType::encryption, 20, 128}}, spi));
       }},
      {"TSi", [](auto& out) { out.add_ts_initiator({{side("10.1.0.0/24")}}); }},
      {"TSr", [](auto& out) { out.add_ts_responder({{side("10.2.0.0/24")}}); }},
      {"IDr", [&](auto& out) { out.add_id_responder(id_r); }},
      {"AUTH", [&](auto& out) {
         out.add(Authentication{AuthMethod::shared_key, proof});
       }}};
  for (const auto& [what, add] : twice) {
    CAPTURE(what);
    HandMadePeer peer;
    peer.greet();
    auto payloads = peer.proof_payloads().add_id_responder(id_r).add_vendor_id(proof);
    add(payloads);
    const auto answer = peer.ask(ExchangeType::ike_auth, payloads);
    REQUIRE(answer);
    CHECK(answer->has(NotifyType::invalid_syntax));
    CHECK_FALSE(answer->payloads.authentication);
    CHECK(peer.installed_sas() == 0);
    REQUIRE(peer.only_sa());
    CHECK(peer.only_sa()->state() == IkeSa::State::gone);
  }
}

TEST_CASE("an IKE_SA_INIT that cannot be read is told of before there is anything to tell it of") {
  HandMadePeer peer;
  const auto whole = peer.greeting(peer.greeting_payloads());
  Header header;
  REQUIRE_FALSE(decode_header(whole, header));
  const auto payloads = Bytes(whole).subspan(header_bytes);
  // Cut anywhere, and without what it must have.
  PayloadWriter only_nonce;
  only_nonce.add_nonce(peer.nonce);
  std::vector<std::vector<std::uint8_t>> broken;
  for (std::size_t size = 1; size < payloads.size(); size += 7)
    broken.push_back(in_clear(header, header.first, payloads.first(size)));
  broken.push_back(in_clear(header, only_nonce.first(), only_nonce.bytes()));
  broken.push_back(in_clear(header, PayloadType::none, {}));
  for (const auto& datagram : broken) {
    peer.lines.clear();
    peer.now += 61s;  // lines about strangers are limited for each minute
    const auto answer = peer.greet(datagram);
    REQUIRE(answer);
    CHECK(answer->has(NotifyType::invalid_syntax));
    REQUIRE(peer.lines.size() == 1);
    CHECK_THAT(peer.lines[0], Catch::StartsWith("peer 192.0.2.1:500: its IKE_SA_INIT "));
    CHECK(peer.core.ike_sas().empty());
  }
}

TEST_CASE("an IKE_SA_INIT of who no connection is for is told of by its address") {
  HandMadePeer peer;
  peer.here.address = *net::parse_address("198.51.100.7");
  const auto answer = peer.greet(peer.greeting(peer.greeting_payloads()));
  REQUIRE(answer);
  CHECK(answer->has(NotifyType::no_proposal_chosen));
  CHECK(peer.lines == std::vector<std::string>{"no connection has a peer at 198.51.100.7:500"});
  CHECK(peer.core.ike_sas().empty());
}

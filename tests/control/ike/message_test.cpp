#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/sample_messages.hpp"

using namespace espgate;
using namespace espgate::ike;

namespace {

bool same(Bytes a, Bytes b) {
  return std::ranges::equal(a, b);
}

Payloads decoded(const PayloadWriter& writer) {
  Payloads payloads;
  const auto error = decode_payloads(writer.first(), writer.bytes(), payloads);
  INFO((error ? error->what : "") << " in payload " << (error ? int{error->payload} : 0));
  REQUIRE_FALSE(error);
  return payloads;
}

}  // namespace

TEST_CASE("a header is the 28 bytes of RFC 7296 3.1") {
  const PayloadWriter nothing;
  const auto datagram = write_message(test::header(), nothing);
  const std::uint8_t expected[] = {1,    2,    3, 4,    5,  6, 7,    8,    0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
                                   0x17, 0x18, 0, 0x20, 36, 8, 0x21, 0x22, 0x23, 0x24, 0,    0,    0,    28};
  CHECK(same(datagram, expected));
  Header read;
  REQUIRE_FALSE(decode_header(datagram, read));
  CHECK(read == test::header());
  CHECK(read.from_initiator());
  CHECK_FALSE(read.is_response());
}

TEST_CASE("what is written of every payload is what is read") {
  const auto writer = test::everything();
  const auto datagram = write_message(test::header(), writer);
  Header header;
  REQUIRE_FALSE(decode_header(datagram, header));
  CHECK(header.first == PayloadType::security_association);
  const auto payloads = decoded(writer);

  REQUIRE(payloads.security_association);
  const auto& proposals = payloads.security_association->proposals;
  const auto expected = test::proposals().proposals;
  REQUIRE(proposals.size() == expected.size());
  for (std::size_t i = 0; i < proposals.size(); ++i) {
    CHECK(proposals[i].number == i + 1);
    CHECK(proposals[i].protocol == ProtocolId::esp);
    CHECK(same(proposals[i].spi, test::spi_bytes));
    CHECK(proposals[i].transforms == expected[i].transforms);
  }
  CHECK(payloads.key_exchange->method == 31);
  CHECK(same(payloads.key_exchange->data, test::long_bytes));
  CHECK(payloads.id_initiator->type == IdType::fqdn);
  CHECK(same(payloads.id_initiator->data, test::text_bytes));
  CHECK(payloads.id_responder->type == IdType::ipv4);
  REQUIRE(payloads.certificates.size() == 1);
  CHECK(same(payloads.certificates[0].data, test::long_bytes));
  REQUIRE(payloads.certificate_requests.size() == 1);
  CHECK(payloads.certificate_requests[0].authorities.size() == 20);
  CHECK(payloads.authentication->method == AuthMethod::shared_key);
  CHECK(same(*payloads.nonce, test::long_bytes));
  REQUIRE(payloads.notifies.size() == 2);
  REQUIRE(payloads.notify(NotifyType::rekey_sa) == &payloads.notifies[0]);
  CHECK(payloads.notifies[0].protocol == ProtocolId::esp);
  CHECK(same(payloads.notifies[0].spi, test::spi_bytes));
  CHECK(same(payloads.notify(NotifyType::cookie)->data, test::text_bytes));
  CHECK(payloads.notify(NotifyType::no_proposal_chosen) == nullptr);
  REQUIRE(payloads.deletes.size() == 2);
  CHECK(payloads.deletes[0].spis == std::vector<std::uint32_t>{0x1001, 0x1002});
  CHECK(payloads.deletes[1].protocol == ProtocolId::ike);
  REQUIRE(payloads.vendor_ids.size() == 1);
  CHECK(payloads.ts_initiator->sides == test::selectors().sides);
  CHECK(payloads.ts_responder->sides == test::selectors().sides);
  CHECK_FALSE(payloads.ts_responder->unknown_type);
  REQUIRE(payloads.configuration->attributes.size() == 2);
  CHECK(payloads.configuration->attributes[0].value.empty());
  CHECK(payloads.configuration->attributes[1].type == ConfigurationAttribute::internal_ip4_dns);
  CHECK(same(*payloads.eap, test::text_bytes));
  CHECK_FALSE(payloads.encrypted);
}

TEST_CASE("a proposal for AES-GCM is the bytes that RFC 7296 3.3 draws") {
  PayloadWriter writer;
  writer.add(SecurityAssociation{{{1, ProtocolId::ike, {}, {{TransformType::encryption, 20, 256}}}}});
  const std::uint8_t expected[] = {0,    0,  0, 24,               // payload
                                   0,    0,  0, 20, 1, 1, 0, 1,   // proposal, without an SPI
                                   0,    0,  0, 12, 1, 0, 0, 20,  // transform: AES-GCM-16
                                   0x80, 14, 1, 0};               // key length 256
  CHECK(same(writer.bytes(), expected));
}

TEST_CASE("an encrypted payload ends the message and names what is in it") {
  const std::uint8_t bytes[] = {33, 0, 0, 10, 1, 2, 3, 4, 5, 6};
  Payloads payloads;
  REQUIRE_FALSE(decode_payloads(PayloadType::encrypted, bytes, payloads));
  REQUIRE(payloads.encrypted);
  CHECK(payloads.encrypted->first == PayloadType::security_association);
  CHECK(same(payloads.encrypted->content, Bytes(bytes).subspan(4)));
  CHECK_FALSE(payloads.security_association);
}

TEST_CASE("a fragment has its number, and the first one what is in it") {
  const std::uint8_t bytes[] = {35, 0, 0, 10, 0, 1, 0, 3, 5, 6};
  Payloads payloads;
  REQUIRE_FALSE(decode_payloads(PayloadType::encrypted_fragment, bytes, payloads));
  REQUIRE(payloads.encrypted_fragment);
  CHECK(payloads.encrypted_fragment->number == 1);
  CHECK(payloads.encrypted_fragment->total == 3);
  CHECK(payloads.encrypted_fragment->first == PayloadType::id_initiator);
  CHECK(payloads.encrypted_fragment->content.size() == 2);
}

TEST_CASE("unknown payloads are passed over unless they are critical") {
  const std::uint8_t bytes[] = {41, 0, 0, 6, 9, 9, 0, 0, 0, 8, 0, 0, 0x40, 0x06};
  Payloads payloads;
  REQUIRE_FALSE(decode_payloads(PayloadType{200}, bytes, payloads));
  REQUIRE(payloads.notifies.size() == 1);
  CHECK(payloads.notifies[0].type == NotifyType::cookie);
  std::vector<std::uint8_t> critical(std::begin(bytes), std::end(bytes));
  critical[1] = 0x80;
  const auto error = decode_payloads(PayloadType{200}, critical, payloads);
  REQUIRE(error);
  CHECK(error->notify == NotifyType::unsupported_critical_payload);
  CHECK(error->payload == 200);
  // On a payload that is known the bit means nothing (RFC 7296 2.5).
  critical[1] = 0;
  critical[7] = 0x80;
  CHECK_FALSE(decode_payloads(PayloadType{200}, critical, payloads));
}

TEST_CASE("a transform with an attribute that is not known is marked") {
  const std::uint8_t bytes[] = {0, 0,  0, 28, 0, 0,  0,    24, 1, 1,   0,    1,  0, 0,
                                0, 16, 1, 0,  0, 20, 0x80, 14, 0, 128, 0x80, 99, 0, 1};
  Payloads payloads;
  REQUIRE_FALSE(decode_payloads(PayloadType::security_association, bytes, payloads));
  const auto& transform = payloads.security_association->proposals[0].transforms[0];
  CHECK(transform.key_bits == 128);
  CHECK(transform.unknown_attribute);
}

TEST_CASE("selectors of a type that is not known are left out, and said to be") {
  const std::uint8_t bytes[] = {0, 0, 0, 32, 2, 0, 0,    0,    9,  0, 0, 8, 1,  1, 2, 2,
                                7, 0, 0, 16, 0, 0, 0xff, 0xff, 10, 0, 0, 0, 10, 0, 0, 9};
  Payloads payloads;
  REQUIRE_FALSE(decode_payloads(PayloadType::ts_initiator, bytes, payloads));
  CHECK(payloads.ts_initiator->unknown_type);
  REQUIRE(payloads.ts_initiator->sides.size() == 1);
  CHECK(payloads.ts_initiator->sides[0].addresses.last == net::Address::v4(0x0a000009));
}

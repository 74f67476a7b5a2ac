#include "control/ike/proposals.hpp"

#include <catch2/catch.hpp>

#include "control/ike/describe.hpp"

using namespace espgate;
using namespace espgate::ike;
using crypto::SuiteId;

namespace {

constexpr std::uint8_t esp_spi[] = {0xde, 0xad, 0xbe, 0xef};
constexpr std::uint8_t ike_spi[] = {1, 2, 3, 4, 5, 6, 7, 8};
constexpr std::uint16_t x25519 = 31, modp2048 = 14, ecp256 = 19;

IkeAlgorithms ike_algorithms() {
  return {{SuiteId::aes_gcm_16_256, SuiteId::chacha20_poly1305, SuiteId::aes_cbc_256_sha256,
           SuiteId::aes_cbc_128_sha512},
          {Prf::hmac_sha2_384, Prf::hmac_sha2_256},
          {x25519, modp2048}};
}
ChildAlgorithms child_algorithms() {
  return {{SuiteId::aes_gcm_16_128, SuiteId::aes_cbc_128_sha256}, {}, true, true};
}

Transform of(TransformType type, std::uint16_t id, std::uint16_t bits = 0) {
  return {type, id, bits};
}
constexpr auto encr = TransformType::encryption;
constexpr auto integ = TransformType::integrity;
constexpr auto prf = TransformType::prf;
constexpr auto ke = TransformType::key_exchange;
constexpr auto esn = TransformType::sequence_numbers;

// An offer of one IKE proposal, or one of ESP.
SecurityAssociation ike_offer(std::vector<Transform> transforms) {
  return {{{1, ProtocolId::ike, {}, std::move(transforms)}}};
}
SecurityAssociation esp_offer(std::vector<Transform> transforms) {
  return {{{1, ProtocolId::esp, esp_spi, std::move(transforms)}}};
}

}  // namespace

TEST_CASE("an offer has AEADs apart from the rest, and each integrity algorithm apart") {
  CHECK(describe(offer(ike_algorithms(), {})) ==
        "1: aes256-gcm16 chacha20-poly1305 prf-sha384 prf-sha256 x25519 modp2048 | "
        "2: aes256-cbc sha256 prf-sha384 prf-sha256 x25519 modp2048 | "
        "3: aes128-cbc sha512 prf-sha384 prf-sha256 x25519 modp2048");
  CHECK(describe(offer(child_algorithms(), esp_spi)) ==
        "1: aes128-gcm16 esn no-esn | 2: aes128-cbc sha256 esn no-esn");
}

TEST_CASE("each side of our own agrees with itself, and the answer is one of the offer") {
  const auto offered = offer(ike_algorithms(), ike_spi);
  const auto choice = choose(offered, ike_algorithms(), 0);
  REQUIRE(choice);
  CHECK(*choice == IkeChoice{1, SuiteId::aes_gcm_16_256, Prf::hmac_sha2_384, x25519, 0x0102030405060708});
  auto accepted = accept_ike_answer(answer(*choice, ike_spi), ike_algorithms());
  REQUIRE(accepted);
  CHECK(*accepted == *choice);

  const auto child = choose(offer(child_algorithms(), esp_spi), child_algorithms(), 0);
  REQUIRE(child);
  CHECK(*child == ChildChoice{1, SuiteId::aes_gcm_16_128, 0, true, 0xdeadbeef});
  CHECK(accept_child_answer(answer(*child, esp_spi), child_algorithms()) == child);
}

TEST_CASE("the peer's order of proposals decides, then our order of algorithms") {
  const SecurityAssociation offered{
      {{1,
        ProtocolId::ike,
        {},
        {of(encr, 12, 256), of(integ, 12), of(prf, 5), of(prf, 6), of(ke, 14), of(ke, 31)}},
       {2, ProtocolId::ike, {}, {of(encr, 20, 256), of(prf, 5), of(ke, 31)}}}};
  const auto choice = choose(offered, ike_algorithms(), 0);
  REQUIRE(choice);
  CHECK(*choice == IkeChoice{1, SuiteId::aes_cbc_256_sha256, Prf::hmac_sha2_384, x25519});
  // The method whose value is already here saves a round trip.
  CHECK(choose(offered, ike_algorithms(), modp2048)->key_exchange == modp2048);
  CHECK(choose(offered, ike_algorithms(), ecp256)->key_exchange == x25519);
}

TEST_CASE("what does not agree in every type is not chosen") {
  const auto ours = ike_algorithms();
  CHECK(choose(ike_offer({of(encr, 20, 256), of(prf, 5), of(ke, 31)}), ours, 0));
  CHECK_FALSE(choose(ike_offer({of(encr, 20, 128), of(prf, 5), of(ke, 31)}), ours, 0));  // another key length
  CHECK_FALSE(choose(ike_offer({of(encr, 20), of(prf, 5), of(ke, 31)}), ours, 0));       // none
  CHECK_FALSE(choose(ike_offer({of(encr, 20, 256), of(prf, 2), of(ke, 31)}), ours, 0));
  CHECK_FALSE(choose(ike_offer({of(encr, 20, 256), of(ke, 31)}), ours, 0));
  CHECK_FALSE(choose(ike_offer({of(encr, 20, 256), of(prf, 5)}), ours, 0));
  CHECK_FALSE(choose(ike_offer({of(encr, 20, 256), of(prf, 5), of(ke, 2)}), ours, 0));
  CHECK_FALSE(choose(ike_offer({of(encr, 12, 256), of(prf, 5), of(ke, 31)}), ours, 0));  // CBC alone
  CHECK_FALSE(choose(esp_offer({of(encr, 20, 256), of(prf, 5), of(ke, 31)}), ours, 0));
}

TEST_CASE("an AEAD goes with no integrity algorithm, or with none said to be") {
  const auto ours = ike_algorithms();
  CHECK(choose(ike_offer({of(encr, 20, 256), of(integ, 0), of(prf, 5), of(ke, 31)}), ours, 0));
  CHECK_FALSE(choose(ike_offer({of(encr, 20, 256), of(integ, 12), of(prf, 5), of(ke, 31)}), ours, 0));
  // Of both together, only what fits.
  const auto both = ike_offer({of(encr, 20, 256), of(encr, 12, 256), of(integ, 12), of(prf, 5), of(ke, 31)});
  REQUIRE(choose(both, ours, 0));
  CHECK(choose(both, ours, 0)->suite == SuiteId::aes_cbc_256_sha256);
}

TEST_CASE("transform types that we do not know must be optional") {
  const auto ours = ike_algorithms();
  const auto with = [&](std::vector<Transform> more) {
    auto offered = ike_offer({of(encr, 20, 256), of(prf, 5), of(ke, 31)});
    auto& transforms = offered.proposals[0].transforms;
    transforms.insert(transforms.end(), more.begin(), more.end());
    return choose(offered, ours, 0).has_value();
  };
  CHECK_FALSE(with({of(TransformType{6}, 36)}));                     // ML-KEM-768 or nothing
  CHECK(with({of(TransformType{6}, 36), of(TransformType{6}, 0)}));  // or not
  CHECK_FALSE(with({of(TransformType{99}, 0)}));
}

TEST_CASE("transforms with attributes that we do not know are passed over") {
  auto offered = ike_offer({of(encr, 20, 256), of(prf, 5), of(ke, 31)});
  offered.proposals[0].transforms[0].unknown_attribute = true;
  CHECK_FALSE(choose(offered, ike_algorithms(), 0));
}

TEST_CASE("perfect forward secrecy is kept when it is asked for, and not forced on us") {
  auto with = child_algorithms();
  with.key_exchanges = {x25519};
  const auto plain = esp_offer({of(encr, 20, 128), of(esn, 0)});
  const auto secret = esp_offer({of(encr, 20, 128), of(esn, 0), of(ke, 31)});
  const auto either = esp_offer({of(encr, 20, 128), of(esn, 0), of(ke, 31), of(ke, 0)});
  CHECK(choose(plain, child_algorithms(), 0));
  CHECK_FALSE(choose(secret, child_algorithms(), 0));
  CHECK(choose(either, child_algorithms(), 0)->key_exchange == 0);
  CHECK_FALSE(choose(plain, with, 0));
  CHECK(choose(secret, with, 0)->key_exchange == x25519);
  CHECK(choose(either, with, 0)->key_exchange == x25519);
}

TEST_CASE("sequence numbers are those that both sides allow") {
  auto only_long = child_algorithms();
  only_long.short_sequence = false;
  CHECK_FALSE(choose(esp_offer({of(encr, 20, 128), of(esn, 0)}), only_long, 0));
  CHECK_FALSE(choose(esp_offer({of(encr, 20, 128)}), only_long, 0));
  CHECK(choose(esp_offer({of(encr, 20, 128), of(esn, 0), of(esn, 1)}), only_long, 0)->extended_sequence);
  CHECK_FALSE(choose(esp_offer({of(encr, 20, 128)}), child_algorithms(), 0)->extended_sequence);
}

TEST_CASE("SPIs of the wrong size, or reserved ones, are no offer") {
  constexpr std::uint8_t reserved[] = {0, 0, 0, 255};
  auto offered = esp_offer({of(encr, 20, 128), of(esn, 1)});
  REQUIRE(choose(offered, child_algorithms(), 0));
  for (const Bytes spi : {Bytes(esp_spi).first(3), Bytes(), Bytes(ike_spi), Bytes(reserved)}) {
    offered.proposals[0].spi = spi;
    CHECK_FALSE(choose(offered, child_algorithms(), 0));
  }
  auto ike = offer(ike_algorithms(), esp_spi);
  CHECK_FALSE(choose(ike, ike_algorithms(), 0));
}

TEST_CASE("an answer that we did not offer is refused") {
  const auto ours = ike_algorithms();
  const auto good = answer(*choose(offer(ours, {}), ours, 0), {});
  REQUIRE(accept_ike_answer(good, ours));
  auto changed = good;
  changed.proposals[0].number = 2;  // whose cipher is another
  CHECK_FALSE(accept_ike_answer(changed, ours));
  changed.proposals[0].number = 9;
  CHECK_FALSE(accept_ike_answer(changed, ours));
  changed = good;
  changed.proposals.push_back(good.proposals[0]);
  CHECK_FALSE(accept_ike_answer(changed, ours));
  CHECK_FALSE(accept_ike_answer({}, ours));
  changed = good;
  changed.proposals[0].transforms.push_back(of(prf, 5));  // two of a type
  CHECK_FALSE(accept_ike_answer(changed, ours));
  changed = good;
  changed.proposals[0].transforms.pop_back();  // one is missing
  CHECK_FALSE(accept_ike_answer(changed, ours));
  changed = good;
  changed.proposals[0].transforms[0].key_bits = 128;
  CHECK_FALSE(accept_ike_answer(changed, ours));
}

TEST_CASE("what has no name here is described by its number") {
  const auto offered = ike_offer(
      {of(encr, 3), of(encr, 12, 128), of(integ, 2), of(prf, 2), of(ke, 2), of(TransformType{99}, 5)});
  CHECK(describe(offered) == "1: encryption 3 aes128-cbc sha1 prf-sha1 key exchange 2 type 99 5");
}

TEST_CASE("additional key exchanges are described by their place and name") {
  const auto offered = ike_offer({of(ke, 31), of(TransformType{6}, 36), of(TransformType{6}, 0),
                                  of(TransformType{12}, 37), of(TransformType{13}, 36)});
  CHECK(describe(offered) ==
        "1: x25519 additional key exchange 1: ml-kem-768 additional key exchange 1: none "
        "additional key exchange 7: ml-kem-1024 type 13 36");
  CHECK(key_exchange_text(36) == "ml-kem-768");
  CHECK(key_exchange_text(99) == "key exchange 99");
}

#include "control/ike/keys.hpp"

#include <catch2/catch.hpp>
#include <numeric>

#include "tests/control/ike/hex.hpp"

using namespace espgate;
using namespace espgate::ike;
using test::hex;

namespace {

std::vector<std::uint8_t> counting(std::size_t size, std::uint8_t start) {
  std::vector<std::uint8_t> bytes(size);
  std::iota(bytes.begin(), bytes.end(), start);
  return bytes;
}

const auto ni = counting(32, 1);
const auto nr = counting(24, 101);
const Nonces nonces{ni, nr};
const Secret shared(counting(32, 201));

}  // namespace

// Expected values: Python's hmac, by the formulas of RFC 7296 2.14 to 2.18 written anew.

TEST_CASE("the keys of an IKE SA follow from the secret, the nonces and the SPIs") {
  const auto& suite = crypto::suite(crypto::SuiteId::aes_cbc_256_sha256);
  const auto seed = first_seed(Prf::hmac_sha2_256, nonces, shared);
  CHECK(seed.bytes() == hex("badd3367074144b26e7b06d63f00dae14462fd5729cbe52c316fae3fc2ac8430"));
  const auto keys =
      derive_keys(Prf::hmac_sha2_256, seed, nonces, {0x0102030405060708, 0x1112131415161718}, suite);
  CHECK(keys.d.bytes() == hex("095f7971bcc59f48e665790fb5a3d7f19b60d0695fc22db5ec1491217aafa829"));
  CHECK(keys.integrity_initiator.bytes() ==
        hex("a4169eb59a4ab01b10f3bd3ab7c57848447f92a43bf11e35c5822da8a1a7e79a"));
  CHECK(keys.integrity_responder.bytes() ==
        hex("8494ac82bded1e1611e954f8a03ce5dedf4565f32b412af9adc070a46bc2ecf6"));
  CHECK(keys.encryption_initiator.bytes() ==
        hex("d87aaa7bc6fdae9e86fee067c95217e5ac1f21c3aefeb28d08fa7782795963f3"));
  CHECK(keys.encryption_responder.bytes() ==
        hex("42cb87f5d60999a0362c62b1c5b84cf9ede9e2df3b3db8f094448629fb6d0927"));
  CHECK(keys.proof_initiator.bytes() ==
        hex("1fef40327fc3647f8d9596c04ebc45bc109000c1df07f8054e3ec35f6fad467f"));
  CHECK(keys.proof_responder.bytes() ==
        hex("0e57ee296b52e9566d8f17055fd8ef1399e9c941591bf2eeb8b75dce7d8b2ef3"));
}

TEST_CASE("an AEAD has no integrity keys, and its salt is behind the key") {
  const auto& suite = crypto::suite(crypto::SuiteId::aes_gcm_16_128);
  const auto seed = first_seed(Prf::hmac_sha2_256, nonces, shared);
  const auto keys = derive_keys(Prf::hmac_sha2_256, seed, nonces, {1, 2}, suite);
  CHECK(keys.integrity_initiator.empty());
  CHECK(keys.encryption_initiator.size() == 20);
}

TEST_CASE("a successor's seed is made with the old SA's SK_d") {
  CHECK(next_seed(Prf::hmac_sha2_384, Secret(counting(48, 9)), {&shared, 1}, nonces).bytes() ==
        hex("231649c8a524b23e113c7a0f1535691a8bbcde2af8193bc1628b458bb93bbc41"
            "8f175538df69e9721134742b40413b4b"));
}

TEST_CASE("children's keys, with a key exchange of their own and without") {
  const Secret d(counting(32, 33));
  const auto& suite = crypto::suite(crypto::SuiteId::aes_gcm_16_128);
  CHECK(child_keymat(Prf::hmac_sha2_256, d, {}, nonces, suite).bytes() ==
        hex("6949b6b078134b1ab7fe0398c8e78bb52340e957c6a2b38d00009befc250647e"
            "36567cc88a71997d"));
  CHECK(child_keymat(Prf::hmac_sha2_256, d, {&shared, 1}, nonces, suite).bytes() ==
        hex("4c855b4f6fc2ece29e24516fd96f536031deb7cb57707e9cba4952a6409d03a4"
            "d3d1b6f4eeb25bc0"));
}

TEST_CASE("a postquantum key changes what authenticates and what children get, not what encrypts") {
  const auto& suite = crypto::suite(crypto::SuiteId::aes_gcm_16_128);
  const auto seed = first_seed(Prf::hmac_sha2_256, nonces, shared);
  auto keys = derive_keys(Prf::hmac_sha2_256, seed, nonces, {1, 2}, suite);
  const auto before = keys;
  mix_ppk(Prf::hmac_sha2_256, Secret(counting(32, 77)), keys);
  CHECK(keys.encryption_initiator == before.encryption_initiator);
  CHECK_FALSE(keys.proof_initiator == before.proof_initiator);
  CHECK(keys.d == expand(Prf::hmac_sha2_256, counting(32, 77), {before.d.bytes()}, 32));
}

TEST_CASE("AUTH with a shared key (RFC 7296 2.15)") {
  const auto message = counting(100, 0);
  const auto id = hex("02000000 73697465");
  const auto octets = signed_octets(Prf::hmac_sha2_256, message, nr, Secret(counting(32, 55)), id, {});
  CHECK(octets.size() == 100 + 24 + 32);
  const Secret psk(std::vector<std::uint8_t>{'s', 'e', 'c', 'r', 'e', 't'});
  CHECK(shared_key_auth(Prf::hmac_sha2_256, psk, octets).bytes() ==
        hex("1c8c6d67aee01001b825fcf2f383cedda6f72ae0e3ed4a76a822f03d09c6b222"));
}

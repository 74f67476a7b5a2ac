// AES-CCM of RFC 4309 from the steps of RFC 3610 2, block by block: no published vectors have ESP's nonce of
// 11 bytes, ICV of 16 and AAD of 8 or 12.
#include <openssl/evp.h>

#include <array>

#include "tests/drivers/crypto/harness.hpp"

using namespace espgate::crypto;
using namespace espgate::crypto::test;

namespace {

using Block = std::array<std::uint8_t, 16>;

class Aes {
 public:
  explicit Aes(const Bytes& key) {
    const auto* cipher = key.size() == 16   ? EVP_aes_128_ecb()
                         : key.size() == 24 ? EVP_aes_192_ecb()
                                            : EVP_aes_256_ecb();
    REQUIRE(EVP_EncryptInit_ex2(context_.get(), cipher, key.data(), nullptr, nullptr) == 1);
  }
  Block operator()(const Block& in) const {
    Block out;
    int done = 0;
    REQUIRE(EVP_EncryptUpdate(context_.get(), out.data(), &done, in.data(), 16) == 1);
    return out;
  }

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> context_{EVP_CIPHER_CTX_new()};
};

// Flags, nonce, 32 bits of length or counter.
Block numbered(std::uint8_t flags, const Bytes& nonce, std::uint32_t number) {
  Block block{flags};
  std::copy(nonce.begin(), nonce.end(), block.begin() + 1);
  for (unsigned i = 0; i < 4; ++i) block[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  return block;
}

void exclusive_or(Block& block, const Bytes& bytes, std::size_t at) {
  for (std::size_t i = 0; i < 16 && at + i < bytes.size(); ++i) block[i] ^= bytes[at + i];
}

// Ciphertext, then ICV.
Bytes model(const Bytes& key, const Bytes& nonce, const Bytes& aad, const Bytes& plain) {
  const Aes aes(key);
  constexpr std::uint8_t aad_follows = 0x40, icv_of_16 = (16 - 2) / 2 << 3, counter_of_4 = 4 - 1;
  auto mac =
      aes(numbered(aad_follows | icv_of_16 | counter_of_4, nonce, static_cast<std::uint32_t>(plain.size())));
  Bytes authenticated{0, static_cast<std::uint8_t>(aad.size())};
  authenticated.insert(authenticated.end(), aad.begin(), aad.end());
  for (const auto& bytes : {authenticated, plain}) {
    for (std::size_t at = 0; at < bytes.size(); at += 16) {
      exclusive_or(mac, bytes, at);
      mac = aes(mac);
    }
  }
  auto sealed = plain;
  for (std::size_t i = 0; i < plain.size(); ++i)
    sealed[i] ^= aes(numbered(counter_of_4, nonce, static_cast<std::uint32_t>(1 + i / 16)))[i % 16];
  const auto mask = aes(numbered(counter_of_4, nonce, 0));
  for (std::size_t i = 0; i < 16; ++i) sealed.push_back(mac[i] ^ mask[i]);
  return sealed;
}

}  // namespace

TEST_CASE("AES-CCM is RFC 3610's, with RFC 4309's nonce and AAD") {
  std::mt19937 random(4309);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      if (row.cipher != Cipher::aes_ccm_16) continue;
      CAPTURE(engine->implementation(), row.name);
      const auto keymat = random_bytes(random, row.keymat_bytes());
      const Bytes cipher_key(keymat.begin(), keymat.begin() + row.key_bytes);
      const Key key(*engine, row.id, keymat);
      for (const std::size_t size : {1u, 15u, 16u, 17u, 48u, 100u, 1000u}) {
        auto packet = random_packet(random, row, size, size % 2 == 0);
        const Bytes nonce(packet.nonce.begin() + 1, packet.nonce.end());  // 3 bytes of salt, 8 of IV
        const auto expected = model(cipher_key, nonce, packet.aad, packet.text());
        REQUIRE(seal(*queue, key, packet) == Status::ok);
        CHECK(std::ranges::equal(packet.text_and_icv(), expected));
      }
    }
  }
}

// Prepared keys of the suites that have jobs.
#include "drivers/crypto/ipsec_mb_job_keys.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>

#include "drivers/crypto/ipsec_mb_jobs.hpp"

namespace espgate::crypto {
namespace {

struct alignas(64) Scratch {
  std::uint8_t bytes[240];
  ~Scratch() { OPENSSL_cleanse(bytes, sizeof bytes); }
};

void expand(const IMB_MGR& manager, std::span<const std::uint8_t> key, std::byte* encrypt,
            std::byte* decrypt) {
  const auto call = key.size() == 16   ? manager.keyexp_128
                    : key.size() == 24 ? manager.keyexp_192
                                       : manager.keyexp_256;
  call(key.data(), encrypt, decrypt);
}

// The hash's state after the key's block, RFC 2104: what HMAC begins with for every packet.
void hash_key_block(const IMB_MGR& manager, Integrity integrity, std::span<const std::uint8_t> key,
                    std::uint8_t pad, std::byte* state) {
  Scratch block;
  const std::size_t block_bytes = hash_block_bytes(integrity);
  std::fill_n(block.bytes, block_bytes, pad);
  for (std::size_t i = 0; i < key.size(); ++i) block.bytes[i] = static_cast<std::uint8_t>(key[i] ^ pad);
  switch (integrity) {
    case Integrity::by_cipher:
      return;
    case Integrity::hmac_sha1_96:
      return manager.sha1_one_block(block.bytes, state);
    case Integrity::hmac_sha2_256_128:
      return manager.sha256_one_block(block.bytes, state);
    case Integrity::hmac_sha2_384_192:
      return manager.sha384_one_block(block.bytes, state);
    case Integrity::hmac_sha2_512_256:
      return manager.sha512_one_block(block.bytes, state);
  }
}

}  // namespace

KeyLayout job_key_layout(const Suite& suite) {
  return whole_key(job_key_offsets(suite).end);
}

void prepare_job_key(const IMB_MGR& manager, const Suite& suite, std::span<const std::uint8_t> keymat,
                     std::byte* out) {
  const auto at = job_key_offsets(suite);
  const auto key = keymat.first(suite.key_bytes);
  const auto integrity_key = keymat.last(suite.integrity_key_bytes);
  std::memset(out, 0, job_key_layout(suite).bytes);
  hash_key_block(manager, suite.integrity, integrity_key, 0x36, out + at.inner_state);
  hash_key_block(manager, suite.integrity, integrity_key, 0x5c, out + at.outer_state);
  Scratch unused;
  if (suite.cipher == Cipher::chacha20_poly1305)
    std::memcpy(out + at.encrypt, key.data(), key.size());
  else if (suite.cipher == Cipher::aes_cbc)
    expand(manager, key, out + at.encrypt, out + at.decrypt);
  else if (suite.cipher != Cipher::null)
    expand(manager, key, out + at.encrypt, reinterpret_cast<std::byte*>(unused.bytes));
}

}  // namespace espgate::crypto

// Where the parts of a prepared key lie, for suites that have jobs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "datapath/crypto/suite.hpp"

namespace espgate::crypto {

constexpr std::size_t hash_block_bytes(Integrity integrity) {
  return integrity == Integrity::hmac_sha1_96 || integrity == Integrity::hmac_sha2_256_128 ? 64 : 128;
}

struct JobKeyOffsets {
  std::uint16_t inner_state;
  std::uint16_t outer_state;
  std::uint16_t encrypt;  // round keys; ChaCha20: the key itself
  std::uint16_t decrypt;  // the same as encrypt but for CBC
  std::uint16_t end;
};

// States and schedules begin on lines of their own, so that a direction's packets touch no others.
constexpr JobKeyOffsets job_key_offsets(const Suite& suite) {
  constexpr auto lines = [](std::size_t bytes) { return static_cast<std::uint16_t>((bytes + 63) / 64 * 64); };
  // SHA-1 and SHA-256 have states of 20 and 32 bytes, SHA-384 and SHA-512 of 64.
  const std::size_t state_bytes =
      suite.integrity == Integrity::by_cipher ? 0 : hash_block_bytes(suite.integrity) / 2;
  const std::size_t rounds = suite.key_bytes / 4u + 6u;  // FIPS 197 5
  std::size_t schedule_bytes = (rounds + 1) * 16;
  if (suite.cipher == Cipher::null) schedule_bytes = 0;
  if (suite.cipher == Cipher::chacha20_poly1305) schedule_bytes = suite.key_bytes;
  const std::uint16_t encrypt = lines(2 * state_bytes);
  const auto behind = static_cast<std::uint16_t>(encrypt + lines(schedule_bytes));
  const bool both = suite.cipher == Cipher::aes_cbc;
  return {0, static_cast<std::uint16_t>(state_bytes), encrypt, both ? behind : encrypt,
          both ? static_cast<std::uint16_t>(behind + lines(schedule_bytes)) : behind};
}

}  // namespace espgate::crypto

// The ESP transforms this product speaks, once: the datapath reads sizes from this table, the
// configuration its names, IKE its numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace espgate::crypto {

enum class SuiteId : std::uint8_t { aes_gcm_16_128, aes_gcm_16_192, aes_gcm_16_256 };

struct Suite {
  SuiteId id;
  std::string_view name;     // as written in the configuration: "aes128-gcm16"
  std::uint8_t key_bytes;    // cipher key, without the salt
  std::uint8_t salt_bytes;   // implicit part of the nonce, appended to the key in KEYMAT (RFC 4106 8.1)
  std::uint8_t iv_bytes;     // explicit IV in every packet
  std::uint8_t icv_bytes;    // integrity check value at the end of the packet
  std::uint8_t align_bytes;  // what payload + padding + 2 must be a multiple of; at least 4 (RFC 4303 2.4)

  unsigned keymat_bytes() const { return static_cast<unsigned>(key_bytes) + salt_bytes; }
};

// RFC 4106: 4-byte salt, 8-byte IV, 16-byte ICV. Indexed by SuiteId.
inline constexpr std::array<Suite, 3> suite_table{{
    {SuiteId::aes_gcm_16_128, "aes128-gcm16", 16, 4, 8, 16, 4},
    {SuiteId::aes_gcm_16_192, "aes192-gcm16", 24, 4, 8, 16, 4},
    {SuiteId::aes_gcm_16_256, "aes256-gcm16", 32, 4, 8, 16, 4},
}};
inline std::span<const Suite> suites() {
  return suite_table;
}
// Inline: workers ask for every packet.
inline const Suite& suite(SuiteId id) {
  return suite_table[static_cast<std::size_t>(id)];
}
// nullptr when no suite has that name.
const Suite* find_suite(std::string_view name);

}  // namespace espgate::crypto

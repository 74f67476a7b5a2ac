// The ESP transforms this product speaks, once: the datapath reads sizes from this table, the
// configuration its names, IKE its numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace espgate::crypto {

// What encrypts, and for AEADs what authenticates too. Values are IANA's IKEv2 encryption transform ids.
enum class Cipher : std::uint8_t {
  null = 11,               // RFC 2410
  aes_cbc = 12,            // RFC 3602
  aes_ctr = 13,            // RFC 3686
  aes_ccm_16 = 16,         // RFC 4309
  aes_gcm_16 = 20,         // RFC 4106
  aes_gmac = 21,           // RFC 4543, ENCR_NULL_AUTH_AES_GMAC: authenticates only
  chacha20_poly1305 = 28,  // RFC 7634
};
inline constexpr std::size_t aes_block_bytes = 16;

// What authenticates where the cipher does not. Values are IANA's IKEv2 integrity transform ids.
enum class Integrity : std::uint8_t {
  by_cipher = 0,
  hmac_sha1_96 = 2,        // RFC 2404
  hmac_sha2_256_128 = 12,  // RFC 4868, this and those below
  hmac_sha2_384_192 = 13,
  hmac_sha2_512_256 = 14,
};

enum class SuiteId : std::uint8_t {
  aes_gcm_16_128,
  aes_gcm_16_192,
  aes_gcm_16_256,
  chacha20_poly1305,
  aes_ccm_16_128,
  aes_ccm_16_192,
  aes_ccm_16_256,
  aes_gmac_128,
  aes_gmac_192,
  aes_gmac_256,
  aes_cbc_128_sha1,
  aes_cbc_128_sha256,
  aes_cbc_128_sha384,
  aes_cbc_128_sha512,
  aes_cbc_192_sha1,
  aes_cbc_192_sha256,
  aes_cbc_192_sha384,
  aes_cbc_192_sha512,
  aes_cbc_256_sha1,
  aes_cbc_256_sha256,
  aes_cbc_256_sha384,
  aes_cbc_256_sha512,
  aes_ctr_128_sha1,
  aes_ctr_128_sha256,
  aes_ctr_128_sha384,
  aes_ctr_128_sha512,
  aes_ctr_192_sha1,
  aes_ctr_192_sha256,
  aes_ctr_192_sha384,
  aes_ctr_192_sha512,
  aes_ctr_256_sha1,
  aes_ctr_256_sha256,
  aes_ctr_256_sha384,
  aes_ctr_256_sha512,
  null_sha1,
  null_sha256,
  null_sha384,
  null_sha512,
};

struct Suite {
  SuiteId id;
  std::string_view name;  // as written in the configuration: "aes128-gcm16"
  Cipher cipher;
  Integrity integrity;
  std::uint8_t key_bytes;            // cipher key, without the salt
  std::uint8_t integrity_key_bytes;  // HMAC key, as long as the digest (RFC 4868 2.1.1)
  std::uint8_t salt_bytes;           // implicit part of the nonce, behind the cipher key
  std::uint8_t iv_bytes;             // explicit IV in every packet
  std::uint8_t icv_bytes;            // integrity check value at the end of the packet
  std::uint8_t align_bytes;  // what payload + padding + 2 must be a multiple of; at least 4 (RFC 4303 2.4)

  // The order of KEYMAT: cipher key, salt, integrity key (RFC 7296 2.17, RFC 4106 8.1).
  constexpr unsigned keymat_bytes() const {
    return static_cast<unsigned>(key_bytes) + salt_bytes + integrity_key_bytes;
  }
  // IKEv2's key length attribute (RFC 7296 3.3.5); 0: the transform has none.
  constexpr unsigned key_length_bits() const {
    return cipher == Cipher::null || cipher == Cipher::chacha20_poly1305 ? 0u : key_bytes * 8u;
  }
  // What the configuration also accepts, because other products' users type it: "aes128gcm16",
  // "aes128-sha256".
  bool is_called(std::string_view name_or_alias) const;
};

// A row's sizes follow from its two algorithms.
constexpr Suite suite_row(SuiteId id, std::string_view name, Cipher cipher, std::uint8_t key_bytes,
                          Integrity integrity = Integrity::by_cipher) {
  Suite row{id, name, cipher, integrity, key_bytes, 0, 0, 8, 16, 4};
  switch (cipher) {
    case Cipher::null:
      row.iv_bytes = 0;
      break;
    case Cipher::aes_cbc:
      row.iv_bytes = 16;
      row.align_bytes = 16;
      break;
    case Cipher::aes_ccm_16:
      row.salt_bytes = 3;  // RFC 4309 4
      break;
    case Cipher::aes_ctr:            // RFC 3686 4
    case Cipher::aes_gcm_16:         // RFC 4106 4
    case Cipher::aes_gmac:           // RFC 4543 3.2
    case Cipher::chacha20_poly1305:  // RFC 7634 2
      row.salt_bytes = 4;
      break;
  }
  switch (integrity) {
    case Integrity::by_cipher:
      break;
    case Integrity::hmac_sha1_96:
      row.integrity_key_bytes = 20;
      row.icv_bytes = 12;
      break;
    case Integrity::hmac_sha2_256_128:
      row.integrity_key_bytes = 32;
      row.icv_bytes = 16;
      break;
    case Integrity::hmac_sha2_384_192:
      row.integrity_key_bytes = 48;
      row.icv_bytes = 24;
      break;
    case Integrity::hmac_sha2_512_256:
      row.integrity_key_bytes = 64;
      row.icv_bytes = 32;
      break;
  }
  return row;
}

// Indexed by SuiteId. The null cipher without integrity is no row, and must not become one (RFC 4303 1).
inline constexpr std::array suite_table{
    suite_row(SuiteId::aes_gcm_16_128, "aes128-gcm16", Cipher::aes_gcm_16, 16),
    suite_row(SuiteId::aes_gcm_16_192, "aes192-gcm16", Cipher::aes_gcm_16, 24),
    suite_row(SuiteId::aes_gcm_16_256, "aes256-gcm16", Cipher::aes_gcm_16, 32),
    suite_row(SuiteId::chacha20_poly1305, "chacha20-poly1305", Cipher::chacha20_poly1305, 32),
    suite_row(SuiteId::aes_ccm_16_128, "aes128-ccm16", Cipher::aes_ccm_16, 16),
    suite_row(SuiteId::aes_ccm_16_192, "aes192-ccm16", Cipher::aes_ccm_16, 24),
    suite_row(SuiteId::aes_ccm_16_256, "aes256-ccm16", Cipher::aes_ccm_16, 32),
    suite_row(SuiteId::aes_gmac_128, "aes128-gmac", Cipher::aes_gmac, 16),
    suite_row(SuiteId::aes_gmac_192, "aes192-gmac", Cipher::aes_gmac, 24),
    suite_row(SuiteId::aes_gmac_256, "aes256-gmac", Cipher::aes_gmac, 32),
    suite_row(SuiteId::aes_cbc_128_sha1, "aes128-cbc-sha1", Cipher::aes_cbc, 16, Integrity::hmac_sha1_96),
    suite_row(SuiteId::aes_cbc_128_sha256, "aes128-cbc-sha256", Cipher::aes_cbc, 16,
              Integrity::hmac_sha2_256_128),
    suite_row(SuiteId::aes_cbc_128_sha384, "aes128-cbc-sha384", Cipher::aes_cbc, 16,
              Integrity::hmac_sha2_384_192),
    suite_row(SuiteId::aes_cbc_128_sha512, "aes128-cbc-sha512", Cipher::aes_cbc, 16,
              Integrity::hmac_sha2_512_256),
    suite_row(SuiteId::aes_cbc_192_sha1, "aes192-cbc-sha1", Cipher::aes_cbc, 24, Integrity::hmac_sha1_96),
    suite_row(SuiteId::aes_cbc_192_sha256, "aes192-cbc-sha256", Cipher::aes_cbc, 24,
              Integrity::hmac_sha2_256_128),
    suite_row(SuiteId::aes_cbc_192_sha384, "aes192-cbc-sha384", Cipher::aes_cbc, 24,
              Integrity::hmac_sha2_384_192),
    suite_row(SuiteId::aes_cbc_192_sha512, "aes192-cbc-sha512", Cipher::aes_cbc, 24,
              Integrity::hmac_sha2_512_256),
    suite_row(SuiteId::aes_cbc_256_sha1, "aes256-cbc-sha1", Cipher::aes_cbc, 32, Integrity::hmac_sha1_96),
    suite_row(SuiteId::aes_cbc_256_sha256, "aes256-cbc-sha256", Cipher::aes_cbc, 32,
              Integrity::hmac_sha2_256_128),
    suite_row(SuiteId::aes_cbc_256_sha384, "aes256-cbc-sha384", Cipher::aes_cbc, 32,
              Integrity::hmac_sha2_384_192),
    suite_row(SuiteId::aes_cbc_256_sha512, "aes256-cbc-sha512", Cipher::aes_cbc, 32,
              Integrity::hmac_sha2_512_256),
    suite_row(SuiteId::aes_ctr_128_sha1, "aes128-ctr-sha1", Cipher::aes_ctr, 16, Integrity::hmac_sha1_96),
    suite_row(SuiteId::aes_ctr_128_sha256, "aes128-ctr-sha256", Cipher::aes_ctr, 16,
              Integrity::hmac_sha2_256_128),
    suite_row(SuiteId::aes_ctr_128_sha384, "aes128-ctr-sha384", Cipher::aes_ctr, 16,
              Integrity::hmac_sha2_384_192),
    suite_row(SuiteId::aes_ctr_128_sha512, "aes128-ctr-sha512", Cipher::aes_ctr, 16,
              Integrity::hmac_sha2_512_256),
    suite_row(SuiteId::aes_ctr_192_sha1, "aes192-ctr-sha1", Cipher::aes_ctr, 24, Integrity::hmac_sha1_96),
    suite_row(SuiteId::aes_ctr_192_sha256, "aes192-ctr-sha256", Cipher::aes_ctr, 24,
              Integrity::hmac_sha2_256_128),
    suite_row(SuiteId::aes_ctr_192_sha384, "aes192-ctr-sha384", Cipher::aes_ctr, 24,
              Integrity::hmac_sha2_384_192),
    suite_row(SuiteId::aes_ctr_192_sha512, "aes192-ctr-sha512", Cipher::aes_ctr, 24,
              Integrity::hmac_sha2_512_256),
    suite_row(SuiteId::aes_ctr_256_sha1, "aes256-ctr-sha1", Cipher::aes_ctr, 32, Integrity::hmac_sha1_96),
    suite_row(SuiteId::aes_ctr_256_sha256, "aes256-ctr-sha256", Cipher::aes_ctr, 32,
              Integrity::hmac_sha2_256_128),
    suite_row(SuiteId::aes_ctr_256_sha384, "aes256-ctr-sha384", Cipher::aes_ctr, 32,
              Integrity::hmac_sha2_384_192),
    suite_row(SuiteId::aes_ctr_256_sha512, "aes256-ctr-sha512", Cipher::aes_ctr, 32,
              Integrity::hmac_sha2_512_256),
    suite_row(SuiteId::null_sha1, "null-sha1", Cipher::null, 0, Integrity::hmac_sha1_96),
    suite_row(SuiteId::null_sha256, "null-sha256", Cipher::null, 0, Integrity::hmac_sha2_256_128),
    suite_row(SuiteId::null_sha384, "null-sha384", Cipher::null, 0, Integrity::hmac_sha2_384_192),
    suite_row(SuiteId::null_sha512, "null-sha512", Cipher::null, 0, Integrity::hmac_sha2_512_256),
};
inline constexpr std::size_t suite_count = suite_table.size();

inline std::span<const Suite> suites() {
  return suite_table;
}
constexpr std::size_t index_of(SuiteId id) {
  return static_cast<std::size_t>(id);
}
// Inline: workers ask for every packet.
inline const Suite& suite(SuiteId id) {
  return suite_table[index_of(id)];
}
// nullptr when no suite has that name or alias.
const Suite* find_suite(std::string_view name);

}  // namespace espgate::crypto

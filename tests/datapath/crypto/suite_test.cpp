#include "datapath/crypto/suite.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "datapath/crypto/engine.hpp"

using namespace espgate::crypto;

TEST_CASE("the suite table is in enum order, and names lead back to their rows") {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < suites().size(); ++i) {
    const auto& row = suites()[i];
    CAPTURE(row.name);
    CHECK(static_cast<std::size_t>(row.id) == i);
    CHECK(&suite(row.id) == &row);
    CHECK(find_suite(row.name) == &row);
    CHECK(names.insert(row.name).second);
  }
  CHECK(find_suite("aes128-gcm") == nullptr);
  CHECK(find_suite("") == nullptr);
}

TEST_CASE("names that other products' users type lead to the same rows") {
  const std::pair<const char*, SuiteId> aliases[] = {{"aes128gcm16", SuiteId::aes_gcm_16_128},
                                                     {"aes256ccm16", SuiteId::aes_ccm_16_256},
                                                     {"aes192gmac", SuiteId::aes_gmac_192},
                                                     {"chacha20poly1305", SuiteId::chacha20_poly1305},
                                                     {"aes128-sha256", SuiteId::aes_cbc_128_sha256},
                                                     {"aes256-sha1", SuiteId::aes_cbc_256_sha1},
                                                     {"aes128ctr-sha256", SuiteId::aes_ctr_128_sha256},
                                                     {"aes256ctr-sha512", SuiteId::aes_ctr_256_sha512}};
  for (const auto& [name, id] : aliases) {
    CAPTURE(name);
    REQUIRE(find_suite(name));
    CHECK(find_suite(name)->id == id);
  }
  for (const auto* name : {"aes128", "aes128-", "aes128-cbc", "null", "null-null", "nullsha256", "aes128gcm",
                           "aes512-sha1", "aes128-sha256-", "aes128ctr", "aes128cbc-sha256x", "-"})
    CHECK(find_suite(name) == nullptr);
  // No two rows share a name or alias.
  for (const auto& row : suites())
    CHECK(std::ranges::count_if(suites(), [&](const Suite& other) { return other.is_called(row.name); }) ==
          1);
}

// key, salt, IV, ICV, alignment, integrity key, as each algorithm's RFC has them.
TEST_CASE("the sizes are those of the RFCs") {
  struct Expected {
    const char* name;
    int key, salt, iv, icv, align, integrity_key;
  };
  const Expected table[] = {
      {"aes128-gcm16", 16, 4, 8, 16, 4, 0},  // RFC 4106 3.1, 4, 6, 8.1
      {"aes192-gcm16", 24, 4, 8, 16, 4, 0},         {"aes256-gcm16", 32, 4, 8, 16, 4, 0},
      {"chacha20-poly1305", 32, 4, 8, 16, 4, 0},  // RFC 7634 2
      {"aes128-ccm16", 16, 3, 8, 16, 4, 0},       // RFC 4309 3.1, 4, 7.1
      {"aes192-ccm16", 24, 3, 8, 16, 4, 0},         {"aes256-ccm16", 32, 3, 8, 16, 4, 0},
      {"aes128-gmac", 16, 4, 8, 16, 4, 0},           // RFC 4543 3.1, 3.2, 5
      {"aes128-cbc-sha1", 16, 0, 16, 12, 16, 20},    // RFC 3602 2, 3; RFC 2404 2
      {"aes256-cbc-sha256", 32, 0, 16, 16, 16, 32},  // RFC 4868 2.3
      {"aes192-ctr-sha384", 24, 4, 8, 24, 4, 48},    // RFC 3686 3.1, 5.1
      {"aes128-ctr-sha512", 16, 4, 8, 32, 4, 64},   {"null-sha256", 0, 0, 0, 16, 4, 32},  // RFC 2410 2
  };
  for (const auto& expected : table) {
    CAPTURE(expected.name);
    const auto* row = find_suite(expected.name);
    REQUIRE(row);
    CHECK(row->key_bytes == expected.key);
    CHECK(row->salt_bytes == expected.salt);
    CHECK(row->iv_bytes == expected.iv);
    CHECK(row->icv_bytes == expected.icv);
    CHECK(row->align_bytes == expected.align);
    CHECK(row->integrity_key_bytes == expected.integrity_key);
    CHECK(row->keymat_bytes() ==
          static_cast<unsigned>(expected.key + expected.salt + expected.integrity_key));
  }
}

// https://www.iana.org/assignments/ikev2-parameters: transform types 1 and 3.
TEST_CASE("IKE finds its transform ids and key lengths in the table") {
  struct Expected {
    const char* name;
    int encryption, key_length, integrity;
  };
  const Expected table[] = {{"aes128-gcm16", 20, 128, 0},       {"chacha20-poly1305", 28, 0, 0},
                            {"aes192-ccm16", 16, 192, 0},       {"aes256-gmac", 21, 256, 0},
                            {"aes256-cbc-sha1", 12, 256, 2},    {"aes128-cbc-sha256", 12, 128, 12},
                            {"aes128-ctr-sha384", 13, 128, 13}, {"null-sha512", 11, 0, 14}};
  for (const auto& expected : table) {
    CAPTURE(expected.name);
    const auto* row = find_suite(expected.name);
    REQUIRE(row);
    CHECK(static_cast<int>(row->cipher) == expected.encryption);
    CHECK(row->key_length_bits() == static_cast<unsigned>(expected.key_length));
    CHECK(static_cast<int>(row->integrity) == expected.integrity);
  }
}

TEST_CASE("every suite authenticates") {
  for (const auto& row : suites()) {
    CAPTURE(row.name);
    const bool aead =
        row.cipher != Cipher::null && row.cipher != Cipher::aes_cbc && row.cipher != Cipher::aes_ctr;
    CHECK((row.integrity == Integrity::by_cipher) == aead);
    CHECK(row.icv_bytes >= 12);
  }
}

TEST_CASE("the names are made of their algorithms") {
  for (const auto& row : suites()) {
    if (row.integrity == Integrity::by_cipher) continue;
    CAPTURE(row.name);
    const int bits = row.icv_bytes == 12 ? 1 : row.integrity_key_bytes * 8;
    std::string cipher = "null";
    if (row.cipher != Cipher::null)
      cipher = "aes" + std::to_string(row.key_bytes * 8) + (row.cipher == Cipher::aes_cbc ? "-cbc" : "-ctr");
    CHECK(row.name == cipher + "-sha" + std::to_string(bits));
  }
}

TEST_CASE("nonce and AAD fit into an operation") {
  for (const auto& row : suites()) {
    if (row.salt_bytes != 0) CHECK(sizeof(Operation::nonce) >= row.salt_bytes + std::size_t{row.iv_bytes});
    CHECK(sizeof(Operation::aad) >= 12);
  }
}

#include "datapath/crypto/suite.hpp"

#include <catch2/catch.hpp>
#include <set>

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

TEST_CASE("AES-GCM-16 has the sizes of RFC 4106") {
  for (const auto& [name, key_bytes] :
       {std::pair{"aes128-gcm16", 16}, {"aes192-gcm16", 24}, {"aes256-gcm16", 32}}) {
    CAPTURE(name);
    const auto* row = find_suite(name);
    REQUIRE(row);
    CHECK(row->key_bytes == key_bytes);
    CHECK(row->salt_bytes == 4);   // RFC 4106 8.1
    CHECK(row->iv_bytes == 8);     // RFC 4106 3.1
    CHECK(row->icv_bytes == 16);   // RFC 4106 6
    CHECK(row->align_bytes == 4);  // RFC 4303 2.4
    CHECK(row->keymat_bytes() == static_cast<unsigned>(key_bytes) + 4);
  }
}

TEST_CASE("nonce and AAD fit into an operation") {
  for (const auto& row : suites()) {
    CHECK(sizeof(Operation::nonce) >= row.salt_bytes + std::size_t{row.iv_bytes});
    CHECK(sizeof(Operation::aad) >= 12);
  }
}

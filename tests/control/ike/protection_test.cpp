#include "control/ike/protection.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include "tests/control/ike/hex.hpp"
#include "tests/control/ike/sample_messages.hpp"

using namespace espgate;
using namespace espgate::ike;

namespace {

using Buffer = std::vector<std::uint8_t>;

Secret key_of(std::size_t size, std::uint8_t start) {
  Buffer bytes(size);
  std::iota(bytes.begin(), bytes.end(), start);
  return Secret(std::move(bytes));
}

Protection protection_with(const crypto::Suite& suite) {
  return {suite, key_of(suite.key_bytes + std::size_t{suite.salt_bytes}, 1),
          key_of(suite.integrity_key_bytes, 100)};
}

std::vector<const crypto::Suite*> suites() {
  std::vector<const crypto::Suite*> found;
  for (const auto& suite : crypto::suite_table)
    if (protects_ike(suite)) found.push_back(&suite);
  return found;
}

// As a receiver does it.
std::optional<Buffer> opened(Protection& protection, const Buffer& datagram) {
  Header header;
  Payloads payloads;
  if (decode_header(datagram, header)) return {};
  if (decode_payloads(header.first, Bytes(datagram).subspan(header_bytes), payloads)) return {};
  if (payloads.encrypted) return protection.open(datagram, payloads.encrypted->content);
  if (payloads.encrypted_fragment) return protection.open(datagram, payloads.encrypted_fragment->content);
  return {};
}

}  // namespace

TEST_CASE("suites that encrypt protect IKE; those that do not, or with SHA-1, do not") {
  std::set<std::string> names;
  for (const auto* suite : suites()) names.insert(std::string(suite->name));
  CHECK(names.size() == 13);
  CHECK(names.contains("aes256-gcm16"));
  CHECK(names.contains("chacha20-poly1305"));
  CHECK(names.contains("aes128-cbc-sha256"));
  CHECK_FALSE(names.contains("null-sha256"));
  CHECK_FALSE(names.contains("aes128-gmac"));
  CHECK_FALSE(names.contains("aes128-cbc-sha1"));
}

TEST_CASE("payloads of every size come out of SK as they went in") {
  for (const auto* suite : suites()) {
    CAPTURE(std::string(suite->name));
    auto ours = protection_with(*suite), theirs = protection_with(*suite);
    for (std::size_t size = 0; size < 70; ++size) {
      Buffer text(size);
      std::iota(text.begin(), text.end(), std::uint8_t{7});
      const auto datagram = ours.seal(test::header(), PayloadType::nonce, text);
      CHECK(opened(theirs, datagram) == text);
      if (size > 4)
        CHECK(std::search(datagram.begin(), datagram.end(), text.begin(), text.end()) == datagram.end());
    }
  }
}

TEST_CASE("no bit of a sealed message can be changed, and none cut off") {
  const auto writer = test::everything();
  for (const auto* suite : suites()) {
    CAPTURE(std::string(suite->name));
    auto protection = protection_with(*suite);
    const auto datagram = protection.seal(test::header(), writer.first(), writer.bytes().first(40));
    REQUIRE(opened(protection, datagram));
    int accepted = 0;
    for (std::size_t bit = 0; bit < 8 * datagram.size(); ++bit) {
      auto flipped = datagram;
      flipped[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      accepted += opened(protection, flipped).has_value();
    }
    CHECK(accepted == 0);
    for (std::size_t size = 0; size < datagram.size(); ++size) {
      Buffer part(datagram.begin(), datagram.begin() + static_cast<std::ptrdiff_t>(size));
      // With lengths that fit, so that only the ICV tells.
      if (size >= header_bytes + payload_header_bytes) {
        part[27] = static_cast<std::uint8_t>(size);
        part[header_bytes + 3] = static_cast<std::uint8_t>(size - header_bytes);
      }
      CHECK_FALSE(opened(protection, part));
    }
  }
}

TEST_CASE("another key, salt or integrity key opens nothing") {
  for (const auto* suite : suites()) {
    CAPTURE(std::string(suite->name));
    auto ours = protection_with(*suite);
    const auto datagram = ours.seal(test::header(), PayloadType::nonce, test::long_bytes);
    const std::size_t key_bytes = suite->key_bytes + std::size_t{suite->salt_bytes};
    if (suite->integrity == crypto::Integrity::by_cipher) {
      for (const std::size_t changed : {std::size_t{0}, key_bytes - 1}) {
        auto key = key_of(key_bytes, 1);
        key.writable()[changed] ^= 1;
        Protection other(*suite, std::move(key), Secret());
        CHECK_FALSE(opened(other, datagram));
      }
    } else {
      Protection other(*suite, key_of(key_bytes, 1), key_of(suite->integrity_key_bytes, 101));
      CHECK_FALSE(opened(other, datagram));
    }
  }
}

TEST_CASE("an IV is never used twice") {
  for (const auto* suite : suites()) {
    auto protection = protection_with(*suite);
    std::set<Buffer> seen;
    for (int i = 0; i < 200; ++i) {
      const auto datagram = protection.seal(test::header(), PayloadType::nonce, test::long_bytes);
      const auto iv = Bytes(datagram).subspan(header_bytes + payload_header_bytes, suite->iv_bytes);
      CHECK(seen.emplace(iv.begin(), iv.end()).second);
    }
  }
}

TEST_CASE("a long message goes in parts, each of which is protected (RFC 7383)") {
  Buffer text(3'000);
  std::iota(text.begin(), text.end(), std::uint8_t{0});
  for (const auto* suite : suites()) {
    CAPTURE(std::string(suite->name));
    auto ours = protection_with(*suite), theirs = protection_with(*suite);
    for (const std::size_t most : {140u, 576u, 1280u}) {
      const auto parts = ours.seal_in_parts(test::header(), PayloadType::id_initiator, text, most);
      REQUIRE(parts.size() > 1);
      Buffer whole;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        CHECK(parts[i].size() <= most);
        Header header;
        Payloads payloads;
        REQUIRE_FALSE(decode_header(parts[i], header));
        REQUIRE_FALSE(decode_payloads(header.first, Bytes(parts[i]).subspan(header_bytes), payloads));
        REQUIRE(payloads.encrypted_fragment);
        CHECK(payloads.encrypted_fragment->number == i + 1);
        CHECK(payloads.encrypted_fragment->total == parts.size());
        const auto part = opened(theirs, parts[i]);
        REQUIRE(part);
        whole.insert(whole.end(), part->begin(), part->end());
        // The number is authenticated, too.
        auto moved = parts[i];
        moved[header_bytes + payload_header_bytes + 3] ^= 1;
        CHECK_FALSE(opened(theirs, moved));
      }
      CHECK(whole == text);
    }
    CHECK(ours.seal_in_parts(test::header(), PayloadType::id_initiator, text, 4'000).size() == 1);
  }
}

// SHA-256 over values one after another: tells whether something with secrets in it is as it was, without
// keeping them. Any thread. Whoever uses it links libcrypto.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "datapath/base/secret.hpp"

namespace espgate {

using Digest = std::array<std::uint8_t, 32>;

class DigestInput {
 public:
  DigestInput() { bytes_.reserve(512); }
  DigestInput(const DigestInput&) = delete;
  DigestInput& operator=(const DigestInput&) = delete;
  ~DigestInput() { explicit_bzero(bytes_.data(), bytes_.size()); }

  template <typename Number>
  void add(Number number) {
    static_assert(std::is_integral_v<Number> || std::is_enum_v<Number>);
    auto value = static_cast<std::uint64_t>(number);
    for (int i = 0; i < 8; ++i, value >>= 8) push(static_cast<std::uint8_t>(value));
  }
  // With their length in front, so that two of them never read as two others.
  void add(const std::vector<std::uint8_t>& bytes) {
    add(bytes.size());
    add_raw(bytes);
  }
  void add_raw(std::span<const std::uint8_t> bytes) {
    for (const auto byte : bytes) push(byte);
  }

  // Of all that was added so far.
  Digest digest() const {
    // Looked up once: looking up an algorithm costs OpenSSL 3 more than a digest of this size.
    static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    Digest result{};
    EVP_Digest(bytes_.data(), bytes_.size(), result.data(), nullptr, sha256, nullptr);
    return result;
  }

 private:
  void push(std::uint8_t byte) {
    if (bytes_.size() == bytes_.capacity()) grow();
    bytes_.push_back(byte);
  }
  // By hand, since a vector that grows by itself leaves its old bytes behind.
  void grow() {
    std::vector<std::uint8_t> larger;
    larger.reserve(bytes_.capacity() * 2);
    larger.insert(larger.end(), bytes_.begin(), bytes_.end());
    explicit_bzero(bytes_.data(), bytes_.size());
    bytes_.swap(larger);
  }

  std::vector<std::uint8_t> bytes_;
};

}  // namespace espgate

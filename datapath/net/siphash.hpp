// SipHash (Aumasson, Bernstein 2012): a short keyed hash of which nobody without the key can tell a value.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace espgate::net {

using SipKey = std::array<std::uint64_t, 2>;

// Of whole little-endian words; the last one takes the place of the rest and length of a text of bytes, so
// that all texts hashed under one key for one purpose must have one length for each kind.
template <int compressions, int finalizations>
class SipHash {
 public:
  explicit SipHash(const SipKey& key)
      : a_(key[0] ^ 0x736f'6d65'7073'6575),
        b_(key[1] ^ 0x646f'7261'6e64'6f6d),
        c_(key[0] ^ 0x6c79'6765'6e65'7261),
        d_(key[1] ^ 0x7465'6462'7974'6573) {}

  void add(std::uint64_t word) {
    d_ ^= word;
    for (int i = 0; i < compressions; ++i) round();
    a_ ^= word;
  }
  void add(const std::uint8_t* eight_bytes) {
    std::uint64_t word;
    std::memcpy(&word, eight_bytes, sizeof word);
    add(word);
  }
  std::uint64_t finish(std::uint64_t last) {
    add(last);
    c_ ^= 0xff;
    for (int i = 0; i < finalizations; ++i) round();
    return a_ ^ b_ ^ c_ ^ d_;
  }

 private:
  void round() {
    a_ += b_;
    b_ = std::rotl(b_, 13) ^ a_;
    a_ = std::rotl(a_, 32);
    c_ += d_;
    d_ = std::rotl(d_, 16) ^ c_;
    a_ += d_;
    d_ = std::rotl(d_, 21) ^ a_;
    c_ += b_;
    b_ = std::rotl(b_, 17) ^ c_;
    c_ = std::rotl(c_, 32);
  }

  std::uint64_t a_, b_, c_, d_;
};

using SipHash13 = SipHash<1, 3>;  // as fast as a table's hash must be
using SipHash24 = SipHash<2, 4>;  // as published

}  // namespace espgate::net

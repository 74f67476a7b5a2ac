// What the two halves of the SA table, writer and bulk lookup, share: the layout of a bucket and which
// two buckets a key may be in. Not for users of the table.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "datapath/sa/sa_table.hpp"

namespace espgate::sa::detail {

inline constexpr unsigned slots_a_bucket = 8;

struct alignas(64) Bucket {
  std::atomic<std::uint64_t> slots[slots_a_bucket];
};
static_assert(sizeof(Bucket) == 64);

constexpr std::uint64_t word(std::uint32_t spi, std::uint32_t index) {
  return static_cast<std::uint64_t>(index) << 32 | spi;
}
constexpr std::uint32_t spi_of(std::uint64_t word) {
  return static_cast<std::uint32_t>(word);
}
constexpr std::uint32_t index_of(std::uint64_t word) {
  return static_cast<std::uint32_t>(word >> 32);
}

// With no_sa as its index, an empty slot that is "found" by a lookup of SPI 0 gives the right answer.
inline constexpr std::uint64_t empty_word = word(0, no_sa);

// The second multiplication sees the well mixed high half of the first, so both halves of the result
// depend on every bit of the SPI: each numbers one bucket.
inline constexpr std::uint64_t multiplier_1 = 0x9e37'79b9'7f4a'7c15;
inline constexpr std::uint64_t multiplier_2 = 0xd6e8'feb8'6659'fd93;

constexpr std::uint64_t mix(std::uint32_t spi) {
  const std::uint64_t product = spi * multiplier_1;
  return (product ^ product >> 32) * multiplier_2;
}

struct BucketPair {
  std::uint32_t first;
  std::uint32_t second;
};

constexpr BucketPair buckets_of(std::uint32_t spi, std::uint32_t mask) {
  const std::uint64_t mixed = mix(spi);
  return {static_cast<std::uint32_t>(mixed) & mask, static_cast<std::uint32_t>(mixed >> 32) & mask};
}

// Looks up at most 64 SPIs and says whether any was not found. A "not found" of this is final only if
// no entry moved meanwhile; an index it gives is right.
using BulkFind = bool (*)(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis,
                          std::size_t count, std::uint32_t* out);

bool find_sse42(const Bucket*, std::uint32_t, const std::uint32_t*, std::size_t, std::uint32_t*);
bool find_avx2(const Bucket*, std::uint32_t, const std::uint32_t*, std::size_t, std::uint32_t*);
bool find_avx512(const Bucket*, std::uint32_t, const std::uint32_t*, std::size_t, std::uint32_t*);

}  // namespace espgate::sa::detail

// What the halves of the SA table, writer and lookup, share: the layout of a bucket and where a key may
// be. Not for users of the table.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "datapath/sa/sa_table.hpp"

namespace espgate::sa::detail {

inline constexpr unsigned slots_a_bucket = 8;
inline constexpr std::uint32_t no_slot = 0xffff'ffff;

struct alignas(64) Bucket {
  std::atomic<std::uint64_t> slots[slots_a_bucket];
};
static_assert(sizeof(Bucket) == 64);

// A slot holds an entry, {24 bits SA index, SPI}, under 8 of the 64 bits of its bucket's filter.
inline constexpr std::uint64_t entry_mask = (std::uint64_t{1} << 56) - 1;

constexpr std::uint64_t entry(std::uint32_t spi, std::uint32_t index) {
  return (static_cast<std::uint64_t>(index) << 32 | spi) & entry_mask;
}
constexpr std::uint32_t spi_of(std::uint64_t word) {
  return static_cast<std::uint32_t>(word);
}
// The index is extended by its sign, so that no_sa is no_sa again.
constexpr std::uint32_t index_of(std::uint64_t word) {
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(static_cast<std::uint32_t>(word >> 32) << 8) >>
                                    8);
}

// With no_sa as its index, an empty slot that is "found" by a lookup of SPI 0 gives the right answer.
inline constexpr std::uint64_t empty_entry = entry(0, no_sa);
static_assert(index_of(empty_entry | ~entry_mask) == no_sa);
static_assert(index_of(entry(1, SaTable::most_entries - 1) | ~entry_mask) == SaTable::most_entries - 1);

// Multiplications of 32 bits by 32, which vectors have. The second sees the well mixed high half of the
// first, so both halves of the result depend on every bit of the SPI: each numbers one bucket.
inline constexpr std::uint32_t multiplier_1 = 0x9e37'79b9;
inline constexpr std::uint32_t multiplier_2 = 0xd6e8'feb9;

constexpr std::uint64_t mix(std::uint32_t spi) {
  const std::uint64_t product = std::uint64_t{spi} * multiplier_1;
  return std::uint64_t{static_cast<std::uint32_t>(product ^ product >> 32)} * multiplier_2;
}

// Where a key may be: its two buckets, and what in the first one's filter says to look in the second: in the
// word of that slot one or two of the upper eight bits.
struct Places {
  std::uint32_t first;
  std::uint32_t second;
  std::uint32_t filter_slot;
  std::uint64_t filter_bits;
};

// The hash's low half numbers the first bucket with 21 bits at most and the filter's with its top nine.
static_assert(SaTable::most_entries <= std::size_t{1} << 23);
inline constexpr unsigned filter_slot_at = 29;
inline constexpr unsigned filter_bit_at[] = {26, 23};

constexpr Places places_of(std::uint32_t spi, std::uint32_t mask) {
  const std::uint64_t mixed = mix(spi);
  const auto low = static_cast<std::uint32_t>(mixed);
  const std::uint64_t filter =
      std::uint64_t{1} << (low >> filter_bit_at[0] & 7) | std::uint64_t{1} << (low >> filter_bit_at[1] & 7);
  return {low & mask, static_cast<std::uint32_t>(mixed >> 32) & mask, low >> filter_slot_at, filter << 56};
}

// Whether a key with these places may lodge: it does, or others with its bits do.
inline bool may_lodge(const Bucket* buckets, const Places& places) {
  const auto& slot = buckets[places.first].slots[places.filter_slot];
  return (~slot.load(std::memory_order_acquire) & places.filter_bits) == 0;
}

// A "not found" of `not_all` is final only if no entry moved meanwhile, one of `disturbed` never; an index is
// always right.
enum class Found : std::uint8_t { all, not_all, disturbed };

// Looks up at most 64 SPIs.
using BulkFind = Found (*)(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis,
                           std::size_t count, std::uint32_t* out);

Found find_sse42(const Bucket*, std::uint32_t, const std::uint32_t*, std::size_t, std::uint32_t*);
Found find_avx2(const Bucket*, std::uint32_t, const std::uint32_t*, std::size_t, std::uint32_t*);
Found find_avx512(const Bucket*, std::uint32_t, const std::uint32_t*, std::size_t, std::uint32_t*);

}  // namespace espgate::sa::detail

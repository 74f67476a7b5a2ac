// Bulk lookup by vector compare: the steps that all instruction sets share, for the file of each to
// instantiate with its own vectors.
//
//   place    the hashes of a vector of keys; the first keys' buckets are on their way into the cache at once;
//   compare  a key with its first bucket, without a branch on the outcome. The slot that matched is read
//            again as one atomic word, since a vector load is not atomic as a whole; where nothing matched,
//            the slot with the key's part of the filter is read instead. A word tells all there is to know,
//            unless what matched was overwritten in between: it may have moved before the caller began, and
//            what the filter would say of that was not read;
//   settle   a vector of keys from their words: the index, no_sa, or to go on;
//   go on    with the few keys that may be in their second buckets.
//
// The columns between the steps let each be a tight loop, and the processor wait for several buckets at once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "datapath/sa/sa_table_bucket.hpp"

namespace espgate::sa::detail {

inline constexpr std::size_t largest_burst = 64;

// What is known of the keys of a burst. The last vector is padded with SPI 0.
struct Columns {
  alignas(64) std::uint32_t spi[largest_burst];
  alignas(64) std::uint32_t first[largest_burst];   // the buckets, as their distances in bytes ...
  alignas(64) std::uint32_t second[largest_burst];  // ... from the start of the table
  alignas(64) std::uint32_t filter[largest_burst];  // filter_bits, of which the upper half is enough
  alignas(64) std::uint32_t stop[largest_burst];    // stop_at_slot_0 << 2 * filter_slot
  alignas(64) std::uint64_t word[largest_burst];
};

// A bit for each half of a bucket's slots, in memory order. Only halves that are SPIs may have one set.
using EqualHalves = std::uint32_t;
inline constexpr EqualHalves spi_halves = 0x5555;
// A bit above those, where the search for a match ends if there is none, and which slot to read then.
inline constexpr EqualHalves stop_at_slot_0 = 0x10000;

// A bit for each of a vector's keys, the least significant for the first.
struct Settled {
  std::uint32_t not_here;  // in the first bucket
  std::uint32_t go_on;     // those of them that may be in the second
};

inline const Bucket* bucket_at(const Bucket* buckets, std::uint32_t distance) {
  return reinterpret_cast<const Bucket*>(reinterpret_cast<const std::byte*>(buckets) + distance);
}

inline std::uint64_t matching(const Bucket* bucket, EqualHalves equal, EqualHalves stop) {
  const auto half = static_cast<unsigned>(__builtin_ctz(equal | stop));
  return bucket->slots[half / 2 % slots_a_bucket].load(std::memory_order_acquire);
}

// Without being taken for a memcpy, which gcc makes a slow string instruction of.
inline void copy_few(const std::uint32_t* from, std::size_t count, std::uint32_t* to) {
  for (std::size_t i = 0; i < count; ++i) {
    to[i] = from[i];
    asm volatile("");
  }
}

// `Isa` has these, each with the attribute for its instruction set, as has the caller of this:
//   lanes                                  keys in a vector
//   place(columns, at, spis, mask)         sets all columns but `word`, for the vector of keys at `at`
//   equal(bucket, spi) -> EqualHalves
//   settle(columns, at, found) -> Settled  sets found[] to indices and no_sa
template <typename Isa>
[[gnu::always_inline]] inline Found find_by(const Bucket* buckets, std::uint32_t mask,
                                            const std::uint32_t* spis, std::size_t count,
                                            std::uint32_t* out) {
  constexpr std::size_t keys_ahead = 16;  // as many lines as today's cores have fill buffers
  Columns columns;
  std::uint32_t padded[Isa::lanes];
  for (std::size_t from = 0; from < count; from += Isa::lanes) {
    const std::size_t size = std::min(Isa::lanes, count - from);
    const std::uint32_t* keys = spis + from;
    if (size < Isa::lanes) {
      std::fill_n(padded, Isa::lanes, 0);
      copy_few(keys, size, padded);
      keys = padded;
    }
    Isa::place(columns, from, keys, mask);
    if (from < keys_ahead)
      for (std::size_t i = from; i < from + size; ++i)
        __builtin_prefetch(bucket_at(buckets, columns.first[i]));
  }

  EqualHalves overwritten = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + keys_ahead < count) __builtin_prefetch(bucket_at(buckets, columns.first[i + keys_ahead]));
    const Bucket* bucket = bucket_at(buckets, columns.first[i]);
    const EqualHalves equal = Isa::equal(bucket, columns.spi[i]);
    columns.word[i] = matching(bucket, equal, columns.stop[i]);
    overwritten |= equal & (0u - static_cast<EqualHalves>(spi_of(columns.word[i]) != columns.spi[i]));
  }

  std::uint64_t go_on = 0;
  std::uint32_t missed = 0;
  for (std::size_t from = 0; from < count; from += Isa::lanes) {
    const std::size_t size = std::min(Isa::lanes, count - from);
    const Settled settled = Isa::settle(columns, from, size < Isa::lanes ? padded : out + from);
    if (size < Isa::lanes) copy_few(padded, size, out + from);
    const std::uint32_t used = (1u << size) - 1;
    missed |= settled.not_here & ~settled.go_on & used;
    go_on |= std::uint64_t{settled.go_on & used} << from;
  }

  for (; go_on != 0; go_on &= go_on - 1) {
    const auto i = static_cast<std::size_t>(__builtin_ctzll(go_on));
    const Bucket* bucket = bucket_at(buckets, columns.second[i]);
    const std::uint64_t word = matching(bucket, Isa::equal(bucket, columns.spi[i]), stop_at_slot_0);
    const auto differs = static_cast<std::uint32_t>(spi_of(word) != columns.spi[i]);
    out[i] = index_of(word) | (0u - differs);  // no_sa is all ones
    missed |= differs;
  }
  // Keeps the compiler from moving vector loads, of which it does not know that they race, past the
  // caller's look at the table's move count. The processor does not reorder loads.
  asm volatile("" ::: "memory");
  if (overwritten != 0) return Found::disturbed;
  return missed != 0 ? Found::not_all : Found::all;
}

}  // namespace espgate::sa::detail

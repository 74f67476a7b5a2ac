// Bulk lookup by vector compare, once for each instruction set.
//
// All have the same shape: buckets are prefetched some keys ahead; each key is compared with the 16
// slots of its two buckets at once, without a branch on the outcome; the slot that matched is read again
// as one atomic word, since a vector load is not atomic as a whole. Where nothing matched some slot is
// read all the same, and its SPI, which differs, tells.
#include <immintrin.h>

#include <algorithm>

#include "datapath/sa/sa_table_bucket.hpp"

namespace espgate::sa::detail {
namespace {

class Burst {
 public:
  Burst(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis, std::size_t count)
      : buckets_(buckets), mask_(mask), spis_(spis), count_(count) {
    for (std::size_t i = 0; i < std::min(keys_ahead, count); ++i) prefetch(i);
  }

  void prefetch_beyond(std::size_t i) {
    if (i + keys_ahead < count_) prefetch(i + keys_ahead);
  }

  std::size_t count() const { return count_; }
  int spi(std::size_t i) const { return static_cast<int>(spis_[i]); }
  const Bucket* first(std::size_t i) const { return first_[i]; }
  const Bucket* second(std::size_t i) const { return second_[i]; }

  // `position` 0..7 is a slot of the first bucket, 8..15 one of the second; of other values the low
  // four bits count.
  void read_slot(std::size_t i, unsigned position) {
    const Bucket* bucket = (position & slots_a_bucket) != 0 ? second_[i] : first_[i];
    words_[i] = bucket->slots[position % slots_a_bucket].load(std::memory_order_acquire);
  }

  // True when any was not found. no_sa is all ones, so "or" does what a branch on hit or miss would.
  bool finish(std::uint32_t* out) const {
    // Keeps the compiler from moving vector loads, of which it does not know that they race, past the
    // caller's look at the table's move count. The processor does not reorder loads.
    asm volatile("" ::: "memory");
    std::uint32_t missed = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const auto differs = static_cast<std::uint32_t>(spi_of(words_[i]) != spis_[i]);
      out[i] = index_of(words_[i]) | (0u - differs);
      missed |= static_cast<std::uint32_t>(out[i] == no_sa);
    }
    return missed != 0;
  }

 private:
  // Two lines each keep the line fill buffers of today's cores busy, and no more than busy.
  static constexpr std::size_t keys_ahead = 16;
  static constexpr std::size_t largest_burst = 64;

  void prefetch(std::size_t i) {
    const BucketPair pair = buckets_of(spis_[i], mask_);
    first_[i] = buckets_ + pair.first;
    second_[i] = buckets_ + pair.second;
    __builtin_prefetch(first_[i]);
    __builtin_prefetch(second_[i]);
  }

  const Bucket* buckets_;
  std::uint32_t mask_;
  const std::uint32_t* spis_;
  std::size_t count_;
  const Bucket* first_[largest_burst];
  const Bucket* second_[largest_burst];
  alignas(64) std::uint64_t words_[largest_burst];
};

inline __m128i spis_of_four_slots(const float* slots) {
  return _mm_castps_si128(
      _mm_shuffle_ps(_mm_load_ps(slots), _mm_load_ps(slots + 4), _MM_SHUFFLE(2, 0, 2, 0)));
}

inline __m128i equal_slots(const Bucket* bucket, __m128i spi) {
  const auto* line = reinterpret_cast<const float*>(bucket);
  return _mm_packs_epi32(_mm_cmpeq_epi32(spis_of_four_slots(line), spi),
                         _mm_cmpeq_epi32(spis_of_four_slots(line + 8), spi));
}

// The shuffle that gathers eight SPIs works within 128-bit halves, so the slots come out in the order
// 0 1 4 5 2 3 6 7.
__attribute__((target("avx2"))) inline unsigned equal_slots_avx2(const Bucket* bucket, __m256i spi) {
  const auto* line = reinterpret_cast<const float*>(bucket);
  const __m256 spis =
      _mm256_shuffle_ps(_mm256_load_ps(line), _mm256_load_ps(line + 8), _MM_SHUFFLE(2, 0, 2, 0));
  const __m256i equal = _mm256_cmpeq_epi32(_mm256_castps_si256(spis), spi);
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(equal)));
}

}  // namespace

bool find_sse42(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis, std::size_t count,
                std::uint32_t* out) {
  Burst burst(buckets, mask, spis, count);
  for (std::size_t i = 0; i < burst.count(); ++i) {
    burst.prefetch_beyond(i);
    const __m128i spi = _mm_set1_epi32(burst.spi(i));
    const __m128i equal =
        _mm_packs_epi16(equal_slots(burst.first(i), spi), equal_slots(burst.second(i), spi));
    constexpr unsigned end = 1u << 16;  // where the search for a bit stops if there is none
    burst.read_slot(
        i, static_cast<unsigned>(__builtin_ctz(static_cast<unsigned>(_mm_movemask_epi8(equal)) | end)));
  }
  return burst.finish(out);
}

__attribute__((target("avx2,bmi"))) bool find_avx2(const Bucket* buckets, std::uint32_t mask,
                                                   const std::uint32_t* spis, std::size_t count,
                                                   std::uint32_t* out) {
  Burst burst(buckets, mask, spis, count);
  for (std::size_t i = 0; i < burst.count(); ++i) {
    burst.prefetch_beyond(i);
    const __m256i spi = _mm256_set1_epi32(burst.spi(i));
    const unsigned equal = equal_slots_avx2(burst.first(i), spi) | equal_slots_avx2(burst.second(i), spi)
                                                                       << slots_a_bucket;
    const unsigned bit = _tzcnt_u32(equal);
    burst.read_slot(i, (bit & 0b1001) | (bit & 0b10) << 1 | (bit & 0b100) >> 1);
  }
  return burst.finish(out);
}

__attribute__((target("avx512f,bmi"))) bool find_avx512(const Bucket* buckets, std::uint32_t mask,
                                                        const std::uint32_t* spis, std::size_t count,
                                                        std::uint32_t* out) {
  Burst burst(buckets, mask, spis, count);
  const __m512i spi_halves = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  for (std::size_t i = 0; i < burst.count(); ++i) {
    burst.prefetch_beyond(i);
    const __m512i stored = _mm512_permutex2var_epi32(_mm512_load_si512(burst.first(i)), spi_halves,
                                                     _mm512_load_si512(burst.second(i)));
    burst.read_slot(i, _tzcnt_u32(_mm512_cmpeq_epi32_mask(stored, _mm512_set1_epi32(burst.spi(i)))));
  }
  return burst.finish(out);
}

}  // namespace espgate::sa::detail

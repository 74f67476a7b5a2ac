// Bulk lookup by vector compare, once for each instruction set.
//
// All have the same shape: the buckets of the whole burst are prefetched; then each key is compared with
// the 16 slots of its two buckets at once, without a branch on the outcome; then the slot that matched
// is read again as one atomic word, since a vector load is not atomic as a whole. Where nothing matched
// some slot is read all the same, and its SPI, which differs, tells.
#include <immintrin.h>

#include "datapath/sa/sa_table_bucket.hpp"

namespace espgate::sa::detail {
namespace {

constexpr std::size_t largest_burst = 64;

// Keeps the compiler from moving vector loads, of which it does not know that they race, past the
// caller's look at the table's move count. The processor does not reorder loads.
inline void end_of_vector_loads() {
  asm volatile("" ::: "memory");
}

inline std::uint32_t reread(const Bucket& bucket, unsigned slot, std::uint32_t spi) {
  const std::uint64_t word = bucket.slots[slot].load(std::memory_order_acquire);
  return spi_of(word) == spi ? index_of(word) : no_sa;
}

struct BurstBuckets {
  const Bucket* first[largest_burst];
  const Bucket* second[largest_burst];
};

inline void prefetch_burst(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis,
                           std::size_t count, BurstBuckets& burst) {
  for (std::size_t i = 0; i < count; ++i) {
    const BucketPair pair = buckets_of(spis[i], mask);
    burst.first[i] = buckets + pair.first;
    burst.second[i] = buckets + pair.second;
    __builtin_prefetch(burst.first[i]);
    __builtin_prefetch(burst.second[i]);
  }
}

}  // namespace

bool find_sse42(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis, std::size_t count,
                std::uint32_t* out) {
  BurstBuckets burst;
  prefetch_burst(buckets, mask, spis, count, burst);
  bool missed = false;
  for (std::size_t i = 0; i < count; ++i) {
    const __m128i spi = _mm_set1_epi32(static_cast<int>(spis[i]));
    __m128i equal[2];
    for (unsigned side = 0; side < 2; ++side) {
      const auto* line = reinterpret_cast<const float*>(side == 0 ? burst.first[i] : burst.second[i]);
      const __m128 low = _mm_shuffle_ps(_mm_load_ps(line), _mm_load_ps(line + 4), _MM_SHUFFLE(2, 0, 2, 0));
      const __m128 high =
          _mm_shuffle_ps(_mm_load_ps(line + 8), _mm_load_ps(line + 12), _MM_SHUFFLE(2, 0, 2, 0));
      equal[side] = _mm_packs_epi32(_mm_cmpeq_epi32(_mm_castps_si128(low), spi),
                                    _mm_cmpeq_epi32(_mm_castps_si128(high), spi));
    }
    const int slots = _mm_movemask_epi8(_mm_packs_epi16(equal[0], equal[1]));
    const auto slot = static_cast<unsigned>(__builtin_ctz(static_cast<unsigned>(slots) | 1u << 15));
    out[i] =
        reread(slot < slots_a_bucket ? *burst.first[i] : *burst.second[i], slot % slots_a_bucket, spis[i]);
    missed |= out[i] == no_sa;
  }
  end_of_vector_loads();
  return missed;
}

// The shuffle that gathers eight SPIs works within 128-bit halves, so the slots come out in the order
// 0 1 4 5 2 3 6 7: bits 1 and 2 of the position are swapped.
__attribute__((target("avx2,bmi"))) bool find_avx2(const Bucket* buckets, std::uint32_t mask,
                                                   const std::uint32_t* spis, std::size_t count,
                                                   std::uint32_t* out) {
  BurstBuckets burst;
  prefetch_burst(buckets, mask, spis, count, burst);
  bool missed = false;
  for (std::size_t i = 0; i < count; ++i) {
    const __m256i spi = _mm256_set1_epi32(static_cast<int>(spis[i]));
    unsigned equal[2];
    for (unsigned side = 0; side < 2; ++side) {
      const auto* line = reinterpret_cast<const float*>(side == 0 ? burst.first[i] : burst.second[i]);
      const __m256 stored =
          _mm256_shuffle_ps(_mm256_load_ps(line), _mm256_load_ps(line + 8), _MM_SHUFFLE(2, 0, 2, 0));
      equal[side] = static_cast<unsigned>(
          _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_castps_si256(stored), spi))));
    }
    const auto position = static_cast<unsigned>(__builtin_ctz(equal[0] | equal[1] << 8 | 1u << 15));
    const unsigned slot = (position & 1) | (position & 2) << 1 | (position & 4) >> 1;
    out[i] = reread(position < slots_a_bucket ? *burst.first[i] : *burst.second[i], slot, spis[i]);
    missed |= out[i] == no_sa;
  }
  end_of_vector_loads();
  return missed;
}

__attribute__((target("avx512f,avx512dq,avx512vl,bmi"))) bool find_avx512(const Bucket* buckets,
                                                                          std::uint32_t mask,
                                                                          const std::uint32_t* spis,
                                                                          std::size_t count,
                                                                          std::uint32_t* out) {
  using Lanes = unsigned long long __attribute__((vector_size(64)));  // plain operators for eight keys
  alignas(64) BurstBuckets burst;
  for (std::size_t i = 0; i < count; i += 8) {
    const auto present = static_cast<__mmask8>(count - i >= 8 ? 0xff : (1u << (count - i)) - 1);
    const auto spi = reinterpret_cast<Lanes>(
        _mm512_maskz_cvtepu32_epi64(present, _mm256_maskz_loadu_epi32(present, spis + i)));
    const Lanes product = spi * multiplier_1;
    const Lanes mixed = (product ^ product >> 32) * multiplier_2;
    const Lanes base = Lanes{} + reinterpret_cast<std::uintptr_t>(buckets);
    const Lanes first = base + (mixed & mask) * sizeof(Bucket);
    const Lanes second = base + (mixed >> 32 & mask) * sizeof(Bucket);
    _mm512_store_si512(&burst.first[i], reinterpret_cast<__m512i>(first));
    _mm512_store_si512(&burst.second[i], reinterpret_cast<__m512i>(second));
    for (std::size_t k = i; k < i + 8; ++k) {
      __builtin_prefetch(burst.first[k]);
      __builtin_prefetch(burst.second[k]);
    }
  }
  bool missed = false;
  for (std::size_t i = 0; i < count; ++i) {
    constexpr __mmask16 spi_halves = 0x5555;
    const __m512i spi = _mm512_set1_epi32(static_cast<int>(spis[i]));
    const unsigned in_first =
        _mm512_mask_cmpeq_epi32_mask(spi_halves, spi, _mm512_load_si512(burst.first[i]));
    const unsigned in_second =
        _mm512_mask_cmpeq_epi32_mask(spi_halves, spi, _mm512_load_si512(burst.second[i]));
    const auto half = static_cast<unsigned>(__builtin_ctz(in_first | in_second << 16 | 1u << 31));
    out[i] = reread(half < 16 ? *burst.first[i] : *burst.second[i], half % 16 / 2, spis[i]);
    missed |= out[i] == no_sa;
  }
  end_of_vector_loads();
  return missed;
}

}  // namespace espgate::sa::detail

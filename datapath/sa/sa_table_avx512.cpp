// Bulk lookup with AVX-512: sixteen keys a vector, a bucket a vector.
#include <immintrin.h>

#include "datapath/sa/sa_table_lookup.hpp"

// gcc 12 takes the undefined upper operand of its own unmasked intrinsics for a mistake of ours (GCC bug
// 105593).
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define WITH_AVX512 __attribute__((target("avx512f,bmi,bmi2")))

namespace espgate::sa::detail {
namespace {

// `mix` of the even keys.
WITH_AVX512 inline __m512i mix_even(__m512i spis) {
  const __m512i product = _mm512_mul_epu32(spis, _mm512_set1_epi64(multiplier_1));
  return _mm512_mul_epu32(_mm512_xor_si512(product, _mm512_srli_epi64(product, 32)),
                          _mm512_set1_epi64(multiplier_2));
}

WITH_AVX512 inline __m512i bucket_distance(__m512i hash, std::uint32_t mask) {
  return _mm512_slli_epi32(_mm512_and_si512(hash, _mm512_set1_epi32(static_cast<int>(mask))), 6);
}

template <unsigned at>
WITH_AVX512 inline __m512i filter_bit(__m512i hash) {
  const __m512i bit = _mm512_and_si512(_mm512_srli_epi32(hash, at), _mm512_set1_epi32(7));
  return _mm512_sllv_epi32(_mm512_set1_epi32(1 << 24), bit);
}

struct Avx512 {
  static constexpr std::size_t lanes = 16;

  WITH_AVX512 static void place(Columns& columns, std::size_t at, const std::uint32_t* spis,
                                std::uint32_t mask) {
    constexpr __mmask16 odd_keys = 0xaaaa;
    const __m512i keys = _mm512_loadu_si512(spis);
    _mm512_store_si512(columns.spi + at, keys);
    const __m512i even = mix_even(keys);
    const __m512i odd = mix_even(_mm512_srli_epi64(keys, 32));
    const __m512i low = _mm512_mask_blend_epi32(odd_keys, even, _mm512_slli_epi64(odd, 32));
    const __m512i high = _mm512_mask_blend_epi32(odd_keys, _mm512_srli_epi64(even, 32), odd);
    _mm512_store_si512(columns.first + at, bucket_distance(low, mask));
    _mm512_store_si512(columns.second + at, bucket_distance(high, mask));
    _mm512_store_si512(columns.filter + at,
                       _mm512_or_si512(filter_bit<filter_bit_at[0]>(low), filter_bit<filter_bit_at[1]>(low)));
    const __m512i slot = _mm512_srli_epi32(low, filter_slot_at);
    _mm512_store_si512(columns.stop + at,
                       _mm512_sllv_epi32(_mm512_set1_epi32(stop_at_slot_0), _mm512_add_epi32(slot, slot)));
  }

  WITH_AVX512 static EqualHalves equal(const Bucket* bucket, std::uint32_t spi) {
    return _mm512_mask_cmpeq_epi32_mask(spi_halves, _mm512_load_si512(bucket),
                                        _mm512_set1_epi32(static_cast<int>(spi)));
  }

  WITH_AVX512 static Settled settle(Columns& columns, std::size_t at, std::uint32_t* found) {
    const __m512i lower = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i upper = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    const __m512i words[] = {_mm512_load_si512(columns.word + at), _mm512_load_si512(columns.word + at + 8)};
    const __m512i spis = _mm512_permutex2var_epi32(words[0], lower, words[1]);
    const __m512i rest = _mm512_permutex2var_epi32(words[0], upper, words[1]);
    const __mmask16 differ = _mm512_cmpneq_epi32_mask(spis, _mm512_load_si512(columns.spi + at));
    const __m512i filter = _mm512_load_si512(columns.filter + at);
    const __mmask16 go_on = _mm512_mask_cmpeq_epi32_mask(differ, _mm512_and_si512(rest, filter), filter);
    const __m512i index = _mm512_srai_epi32(_mm512_slli_epi32(rest, 8), 8);
    _mm512_storeu_si512(found, _mm512_mask_set1_epi32(index, differ, static_cast<int>(no_sa)));
    return {differ, go_on};
  }
};

}  // namespace

WITH_AVX512 Found find_avx512(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis,
                              std::size_t count, std::uint32_t* out) {
  return find_by<Avx512>(buckets, mask, spis, count, out);
}

}  // namespace espgate::sa::detail

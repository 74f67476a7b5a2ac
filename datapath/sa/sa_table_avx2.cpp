// Bulk lookup with AVX2: eight keys a vector, half a bucket a vector.
#include <immintrin.h>

#include "datapath/sa/sa_table_lookup.hpp"

#define WITH_AVX2 __attribute__((target("avx2,bmi,bmi2")))

namespace espgate::sa::detail {
namespace {

WITH_AVX2 inline __m256i load(const void* from) {
  return _mm256_load_si256(static_cast<const __m256i*>(from));
}
WITH_AVX2 inline void store(void* to, __m256i values) {
  _mm256_store_si256(static_cast<__m256i*>(to), values);
}
WITH_AVX2 inline __m256i all(std::uint32_t value) {
  return _mm256_set1_epi32(static_cast<int>(value));
}
WITH_AVX2 inline std::uint32_t bits(__m256i lanes) {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(lanes)));
}

// `mix` of the even keys.
WITH_AVX2 inline __m256i mix_even(__m256i spis) {
  const __m256i product = _mm256_mul_epu32(spis, _mm256_set1_epi64x(multiplier_1));
  return _mm256_mul_epu32(_mm256_xor_si256(product, _mm256_srli_epi64(product, 32)),
                          _mm256_set1_epi64x(multiplier_2));
}

WITH_AVX2 inline __m256i bucket_distance(__m256i hash, std::uint32_t mask) {
  return _mm256_slli_epi32(_mm256_and_si256(hash, all(mask)), 6);
}

template <unsigned at>
WITH_AVX2 inline __m256i filter_bit(__m256i hash) {
  return _mm256_sllv_epi32(all(1u << 24), _mm256_and_si256(_mm256_srli_epi32(hash, at), all(7)));
}

// The 32-bit halves of eight words, the lower for 0b10'00'10'00 and the upper for 0b11'01'11'01. The shuffle
// works within 128 bits, hence the permutation.
template <int which>
WITH_AVX2 inline __m256i halves(const std::uint64_t* words) {
  const __m256 mixed =
      _mm256_shuffle_ps(_mm256_castsi256_ps(load(words)), _mm256_castsi256_ps(load(words + 4)), which);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0b11'01'10'00);
}

struct Avx2 {
  static constexpr std::size_t lanes = 8;

  WITH_AVX2 static void place(Columns& columns, std::size_t at, const std::uint32_t* spis,
                              std::uint32_t mask) {
    constexpr int odd_keys = 0b1010'1010;
    const __m256i keys = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(spis));
    store(columns.spi + at, keys);
    const __m256i even = mix_even(keys);
    const __m256i odd = mix_even(_mm256_srli_epi64(keys, 32));
    const __m256i low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), odd_keys);
    const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, odd_keys);
    store(columns.first + at, bucket_distance(low, mask));
    store(columns.second + at, bucket_distance(high, mask));
    store(columns.filter + at,
          _mm256_or_si256(filter_bit<filter_bit_at[0]>(low), filter_bit<filter_bit_at[1]>(low)));
    const __m256i slot = _mm256_srli_epi32(low, filter_slot_at);
    store(columns.stop + at, _mm256_sllv_epi32(all(stop_at_slot_0), _mm256_add_epi32(slot, slot)));
  }

  WITH_AVX2 static EqualHalves equal(const Bucket* bucket, std::uint32_t spi) {
    const EqualHalves low = bits(_mm256_cmpeq_epi32(load(bucket->slots), all(spi)));
    const EqualHalves high = bits(_mm256_cmpeq_epi32(load(bucket->slots + 4), all(spi)));
    return (low | high << lanes) & spi_halves;
  }

  WITH_AVX2 static Settled settle(Columns& columns, std::size_t at, std::uint32_t* found) {
    const __m256i spis = halves<0b10'00'10'00>(columns.word + at);
    const __m256i rest = halves<0b11'01'11'01>(columns.word + at);
    const __m256i same = _mm256_cmpeq_epi32(spis, load(columns.spi + at));
    const __m256i filter = load(columns.filter + at);
    const __m256i go_on =
        _mm256_andnot_si256(same, _mm256_cmpeq_epi32(_mm256_and_si256(rest, filter), filter));
    const __m256i index = _mm256_srai_epi32(_mm256_slli_epi32(rest, 8), 8);
    const __m256i differ = _mm256_xor_si256(same, all(0xffff'ffff));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(found), _mm256_or_si256(index, differ));
    return {bits(differ), bits(go_on)};
  }
};

}  // namespace

WITH_AVX2 Found find_avx2(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis,
                          std::size_t count, std::uint32_t* out) {
  return find_by<Avx2>(buckets, mask, spis, count, out);
}

}  // namespace espgate::sa::detail

// Bulk lookup with SSE4.2, which every processor has that this program runs on: four keys a vector, a
// quarter of a bucket a vector.
#include <immintrin.h>

#include "datapath/sa/sa_table_lookup.hpp"

namespace espgate::sa::detail {
namespace {

inline __m128i load(const void* from) {
  return _mm_load_si128(static_cast<const __m128i*>(from));
}
inline void store(void* to, __m128i values) {
  _mm_store_si128(static_cast<__m128i*>(to), values);
}
inline __m128i all(std::uint32_t value) {
  return _mm_set1_epi32(static_cast<int>(value));
}
inline std::uint32_t bits(__m128i lanes) {
  return static_cast<std::uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(lanes)));
}

// `mix` of the even keys.
inline __m128i mix_even(__m128i spis) {
  const __m128i product = _mm_mul_epu32(spis, _mm_set1_epi64x(multiplier_1));
  return _mm_mul_epu32(_mm_xor_si128(product, _mm_srli_epi64(product, 32)), _mm_set1_epi64x(multiplier_2));
}

inline __m128i bucket_distance(__m128i hash, std::uint32_t mask) {
  return _mm_slli_epi32(_mm_and_si128(hash, all(mask)), 6);
}

// 1 << exponent, of which there is no instruction: as the exponent of a float.
inline __m128i power_of_2(__m128i exponent) {
  constexpr std::uint32_t bias = 127;
  return _mm_cvttps_epi32(_mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(exponent, all(bias)), 23)));
}

template <unsigned at>
inline __m128i filter_bit(__m128i hash) {
  return _mm_slli_epi32(power_of_2(_mm_and_si128(_mm_srli_epi32(hash, at), all(7))), 24);
}

// The 32-bit halves of four words, the lower for 0b10'00'10'00 and the upper for 0b11'01'11'01.
template <int which>
inline __m128i halves(const std::uint64_t* words) {
  return _mm_castps_si128(
      _mm_shuffle_ps(_mm_castsi128_ps(load(words)), _mm_castsi128_ps(load(words + 2)), which));
}

struct Sse42 {
  static constexpr std::size_t lanes = 4;

  static void place(Columns& columns, std::size_t at, const std::uint32_t* spis, std::uint32_t mask) {
    constexpr int odd_keys = 0b1100'1100;  // in units of 16 bits
    const __m128i keys = _mm_loadu_si128(reinterpret_cast<const __m128i*>(spis));
    store(columns.spi + at, keys);
    const __m128i even = mix_even(keys);
    const __m128i odd = mix_even(_mm_srli_epi64(keys, 32));
    const __m128i low = _mm_blend_epi16(even, _mm_slli_epi64(odd, 32), odd_keys);
    const __m128i high = _mm_blend_epi16(_mm_srli_epi64(even, 32), odd, odd_keys);
    store(columns.first + at, bucket_distance(low, mask));
    store(columns.second + at, bucket_distance(high, mask));
    store(columns.filter + at,
          _mm_or_si128(filter_bit<filter_bit_at[0]>(low), filter_bit<filter_bit_at[1]>(low)));
    const __m128i slot = _mm_srli_epi32(low, filter_slot_at);
    store(columns.stop + at, _mm_slli_epi32(power_of_2(_mm_add_epi32(slot, slot)), 16));
  }

  static EqualHalves equal(const Bucket* bucket, std::uint32_t spi) {
    const __m128i wanted = all(spi);
    const auto quarter = [&](unsigned slot) { return _mm_cmpeq_epi32(load(bucket->slots + slot), wanted); };
    const __m128i equal =
        _mm_packs_epi16(_mm_packs_epi32(quarter(0), quarter(2)), _mm_packs_epi32(quarter(4), quarter(6)));
    return static_cast<EqualHalves>(_mm_movemask_epi8(equal)) & spi_halves;
  }

  static Settled settle(Columns& columns, std::size_t at, std::uint32_t* found) {
    const __m128i spis = halves<0b10'00'10'00>(columns.word + at);
    const __m128i rest = halves<0b11'01'11'01>(columns.word + at);
    const __m128i same = _mm_cmpeq_epi32(spis, load(columns.spi + at));
    const __m128i filter = load(columns.filter + at);
    const __m128i go_on = _mm_andnot_si128(same, _mm_cmpeq_epi32(_mm_and_si128(rest, filter), filter));
    const __m128i index = _mm_srai_epi32(_mm_slli_epi32(rest, 8), 8);
    const __m128i differ = _mm_xor_si128(same, all(0xffff'ffff));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(found), _mm_or_si128(index, differ));
    return {bits(differ), bits(go_on)};
  }
};

}  // namespace

Found find_sse42(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis, std::size_t count,
                 std::uint32_t* out) {
  return find_by<Sse42>(buckets, mask, spis, count, out);
}

}  // namespace espgate::sa::detail

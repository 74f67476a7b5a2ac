// Sixteen addresses a vector, four vectors a burst. An aligned 32-bit element of a gather is read in one
// piece, and a gather through an entry comes after the gather that read the entry, so what trie_entry.hpp
// says of single loads holds here.
#include <immintrin.h>

#include <cassert>

#include "datapath/forward/trie_entry.hpp"
#include "datapath/forward/trie_lookup.hpp"

// gcc 12 takes the undefined upper operand of its own unmasked intrinsics for a mistake of ours (GCC bug
// 105593).
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define WITH_AVX512 __attribute__((target("avx512f")))

namespace espgate::forward {
namespace {

constexpr std::size_t lanes = 16;
constexpr std::size_t most_vectors = 4;

WITH_AVX512 inline __mmask16 used_lanes(std::size_t size, std::size_t vector) {
  const std::size_t left = size - vector * lanes;
  return static_cast<__mmask16>(left >= lanes ? 0xffffU : (1U << left) - 1);
}

WITH_AVX512 inline __m512i byte_at(__m512i words, unsigned shift) {
  return _mm512_and_si512(_mm512_srli_epi32(words, shift), _mm512_set1_epi32(0xff));
}

WITH_AVX512 inline __mmask16 naming_groups(__m512i entries) {
  return _mm512_cmplt_epi32_mask(entries, _mm512_setzero_si512());
}

// The lanes of `inner`, whose entries name groups, go one byte further. The shift drops the flag.
WITH_AVX512 inline __m512i next_entries(const std::uint32_t* groups, __m512i entries, __mmask16 inner,
                                        __m512i bytes) {
  const __m512i at = _mm512_add_epi32(_mm512_slli_epi32(entries, group_bits), bytes);
  return _mm512_mask_i32gather_epi32(entries, inner, at, groups, sizeof(std::uint32_t));
}

// Four bytes of each address, the first in the lowest bits.
WITH_AVX512 inline __m512i address_words(const std::uint8_t (*addresses)[16], __mmask16 used,
                                         std::size_t word) {
  const __m512i lane = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60);
  const __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int>(word)));
  return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), used, at, addresses, sizeof(std::uint32_t));
}

}  // namespace

WITH_AVX512 void lookup_v4_avx512(TrieMemory trie, std::span<const std::uint32_t> addresses,
                                  std::uint32_t* values) {
  for (std::size_t vector = 0; vector * lanes < addresses.size(); ++vector) {
    const __mmask16 used = used_lanes(addresses.size(), vector);
    const __m512i address = _mm512_maskz_loadu_epi32(used, addresses.data() + vector * lanes);
    __m512i entries = _mm512_mask_i32gather_epi32(
        _mm512_setzero_si512(), used, _mm512_srli_epi32(address, 16), trie.root, sizeof(std::uint32_t));
    entries = next_entries(trie.groups, entries, naming_groups(entries), byte_at(address, 8));
    entries = next_entries(trie.groups, entries, naming_groups(entries), byte_at(address, 0));
    _mm512_mask_storeu_epi32(values + vector * lanes, used, entries);
  }
}

WITH_AVX512 void lookup_v6_avx512(TrieMemory trie, std::span<const std::uint8_t[16]> addresses,
                                  std::uint32_t* values) {
  assert(addresses.size() <= most_vectors * lanes);
  __m512i entries[most_vectors];
  __m512i words[most_vectors];
  const std::size_t vectors = (addresses.size() + lanes - 1) / lanes;
  for (std::size_t v = 0; v < vectors; ++v) {
    const __mmask16 used = used_lanes(addresses.size(), v);
    words[v] = address_words(addresses.data() + v * lanes, used, 0);
    const __m512i first16 = _mm512_or_si512(_mm512_slli_epi32(byte_at(words[v], 0), 8), byte_at(words[v], 8));
    entries[v] =
        _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), used, first16, trie.root, sizeof(std::uint32_t));
  }
  for (std::size_t byte = 2; byte < 16; ++byte) {
    unsigned any = 0;
    for (std::size_t v = 0; v < vectors; ++v) any |= naming_groups(entries[v]);
    if (any == 0) break;
    for (std::size_t v = 0; v < vectors; ++v) {
      if (byte % 4 == 0)
        words[v] = address_words(addresses.data() + v * lanes, used_lanes(addresses.size(), v), byte / 4);
      entries[v] = next_entries(trie.groups, entries[v], naming_groups(entries[v]),
                                byte_at(words[v], static_cast<unsigned>(byte % 4 * 8)));
    }
  }
  for (std::size_t v = 0; v < vectors; ++v)
    _mm512_mask_storeu_epi32(values + v * lanes, used_lanes(addresses.size(), v), entries[v]);
}

}  // namespace espgate::forward

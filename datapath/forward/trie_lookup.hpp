// The lookups a worker runs, in plain code and for AVX-512. All take bursts of at most 64.
#pragma once

#include <cstdint>
#include <span>

namespace espgate::forward {

// The entries of root and groups; see trie_entry.hpp.
struct TrieMemory {
  std::uint32_t* root;
  std::uint32_t* groups;
};

enum class Instructions : std::uint8_t {
  plain,
  avx512,  // Ice Lake and later; earlier cores lose more clock than they win
};
bool available(Instructions instructions);
Instructions best_instructions();

using LookupV4 = void (*)(TrieMemory trie, std::span<const std::uint32_t> addresses, std::uint32_t* values);
using LookupV6 = void (*)(TrieMemory trie, std::span<const std::uint8_t[16]> addresses,
                          std::uint32_t* values);

void lookup_v4_plain(TrieMemory trie, std::span<const std::uint32_t> addresses, std::uint32_t* values);
void lookup_v6_plain(TrieMemory trie, std::span<const std::uint8_t[16]> addresses, std::uint32_t* values);
void lookup_v4_avx512(TrieMemory trie, std::span<const std::uint32_t> addresses, std::uint32_t* values);
void lookup_v6_avx512(TrieMemory trie, std::span<const std::uint8_t[16]> addresses, std::uint32_t* values);

}  // namespace espgate::forward

#include "datapath/forward/trie_lookup.hpp"

#include "datapath/forward/trie_entry.hpp"

namespace espgate::forward {
namespace {

// One byte further down. An entry that is a value already is read again where it lies, so that no branch
// depends on what the table holds and the loads of a burst overlap. Returns the entry that follows.
inline std::uint32_t next_entry(std::uint32_t* groups, std::uint32_t& entry, std::uint32_t byte) {
  std::uint32_t* const below = groups + (std::size_t{group_number(entry)} * group_entries + byte);
  return load_entry(is_group(entry) != 0 ? *below : entry);
}

}  // namespace

bool available(Instructions instructions) {
  return instructions == Instructions::plain ||
         (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vbmi2") != 0);
}

Instructions best_instructions() {
  return available(Instructions::avx512) ? Instructions::avx512 : Instructions::plain;
}

void lookup_v4_plain(TrieMemory trie, std::span<const std::uint32_t> addresses, std::uint32_t* values) {
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    std::uint32_t entry = load_entry(trie.root[addresses[i] >> 16]);
    entry = next_entry(trie.groups, entry, addresses[i] >> 8 & 0xff);
    entry = next_entry(trie.groups, entry, addresses[i] & 0xff);
    values[i] = entry;
  }
}

void lookup_v6_plain(TrieMemory trie, std::span<const std::uint8_t[16]> addresses, std::uint32_t* values) {
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    values[i] = load_entry(trie.root[addresses[i][0] << 8 | addresses[i][1]]);
    any |= values[i];
  }
  for (std::size_t byte = 2; is_group(any) != 0; ++byte) {
    any = 0;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      const std::uint32_t entry = next_entry(trie.groups, values[i], addresses[i][byte]);
      values[i] = entry;
      any |= entry;
    }
  }
}

}  // namespace espgate::forward

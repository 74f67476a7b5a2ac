// One word of the trie: a value, or the number of the group that decides by the next byte.
#pragma once

#include <atomic>
#include <cstdint>

namespace espgate::forward {

inline constexpr std::uint32_t root_bits = 16;
inline constexpr std::uint32_t root_entries = 1U << root_bits;
inline constexpr std::uint32_t group_bits = 8;
inline constexpr std::uint32_t group_entries = 1U << group_bits;
inline constexpr std::uint32_t group_flag = 1U << 31;

// An index into the groups' entries is a signed 32-bit number to a gather.
inline constexpr std::uint32_t most_groups = 1U << (31 - group_bits);

inline std::uint32_t is_group(std::uint32_t entry) {
  return entry >> 31;
}
inline std::uint32_t group_number(std::uint32_t entry) {
  return entry & ~group_flag;
}

// What a store made visible before it (a group's entries, a hop's content) is visible after the load.
inline std::uint32_t load_entry(std::uint32_t& entry) {
  return std::atomic_ref(entry).load(std::memory_order_acquire);
}
inline void store_entry(std::uint32_t& entry, std::uint32_t content) {
  std::atomic_ref(entry).store(content, std::memory_order_release);
}

}  // namespace espgate::forward

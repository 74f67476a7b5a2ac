// The part of the trie that workers run, and what both sides share.
#include "datapath/forward/prefix_trie.hpp"

#include "datapath/forward/trie_entry.hpp"

namespace espgate::forward {

// `inner` lists the addresses whose entry names a group. Each round takes all of them one byte further, so
// their loads overlap, and keeps those that are not done; without a branch on what the entries hold.
template <typename Addresses, typename ByteOf>
void PrefixTrie::descend(Addresses addresses, ByteOf byte_of, std::uint32_t* values, std::uint8_t* inner,
                         std::size_t inner_count) const {
  for (std::size_t byte = 2; inner_count != 0; ++byte) {
    std::size_t still_inner = 0;
    for (std::size_t k = 0; k < inner_count; ++k) {
      const std::uint8_t i = inner[k];
      const std::size_t at =
          std::size_t{group_number(values[i])} * group_entries + byte_of(addresses[i], byte);
      const std::uint32_t entry = load_entry(groups_.data()[at]);
      values[i] = entry;
      inner[still_inner] = i;
      still_inner += is_group(entry);
    }
    inner_count = still_inner;
  }
}

void PrefixTrie::lookup(std::span<const std::uint32_t> addresses, std::uint32_t* values) const {
  std::uint8_t inner[most_in_burst];
  std::size_t inner_count = 0;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const std::uint32_t entry = load_entry(root_.data()[addresses[i] >> 16]);
    values[i] = entry;
    inner[inner_count] = static_cast<std::uint8_t>(i);
    inner_count += is_group(entry);
  }
  const auto byte_of = [](std::uint32_t address, std::size_t byte) {
    return address >> (24 - 8 * byte) & 0xff;
  };
  descend(addresses, byte_of, values, inner, inner_count);
}

void PrefixTrie::lookup(std::span<const std::uint8_t[16]> addresses, std::uint32_t* values) const {
  std::uint8_t inner[most_in_burst];
  std::size_t inner_count = 0;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const std::uint32_t entry = load_entry(root_.data()[addresses[i][0] << 8 | addresses[i][1]]);
    values[i] = entry;
    inner[inner_count] = static_cast<std::uint8_t>(i);
    inner_count += is_group(entry);
  }
  const auto byte_of = [](const std::uint8_t* address, std::size_t byte) { return address[byte]; };
  descend(addresses, byte_of, values, inner, inner_count);
}

}  // namespace espgate::forward

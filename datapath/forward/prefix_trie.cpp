#include "datapath/forward/prefix_trie.hpp"

#include <algorithm>

#include "datapath/forward/trie_entry.hpp"

namespace espgate::forward {
namespace {

// Where a prefix is on its way down: the index in the present block, and how many bits the block's entries
// have behind them.
struct Step {
  const net::Prefix& prefix;
  std::uint32_t bits = root_bits;

  std::uint32_t index() const {
    const auto& bytes = prefix.address.bytes;
    if (bits == root_bits) return static_cast<std::uint32_t>(bytes[0] << 8 | bytes[1]);
    return bytes[bits / 8 - 1];
  }
  bool ends_here() const { return prefix.length <= bits; }
  std::uint32_t entries_covered() const { return 1U << (bits - prefix.length); }
  void down() { bits += group_bits; }
};

}  // namespace

PrefixTrie::PrefixTrie(std::uint32_t groups, int numa_node, ReaderBarrier barrier, Instructions instructions)
    : lookup_v4_(instructions == Instructions::avx512 ? lookup_v4_avx512 : lookup_v4_plain),
      lookup_v6_(instructions == Instructions::avx512 ? lookup_v6_avx512 : lookup_v6_plain),
      root_(root_entries, numa_node),
      groups_(std::size_t{groups} * group_entries, numa_node),
      root_lengths_(new std::uint8_t[root_entries]()),
      group_lengths_(new std::uint8_t[std::size_t{groups} * group_entries]),
      prefixes_in_group_(groups),
      group_pool_(0, groups, barrier) {
  if (root_) std::fill_n(root_.data(), root_entries, 0);
}

std::size_t PrefixTrie::memory_bytes(std::uint32_t groups) {
  return (root_entries + std::size_t{groups} * group_entries) * sizeof(std::uint32_t);
}

Expected<PrefixTrie> PrefixTrie::create(std::uint32_t groups, int numa_node, ReaderBarrier barrier,
                                        Instructions instructions) {
  groups = std::min(groups, most_groups);
  PrefixTrie trie(groups, numa_node, barrier, instructions);
  if (trie.root_ && trie.groups_) return trie;
  return Error{"no memory for a table of " + std::to_string(memory_bytes(groups) >> 20) +
                   " MB on NUMA node " + std::to_string(numa_node),
               "give more hugepages, or lower limits.routes"};
}

std::size_t PrefixTrie::PrefixHash::operator()(const net::Prefix& prefix) const {
  return std::hash<net::Address>{}(prefix.address) * 31 + prefix.length;
}

PrefixTrie::Block PrefixTrie::group(std::uint32_t number) {
  const std::size_t first = std::size_t{number} * group_entries;
  return {groups_.data() + first, group_lengths_.get() + first};
}

std::uint32_t PrefixTrie::missing_groups(const net::Prefix& prefix) {
  Block block = root();
  for (Step step{prefix}; !step.ends_here(); step.down()) {
    const std::uint32_t entry = block.entries[step.index()];
    if (!is_group(entry)) return (prefix.length - step.bits + group_bits - 1) / group_bits;
    block = group(group_number(entry));
  }
  return 0;
}

// Puts a group in the place of a value: 256 entries with that value, then the pointer to them.
std::uint32_t PrefixTrie::add_group(Block parent, std::uint32_t index) {
  const std::uint32_t number = *group_pool_.take();
  const Block added = group(number);
  std::fill_n(added.lengths, group_entries, parent.lengths[index]);
  for (std::uint32_t i = 0; i < group_entries; ++i) store_entry(added.entries[i], parent.entries[index]);
  prefixes_in_group_[number] = 0;
  store_entry(parent.entries[index], group_flag | number);
  return number;
}

// Gives `owner` all entries of the range that belong to prefixes no longer than `length`, those of the groups
// below included.
void PrefixTrie::overwrite(Block block, std::uint32_t first, std::uint32_t count, std::uint8_t length,
                           Owner owner) {
  for (std::uint32_t i = first; i < first + count; ++i) {
    const std::uint32_t entry = block.entries[i];
    if (is_group(entry)) {
      overwrite(group(group_number(entry)), 0, group_entries, length, owner);
    } else if (block.lengths[i] <= length) {
      store_entry(block.entries[i], owner.value);
      block.lengths[i] = owner.length;
    }
  }
}

PrefixTrie::Owner PrefixTrie::covering(const net::Prefix& prefix) const {
  for (std::uint8_t length = prefix.length; length-- > 0;) {
    if (prefixes_of_length_[length] == 0) continue;
    const auto found = prefixes_.find(net::masked(prefix.address, length));
    if (found != prefixes_.end()) return {found->second, length};
  }
  return {};
}

Expected<void> PrefixTrie::set(const net::Prefix& prefix, std::uint32_t value) {
  const bool is_new = !prefixes_.contains(prefix);
  if (const auto missing = missing_groups(prefix); missing > group_pool_.available())
    return Error{"no room for " + net::to_string(prefix) + ": the " +
                     std::to_string(prefixes_in_group_.size()) +
                     " groups of the table are in use by prefixes far apart",
                 "raise limits.routes"};
  prefixes_[prefix] = value;
  prefixes_of_length_[prefix.length] += is_new;

  Block block = root();
  Step step{prefix};
  for (; !step.ends_here(); step.down()) {
    const std::uint32_t entry = block.entries[step.index()];
    const std::uint32_t number = is_group(entry) ? group_number(entry) : add_group(block, step.index());
    prefixes_in_group_[number] += is_new;
    block = group(number);
  }
  overwrite(block, step.index(), step.entries_covered(), prefix.length, {value, prefix.length});
  return {};
}

bool PrefixTrie::remove(const net::Prefix& prefix) {
  if (prefixes_.erase(prefix) == 0) return false;
  --prefixes_of_length_[prefix.length];

  struct Place {
    Block parent;
    std::uint32_t index;
  };
  std::array<Place, 128 / group_bits> way;
  std::size_t depth = 0;
  Block block = root();
  Step step{prefix};
  for (; !step.ends_here(); step.down()) {
    way[depth++] = {block, step.index()};
    block = group(group_number(block.entries[step.index()]));
  }
  overwrite(block, step.index(), step.entries_covered(), prefix.length, covering(prefix));

  // A group without prefixes of its own has one value all over, which its place in the parent takes back.
  while (depth > 0) {
    const auto [parent, index] = way[--depth];
    const std::uint32_t number = group_number(parent.entries[index]);
    if (--prefixes_in_group_[number] != 0) continue;
    const Block empty = group(number);
    parent.lengths[index] = empty.lengths[0];
    store_entry(parent.entries[index], empty.entries[0]);
    group_pool_.retire(number);
  }
  return true;
}

std::optional<std::uint32_t> PrefixTrie::find(const net::Prefix& prefix) const {
  const auto found = prefixes_.find(prefix);
  return found == prefixes_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::pair<net::Prefix, std::uint32_t>> PrefixTrie::sorted() const {
  std::vector<std::pair<net::Prefix, std::uint32_t>> all(prefixes_.begin(), prefixes_.end());
  std::ranges::sort(all);
  return all;
}

}  // namespace espgate::forward

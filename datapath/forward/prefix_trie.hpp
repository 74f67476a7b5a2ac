// Longest-prefix match: a table of 65,536 entries for an address's first 16 bits, then groups of 256 for each
// further byte, as deep as the prefixes there are.
//
//   root ─► 10.1 ─► group ─► .7  ─► group ─► .9 ─► value of 10.1.7.9/32
//                      └───► .8  ─► value of 10.1.8.0/24
//
// An entry is one 32-bit word, a value or a group's number; a change writes one word after another, so a
// worker that looks up at the same time gets what was valid before the change or what is after it, never
// anything else. A new group is filled before an entry points at it; an old one is reused only when no worker
// can still be in it. docs/decisions/0002-forwarding-tables.md says why this is not rte_fib.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "datapath/base/expected.hpp"
#include "datapath/forward/huge_array.hpp"
#include "datapath/forward/index_pool.hpp"
#include "datapath/forward/trie_lookup.hpp"
#include "datapath/net/address.hpp"

namespace espgate::forward {

// One family's prefixes, each with a value below 2^31. Addresses that no prefix covers have value 0.
class PrefixTrie {
 public:
  static constexpr std::size_t most_in_burst = 64;

  // `groups`: how many groups there may be. An IPv4 prefix needs 0 (up to /16), 1 (up to /24) or 2, an IPv6
  // prefix one more for each byte behind the second; prefixes with the same leading bytes share theirs.
  // Without memory for them, an error.
  static Expected<PrefixTrie> create(std::uint32_t groups, int numa_node, ReaderBarrier barrier,
                                     Instructions instructions = best_instructions());
  static std::size_t memory_bytes(std::uint32_t groups);

  // -- control thread --
  // Adds or replaces. Error, and nothing changed, when the groups do not suffice.
  Expected<void> set(const net::Prefix& prefix, std::uint32_t value);
  // False if there is no such prefix.
  bool remove(const net::Prefix& prefix);
  // The value set for exactly this prefix.
  std::optional<std::uint32_t> find(const net::Prefix& prefix) const;
  std::size_t size() const { return prefixes_.size(); }
  std::vector<std::pair<net::Prefix, std::uint32_t>> sorted() const;

  // -- any thread --
  // At most most_in_burst addresses: IPv4 in host order, IPv6 in network order.
  void lookup(std::span<const std::uint32_t> addresses, std::uint32_t* values) const {
    lookup_v4_({root_.data(), groups_.data()}, addresses, values);
  }
  void lookup(std::span<const std::uint8_t[16]> addresses, std::uint32_t* values) const {
    lookup_v6_({root_.data(), groups_.data()}, addresses, values);
  }

 private:
  // The root or a group: entries, and beside each the length of the prefix that its value comes from, which
  // only the control thread needs.
  struct Block {
    std::uint32_t* entries;
    std::uint8_t* lengths;
  };
  // Whose value an entry holds.
  struct Owner {
    std::uint32_t value = 0;
    std::uint8_t length = 0;
  };
  struct PrefixHash {
    std::size_t operator()(const net::Prefix& prefix) const;
  };

  PrefixTrie(std::uint32_t groups, int numa_node, ReaderBarrier barrier, Instructions instructions);
  Block root() { return {root_.data(), root_lengths_.get()}; }
  Block group(std::uint32_t number);
  std::uint32_t missing_groups(const net::Prefix& prefix);
  std::uint32_t add_group(Block parent, std::uint32_t index);
  void overwrite(Block block, std::uint32_t first, std::uint32_t count, std::uint8_t length, Owner owner);
  Owner covering(const net::Prefix& prefix) const;

  LookupV4 lookup_v4_;
  LookupV6 lookup_v6_;
  HugeArray<std::uint32_t> root_;
  HugeArray<std::uint32_t> groups_;
  std::unique_ptr<std::uint8_t[]> root_lengths_;
  std::unique_ptr<std::uint8_t[]> group_lengths_;
  std::vector<std::uint32_t> prefixes_in_group_;  // with more bits than the group's place has
  IndexPool group_pool_;
  std::unordered_map<net::Prefix, std::uint32_t, PrefixHash> prefixes_;
  std::array<std::uint32_t, 129> prefixes_of_length_{};
};

}  // namespace espgate::forward

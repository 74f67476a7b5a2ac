// A policy as workers see it, and how rules are found: the layout that the classifier's two halves, writer
// and lookup, share. Not for its users.
#pragma once

#include <nmmintrin.h>

#include <atomic>
#include <cstdint>

#include "datapath/net/flow.hpp"
#include "datapath/net/traffic_selector.hpp"

namespace espgate::policy {

inline constexpr std::uint32_t no_rule = 0xffff'ffff;
inline constexpr std::uint64_t never = ~std::uint64_t{0};  // behind every order

// One cache line. Written before it is published, and never again while a worker may read it, but for the
// atomics.
struct alignas(64) Rule {
  std::uint64_t addresses[4];  // masked, as in Flow
  std::uint64_t order;         // the lower one of two matching rules decides
  net::PortRange local_ports;
  net::PortRange remote_ports;
  std::atomic<std::uint32_t> decision;
  std::atomic<std::uint32_t> next;  // the next rule under the same key, in no order
  std::uint16_t tuple;
  std::uint8_t protocol;
  bool any_protocol;
  bool needs_ports;
  bool has_ranges;  // addresses that are no prefixes: see the ranges of the same index
};
static_assert(sizeof(Rule) == 64);

// Rules with the same number of address bits on each side and exact values in the same fields: their fields,
// masked, and the tuple's seed make the key under which the table knows them.
struct alignas(64) Tuple {
  std::uint64_t masks[4];
  std::uint64_t upper_mask;
  std::atomic<std::uint64_t> best;  // no rule of the tuple has a lower order; `never`: it is empty
  std::uint32_t seed;
};
static_assert(sizeof(Tuple) == 64);

// Never 0, which the table keeps for itself.
template <net::Family family>
inline std::uint32_t key_of(const Tuple& tuple, const std::uint64_t* addresses, std::uint64_t upper) {
  std::uint64_t key = _mm_crc32_u64(tuple.seed, addresses[0] & tuple.masks[0]);
  if constexpr (family == net::Family::v6) {
    key = _mm_crc32_u64(key, addresses[1] & tuple.masks[1]);
    key = _mm_crc32_u64(key, addresses[2] & tuple.masks[2]);
    key = _mm_crc32_u64(key, addresses[3] & tuple.masks[3]);
  }
  if (tuple.upper_mask != 0) key = _mm_crc32_u64(key, upper & tuple.upper_mask);
  return static_cast<std::uint32_t>(key) + (key == 0);
}

inline std::uint32_t key_of(net::Family family, const Tuple& tuple, const std::uint64_t* addresses,
                            std::uint64_t upper) {
  return family == net::Family::v4 ? key_of<net::Family::v4>(tuple, addresses, upper)
                                   : key_of<net::Family::v6>(tuple, addresses, upper);
}

}  // namespace espgate::policy

// The workers' half of the classifier.
#include <nmmintrin.h>

#include <algorithm>
#include <array>
#include <utility>

#include "datapath/policy/classifier.hpp"

namespace espgate::policy {
namespace {

using net::Family;

constexpr std::uint64_t high_half = 0xffff'ffff'0000'0000;

inline std::uint32_t usable(std::uint64_t key) {
  return static_cast<std::uint32_t>(key) + (key == 0);
}

inline bool between(std::uint64_t first, std::uint64_t value, std::uint64_t last) {
  return value >= first && value <= last;
}

bool between(const std::uint64_t* first, const std::uint64_t* value, const std::uint64_t* last) {
  using Wide = std::pair<std::uint64_t, std::uint64_t>;
  const Wide v{value[0], value[1]};
  return v >= Wide{first[0], first[1]} && v <= Wide{last[0], last[1]};
}

template <Family family>
inline bool same_addresses(const Rule& rule, const Tuple& tuple, const net::Flow& flow) {
  if constexpr (family == Family::v4) {
    return (flow.addresses[0] & tuple.masks[0]) == rule.addresses[0];
  } else {
    std::uint64_t difference = 0;
    for (int i = 0; i < 4; ++i) difference |= (flow.addresses[i] & tuple.masks[i]) ^ rule.addresses[i];
    return difference == 0;
  }
}

// A packet without ports matches a rule that goes by them, for the caller to make "unknown" of it.
inline bool ports_match(const Rule& rule, const net::Flow& flow) {
  return !rule.needs_ports || !flow.ports_known ||
         (rule.local_ports.contains(flow.local_port()) && rule.remote_ports.contains(flow.remote_port()));
}

}  // namespace

std::uint32_t key_v4(const Tuple& tuple, const std::uint64_t* addresses, std::uint64_t upper) {
  return usable(
      _mm_crc32_u64(_mm_crc32_u64(tuple.seed, addresses[0] & tuple.masks[0]), upper & tuple.upper_mask));
}

std::uint32_t key_v6(const Tuple& tuple, const std::uint64_t* addresses, std::uint64_t upper) {
  std::uint64_t key = _mm_crc32_u64(tuple.seed, upper & tuple.upper_mask);
  for (int i = 0; i < 4; ++i) key = _mm_crc32_u64(key, addresses[i] & tuple.masks[i]);
  return usable(key);
}

bool within(const Ranges& ranges, const net::Flow& flow) {
  if (flow.family == Family::v6)
    return between(ranges.first, flow.addresses, ranges.last) &&
           between(ranges.first + 2, flow.addresses + 2, ranges.last + 2);
  const std::uint64_t value = flow.addresses[0], first = ranges.first[0], last = ranges.last[0];
  return between(first & high_half, value & high_half, last & high_half) &&
         between(first & ~high_half, value & ~high_half, last & ~high_half);
}

template <Family family>
void Classifier::search(const net::Flow* flows, std::span<const std::uint8_t> rows, std::uint64_t* orders,
                        Match* out) const {
  std::array<std::uint32_t, most_in_burst> keys;
  std::array<std::uint32_t, most_in_burst> found;
  std::array<std::uint8_t, most_in_burst> at;
  const unsigned first = first_tuple(family);
  const unsigned end = first + tuples_used_[which(family)].load(std::memory_order_acquire);
  std::uint64_t latest = never;  // of the orders found: nothing behind it is of interest
  for (unsigned number = first; number < end; ++number) {
    const auto& tuple = tuples_[number];
    const std::uint64_t best = tuple.best.load(std::memory_order_acquire);
    if (best >= latest) continue;
    unsigned count = 0;
    for (const auto row : rows) {
      keys[count] = family == Family::v4 ? key_v4(tuple, flows[row].addresses, flows[row].upper)
                                         : key_v6(tuple, flows[row].addresses, flows[row].upper);
      at[count] = row;
      count += orders[row] > best;
    }
    table_.find(std::span(keys.data(), count), found.data());
    bool any = false;
    for (unsigned i = 0; i < count; ++i) {
      if (found[i] == no_rule) continue;
      __builtin_prefetch(&rules_[found[i]]);
      any = true;
    }
    if (!any) continue;
    for (unsigned i = 0; i < count; ++i) {
      const auto row = at[i];
      for (auto index = found[i]; index != no_rule;
           index = rules_[index].next.load(std::memory_order_acquire)) {
        const auto& rule = rules_[index];
        if (rule.tuple == number && rule.order < orders[row] &&
            same_addresses<family>(rule, tuple, flows[row]) &&
            (rule.any_protocol || rule.protocol == flows[row].protocol()) && ports_match(rule, flows[row]) &&
            (!rule.has_ranges || within(ranges_[index], flows[row]))) {
          orders[row] = rule.order;
          out[row].rule = index;
        }
      }
    }
    latest = 0;
    for (const auto row : rows) latest = std::max(latest, orders[row]);
  }
}

void Classifier::look_up(std::span<const net::Flow> flows, Match* out) const {
  std::array<std::uint64_t, most_in_burst> orders;
  std::array<std::uint8_t, most_in_burst> rows[2];
  unsigned counts[2] = {0, 0};
  for (unsigned row = 0; row < flows.size(); ++row) {
    orders[row] = never;
    out[row].rule = no_rule;
    const auto family = which(flows[row].family);
    rows[family][counts[family]++] = static_cast<std::uint8_t>(row);
  }
  if (counts[0] != 0) search<Family::v4>(flows.data(), {rows[0].data(), counts[0]}, orders.data(), out);
  if (counts[1] != 0) search<Family::v6>(flows.data(), {rows[1].data(), counts[1]}, orders.data(), out);
  const bool by_protocol = rules_with_protocol_.load(std::memory_order_acquire) != 0;
  for (unsigned row = 0; row < flows.size(); ++row) {
    auto& match = out[row];
    const bool found = match.rule != no_rule;
    if (!flows[row].protocol_known && by_protocol)
      match = {no_rule, Decision::ports_unknown()};
    else if (found && rules_[match.rule].needs_ports && !flows[row].ports_known)
      match.decision = Decision::ports_unknown();
    else
      match.decision =
          found ? Decision{rules_[match.rule].decision.load(std::memory_order_acquire)} : Decision::none();
  }
}

}  // namespace espgate::policy

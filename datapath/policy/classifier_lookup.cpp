// The workers' half of the classifier.
#include <nmmintrin.h>

#include <algorithm>
#include <array>

#include "datapath/policy/classifier.hpp"

namespace espgate::policy {
namespace {

using net::Family;

inline std::uint32_t usable(std::uint64_t key) {
  return static_cast<std::uint32_t>(key) + (key == 0);
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
            (!rule.has_ranges || net::within(ranges_[index], flows[row]))) {
          orders[row] = rule.order;
          out[row].rule = index;
        }
      }
    }
    latest = 0;
    for (const auto row : rows) latest = std::max(latest, orders[row]);
  }
}

void Classifier::look_up(const net::Flow* flows, std::span<const std::uint8_t> rows, Match* out) const {
  std::array<std::uint64_t, most_in_burst> orders;
  std::array<std::uint8_t, most_in_burst> split[2];
  unsigned counts[2] = {0, 0};
  for (const auto row : rows) {
    orders[row] = never;
    out[row].rule = no_rule;
    const auto family = which(flows[row].family);
    split[family][counts[family]++] = row;
  }
  if (counts[0] != 0) search<Family::v4>(flows, {split[0].data(), counts[0]}, orders.data(), out);
  if (counts[1] != 0) search<Family::v6>(flows, {split[1].data(), counts[1]}, orders.data(), out);
  const bool by_protocol = rules_with_protocol_.load(std::memory_order_acquire) != 0;
  for (const auto row : rows) {
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

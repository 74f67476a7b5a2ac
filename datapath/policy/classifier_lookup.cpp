// The workers' half of the classifier.
#include <algorithm>
#include <array>

#include "datapath/policy/classifier.hpp"

namespace espgate::policy {
namespace {

using net::Family;

// All but ranges of addresses. A packet without ports matches a rule that goes by them, for the caller to
// make "unknown" of it. Of another tuple is what has the same key by chance.
template <Family family>
inline bool matches(const Rule& rule, const Tuple& tuple, unsigned number, const net::Flow& flow) {
  std::uint64_t difference = rule.tuple ^ number;
  constexpr int words = family == Family::v4 ? 1 : 4;
  for (int i = 0; i < words; ++i) difference |= (flow.addresses[i] & tuple.masks[i]) ^ rule.addresses[i];
  if (difference != 0) return false;
  if (rule.any_protocol) return true;
  if (rule.protocol != flow.protocol()) return false;
  return !rule.needs_ports || !flow.ports_known ||
         (rule.local_ports.contains(flow.local_port()) && rule.remote_ports.contains(flow.remote_port()));
}

}  // namespace

template <Family family>
void Classifier::search(const net::Flow* flows, std::span<const std::uint8_t> rows, std::uint64_t* orders,
                        Match* out) const {
  std::array<std::uint32_t, most_in_burst> keys;
  std::array<std::uint32_t, most_in_burst> found;
  std::array<std::uint8_t, most_in_burst> at;
  const unsigned first = first_tuple(family);
  const unsigned end = first + tuples_used_[which(family)].load(std::memory_order_acquire);
  auto unmatched = rows.size();
  std::uint64_t latest = never;  // of the orders found: no tuple behind it is of interest
  for (unsigned number = first; number < end; ++number) {
    const auto& tuple = tuples_[number];
    const std::uint64_t best = tuple.best.load(std::memory_order_acquire);
    if (best >= latest) continue;
    unsigned count = 0;
    for (const auto row : rows) {
      keys[count] = key_of<family>(tuple, flows[row].addresses, flows[row].upper);
      at[count] = row;
      count += orders[row] > best;
    }
    table_.find(std::span(keys.data(), count), found.data());
    unsigned candidates = 0;
    for (unsigned i = 0; i < count; ++i) {
      __builtin_prefetch(&rules_[found[i] == no_rule ? 0 : found[i]]);
      found[candidates] = found[i];
      at[candidates] = at[i];
      candidates += found[i] != no_rule;
    }
    if (candidates == 0) continue;
    for (unsigned i = 0; i < candidates; ++i) {
      const auto row = at[i];
      for (auto index = found[i]; index != no_rule;
           index = rules_[index].next.load(std::memory_order_acquire)) {
        const auto& rule = rules_[index];
        if (!matches<family>(rule, tuple, number, flows[row])) continue;
        if (rule.order >= orders[row]) continue;
        if (rule.has_ranges && !net::within(ranges_[index], flows[row])) continue;
        unmatched -= orders[row] == never;
        orders[row] = rule.order;
        const bool unknown = rule.needs_ports && !flows[row].ports_known;
        out[row] = {index, unknown ? Decision::ports_unknown()
                                   : Decision{rule.decision.load(std::memory_order_acquire)}};
      }
    }
    if (unmatched != 0) continue;
    latest = 0;
    for (const auto row : rows) latest = std::max(latest, orders[row]);
  }
}

// What was refused has no tuple, and so is compared with each flow.
void Classifier::search_refused(const RefusedList& list, const net::Flow* flows,
                                std::span<const std::uint8_t> rows, std::uint64_t* orders, Match* out) {
  for (const auto row : rows)
    for (const auto& rule : std::span(list.rules).first(list.count)) {
      if (rule.order >= orders[row] || rule.family != flows[row].family) continue;
      if (!net::within(rule.between, flows[row])) continue;
      orders[row] = rule.order;
      out[row] = {no_rule, rule.decision};
    }
}

void Classifier::look_up(const net::Flow* flows, std::span<const std::uint8_t> rows, Match* out) const {
  std::array<std::uint64_t, most_in_burst> orders;
  std::array<std::uint8_t, most_in_burst> split[2];
  unsigned counts[2] = {0, 0};
  bool protocols_known = true;
  for (const auto row : rows) {
    orders[row] = never;
    out[row] = {};
    protocols_known &= flows[row].protocol_known;
    const auto family = which(flows[row].family);
    split[family][counts[family]++] = row;
  }
  if (counts[0] != 0) search<Family::v4>(flows, {split[0].data(), counts[0]}, orders.data(), out);
  if (counts[1] != 0) search<Family::v6>(flows, {split[1].data(), counts[1]}, orders.data(), out);
  if (const auto* refused = refused_.load(std::memory_order_acquire); refused != nullptr) [[unlikely]]
    search_refused(*refused, flows, rows, orders.data(), out);
  if (protocols_known) [[likely]]
    return;
  const auto first = first_with_protocol_.load(std::memory_order_acquire);
  for (const auto row : rows)
    if (!flows[row].protocol_known && first < orders[row]) out[row] = {no_rule, Decision::ports_unknown()};
}

}  // namespace espgate::policy

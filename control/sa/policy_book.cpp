#include "control/sa/policy_book.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace espgate::sa {
namespace {

constexpr unsigned position_bits = 47;
constexpr std::uint64_t step = 1 << 20;

std::uint64_t level_begin(std::uint32_t level) {
  return std::uint64_t{level} << position_bits;
}
// The highest level has all orders up to the last one, which no policy has.
std::uint64_t level_end(std::uint32_t level) {
  constexpr std::uint32_t highest = (1U << (64 - position_bits)) - 1;
  return level == highest ? ~std::uint64_t{0} : (std::uint64_t{level} + 1) << position_bits;
}

// The indices of a longest rising subsequence of `orders`: the policies that need not move.
std::vector<std::size_t> longest_rise(const std::vector<std::uint64_t>& orders,
                                      const PolicyBook::Pause& pause) {
  constexpr auto none = static_cast<std::size_t>(-1);
  std::vector<std::size_t> last_of_length;  // of the rises of each length, the one that ends lowest
  std::vector<std::size_t> before(orders.size(), none);
  for (std::size_t i = 0; i < orders.size(); ++i) {
    pause();
    const auto place =
        std::ranges::lower_bound(last_of_length, orders[i], {}, [&](std::size_t at) { return orders[at]; });
    if (place != last_of_length.begin()) before[i] = *std::prev(place);
    if (place == last_of_length.end())
      last_of_length.push_back(i);
    else
      *place = i;
  }
  std::vector<std::size_t> rise(last_of_length.size());
  auto at = last_of_length.empty() ? none : last_of_length.back();
  for (auto i = rise.size(); i-- > 0; at = before[at]) {
    pause();
    rise[i] = at;
  }
  return rise;
}

}  // namespace

std::size_t PolicyBook::KnownHash::operator()(const Known& known) const noexcept {
  return std::hash<net::TrafficSelector>{}(known.selector) * 4 + known.protects * 2U + known.catches_all;
}

PolicyBook::Level PolicyBook::level_of(const PolicyKey& key) {
  return key.priority * 2U + key.catches_all;
}

PolicyBook::PolicyBook(PolicySink& sink, std::uint32_t outbound_limit, Unreferenced unreferenced)
    : sink_(sink), unreferenced_(std::move(unreferenced)), references_(outbound_limit, 0) {
  known_.reserve(outbound_limit);
  by_rule_.reserve(outbound_limit);
}

std::vector<Policy*> PolicyBook::arrange(const std::vector<Wanted>& wanted, const Pause& pause) {
  for (auto& [order, policy] : policies_) {
    policy.wanted = false;
    pause();
  }
  std::map<Level, AtLevel> levels;
  for (std::size_t i = 0; i < wanted.size(); ++i) levels[level_of(wanted[i].key)].push_back(i);
  std::vector<Policy*> result(wanted.size(), nullptr);
  for (const auto& [level, at] : levels) arrange_level(level, at, wanted, result, pause);
  std::erase_if(known_, [&](const auto& entry) {
    pause();
    return !entry.second->wanted;
  });
  return result;
}

void PolicyBook::arrange_level(Level level, const AtLevel& at_level, const std::vector<Wanted>& wanted,
                               std::vector<Policy*>& result, const Pause& pause) {
  std::vector<std::size_t> known;
  std::vector<std::uint64_t> orders;
  for (const auto i : at_level) {
    pause();
    const auto found = known_.find(known_by(wanted[i].key));
    if (found == known_.end() || found->second->key != wanted[i].key) continue;
    known.push_back(i);
    orders.push_back(found->second->order);
  }
  for (const auto at : longest_rise(orders, pause)) {
    pause();
    auto& policy = *known_.at(known_by(wanted[known[at]].key));
    policy.wanted = true;
    policy.line = wanted[known[at]].line;
    policy.comment = wanted[known[at]].comment;
    result[known[at]] = &policy;
  }

  // The others go behind whatever is before them, in equal steps up to the next one.
  auto order = level_begin(level);
  for (std::size_t first = 0; first < at_level.size();) {
    pause();
    if (result[at_level[first]] != nullptr) {
      order = result[at_level[first++]]->order;
      continue;
    }
    auto next = first;
    while (next < at_level.size() && result[at_level[next]] == nullptr) ++next;
    const auto apart = order_after(order, next - first);
    if (!apart) {  // no room there any more: the whole level moves to where there is
      order = free_stretch(level, at_level.size());
      for (const auto i : at_level) {
        pause();
        if (result[i] != nullptr) result[i]->wanted = false;
        result[i] = create(wanted[i], order += step);
      }
      return;
    }
    for (; first < next; ++first) result[at_level[first]] = create(wanted[at_level[first]], order += *apart);
  }
}

// How far apart `count` policies may stand behind `order`. Nothing when there is not room for them.
std::optional<std::uint64_t> PolicyBook::order_after(std::uint64_t order, std::size_t count) const {
  const auto level = static_cast<Level>(order >> position_bits);
  const auto next = policies_.upper_bound(order);
  const bool last = next == policies_.end() || next->first >= level_end(level);
  const auto room = (last ? level_end(level) : next->first) - order;
  const auto apart = std::min(step, room / (count + 1));
  return apart == 0 ? std::nullopt : std::optional(apart);
}

// Behind all policies of that priority, or before them: one of the two has room, since 2^27 steps are more
// than twice as many as there can be policies.
std::uint64_t PolicyBook::free_stretch(Level level, std::size_t count) const {
  const auto end = policies_.lower_bound(level_end(level));
  const auto last =
      end == policies_.begin() ? level_begin(level) : std::max(level_begin(level), std::prev(end)->first);
  return level_end(level) - last > (count + 1) * step ? last : level_begin(level);
}

Policy* PolicyBook::create(const Wanted& wanted, std::uint64_t order) {
  auto& policy = policies_[order];
  policy = {wanted.key, wanted.line, wanted.comment, order, std::nullopt, {}, true};
  known_[known_by(wanted.key)] = &policy;
  return &policy;
}

Expected<void> PolicyBook::set(Policy& policy, policy::Decision decision) {
  if (policy.rule && policy.decision == decision) return {};
  const auto before = policy.rule ? policy.decision : policy::Decision{};
  if (policy.rule) {
    sink_.set(*policy.rule, decision);
  } else {
    const auto rule = sink_.add(policy.key.selector, policy.order, decision);
    if (!rule) {
      note_refused(policy, decision);
      return rule.error();
    }
    policy.rule = *rule;
    refused_changed_ |= refused_.erase(policy.order) != 0;
    by_rule_[*rule] = &policy;
    unsettled_ = true;
  }
  policy.decision = decision;
  if (decision.is_protect()) ++references_[decision.outbound_sa()];
  drop_reference(before);
  return {};
}

// What was to be bypassed stays inside anyway. What was to be protected has no SA.
void PolicyBook::note_refused(const Policy& policy, policy::Decision decision) {
  if (decision == policy::Decision::bypass()) {
    refused_changed_ |= refused_.erase(policy.order) != 0;
    return;
  }
  if (decision.is_protect()) decision = policy::Decision::protect_without_sa();
  refused_changed_ |= refused_.try_emplace(policy.order, decision).second;
}

// Of more than the sink can tell apart, the rest is as if it were for everybody.
void PolicyBook::tell_refused() {
  if (!std::exchange(refused_changed_, false)) return;
  constexpr auto families = 2U;
  std::vector<policy::StandIn> told;
  bool everything[families] = {};
  for (const auto& [order, decision] : refused_) {
    auto selector = policies_.at(order).key.selector;
    if (told.size() >= policy::most_stand_ins - families) {
      const auto family = selector.family();
      auto& rest = everything[family == net::Family::v4 ? 0 : 1];
      if (rest) continue;
      rest = true;
      selector.local = selector.remote = net::AddressRange::everything(family);
    }
    told.push_back({selector, order, decision});
    if (told.size() == policy::most_stand_ins) break;
  }
  sink_.stand_in(told);
}

// The last first: what is left of a level that moved is then its beginning, and the order stays what it was.
void PolicyBook::remove_unwanted(const Pause& pause) {
  tell_refused();  // an old policy may be all that stands in for a new one
  for (auto at = policies_.end(); at != policies_.begin();) {
    pause();
    --at;
    if (at->second.wanted) continue;
    take_out(at->second);
    at = policies_.erase(at);
  }
}

Expected<Policy*> PolicyBook::add(const Wanted& wanted, policy::Decision decision) {
  const auto level = level_of(wanted.key);
  const auto end = policies_.lower_bound(level_end(level));
  const auto last = end == policies_.begin() ? 0 : std::prev(end)->first;
  const auto behind = std::max(last, level_begin(level));
  const auto apart = order_after(behind, 1);
  if (!apart)
    return Error::shortage(fmt::format("no place behind the policies of priority {}", wanted.key.priority),
                           "reload, which makes some, or give another priority");
  auto* policy = create(wanted, behind + *apart);
  if (auto done = set(*policy, decision); !done) {
    remove(*policy);
    return done.error();
  }
  return policy;
}

void PolicyBook::remove(const Policy& policy) {
  take_out(policy);
  known_.erase(known_by(policy.key));
  policies_.erase(policy.order);
  tell_refused();
}

// What came last is found by everybody before anything goes: a policy may stand in for another.
void PolicyBook::take_out(const Policy& policy) {
  refused_changed_ |= refused_.erase(policy.order) != 0;
  if (!policy.rule) return;
  if (std::exchange(unsettled_, false)) sink_.settle();
  sink_.remove(*policy.rule);
  by_rule_.erase(*policy.rule);
  drop_reference(policy.decision);
}

Policy* PolicyBook::find(bool protects, const net::TrafficSelector& selector, bool catches_all) const {
  const auto found = known_.find({protects, selector, catches_all});
  return found == known_.end() ? nullptr : found->second;
}

const Policy* PolicyBook::of_rule(std::uint32_t rule) const {
  const auto found = by_rule_.find(rule);
  return found == by_rule_.end() ? nullptr : found->second;
}

void PolicyBook::drop_reference(policy::Decision decision) {
  if (!decision.is_protect()) return;
  if (--references_[decision.outbound_sa()] == 0) unreferenced_(decision.outbound_sa());
}

}  // namespace espgate::sa

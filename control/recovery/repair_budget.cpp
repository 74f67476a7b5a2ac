#include "control/recovery/repair_budget.hpp"

#include <algorithm>

namespace espgate::recovery {

bool RepairBudget::take(const std::string& what, Time now) {
  if (repairs_.is_over(now)) {
    repairs_.begin_if_over(now);
    if (all_.size() >= most_) forget_old(now);
  }
  if (!repairs_.has_room(now)) return false;
  auto known = all_.find(what);
  if (known == all_.end()) {
    if (all_.size() >= most_) return false;
    known = all_.emplace(what, Each{.not_before = now, .wait = first_wait}).first;
  }
  auto& each = known->second;
  if (now < each.not_before) return false;
  // It was quiet for long: what was tried last has helped.
  if (now - each.not_before > longest_wait) each.wait = first_wait;
  each.not_before = now + each.wait;
  each.wait = std::min(2 * each.wait, longest_wait);
  return repairs_.take(now);
}

void RepairBudget::note(const std::string& what, Repair done) {
  if (const auto known = all_.find(what); known != all_.end()) known->second.last = done;
}

Repair RepairBudget::refusal(const std::string& what) const {
  const auto known = all_.find(what);
  return known == all_.end() || helps(known->second.last) ? Repair::limited : known->second.last;
}

void RepairBudget::forget_old(Time now) {
  std::erase_if(all_, [&](const auto& each) { return now - each.second.not_before > longest_wait; });
}

}  // namespace espgate::recovery

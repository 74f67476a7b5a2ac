#include "control/recovery/repair_budget.hpp"

#include <algorithm>

namespace espgate::recovery {

bool RepairBudget::may_try(const std::string& what, Time now) {
  if (all_.size() >= most_) forget_old(now);
  if (!repairs_.has_one(now)) return false;
  const auto known = all_.find(what);
  return known == all_.end() ? all_.size() < most_ : now >= known->second.not_before;
}

void RepairBudget::note(const std::string& what, Repair done, Time now) {
  if (done == Repair::limited) return;
  auto& each = all_.try_emplace(what, Each{.not_before = now, .wait = first_wait}).first->second;
  each.last = done;
  if (!sends(done)) {
    each.not_before = now + first_wait;
    return;
  }
  // It was quiet for long: what was tried last has helped.
  if (now - each.not_before > longest_wait_) each.wait = first_wait;
  each.not_before = now + each.wait;
  each.wait = std::min(2 * each.wait, longest_wait_);
  (void)repairs_.take(now);
}

Repair RepairBudget::refusal(const std::string& what) const {
  const auto known = all_.find(what);
  return known == all_.end() || helps(known->second.last) ? Repair::limited : known->second.last;
}

// At most once a second: what is full stays so for long.
void RepairBudget::forget_old(Time now) {
  if (now - forgot_ < std::chrono::seconds(1)) return;
  forgot_ = now;
  std::erase_if(all_, [&](const auto& each) { return now - each.second.not_before > longest_wait_; });
}

}  // namespace espgate::recovery

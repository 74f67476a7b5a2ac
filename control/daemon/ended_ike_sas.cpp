#include "control/daemon/ended_ike_sas.hpp"

#include <algorithm>

namespace espgate::daemon {

void EndedIkeSas::allow(bool allowed) {
  is_allowed_ = allowed;
  if (!allowed) entries_.clear();
}

void EndedIkeSas::add(const ike::KeysEnded& sa, Moment when) {
  if (!is_allowed_) return;
  const auto is_alike = [&](const Entry& entry) { return entry.sa.is_proven == sa.is_proven; };
  if (std::ranges::count_if(entries_, is_alike) == most)
    entries_.erase(std::ranges::find_if(entries_, is_alike));
  entries_.push_back({++last_, sa, when});
}

const EndedIkeSas::Entry* EndedIkeSas::next_after(std::uint64_t number) const {
  const auto next = std::ranges::upper_bound(entries_, number, {}, &Entry::number);
  return next == entries_.end() ? nullptr : &*next;
}

}  // namespace espgate::daemon

#include "control/daemon/thresholds.hpp"

#include <algorithm>

namespace espgate::daemon {
namespace {

std::uint64_t count(const History::Growth& minute, const config::Threshold& threshold) {
  std::uint64_t sum = 0;
  for (const auto reason : threshold.reasons) sum += minute.by.verdicts[index_of(reason)];
  return sum;
}

}  // namespace

void Thresholds::check(const History& history, Moment now, const Changed& changed) {
  const auto configured = [&](const auto& entry) {
    return std::ranges::find(configured_, entry.first, &config::Threshold::name) != configured_.end();
  };
  std::erase_if(crossed_, [&](const auto& entry) { return !configured(entry); });
  if (configured_.empty()) return;
  const auto minute = history.growth(History::windows[0]);
  for (const auto& threshold : configured_) {
    const auto packets = count(minute, threshold);
    if (!crossed_.contains(threshold.name)) {
      if (packets < threshold.per_minute) continue;
      crossed_.emplace(threshold.name, now);
      changed(threshold, true, packets);
    } else if (2 * packets < threshold.per_minute) {
      crossed_.erase(threshold.name);
      changed(threshold, false, packets);
    }
  }
}

std::vector<Thresholds::State> Thresholds::states(const History& history) const {
  std::vector<State> result;
  const auto minute = history.growth(History::windows[0]);
  for (const auto& threshold : configured_) {
    const auto found = crossed_.find(threshold.name);
    const bool crossed = found != crossed_.end();
    result.push_back({&threshold, count(minute, threshold), crossed, crossed ? found->second : Moment{}});
  }
  return result;
}

}  // namespace espgate::daemon

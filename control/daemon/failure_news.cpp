#include "control/daemon/failure_news.hpp"

#include <iterator>

namespace espgate::daemon {

bool FailureNews::take(const std::string& who, const std::string& reason, TokenBucket::Time now) {
  const auto known = told_.find(who);
  if (known != told_.end() && known->second.reason == reason) return false;
  if (known != told_.end() && known->second.left == 0 && now - known->second.when < seldom) return false;
  if (!budget_.take(now)) return false;
  note(who, reason, now);
  return true;
}

void FailureNews::note(const std::string& who, const std::string& reason, TokenBucket::Time now) {
  const auto known = told_.find(who);
  const auto left = known == told_.end() ? at_once_of_one : known->second.left;
  forget(who);
  order_.push_back(who);
  told_.emplace(who, Told{reason, left == 0 ? 0 : left - 1, now, std::prev(order_.end())});
  if (told_.size() > most_) forget(std::string(order_.front()));
}

void FailureNews::forget(const std::string& who) {
  const auto known = told_.find(who);
  if (known == told_.end()) return;
  order_.erase(known->second.place);
  told_.erase(known);
}

}  // namespace espgate::daemon

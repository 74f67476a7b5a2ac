#include "control/daemon/failure_news.hpp"

#include <iterator>

namespace espgate::daemon {

bool FailureNews::take(const std::string& who, const std::string& reason, TokenBucket::Time now) {
  const auto known = told_.find(who);
  if (known != told_.end() && known->second.reason == reason) return false;
  if (!budget_.take(now)) return false;
  forget(who);
  order_.push_back(who);
  told_.emplace(who, Told{reason, std::prev(order_.end())});
  if (told_.size() > most_) forget(std::string(order_.front()));
  return true;
}

void FailureNews::forget(const std::string& who) {
  const auto known = told_.find(who);
  if (known == told_.end()) return;
  order_.erase(known->second.place);
  told_.erase(known);
}

}  // namespace espgate::daemon

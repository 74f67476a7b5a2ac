#include "control/host/neighbour_requests.hpp"

namespace espgate::host {

Expected<void> NeighbourRequests::request(const NeighbourKey& neighbour, Clock::duration interval,
                                          Clock::time_point now) {
  const auto known = last_.find(neighbour);
  if (known != last_.end() && now - known->second < interval) return {};
  if (now - second_start_ >= std::chrono::seconds(1)) {
    second_start_ = now;
    this_second_ = 0;
  }
  if (this_second_ >= per_second || (known == last_.end() && last_.size() >= remembered)) {
    ++suppressed_;
    return {};
  }
  ++this_second_;
  ++asked_;
  last_.insert_or_assign(neighbour, now);
  return ask_(neighbour.ifindex, neighbour.address);
}

void NeighbourRequests::forget_before(Clock::time_point oldest) {
  std::erase_if(last_, [&](const auto& entry) { return entry.second < oldest; });
}

}  // namespace espgate::host

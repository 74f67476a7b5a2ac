// So many a second, whoever causes them: a bucket holds a few and fills steadily, so that of a second that
// ends while another begins no more pass than in any other. One thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace espgate {

class TokenBucket {
 public:
  using Time = std::chrono::nanoseconds;  // steady

  // `burst`: how many may pass at once; a quarter of a second's, and one at least, unless it is said.
  explicit TokenBucket(std::uint32_t per_second) : TokenBucket(per_second, per_second / 4) {}
  TokenBucket(std::uint32_t per_second, std::uint32_t burst)
      : each_(per_second == 0 ? Time::max() / 4 : Time(std::chrono::seconds(1)) / per_second),
        ahead_(per_second == 0 ? Time(-1) : each_ * (std::max(burst, 1u) - 1)) {}

  bool has_one(Time now) const { return ahead_.count() >= 0 && full_at_ - now <= ahead_; }
  // False: it is empty.
  bool take(Time now) {
    if (!has_one(now)) return false;
    full_at_ = std::max(full_at_, now) + each_;
    return true;
  }
  // As if nothing had been taken.
  bool is_full(Time now) const { return full_at_ <= now; }

 private:
  Time each_;   // until there is another one
  Time ahead_;  // of `now` when `full_at_` is that far, one is left
  Time full_at_ = Time::min() / 2;
};

}  // namespace espgate

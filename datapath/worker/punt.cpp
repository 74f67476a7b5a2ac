#include "datapath/worker/punt.hpp"

#include <algorithm>

namespace espgate::worker {

RateLimit::RateLimit(std::uint32_t per_second, std::uint64_t tsc_hz)
    : cycles_per_token_(std::max<std::uint64_t>(1, tsc_hz / std::max<std::uint32_t>(1, per_second))),
      burst_(std::max<std::uint64_t>(32, per_second / 10)),
      tokens_(burst_) {}

void RateLimit::refill(std::uint64_t now_tsc) {
  const std::uint64_t earned = (now_tsc - last_tsc_) / cycles_per_token_;
  if (earned == 0) return;
  tokens_ = std::min(earned, burst_);
  last_tsc_ = earned > burst_ ? now_tsc : last_tsc_ + earned * cycles_per_token_;
}

}  // namespace espgate::worker

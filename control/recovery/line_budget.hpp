// How many lines may be written a second, whoever causes them.
#pragma once

#include <cstdint>
#include <utility>

#include "datapath/base/token_bucket.hpp"

namespace espgate::recovery {

class LineBudget {
 public:
  // As many at once.
  explicit LineBudget(std::uint32_t lines_per_s) : lines_(lines_per_s, lines_per_s) {}

  // True when a line may be written now; false counts it as withheld.
  bool take(TokenBucket::Time now) {
    if (lines_.take(now)) return true;
    if (withheld_++ == 0) withheld_from_ = now;
    return false;
  }
  // How many were withheld, once the first of them is a second ago. Nonzero once for each stretch.
  std::uint64_t settle(TokenBucket::Time now) {
    return now - withheld_from_ >= std::chrono::seconds(1) ? std::exchange(withheld_, 0) : 0;
  }

 private:
  TokenBucket lines_;
  std::uint64_t withheld_ = 0;
  TokenBucket::Time withheld_from_{};
};

}  // namespace espgate::recovery

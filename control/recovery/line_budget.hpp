// How many lines may be written in one second, whoever causes them.
#pragma once

#include <cstdint>
#include <utility>

#include "datapath/base/per_second.hpp"

namespace espgate::recovery {

class LineBudget {
 public:
  explicit LineBudget(std::uint32_t lines_per_s) : lines_(lines_per_s) {}

  // True when a line may be written now; false counts it as withheld.
  bool take(PerSecond::Time now) {
    if (lines_.take(now)) return true;
    ++withheld_;
    return false;
  }
  // How many were withheld in seconds that are over. Nonzero once for each stretch.
  std::uint64_t settle(PerSecond::Time now) { return lines_.is_over(now) ? std::exchange(withheld_, 0) : 0; }

 private:
  PerSecond lines_;
  std::uint64_t withheld_ = 0;
};

}  // namespace espgate::recovery

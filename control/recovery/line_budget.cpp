#include "control/recovery/line_budget.hpp"

#include <utility>

namespace espgate::recovery {

bool LineBudget::take(std::chrono::nanoseconds now) {
  if (is_over(now)) {
    began_ = now;
    written_ = 0;
  }
  if (written_ == lines_per_s_) {
    ++withheld_;
    return false;
  }
  ++written_;
  return true;
}

std::uint64_t LineBudget::settle(std::chrono::nanoseconds now) {
  return is_over(now) ? std::exchange(withheld_, 0) : 0;
}

}  // namespace espgate::recovery

// How many lines may be written in one second, whoever causes them.
#pragma once

#include <chrono>
#include <cstdint>

namespace espgate::recovery {

class LineBudget {
 public:
  explicit LineBudget(std::uint32_t lines_per_s) : lines_per_s_(lines_per_s) {}

  // True when a line may be written now; false counts it as withheld.
  bool take(std::chrono::nanoseconds now);
  // How many were withheld in seconds that are over. Nonzero once for each stretch.
  std::uint64_t settle(std::chrono::nanoseconds now);

 private:
  bool is_over(std::chrono::nanoseconds now) const { return now - began_ >= std::chrono::seconds(1); }

  std::uint32_t lines_per_s_;
  std::uint32_t written_ = 0;
  std::uint64_t withheld_ = 0;
  std::chrono::nanoseconds began_ = std::chrono::nanoseconds::min() / 2;  // of the current second
};

}  // namespace espgate::recovery

// So many in one second, whoever causes them: counted from the first on that comes after the second before.
// One thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace espgate {

class PerSecond {
 public:
  using Time = std::chrono::nanoseconds;  // steady

  explicit PerSecond(std::uint32_t most) : most_(most) {}

  std::uint32_t most() const { return most_; }
  // The second that is counted has gone by.
  bool is_over(Time now) const { return now - began_ >= std::chrono::seconds(1); }
  bool has_room(Time now) const { return is_over(now) ? most_ != 0 : taken_ < most_; }
  // One more; false: there were as many already.
  bool take(Time now) {
    begin_if_over(now);
    is_exceeded_ |= taken_ >= most_;
    if (taken_ >= most_) return false;
    ++taken_;
    return true;
  }
  // More were wanted in this second, or the last one that was counted.
  bool is_exceeded() const { return is_exceeded_; }
  void begin_if_over(Time now) {
    if (!is_over(now)) return;
    began_ = now;
    taken_ = 0;
    is_exceeded_ = false;
  }

 private:
  std::uint32_t most_;
  std::uint32_t taken_ = 0;
  bool is_exceeded_ = false;
  Time began_ = Time::min() / 2;
};

}  // namespace espgate

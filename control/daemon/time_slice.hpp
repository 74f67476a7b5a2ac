// How long one task of the control loop goes on while it has more to do. What is left waits for the loop's
// next round: so no task keeps the others waiting, however much there is.
#pragma once

#include <chrono>

namespace espgate::daemon {

class TimeSlice {
 public:
  using Clock = std::chrono::steady_clock;

  // By the clock: whoever waits, waits by that. Several tasks fit into a millisecond.
  TimeSlice() : end_(Clock::now() + std::chrono::microseconds(100)) {}

  // To be asked after each piece of work, so that one is done whatever else goes on.
  bool is_over() const { return Clock::now() >= end_; }

 private:
  Clock::time_point end_;
};

}  // namespace espgate::daemon

// How long each round of the control loop lasted that had something to do, from one look at the descriptors
// to the next: so long waits whatever comes meanwhile. And how much of that the loop's thread worked: the
// rest it waited, for a CPU that other threads had, or in the kernel. Fixed memory. One thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

namespace espgate::daemon {

// A histogram.
class Durations {
 public:
  using Duration = std::chrono::nanoseconds;
  // Four bins for each power of two microseconds, so a bin's end is a quarter above its beginning at most.
  // The last one takes whatever is longer.
  static constexpr std::size_t bin_count = 96;
  static std::uint64_t bin_from_us(std::size_t bin);

  void add(Duration one);
  std::uint64_t count() const { return count_; }
  const std::array<std::uint64_t, bin_count>& bins() const { return bins_; }
  // Not more than this share of them is longer: the end of a bin, in microseconds.
  std::uint64_t quantile_us(double share) const;
  Duration longest() const { return longest_; }

 private:
  std::array<std::uint64_t, bin_count> bins_{};
  std::uint64_t count_ = 0;
  Duration longest_{};
};

// What the loop does under one name, since it was made.
struct TaskTimes {
  std::string_view name;
  std::uint64_t calls = 0;                      // that had something to do
  std::chrono::nanoseconds total{}, longest{};  // by the clock
  // Rounds that worked for over a millisecond, where its call was the longest.
  std::uint64_t long_rounds = 0;
};

class LoopTimes {
 public:
  using Duration = Durations::Duration;

  // What its calls are noted under; the same for the same name, which lives as long as this.
  std::size_t task(std::string_view name);
  void begin_round() { longest_call_in_round_ = {}; }
  // One call within the round.
  void add_call(std::size_t task, Duration took);
  // The round is over, and had something to do.
  void add_round(Duration lasted, Duration worked);

  const Durations& lasted() const { return lasted_; }  // by the clock
  const Durations& worked() const { return worked_; }  // by the thread's CPU time
  const std::vector<TaskTimes>& tasks() const { return tasks_; }

 private:
  Durations lasted_;
  Durations worked_;
  std::vector<TaskTimes> tasks_;
  std::size_t longest_in_round_ = 0;
  Duration longest_call_in_round_{};
};

}  // namespace espgate::daemon

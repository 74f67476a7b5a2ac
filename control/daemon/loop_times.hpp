// How long each round of the control loop lasted that had something to do, from one look at the descriptors
// to the next: so long waits whatever comes meanwhile. And how much of that the loop's thread worked: the
// rest it waited, for a CPU that other threads had, or in the kernel. Fixed memory. One thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

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

class LoopTimes {
 public:
  using Duration = Durations::Duration;

  void add_round(Duration lasted, Duration worked) {
    lasted_.add(lasted);
    worked_.add(worked);
  }
  // One callback within a round; `what` lives as long as this.
  void add_callback(std::string_view what, Duration took);

  const Durations& lasted() const { return lasted_; }  // by the clock
  const Durations& worked() const { return worked_; }  // by the thread's CPU time
  Duration longest_callback() const { return longest_callback_; }
  std::string_view longest_callback_name() const { return longest_callback_name_; }

 private:
  Durations lasted_;
  Durations worked_;
  Duration longest_callback_{};
  std::string_view longest_callback_name_;
};

}  // namespace espgate::daemon

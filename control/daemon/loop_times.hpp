// How long each round of the control loop lasted that had something to do, from one look at the descriptors
// to the next: so long waits whatever comes meanwhile. Fixed memory. One thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace espgate::daemon {

class LoopTimes {
 public:
  using Duration = std::chrono::nanoseconds;
  // Four bins for each power of two microseconds, so a bin's end is a quarter above its beginning at most.
  // The last one takes whatever is longer.
  static constexpr std::size_t bin_count = 96;
  static std::uint64_t bin_from_us(std::size_t bin);

  void add_round(Duration took);
  // One callback within a round; `what` lives as long as this.
  void add_callback(std::string_view what, Duration took);

  std::uint64_t rounds() const { return rounds_; }
  const std::array<std::uint64_t, bin_count>& bins() const { return bins_; }
  // Not more than this share of the rounds lasted longer: the end of a bin, in microseconds.
  std::uint64_t quantile_us(double share) const;
  Duration longest() const { return longest_; }
  Duration longest_callback() const { return longest_callback_; }
  std::string_view longest_callback_name() const { return longest_callback_name_; }

 private:
  std::array<std::uint64_t, bin_count> bins_{};
  std::uint64_t rounds_ = 0;
  Duration longest_{};
  Duration longest_callback_{};
  std::string_view longest_callback_name_;
};

}  // namespace espgate::daemon

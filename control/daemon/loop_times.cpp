#include "control/daemon/loop_times.hpp"

#include <algorithm>
#include <bit>

namespace espgate::daemon {
namespace {

std::size_t bin_of(std::uint64_t us) {
  if (us < 4) return us;
  const auto octave = static_cast<std::size_t>(std::bit_width(us)) - 1;
  return std::min(4 * (octave - 1) + (us >> (octave - 2) & 3), Durations::bin_count - 1);
}

}  // namespace

std::uint64_t Durations::bin_from_us(std::size_t bin) {
  if (bin < 4) return bin;
  return std::uint64_t{4 + bin % 4} << (bin / 4 - 1);
}

void Durations::add(Duration one) {
  ++count_;
  ++bins_[bin_of(
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(one).count()))];
  longest_ = std::max(longest_, one);
}

std::uint64_t Durations::quantile_us(double share) const {
  const auto wanted = share * static_cast<double>(count_);
  std::uint64_t seen = 0;
  for (std::size_t bin = 0; bin < bin_count; ++bin) {
    seen += bins_[bin];
    if (static_cast<double>(seen) >= wanted && seen > 0) return bin_from_us(bin + 1);
  }
  return 0;
}

std::size_t LoopTimes::task(std::string_view name) {
  const auto known = std::ranges::find(tasks_, name, &TaskTimes::name);
  const auto index = static_cast<std::size_t>(known - tasks_.begin());
  if (known == tasks_.end()) tasks_.push_back({name});
  return index;
}

void LoopTimes::add_call(std::size_t index, Duration took) {
  auto& task = tasks_[index];
  ++task.calls;
  task.total += took;
  task.longest = std::max(task.longest, took);
  if (took <= longest_call_in_round_) return;
  longest_in_round_ = index;
  longest_call_in_round_ = took;
}

void LoopTimes::add_round(Duration lasted, Duration worked) {
  lasted_.add(lasted);
  worked_.add(worked);
  if (worked > std::chrono::milliseconds(1) && !tasks_.empty()) ++tasks_[longest_in_round_].long_rounds;
}

}  // namespace espgate::daemon

#include "benchmarks/esp/timing.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <span>
#include <vector>

namespace espgate::bench {

std::uint64_t context_switches() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<std::uint64_t>(usage.ru_nivcsw + usage.ru_nvcsw);
}

void Runs::add(double cycles, bool interrupted) {
  ++attempts_;
  if (!interrupted)
    good_[good_count_++] = cycles;
  else if (bad_count_++ < most_runs)
    bad_[bad_count_ - 1] = cycles;
}

Distribution Runs::result() const {
  std::vector<double> cycles(good_, good_ + good_count_);
  const bool undisturbed = good_count_ == wanted_;
  if (!undisturbed) cycles.insert(cycles.end(), bad_, bad_ + std::min(bad_count_, most_runs));
  std::ranges::sort(cycles);
  return {cycles[cycles.size() / 2], cycles.front(), cycles.back(), bad_count_, undisturbed};
}

}  // namespace espgate::bench

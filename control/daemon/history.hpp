// What counters did in the last minutes: one sample of all of them a second, the last half hour kept.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "datapath/verdict/verdict.hpp"

namespace espgate::daemon {

// What the ports took and sent since the start. Bytes as the drivers count them.
struct PortTotals {
  std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
};

struct CounterSample {
  std::array<std::uint64_t, verdict_count> verdicts{};
  PortTotals ports;
};

// Memory for all samples is taken once, about 1.5 MB. One thread.
class History {
 public:
  static constexpr std::array<std::chrono::seconds, 3> windows{
      std::chrono::minutes(1), std::chrono::minutes(5), std::chrono::minutes(30)};

  History() : samples_(capacity) {}

  // `now`: any clock that does not jump back, one call about a second. Counters only grow.
  void add(std::chrono::nanoseconds now, const CounterSample& counters);

  struct Growth {
    std::chrono::nanoseconds covered{};  // at most about `window`; less soon after the start
    CounterSample by;
  };
  // How much the counters grew in the last `window`, up to the last sample.
  Growth growth(std::chrono::nanoseconds window) const;

 private:
  static constexpr std::size_t capacity = 30 * 60 + 1;
  struct Sample {
    std::chrono::nanoseconds when{};
    CounterSample counters;
  };
  const Sample& back(std::size_t steps) const { return samples_[(next_ + capacity - 1 - steps) % capacity]; }

  std::vector<Sample> samples_;
  std::size_t next_ = 0;
  std::size_t count_ = 0;
};

}  // namespace espgate::daemon

#include "control/daemon/history.hpp"

#include <algorithm>

namespace espgate::daemon {

void History::add(std::chrono::nanoseconds now, const CounterSample& counters) {
  samples_[next_] = {now, counters};
  next_ = (next_ + 1) % capacity;
  count_ = std::min(count_ + 1, capacity);
}

History::Growth History::growth(std::chrono::nanoseconds window) const {
  Growth result;
  if (count_ == 0) return result;
  const auto& last = back(0);
  // Timers are a little late at times: half a second does not matter, and a sample more would.
  constexpr std::chrono::milliseconds tolerance(500);
  const auto too_young = [&](std::size_t steps) { return last.when - back(steps).when < window - tolerance; };
  std::size_t found = 0;  // by halves: the samples are in the order of time
  for (std::size_t end = count_; found < end;) {
    const auto middle = found + (end - found) / 2;
    if (too_young(middle))
      found = middle + 1;
    else
      end = middle;
  }
  const auto& first = back(std::min(found, count_ - 1));
  result.covered = last.when - first.when;
  for (std::size_t i = 0; i < verdict_count; ++i)
    result.by.verdicts[i] = last.counters.verdicts[i] - first.counters.verdicts[i];
  const auto& now = last.counters.ports;
  const auto& then = first.counters.ports;
  // A device may begin anew, as when it is reset.
  const auto more = [](std::uint64_t later, std::uint64_t earlier) {
    return later - std::min(later, earlier);
  };
  result.by.ports = {more(now.rx_packets, then.rx_packets), more(now.rx_bytes, then.rx_bytes),
                     more(now.tx_packets, then.tx_packets), more(now.tx_bytes, then.tx_bytes)};
  return result;
}

}  // namespace espgate::daemon

// Looks at all packet counters once a second: what they did in the last minutes, and whether a threshold is
// crossed.
#pragma once

#include "control/daemon/history.hpp"
#include "control/daemon/journal.hpp"
#include "control/daemon/thresholds.hpp"

namespace espgate::daemon {

struct Services;

// Each verdict's packets since the start, summed over the workers and control's half of the host path. What
// control merely passed on is a worker's to count, so of control only drops are added.
std::array<std::uint64_t, verdict_count> sample_verdicts(const Services& services);

class CounterWatch {
 public:
  // All outlive this; `thresholds` may change between calls.
  CounterWatch(const Services& services, const std::vector<config::Threshold>& thresholds, Journal& journal)
      : services_(services), journal_(journal), thresholds_(thresholds) {}

  // Crossings are logged and go into the journal.
  void sample(Moment now);
  const History& history() const { return history_; }
  std::vector<Thresholds::State> thresholds() const { return thresholds_.states(history_); }

 private:
  const Services& services_;
  Journal& journal_;
  History history_;
  Thresholds thresholds_;
};

}  // namespace espgate::daemon

// Warns once when drops of a kind come thicker than the configuration thinks right, and once when that is
// over.
//
//            last minute >= per-minute
//    quiet ───────────────────────────► crossed        Half is less than the whole, so a rate that
//      ▲                                   │           swings around the threshold does not warn
//      └───────────────────────────────────┘           again and again.
//            last minute < per-minute / 2
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/daemon/history.hpp"
#include "control/sa/moment.hpp"

namespace espgate::daemon {

class Thresholds {
 public:
  // `configured` outlives this, and may change between calls: a reload does that.
  explicit Thresholds(const std::vector<config::Threshold>& configured) : configured_(configured) {}

  using Changed = std::function<void(const config::Threshold&, bool crossed, std::uint64_t last_minute)>;
  // Calls `changed` for each that is crossed or no longer is.
  void check(const History& history, Moment now, const Changed& changed);

  struct State {
    const config::Threshold* threshold;
    std::uint64_t last_minute = 0;
    bool crossed = false;
    Moment since;  // crossed only
  };
  std::vector<State> states(const History& history) const;

 private:
  const std::vector<config::Threshold>& configured_;
  std::unordered_map<std::string, Moment> crossed_;  // by name, and since when
};

}  // namespace espgate::daemon

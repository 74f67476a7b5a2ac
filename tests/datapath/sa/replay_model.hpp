// The plain model of an anti-replay window: what RFC 4303 3.4.3 says, in as few lines as possible.
#pragma once

#include <cstdint>
#include <memory>
#include <set>

#include "datapath/sa/replay_window.hpp"

namespace espgate::test {

struct ReplayModel {
  std::uint64_t window;
  std::uint64_t top = 0;
  std::set<std::uint64_t> seen = {};  // those inside the window

  sa::Replay check(std::uint64_t sequence) const {
    if (sequence == 0) return sa::Replay::duplicate;
    if (top >= window && sequence <= top - window) return sa::Replay::out_of_window;
    return seen.contains(sequence) ? sa::Replay::duplicate : sa::Replay::fresh;
  }
  sa::Replay commit(std::uint64_t sequence) {
    const auto result = check(sequence);
    if (result != sa::Replay::fresh) return result;
    seen.insert(sequence);
    top = std::max(top, sequence);
    while (top >= window && *seen.begin() <= top - window) seen.erase(seen.begin());
    return result;
  }
};

// The real one with its memory.
struct OwnedReplayWindow {
  explicit OwnedReplayWindow(std::uint32_t window, std::uint64_t first_top = 0)
      : window_packets(window),
        cells(std::make_unique<sa::ReplayCell[]>(sa::replay_cells(window))),
        top(first_top) {}

  sa::ReplayWindow view() { return {top, cells.get(), window_packets, sa::replay_cells(window_packets) - 1}; }

  std::uint32_t window_packets;
  std::unique_ptr<sa::ReplayCell[]> cells;
  std::atomic<std::uint64_t> top;
};

}  // namespace espgate::test

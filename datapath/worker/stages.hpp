// Where a worker's cycles go: one clock for each stage of the path, read for one burst in 16.
#pragma once

#include <rte_cycles.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "datapath/verdict/counters.hpp"

namespace espgate::worker {

enum class Stage : std::uint8_t {
  receive,  // from the port, or from the host path
  parse,    // Ethernet to ESP or IP header
  lookup,   // SPI -> SA
  prepare,  // addresses, lengths, replay check, crypto operations
  decrypt,
  accept,  // replay commit, trailer, inner header, selectors
  policy,  // outbound decision
  encapsulate,
  encrypt,
  forward,   // route, adjacency, Ethernet header
  transmit,  // to the port, verdicts, freeing
};
inline constexpr std::size_t stage_count = 11;
inline constexpr std::array<std::string_view, stage_count> stage_names{
    "receive", "parse",       "lookup",  "prepare", "decrypt", "accept",
    "policy",  "encapsulate", "encrypt", "forward", "transmit"};

class StageClock {
 public:
  struct Reading {
    Counter cycles;
    Counter packets;  // that passed the stage while it was measured
  };

  // Called once a burst. The first is measured, and one in 16 from then on.
  void begin_burst() {
    running_ = (bursts_++ & 15) == 0;
    if (running_) last_ = rte_rdtsc();
  }
  void end_stage(Stage stage, unsigned packets) {
    if (!running_) return;
    const std::uint64_t now = rte_rdtsc();
    auto& reading = readings_[static_cast<std::size_t>(stage)];
    reading.cycles.add(now - last_);
    reading.packets.add(packets);
    last_ = now;
  }
  const std::array<Reading, stage_count>& readings() const { return readings_; }

 private:
  std::uint64_t bursts_ = 0;
  std::uint64_t last_ = 0;
  bool running_ = false;
  std::array<Reading, stage_count> readings_;
};

}  // namespace espgate::worker

// Explains ESP packets whose SPI leads to no active SA, and has what is wrong repaired.
//
// Purpose: an operator who sees %CRYPTO-4-RECVD_PKT_INV_SPI learns at once whether it is normal, whose
// fault it is and what to do; `show invalid-spi` and `show spi` tell the rest. UDP-encapsulated packets
// are treated like plain ones.
// Non-goals: deciding a packet's fate (the worker dropped and counted it) and counting each packet: workers
// send samples, as many as the punt ring and its rate limit let through, so the counts here are of
// packets reported. The drop counters are exact.
//
// What is logged
//   - The first packet of a flow (source, destination, SPI, encapsulation), then one line a minute while
//     packets come, with the number of packets in between that had none.
//   - Nothing while a miss is normal: larval within `larval_quiet` of the reservation, rekeyed within
//     `in_flight` of becoming a tombstone. Such packets are in the table and in its counts all the
//     same. If the condition lasts, the next packet is logged like any other.
//   - At most `lines_per_s` lines a second over all flows of SPIs that were ours, and as many of others; what
//   is withheld beyond is told by one summary
//     line when the second is over. A withheld flow speaks at its next packet.
//   - Of a flood, that it begins and how long it was; its flows have no lines.
//
// What is repaired: what a peer of ours should not send any more, or never should have: an SPI retired more
// than `in_flight` ago, of before a restart, or never issued to a configured peer. Never one that is larval,
// and nothing of a flood. How often is the RepairBudget's to say, for one peer and for all; who sends an SPI
// of ours from elsewhere than its peer makes that peer wait for nothing.
//
// Bounds: memory is fixed by `flows`, work per record is constant, a flow that was evicted starts anew.
// Control thread only; no clock, no I/O.
#pragma once

#include <array>
#include <chrono>
#include <string>

#include "control/recovery/flood_watch.hpp"
#include "control/recovery/flow_table.hpp"
#include "control/recovery/line_budget.hpp"
#include "control/recovery/repair_budget.hpp"
#include "control/recovery/witness.hpp"
#include "control/sa/surroundings.hpp"

namespace espgate::recovery {

class InvalidSpiHandler {
 public:
  struct Options {
    std::uint32_t flows = 4'096;
    std::uint32_t lines_per_s = 10;  // of SPIs that were ours, and as many of others
    std::chrono::nanoseconds line_interval = std::chrono::seconds(60);  // of one flow
    std::chrono::nanoseconds larval_quiet = std::chrono::seconds(30);
    std::chrono::nanoseconds in_flight = std::chrono::seconds(1);  // of packets sent before the peer heard
    std::uint32_t repairs_per_s = 100;
    std::size_t repaired_peers = 20'000;    // with waits of their own
    std::uint32_t flood_flows_per_s = 200;  // new ones that nothing is known of
  };

  // `knowledge`, `repairer` and `witness`, which may be null, outlive the handler. `random` is used here
  // only, for the hash secret.
  InvalidSpiHandler(const Options& options, const sa::SpiKnowledge& knowledge, Repairer& repairer,
                    sa::Log log, const sa::RandomSource& random, Witness* witness = nullptr);

  // One record from the punt ring; `port` is the name of the port it came in by.
  void handle(const sa::SpiMiss& miss, std::string_view port, Moment now);
  // Writes summary lines that are due. To be called about once a second.
  void tick(Moment now);

  // Packets reported, by class.
  const std::array<std::uint64_t, class_count>& packets() const { return packets_; }
  // How often something was repaired, or why not, by Repair.
  const std::array<std::uint64_t, repair_count>& repairs() const { return repairs_; }
  const FlowTable& table() const { return table_; }
  // The connection that the flow's SPI belongs or belonged to, or else its source; may be empty.
  std::string owner_of(const Flow& flow) const;

 private:
  bool is_normal(const Flow& flow, const sa::SpiFacts& facts, Moment now) const;
  bool is_trouble(const Flow& flow, const sa::SpiFacts& facts, Moment now) const;
  void begin(Flow& flow, sa::Miss miss, const sa::SpiFacts& facts, Moment now);
  void repair(Flow& flow, const sa::SpiMiss& miss, const sa::SpiFacts& facts, std::string_view of_peer,
              Moment now);
  void speak(Flow& flow, const sa::SpiFacts& facts, const sa::SpiMiss& miss, Moment now);

  Options options_;
  const sa::SpiKnowledge& knowledge_;
  sa::Log log_;
  FlowTable table_;
  // As with repairs: what is made up easily takes no line from an SPI that was ours.
  LineBudget known_lines_;
  LineBudget other_lines_;
  // Half of what is allowed each: who makes up SPIs in peers' names takes nothing from those that were ours.
  RepairBudget known_spis_;
  RepairBudget guesses_;
  FloodWatch flood_;
  Repairer& repairer_;
  Witness* witness_;
  std::array<std::uint64_t, class_count> packets_{};
  std::array<std::uint64_t, repair_count> repairs_{};
};

}  // namespace espgate::recovery

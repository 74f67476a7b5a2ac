// Keeps what an operator wants to know of a flow in trouble: an event at once; then, when the flow is
// `settling` old, what IKE did with the peer until then, files, and the operator's program.
//
//   InvalidSpiHandler ── flow_began ──► Journal, EvidenceBook ── settled ──► files ──► on-invalid-spi
//                     ── flow_went_on ──► its next packets
//
// Bounds: events as many as lines; files of peers alone, one flow a second; the program one at a time, as
// often as HookRunner lets it, for strangers half as often. What made room for others before its turn has
// neither. Disk and processes are a thread's business. Control thread.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/cli/stream.hpp"
#include "control/config/configuration.hpp"
#include "control/daemon/evidence_files.hpp"
#include "control/daemon/give_way.hpp"
#include "control/daemon/hook_runner.hpp"
#include "control/daemon/journal.hpp"
#include "control/recovery/evidence_book.hpp"
#include "control/recovery/witness.hpp"

namespace espgate::daemon {

class EvidenceService final : public recovery::Witness {
 public:
  static constexpr std::chrono::seconds settling{2};
  static constexpr std::chrono::seconds between_files{1};

  struct Parts {  // what is referred to outlives it
    EventLoop& loop;
    Journal& journal;
    sa::Log log;
    // A worker's time stamp.
    std::function<WallTime(std::uint64_t tsc)> wall_time;
    // What IKE did with its peer, oldest first.
    std::function<std::vector<recovery::HistoryLine>(const recovery::Case&)> history;
    const config::Hook& hook;            // as it is now
    std::optional<EvidenceFiles> files;  // none: in memory alone
    Cpus spare_cpus{};                   // for the thread
  };
  explicit EvidenceService(Parts parts);
  ~EvidenceService() override;

  std::uint64_t flow_began(const recovery::Flow& flow, std::string_view connection, const sa::SpiMiss& miss,
                           Moment now) override;
  void flow_went_on(const recovery::Flow& flow, const sa::SpiMiss& miss, Moment now) override;
  void flood_began(const net::Address& last_source, std::uint32_t flows_per_s, Moment now) override;
  void flood_ended(const recovery::FloodWatch::Over& over, Moment now) override;

  // Ten times a second or so.
  void tick(Moment now);
  // espgated is about to end: no program from here on, and the one that runs is ended. Waits for nothing.
  void stop() { hook_.stop(); }

  // Of the newest flows that are kept with this SPI, as `show spi` has it.
  nlohmann::json describe(std::uint32_t spi) const;
  // Their packets. Error: none is kept.
  Expected<void> send_packets(std::uint32_t spi, const cli::StreamPtr& stream) const;

 private:
  nlohmann::json describe(const recovery::Case& one) const;
  void settle_one(Moment now);
  void write(recovery::Case& one, Moment now);
  void hand_on_one(Moment now);
  HookCommand command_for(const recovery::Case& one) const;

  Parts parts_;
  recovery::EvidenceBook book_;
  bool is_writing_ = false;
  std::chrono::nanoseconds last_write_ = std::chrono::nanoseconds::min() / 2;
  WorkThreads work_;
  HookRunner hook_;  // last: it goes before what it uses
};

}  // namespace espgate::daemon

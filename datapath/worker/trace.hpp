// What happened to chosen packets, stage by stage. Off, it costs one test a burst. On, a worker marks
// packets as they come in and sends a record for each stage a marked packet passed.
#pragma once

#include <atomic>
#include <cstdint>

#include "datapath/worker/burst.hpp"
#include "datapath/worker/stages.hpp"

struct rte_ring;

namespace espgate::worker {

struct TraceRecord {
  std::uint64_t packet;  // number of the traced packet, from 1
  std::uint64_t tsc;
  std::uint64_t sequence;  // ESP sequence number, 64-bit, once known
  std::uint32_t spi;
  std::uint32_t sa;     // SA index, or sa::no_sa
  std::uint16_t bytes;  // of the frame or packet at this stage; 0 in a verdict record
  std::uint8_t worker;
  std::uint8_t port;
  std::uint8_t stage;    // Stage
  std::uint8_t verdict;  // Verdict; undecided while on its way
  std::uint8_t kind;     // parse::FrameKind
  std::uint8_t from_host;
  std::uint8_t head[40];  // first bytes of the IP packet as it stood
  std::uint16_t tunnel;   // that it came out of or goes into, or tunnel::no_tunnel
  std::uint8_t unused[6];
};
static_assert(sizeof(TraceRecord) == 88);

inline constexpr std::uint8_t any_port = 0xff;

// Shared by all workers; control arms it.
struct TraceRequest {
  std::atomic<std::int64_t> remaining{0};  // packets still to be marked
  std::atomic<std::uint64_t> marked{0};    // packets marked so far, which numbers them
  std::atomic<std::uint8_t> port{any_port};
};

// One worker's part.
class Tracer {
 public:
  Tracer(TraceRequest& request, rte_ring* ring, std::uint8_t worker);

  // Marks packets of a burst that has just been parsed, and records what they are.
  void begin(const Burst& burst) {
    active_ = false;
    if (request_.remaining.load(std::memory_order_relaxed) > 0) mark(burst);
  }
  // The packets that come now have not been marked: whatever rows say is of others.
  void pass_over() { active_ = false; }
  // Records the marked packets among `lanes` after a stage, while the worker holds them.
  void stage(const Burst& burst, Stage stage, const Lanes& lanes) {
    if (active_) record(burst, stage, lanes);
  }
  // Records the verdict of marked packets, which may be somebody else's by now: touches no mbuf.
  void verdicts(const Burst& burst, const std::uint8_t* first, const std::uint8_t* last) {
    if (active_) record_verdicts(burst, first, last);
  }

 private:
  void mark(const Burst& burst);
  void record_packet(const Burst& burst, Stage stage, std::uint8_t row);
  TraceRecord describe(const Burst& burst, std::uint8_t row) const;
  void record(const Burst& burst, Stage stage, const Lanes& lanes);
  void record_verdicts(const Burst& burst, const std::uint8_t* first, const std::uint8_t* last);
  void send(TraceRecord record);

  TraceRequest& request_;
  rte_ring* ring_;
  std::uint8_t worker_;
  bool active_ = false;
  std::array<std::uint64_t, burst_max> number_{};  // 0: not traced
};

}  // namespace espgate::worker

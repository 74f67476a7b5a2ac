// Frames for the operator's pcap: all of one port, in and out, or the packets dropped for one reason.
// Off, it costs one test a burst. Frames go to control by a ring, which frees them.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "datapath/verdict/verdict.hpp"

struct rte_ring;
struct rte_mempool;

namespace espgate::worker {

// What is wanted. Control writes; workers read. One capture at a time.
struct CaptureRequest {
  enum class What : std::uint8_t { nothing, port, drop };
  std::atomic<What> what{What::nothing};
  std::atomic<std::uint8_t> port{0};
  std::atomic<Verdict> drop{Verdict::undecided};
  std::atomic<std::uint64_t> lost{0};  // frames that found no buffer or no room in the ring
};

// Direction, as put into the captured mbuf's hash.usr field; the TSC is in its dynfield-free `tx_offload`
// word, which nothing else uses while the mbuf is in the ring.
enum class Direction : std::uint8_t { in, out, dropped };

class Capture {
 public:
  Capture(CaptureRequest& request, rte_ring* ring, rte_mempool* pool)
      : request_(request), ring_(ring), pool_(pool) {}

  bool wants_port(std::uint8_t port) const {
    return request_.what.load(std::memory_order_relaxed) == CaptureRequest::What::port &&
           request_.port.load(std::memory_order_relaxed) == port;
  }
  bool wants_drops() const {
    return request_.what.load(std::memory_order_relaxed) == CaptureRequest::What::drop;
  }
  // Sends a copy.
  void copy(rte_mbuf* const* frames, unsigned count, std::uint8_t port, Direction direction);
  // While drops are wanted: keeps a copy of each frame of a burst as it came, since by the time it is dropped
  // a packet may be stripped or decrypted. `finish_burst` sends those of rows with the wanted verdict and
  // frees the others. Packets that have no Ethernet header get one of zeros.
  enum class As : std::uint8_t { frame, packet };
  void keep(rte_mbuf* const* frames, unsigned count, As as);
  void finish_burst(const Verdict* verdicts, std::uint8_t port) {
    if (kept_count_ != 0) sort_kept(verdicts, port);
  }

 private:
  static constexpr unsigned kept_max = 64;

  rte_mbuf* copy_of(rte_mbuf* frame);
  void send(rte_mbuf* copy, std::uint8_t port, Direction direction);
  void sort_kept(const Verdict* verdicts, std::uint8_t port);

  CaptureRequest& request_;
  rte_ring* ring_;
  rte_mempool* pool_;
  unsigned kept_count_ = 0;
  std::array<rte_mbuf*, kept_max> kept_{};  // by row; nullptr where no buffer was left
};

// Read back on the control core.
inline Direction direction_of(const rte_mbuf& captured) {
  return static_cast<Direction>(captured.hash.usr);
}
inline std::uint64_t tsc_of(const rte_mbuf& captured) {
  return captured.tx_offload;
}

}  // namespace espgate::worker

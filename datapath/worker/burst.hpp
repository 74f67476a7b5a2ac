// What a worker knows of the packets in its hands: structure of arrays, one column a fact, filled in
// stage by stage. Lanes are lists of row numbers: a stage takes lanes in and gives lanes out.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <utility>

#include "datapath/crypto/engine.hpp"
#include "datapath/parse/frame.hpp"
#include "datapath/sa/security_association.hpp"
#include "datapath/verdict/verdict.hpp"

namespace espgate::worker {

inline constexpr unsigned burst_max = 64;

struct Lanes {
  unsigned count = 0;
  std::array<std::uint8_t, burst_max> row;

  void clear() { count = 0; }
  void add(unsigned r) { row[count++] = static_cast<std::uint8_t>(r); }
  const std::uint8_t* begin() const { return row.data(); }
  const std::uint8_t* end() const { return row.data() + count; }
};

// How a packet that is to be sent came to be, which decides what its egress failures are called.
enum class Origin : std::uint8_t {
  transit,    // cleartext from a port
  admitted,   // let in from the outside: decrypted, or bypassed by a policy; none is for its way on
  encrypted,  // ESP that we made
  host,       // from the kernel
  control,    // an outer packet of the control core's own
  dummy,      // to be encrypted, and to be dropped by the peer
};

inline bool is_exclusive(const rte_mbuf& mbuf) {
  return rte_mbuf_refcnt_read(&mbuf) == 1 && RTE_MBUF_DIRECT(&mbuf) && rte_pktmbuf_is_contiguous(&mbuf);
}

// Takes everything behind the first `bytes` off, segments included, which rte_pktmbuf_trim does not. There
// are as many.
inline void shorten(rte_mbuf& mbuf, std::uint32_t bytes) {
  rte_mbuf* last = &mbuf;
  std::uint32_t left = bytes;
  if (mbuf.nb_segs != 1) [[unlikely]] {
    for (mbuf.nb_segs = 1; left > last->data_len; ++mbuf.nb_segs) {
      left -= last->data_len;
      last = last->next;
    }
    rte_pktmbuf_free(std::exchange(last->next, nullptr));
  }
  last->data_len = static_cast<std::uint16_t>(left);
  mbuf.pkt_len = bytes;
}

struct Burst {
  unsigned count = 0;
  std::uint8_t port = 0;  // all packets of a burst came in by one port (or from its TAP twin)
  bool from_host = false;
  std::uint64_t tsc = 0;
  std::array<rte_mbuf*, burst_max> mbuf;
  std::array<std::uint8_t*, burst_max> l3;  // the IP header, as it stands
  std::array<parse::FrameInfo, burst_max> info;
  std::array<Verdict, burst_max> verdict;
  std::array<std::uint32_t, burst_max> sa;      // inbound, later outbound SA index
  std::array<bool, burst_max> protect;          // it is an outbound one
  std::array<sa::State, burst_max> state;       // of the inbound SA, as it was when first looked at
  std::array<std::uint16_t, burst_max> tunnel;  // that the packet came out of, or goes into; 0: none
  std::array<std::uint64_t, burst_max> sequence;
  std::array<sa::Replay, burst_max> replay;  // of a packet with a good ICV, once committed
  std::array<Origin, burst_max> origin;
  std::array<net::Family, burst_max> family;         // of the IP packet at the mbuf's data, once stripped
  std::array<std::uint16_t, burst_max> inner_bytes;  // of a packet we encapsulated
  std::array<bool, burst_max> dont_fragment;         // inner DF of a packet we encapsulated, or IPv6
  // To be encapsulated whole, and the outer packet cut. So is what we made whole, if it is.
  std::array<bool, burst_max> fragment_outer;
  std::array<std::uint16_t, burst_max> largest_part;  // of what we made whole and sends on in clear; or 0
  std::array<crypto::Operation, burst_max> operations;
};

}  // namespace espgate::worker

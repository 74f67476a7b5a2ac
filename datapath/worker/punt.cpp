#include "datapath/worker/punt.hpp"

#include <rte_mbuf.h>

#include <algorithm>

#include "datapath/worker/trace.hpp"

namespace espgate::worker {

RateLimit::RateLimit(std::uint32_t per_second, std::uint64_t tsc_hz)
    : cycles_per_token_(std::max<std::uint64_t>(1, tsc_hz / std::max<std::uint32_t>(1, per_second))),
      burst_(std::max<std::uint64_t>(32, per_second / 10)),
      tokens_(burst_) {}

void RateLimit::refill(std::uint64_t now_tsc) {
  const std::uint64_t earned = (now_tsc - last_tsc_) / cycles_per_token_;
  if (earned == 0) return;
  tokens_ = std::min(earned, burst_);
  last_tsc_ = earned > burst_ ? now_tsc : last_tsc_ + earned * cycles_per_token_;
}

Expected<void> PuntRings::create(unsigned entries, unsigned capture_entries) {
  // A trace of one burst has a record for each packet and stage.
  constexpr unsigned trace_entries = 32'768;
  const auto packets = [](const char* name, unsigned count, unsigned flags) {
    return rte_ring_create(name, count, SOCKET_ID_ANY, flags | RING_F_EXACT_SZ);
  };
  const auto records = [](const char* name, unsigned bytes, unsigned count) {
    return rte_ring_create_elem(name, bytes, count, SOCKET_ID_ANY, RING_F_SC_DEQ | RING_F_EXACT_SZ);
  };
  link = packets("link", entries, RING_F_SC_DEQ);
  host = packets("host", entries, RING_F_SC_DEQ);
  inner = packets("inner", entries, RING_F_SC_DEQ);
  ike_known = packets("ike-known", entries, RING_F_SC_DEQ);
  ike = packets("ike", entries, RING_F_SC_DEQ);
  refused = packets("refused", entries, RING_F_SC_DEQ);
  inject = packets("inject", entries, RING_F_SC_DEQ | RING_F_SP_ENQ);
  capture = packets("captured", capture_entries, RING_F_SC_DEQ);
  spi_known = records("spi-known", sizeof(sa::SpiMiss), entries);
  spi = records("spi", sizeof(sa::SpiMiss), entries);
  neighbour = records("neighbour", sizeof(NeighbourWanted), entries);
  peer = records("peer", sizeof(PeerMoved), entries);
  lifetime = records("lifetime", sizeof(sa::LifetimeReached), entries);
  trace = records("trace", sizeof(TraceRecord), trace_entries);
  const auto missing = [](rte_ring* const* ring) { return *ring == nullptr; };
  if (std::ranges::none_of(of_packets(), missing) && std::ranges::none_of(of_records(), missing)) return {};
  destroy();
  return Error{"not enough memory for the punt rings", "provide more huge pages or lower limits.punt-ring"};
}

void PuntRings::destroy() {
  for (auto** ring : of_packets()) {
    void* packet = nullptr;
    while (*ring != nullptr && rte_ring_sc_dequeue(*ring, &packet) == 0)
      rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
    rte_ring_free(std::exchange(*ring, nullptr));
  }
  for (auto** ring : of_records()) rte_ring_free(std::exchange(*ring, nullptr));
}

}  // namespace espgate::worker

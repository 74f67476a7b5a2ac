#include "datapath/worker/capture.hpp"

#include <rte_cycles.h>
#include <rte_ring.h>

#include <limits>

namespace espgate::worker {

bool Capture::send(rte_mbuf* packet, std::uint8_t port, Direction direction) {
  packet->port = port;
  packet->hash.usr = static_cast<std::uint32_t>(direction);
  packet->tx_offload = rte_rdtsc();
  if (rte_ring_mp_enqueue(ring_, packet) == 0) return true;
  request_.lost.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void Capture::copy(rte_mbuf* const* frames, unsigned count, std::uint8_t port, Direction direction) {
  for (unsigned i = 0; i < count; ++i) {
    rte_mbuf* copy = rte_pktmbuf_copy(frames[i], pool_, 0, std::numeric_limits<std::uint32_t>::max());
    if (copy == nullptr)
      request_.lost.fetch_add(1, std::memory_order_relaxed);
    else if (!send(copy, port, direction))
      rte_pktmbuf_free(copy);
  }
}

bool Capture::take(rte_mbuf* packet, std::uint8_t port) {
  return send(packet, port, Direction::dropped);
}

}  // namespace espgate::worker

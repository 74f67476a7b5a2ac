#include "datapath/worker/capture.hpp"

#include <rte_cycles.h>
#include <rte_ring.h>

#include <cstring>
#include <limits>

#include "datapath/net/headers.hpp"

namespace espgate::worker {
namespace {

void put_ethernet_header(rte_mbuf& packet) {
  const bool v4 = *rte_pktmbuf_mtod(&packet, const std::uint8_t*) >> 4 == 4;
  auto* header = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(&packet, net::ethernet_bytes));
  std::memset(header, 0, net::ethernet_bytes);
  net::store_be16({header, net::ethernet_bytes}, 12, v4 ? net::ethertype_ipv4 : net::ethertype_ipv6);
}

}  // namespace

rte_mbuf* Capture::copy_of(rte_mbuf* frame) {
  rte_mbuf* copy = rte_pktmbuf_copy(frame, pool_, 0, std::numeric_limits<std::uint32_t>::max());
  if (copy == nullptr) request_.lost.fetch_add(1, std::memory_order_relaxed);
  return copy;
}

void Capture::send(rte_mbuf* copy, std::uint8_t port, Direction direction) {
  copy->port = port;
  copy->hash.usr = static_cast<std::uint32_t>(direction);
  copy->tx_offload = rte_rdtsc();
  if (rte_ring_mp_enqueue(ring_, copy) == 0) return;
  request_.lost.fetch_add(1, std::memory_order_relaxed);
  rte_pktmbuf_free(copy);
}

void Capture::copy(rte_mbuf* const* frames, unsigned count, std::uint8_t port, Direction direction) {
  for (unsigned i = 0; i < count; ++i)
    if (rte_mbuf* copy = copy_of(frames[i]); copy != nullptr) send(copy, port, direction);
}

void Capture::keep(rte_mbuf* const* frames, unsigned count, As as) {
  for (unsigned i = 0; i < count; ++i) {
    kept_[i] = copy_of(frames[i]);
    if (as == As::packet && kept_[i] != nullptr) put_ethernet_header(*kept_[i]);
  }
  kept_count_ = count;
}

void Capture::sort_kept(const Verdict* verdicts, std::uint8_t port) {
  const auto wanted = request_.drop.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < kept_count_; ++i) {
    if (kept_[i] == nullptr) continue;
    if (verdicts[i] == wanted)
      send(kept_[i], port, Direction::dropped);
    else
      rte_pktmbuf_free(kept_[i]);
  }
  kept_count_ = 0;
}

}  // namespace espgate::worker

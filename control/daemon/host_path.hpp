// The control core's half of the host path: packets that workers punted go into the TAP twins, frames
// that the kernel sends go to a worker. What cannot be delivered is counted by name.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "datapath/verdict/counters.hpp"
#include "datapath/worker/punt.hpp"
#include "drivers/host/tap.hpp"

struct rte_mempool;

namespace espgate::daemon {

class HostPath {
 public:
  // `taps[i]` is the twin of port i. All references outlive this.
  HostPath(std::vector<host::Tap>& taps, const worker::PuntRings& rings, rte_mempool* buffers);

  // Delivers what waits in the host and IKE rings, a bounded number of packets. Returns how many.
  unsigned deliver();
  // Has a worker route and send an IP packet of the control core's own. False: no buffer, or no room in the
  // ring.
  bool send(std::span<const std::uint8_t> ip_packet);
  // Takes frames that wait in a twin, a bounded number.
  void take(std::size_t port);

  // received: packets from the rings, by their verdict TO_HOST or HOST_TAP_FULL; from_host: frames from
  // the twins, by FORWARDED (given to a worker), HOST_INJECT_FULL or PKT_BUFFER_UNAVAILABLE.
  const PacketCounters& counters() const { return counters_; }

 private:
  unsigned deliver_ring(rte_ring* ring);

  std::vector<host::Tap>& taps_;
  const worker::PuntRings& rings_;
  rte_mempool* buffers_;
  PacketCounters counters_;
  std::vector<std::uint8_t> scratch_;  // a packet in several segments, made one frame
};

}  // namespace espgate::daemon

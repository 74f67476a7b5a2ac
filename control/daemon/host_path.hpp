// The control core's half of the host path: packets that workers punted go into the TAP twins and tunnel
// links, what the kernel sends goes to a worker. What cannot be delivered is counted by name.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
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

  // Delivers a few packets of each of the host and IKE rings. Returns how many.
  unsigned deliver();
  // Has a worker route and send an IP packet of the control core's own: an outer one as it is, or one in
  // clear by policy, or a dummy, also by `tunnel` (worker::from_control and others). False: no buffer, or no
  // room in the ring.
  bool send(std::span<const std::uint8_t> ip_packet, std::uint16_t as = worker::from_control,
            tunnel::Index tunnel = tunnel::no_tunnel);
  // Shows `listener` each IP packet that the kernel gets from the host rings.
  void listen(std::function<void(std::span<const std::uint8_t>)> listener) {
    listener_ = std::move(listener);
  }
  // Gives `taker` each frame with an IKE message; what it refuses goes to the kernel, where an IKE daemon may
  // listen.
  void take_ike(std::function<bool(std::span<const std::uint8_t>)> taker) { ike_taker_ = std::move(taker); }
  // Takes frames that wait in a twin, as long as it has time. Error: the twin is gone, as from now on; it is
  // told once, and the descriptor is not to be watched any longer.
  Expected<void> take(std::size_t port);

  // Packets to and from the tunnel of this index go by `link`, which stays the caller's, until it is removed.
  void add_tunnel(tunnel::Index index, host::Tap& link) { tunnels_[index] = &link; }
  void remove_tunnel(tunnel::Index index) { tunnels_.erase(index); }
  // As `take`, from a tunnel that was added.
  Expected<void> take_from_tunnel(tunnel::Index index);

  // Somebody removed the twin of this port from the kernel. Packets for it are counted as HOST_TAP_FULL.
  bool twin_gone(std::size_t port) const { return gone_[port]; }

  // Whether frames with this verdict are dropped here alone, where no capture sees them.
  static bool drops_alone(Verdict verdict) {
    return verdict == Verdict::HOST_TAP_FULL || verdict == Verdict::HOST_INJECT_FULL;
  }

  // received: packets from the rings, by their verdict TO_HOST, TO_CONTROL or HOST_TAP_FULL; from_host:
  // frames from the twins, by FORWARDED (given to a worker), HOST_INJECT_FULL or PKT_BUFFER_UNAVAILABLE.
  const PacketCounters& counters() const { return counters_; }

 private:
  unsigned deliver_ring(rte_ring* ring);
  // `twin` is as in mbuf->port.
  bool write(std::uint16_t twin, std::span<const std::uint8_t> frame);
  Expected<void> take_from(host::Tap& tap, std::uint16_t twin);

  std::vector<host::Tap>& taps_;
  const worker::PuntRings& rings_;
  rte_mempool* buffers_;
  std::function<void(std::span<const std::uint8_t>)> listener_;
  std::function<bool(std::span<const std::uint8_t>)> ike_taker_;
  PacketCounters counters_;
  std::vector<bool> gone_;  // by port
  std::unordered_map<tunnel::Index, host::Tap*> tunnels_;
  std::vector<std::uint8_t> scratch_;  // a packet in several segments, made one frame
};

}  // namespace espgate::daemon

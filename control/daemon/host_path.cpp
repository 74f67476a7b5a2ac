#include "control/daemon/host_path.hpp"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <cstring>
#include <span>

#include "control/daemon/time_slice.hpp"

namespace espgate::daemon {
namespace {

constexpr std::size_t packets_at_once = 4;  // an IKE message may be opened, answered and logged
constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t largest_frame_bytes = 65'535 + 18;

}  // namespace

HostPath::HostPath(std::vector<host::Tap>& taps, const worker::PuntRings& rings, rte_mempool* buffers)
    : taps_(taps), rings_(rings), buffers_(buffers), gone_(taps.size()), scratch_(largest_frame_bytes) {}

// The flood that a ring may hold does not keep the others waiting.
unsigned HostPath::deliver() {
  unsigned delivered = 0;
  for (auto* ring : {rings_.link, rings_.ike_known, rings_.ike, rings_.inner, rings_.host})
    delivered += deliver_ring(ring);
  return delivered;
}

unsigned HostPath::deliver_ring(rte_ring* ring) {
  std::array<void*, packets_at_once> packets;
  const unsigned count = rte_ring_sc_dequeue_burst(ring, packets.data(), packets.size(), nullptr);
  counters_.received.add(count);
  for (unsigned i = 0; i < count; ++i) {
    auto* packet = static_cast<rte_mbuf*>(packets[i]);
    const auto* frame = static_cast<const std::uint8_t*>(rte_pktmbuf_read(
        packet, 0, std::min<std::uint32_t>(packet->pkt_len, largest_frame_bytes), scratch_.data()));
    const bool from_port = packet->port < worker::first_tunnel_link;
    const bool ours = ring == rings_.host || ring == rings_.inner;
    if (listener_ && ours && from_port && frame != nullptr && packet->pkt_len > ethernet_bytes)
      listener_({frame + ethernet_bytes, packet->pkt_len - ethernet_bytes});
    const bool ike = ring == rings_.ike_known || ring == rings_.ike;
    if (ike_taker_ && ike && frame != nullptr && ike_taker_({frame, packet->pkt_len})) {
      counters_.count(Verdict::TO_CONTROL);
      rte_pktmbuf_free(packet);
      continue;
    }
    const bool written = frame != nullptr && write(packet->port, {frame, packet->pkt_len});
    counters_.count(written ? Verdict::TO_HOST : Verdict::HOST_TAP_FULL);
    rte_pktmbuf_free(packet);
  }
  return count;
}

bool HostPath::send(std::span<const std::uint8_t> ip_packet, std::uint16_t as, tunnel::Index tunnel) {
  auto* packet = rte_pktmbuf_alloc(buffers_);
  auto* room =
      packet == nullptr ? nullptr : rte_pktmbuf_append(packet, static_cast<std::uint16_t>(ip_packet.size()));
  if (room != nullptr) {
    std::memcpy(room, ip_packet.data(), ip_packet.size());
    packet->port = as;
    packet->hash.usr = tunnel;
    if (rte_ring_sp_enqueue(rings_.inject, packet) == 0) return true;
  }
  rte_pktmbuf_free(packet);
  return false;
}

bool HostPath::write(std::uint16_t twin, std::span<const std::uint8_t> frame) {
  if (twin >= worker::first_tunnel_link) {
    const auto tunnel = tunnels_.find(static_cast<tunnel::Index>(twin - worker::first_tunnel_link));
    return tunnel != tunnels_.end() && tunnel->second->write(frame).has_value();
  }
  return twin < taps_.size() && !gone_[twin] && taps_[twin].write(frame).has_value();
}

Expected<void> HostPath::take(std::size_t port) {
  if (gone_[port]) return {};
  auto taken = take_from(taps_[port], static_cast<std::uint16_t>(port));
  if (!taken) gone_[port] = true;
  return taken;
}

Expected<void> HostPath::take_from_tunnel(tunnel::Index index) {
  return take_from(*tunnels_.at(index), static_cast<std::uint16_t>(worker::first_tunnel_link + index));
}

Expected<void> HostPath::take_from(host::Tap& tap, std::uint16_t twin) {
  const TimeSlice slice;
  do {
    auto* packet = rte_pktmbuf_alloc(buffers_);
    // Without a buffer the frame must leave the twin all the same, or its descriptor stays readable for ever.
    const auto room = packet == nullptr
                          ? std::span(scratch_)
                          : std::span(rte_pktmbuf_mtod(packet, std::uint8_t*), rte_pktmbuf_tailroom(packet));
    const auto bytes = tap.read(room);
    if (!bytes || *bytes == 0) {
      rte_pktmbuf_free(packet);
      if (!bytes) return bytes.error();
      return {};
    }
    counters_.from_host.add(1);
    if (packet == nullptr) {
      counters_.count(Verdict::PKT_BUFFER_UNAVAILABLE);
      continue;
    }
    rte_pktmbuf_append(packet, static_cast<std::uint16_t>(*bytes));
    packet->port = twin;
    const bool taken = rte_ring_sp_enqueue(rings_.inject, packet) == 0;
    counters_.count(taken ? Verdict::FORWARDED : Verdict::HOST_INJECT_FULL);
    if (!taken) rte_pktmbuf_free(packet);
  } while (!slice.is_over());
  return {};
}

}  // namespace espgate::daemon

// Packets for the kernel and for control. A punted packet is an untagged Ethernet frame.
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <cstring>

#include "datapath/net/headers.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {
namespace {

// Source of frames that we make up for the kernel around decrypted packets: locally administered.
constexpr std::uint8_t inner_source_mac[6] = {0x02, 0, 0, 0, 0, 0x01};

}  // namespace

// What keeps the link itself going has a ring and a limit of its own, and so has what came encrypted: a flood
// in clear to our addresses costs neither ARP nor ND nor the routing protocols' hellos, on a link or in a
// tunnel.
void Worker::punt_link(unsigned row) {
  untag(row);
  punt(row, burst_.port, shared_.rings.link, link_limit_,
       {Verdict::TO_HOST, Verdict::HOST_RING_FULL, Verdict::HOST_RATE_LIMITED});
}

void Worker::punt_to_host(unsigned row) {
  untag(row);
  punt(row, burst_.port, shared_.rings.host, host_limit_,
       {Verdict::TO_HOST, Verdict::HOST_RING_FULL, Verdict::HOST_RATE_LIMITED});
}

// What belongs to an IKE SA of ours has a ring and a limit of its own, so that a flood of those who begin, or
// of what was made up, stops neither signs of life nor rekeys.
void Worker::punt_ike(unsigned row) {
  constexpr PuntVerdicts verdicts{Verdict::TO_CONTROL, Verdict::IKE_RING_FULL, Verdict::IKE_RATE_LIMITED};
  const auto spi = ike_spi(row);
  untag(row);
  if (!shared_.ike_spis.is_ours(spi))
    punt(row, burst_.port, shared_.rings.ike, ike_limit_, verdicts);
  else if (!ike_shares_[spi % ike_shares_.size()].take(burst_.tsc))
    finish(row, verdicts.limited);
  else
    punt(row, burst_.port, shared_.rings.ike_known, ike_known_limit_, verdicts);
}

// That of the receiver, which is us; 0: it is not all here.
std::uint64_t Worker::ike_spi(unsigned row) const {
  constexpr unsigned marker_bytes = 4;
  const auto& info = burst_.info[row];
  const auto* mbuf = burst_.mbuf[row];
  const std::span frame(rte_pktmbuf_mtod(mbuf, const std::uint8_t*), mbuf->data_len);
  const auto at =
      info.l4_offset + net::udp_header_bytes + (info.destination_port == net::natt_port ? marker_bytes : 0);
  return at > frame.size() ? 0 : net::IkeSpis::receivers(frame.subspan(at));
}

// A decrypted packet to one of our own addresses; `port` is the one whose twin has the address.
void Worker::deliver_locally(unsigned row, std::uint8_t port) {
  auto* frame = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(burst_.mbuf[row], net::ethernet_bytes));
  if (frame == nullptr) {
    finish(row, Verdict::PKT_BUFFER_UNAVAILABLE);
    return;
  }
  std::memcpy(frame, shared_.ports[port]->mac.data(), 6);
  std::memcpy(frame + 6, inner_source_mac, 6);
  net::store_be16({frame, net::ethernet_bytes}, 12,
                  burst_.family[row] == net::Family::v4 ? net::ethertype_ipv4 : net::ethertype_ipv6);
  punt_inner(row, port);
}

void Worker::punt_inner(unsigned row, std::uint16_t twin) {
  punt(row, twin, shared_.rings.inner, inner_limit_,
       {Verdict::TO_HOST, Verdict::HOST_RING_FULL, Verdict::HOST_RATE_LIMITED});
}

void Worker::punt(unsigned row, std::uint16_t twin, rte_ring* ring, RateLimit& limit,
                  const PuntVerdicts& verdicts) {
  if (!limit.take(burst_.tsc)) {
    finish(row, verdicts.limited);
    return;
  }
  if (!leave_large_buffer(row)) {
    finish(row, Verdict::PKT_BUFFER_UNAVAILABLE);
    return;
  }
  burst_.mbuf[row]->port = twin;
  if (rte_ring_mp_enqueue(ring, burst_.mbuf[row]) != 0) {
    finish(row, verdicts.full);
    return;
  }
  settle(row, verdicts.taken);
}

// Takes off the tags that the parser went by: the port's own, and priority tags.
void Worker::untag(unsigned row) {
  const auto tag_bytes = static_cast<std::uint16_t>(burst_.info[row].l3_offset - net::ethernet_bytes);
  if (tag_bytes == 0) return;
  auto* mbuf = burst_.mbuf[row];
  auto* frame = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
  std::memmove(frame + tag_bytes, frame, 12);
  rte_pktmbuf_adj(mbuf, tag_bytes);
}

void Worker::ask_for_neighbour(unsigned row) {
  if (!neighbour_limit_.take(burst_.tsc)) return;
  const auto family = burst_.family[row];
  NeighbourWanted wanted{
      hop_[row], net::Address::from_bytes(family, destination_of(burst_.l3[row], family)), {}};
  if (rte_ring_mp_enqueue_elem(shared_.rings.neighbour, &wanted, sizeof wanted) != 0)
    load_.notices_lost.add(1);
}

}  // namespace espgate::worker

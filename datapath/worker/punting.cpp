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

// Whether a message is a request of IKE_SA_INIT (RFC 7296 3.1), which anybody can make.
bool is_ike_greeting(const rte_mbuf& mbuf, const parse::FrameInfo& info) {
  constexpr std::size_t exchange_at = 18, flags_at = 19, header_bytes = 28, marker_bytes = 4;
  constexpr std::uint8_t ike_sa_init = 34, response = 0x20;
  const std::size_t ike =
      info.l4_offset + net::udp_header_bytes + (info.destination_port == net::natt_port ? marker_bytes : 0);
  if (ike + header_bytes > mbuf.data_len) return false;
  const auto* message = rte_pktmbuf_mtod_offset(&mbuf, const std::uint8_t*, ike);
  return message[exchange_at] == ike_sa_init && (message[flags_at] & response) == 0;
}

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

// A flood of strangers who begin leaves room for what SAs that are there say to each other.
void Worker::punt_ike(unsigned row) {
  auto& limit = is_ike_greeting(*burst_.mbuf[row], burst_.info[row]) ? greeting_limit_ : ike_limit_;
  untag(row);
  punt(row, burst_.port, shared_.rings.ike, limit,
       {Verdict::TO_CONTROL, Verdict::IKE_RING_FULL, Verdict::IKE_RATE_LIMITED});
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

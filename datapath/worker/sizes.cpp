// Packets too large for their way.
//
//   cleartext, larger than the SA's path takes ─┬─ IPv4, DF clear ─► pieces, each encrypted (RFC 4301 8.1)
//                                               ├─ outer DF clear, or IPv6 of 1280 bytes at most
//                                               │                  ─► encrypted whole, the outer packet cut
//                                               └─ else ─► dropped, and the sender told (RFC 4301 8.2.1)
//   larger than the way out takes ─┬─ IPv4 with DF clear, or an outer packet that may be cut ─► pieces
//                                  └─ else ─► dropped; the sender of cleartext is told
//
// Pieces take the rest of the way in bursts after the one that their packet was in.
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>

#include "datapath/crypto/suite.hpp"
#include "datapath/net/transport_headers.hpp"
#include "datapath/sa/esp_sizes.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {
namespace {

// A sender must not be asked for less than every link carries: net::ipv6_least_mtu, or this (RFC 791 3.2).
constexpr unsigned least_ipv4_mtu = 68;
// As much of a refused packet as an ICMPv6 message may quote (RFC 4443 3.2); control cuts off more for ICMP.
constexpr std::uint32_t most_quoted_bytes = net::ipv6_least_mtu - 48;
// The most that a suite adds: IV, padding, trailer, ICV.
constexpr unsigned most_added_bytes = 16 + sa::EspSizes::most_behind;

bool has_df(const std::uint8_t* ip) {
  return (ip[net::ipv4::fragment] & 0x40) != 0;
}

}  // namespace

// Whether routers must not cut the packet, nor we.
bool Worker::must_stay_whole(unsigned row) const {
  return !burst_.fragment_outer[row] && (burst_.family[row] == net::Family::v6 || has_df(burst_.l3[row]));
}

// Whether a packet may go on to be encrypted as it is. False: it has its verdict, or will come in pieces.
bool Worker::fits_path(unsigned row, const sa::OutboundSa& sa) {
  const auto* mbuf = burst_.mbuf[row];
  const unsigned path_mtu = sa.path_mtu.load(std::memory_order_relaxed);
  if (mbuf->pkt_len + sa.headers_bytes + most_added_bytes <= path_mtu) [[likely]]
    return true;
  const sa::EspSizes sizes(sa.headers_bytes, crypto::suite(sa.suite));
  if (sa.mode == sa::Mode::transport) return fits_path_in_transport(row, sizes, path_mtu);
  if (sizes.outer_bytes(mbuf->pkt_len) <= path_mtu || burst_.fragment_outer[row]) return true;
  const auto family = burst_.family[row];
  const unsigned largest = sizes.largest_payload(path_mtu);
  const bool v4 = family == net::Family::v4;
  const bool may_cut = v4 && !has_df(burst_.l3[row]);
  if (may_cut && Cutter::possible(burst_.l3[row], family, mbuf->pkt_len, largest)) {
    set_aside(row, largest, Onward::sa);
    return false;
  }
  const auto& outer_ip = sa.headers;
  const bool outer_may_be_cut =
      sa.outer_family == net::Family::v4 && !has_df(outer_ip) && (!sa.outer.copy_df || may_cut);
  if (outer_may_be_cut || (!v4 && mbuf->pkt_len <= net::ipv6_least_mtu)) {
    burst_.fragment_outer[row] = true;
    return true;
  }
  refuse_for_path(row, largest);
  return false;
}

// The same where the packet's own headers in front of ESP are the outer ones, options and extensions
// included.
bool Worker::fits_path_in_transport(unsigned row, const sa::EspSizes& sizes, unsigned path_mtu) {
  const auto* mbuf = burst_.mbuf[row];
  const auto family = burst_.family[row];
  const bool v4 = family == net::Family::v4;
  const auto in_front = net::esp_position({burst_.l3[row], mbuf->data_len}, family).bytes;
  const auto kept = static_cast<unsigned>(in_front);
  const auto beyond = kept - static_cast<unsigned>(v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes);
  if (sizes.outer_bytes(mbuf->pkt_len - kept) + beyond <= path_mtu) return true;
  // RFC 4303 3.3.4: a whole packet is encrypted, and the result cut
  if ((v4 && !has_df(burst_.l3[row])) || burst_.fragment_outer[row]) return true;
  refuse_for_path(row, sizes.largest_payload(path_mtu - std::min(path_mtu, beyond)) + kept);
  return false;
}

void Worker::refuse_for_path(unsigned row, unsigned largest) {
  tell_sender(row, Verdict::OUT_CANNOT_FRAG_DF_SET_PKT, too_big(row, largest),
              burst_.origin[row] == Origin::host ? from_control : burst_.port);
}

// At least what every link carries (RFC 8200 5, RFC 791 3.2).
net::Refusal Worker::too_big(unsigned row, unsigned largest) const {
  const unsigned least = burst_.family[row] == net::Family::v4 ? least_ipv4_mtu : net::ipv6_least_mtu;
  return {net::Refusal::Why::too_big, static_cast<std::uint16_t>(std::max(largest, least))};
}

// Drops what cannot be sent on. What the gateway itself made is told of to nobody.
void Worker::refuse_to_route(unsigned row, Verdict verdict, net::Refusal::Why why) {
  const auto origin = burst_.origin[row];
  if (origin == Origin::transit || origin == Origin::admitted)
    tell_sender(row, verdict, {why}, burst_.port);
  else
    finish(row, verdict);
}

// Drops a packet, and has its sender told why. `port`: whose address is to speak, or from_control if the
// kernel sent it.
void Worker::tell_sender(unsigned row, Verdict verdict, net::Refusal refusal, std::uint16_t port) {
  if (icmp_error_limit_.take(burst_.tsc)) {
    auto* mbuf = burst_.mbuf[row];
    auto* quote = rte_pktmbuf_copy(mbuf, shared_.buffers, 0, std::min(mbuf->pkt_len, most_quoted_bytes));
    if (quote != nullptr) {
      set_refusal(*quote, refusal);
      quote->port = port;
    }
    if (quote == nullptr || rte_ring_mp_enqueue(shared_.rings.refused, quote) != 0) {
      rte_pktmbuf_free(quote);
      load_.notices_lost.add(1);
    }
  }
  finish(row, verdict);
}

// The largest packet that may leave by this hop: of ESP that we made, if it is to be cut, no more than the
// path takes, and of what we made whole no more than it came in, since its sender may know that path.
unsigned Worker::way_out(unsigned row, const forward::Hop& hop) const {
  if (burst_.origin[row] == Origin::encrypted) {
    const auto path_mtu = shared_.sas->outbound(burst_.sa[row]).path_mtu.load(std::memory_order_relaxed);
    return std::min<unsigned>(hop.mtu, path_mtu);
  }
  const auto largest_part = burst_.largest_part[row];
  return largest_part == 0 ? hop.mtu : std::min(hop.mtu, largest_part);
}

// Larger than the way out takes, at the point where it would leave.
void Worker::exceed_hop(unsigned row, const forward::Hop& hop) {
  const auto family = burst_.family[row];
  const auto limit = way_out(row, hop);
  const bool may_cut = !must_stay_whole(row);
  if (may_cut && !cutting_ && Cutter::possible(burst_.l3[row], family, burst_.mbuf[row]->pkt_len, limit))
    set_aside(row, limit, Onward::hop);
  else if (burst_.origin[row] == Origin::encrypted || burst_.fragment_outer[row])
    // The SA's path MTU will have followed before the sender tries again.
    finish(row, may_cut ? by_family(family, Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG,
                                    Verdict::OUT_INFRA_V6_PKT_LEN_TOO_BIG)
                        : Verdict::OUT_CANNOT_FRAG_DF_SET_PKT);
  else
    // Through a tunnel the address of the network that it is for is the one that belongs there.
    tell_sender(row, Verdict::MTU_EXCEEDED, too_big(row, limit), in_port().ipsec ? hop.port : burst_.port);
}

void Worker::set_aside(unsigned row, unsigned limit, Onward onward) {
  if (cutting_ || aside_count_ == aside_.size()) {
    finish(row, by_family(burst_.family[row], Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG,
                          Verdict::OUT_INFRA_V6_PKT_LEN_TOO_BIG));
    return;
  }
  if (!make_exclusive(row)) {
    finish(row, copy_fault(row));
    return;
  }
  aside_[aside_count_++] = {burst_.mbuf[row],
                            static_cast<std::uint16_t>(limit),
                            onward,
                            burst_.family[row],
                            burst_.origin[row],
                            burst_.sa[row],
                            burst_.protect[row],
                            burst_.tunnel[row],
                            hop_[row]};
  settle(row, onward == Onward::peers ? Verdict::REPLICATED : Verdict::FRAGMENTED);
}

// Cuts what was set aside and takes the pieces the rest of the way, as many as fit in a burst at a time.
void Worker::process_pieces() {
  cutting_ = true;
  while (aside_next_ < aside_count_) {
    clear_lanes();
    burst_.count = 0;
    while (burst_.count < burst_max && next_piece()) {
    }
    counters_.made.add(burst_.count);
    if (capture_.wants_drops()) capture_.keep(burst_.mbuf.data(), burst_.count, Capture::As::packet);
    tracer_.pass_over();
    for (const auto row : clear_) enter_tunnel(row, burst_.tunnel[row]);
    send();
  }
  aside_count_ = aside_next_ = 0;
  cutting_ = false;
}

// Adds one piece to the burst. False: there is none left.
bool Worker::next_piece() {
  while (aside_next_ < aside_count_) {
    auto& aside = aside_[aside_next_];
    const bool copies = aside.onward == Onward::peers;
    if (!copies && !cutter_)
      cutter_.emplace(*aside.packet, aside.family, aside.limit, identifications_.next6());
    const bool done = copies ? aside.tunnel == tunnel::no_tunnel : cutter_->done();
    auto* piece = done     ? nullptr
                  : copies ? rte_pktmbuf_copy(aside.packet, shared_.buffers, 0, aside.packet->pkt_len)
                           : cutter_->next(shared_.buffers);
    if (piece != nullptr) {
      add_piece(piece, aside);
      if (copies) aside.tunnel = shared_.tunnels->at(aside.tunnel).next_peer.load(std::memory_order_acquire);
      return true;
    }
    if (!done) {  // no buffer: the rest counts as one packet
      counters_.made.add(1);
      counters_.count(Verdict::PKT_BUFFER_UNAVAILABLE);
    }
    rte_pktmbuf_free(aside.packet);
    cutter_.reset();
    ++aside_next_;
  }
  return false;
}

unsigned Worker::add_piece(rte_mbuf* piece, const Aside& aside) {
  const unsigned row = burst_.count++;
  burst_.mbuf[row] = piece;
  burst_.info[row] = {};
  burst_.info[row].kind = parse::FrameKind::ip;
  begin_row(row, rte_pktmbuf_mtod(piece, std::uint8_t*), aside.family);
  burst_.origin[row] = aside.origin;
  burst_.sa[row] = aside.sa;
  burst_.protect[row] = aside.sa_is_outbound;
  burst_.tunnel[row] = aside.tunnel;
  hop_[row] = aside.hop;
  switch (aside.onward) {
    case Onward::hop:
      routed_.add(row);
      break;
    case Onward::sa:
      protect_.add(row);
      break;
    case Onward::policies:
      decrypted_.add(row);
      break;
    case Onward::link:
      transit_.add(row);
      break;
    case Onward::selectors:
    case Onward::tunnel:
    case Onward::peers:
      clear_.add(row);
  }
  return row;
}

}  // namespace espgate::worker

// Tunnels that routes lead into. Policy comes first: what it discards or protects by itself never gets here;
// what it bypasses, or does not know, is encrypted if its route leads into a tunnel, whose SA then is the
// policy (RFC 4301 4.4.1 calls the database; here the routing table selects). A tunnel without an SA drops.
//
// A tunnel is the SA in tunnel mode, or GRE (RFC 2784, RFC 2890) that the SA protects in transport mode. The
// peers of a multipoint tunnel are tunnels like any other; only what the kernel sends into the link that they
// share has yet to find its peer, or is for all of them.
//
// Inbound, what a tunnel's SA decrypted came in by that tunnel: the SA's selectors have judged its addresses,
// and no route back is asked for. What would have to come that way and comes in clear instead is refused.
#include <rte_mbuf.h>

#include <algorithm>

#include "datapath/net/congestion.hpp"
#include "datapath/net/transport_headers.hpp"
#include "datapath/parse/upper_layer.hpp"
#include "datapath/sa/esp_sizes.hpp"
#include "datapath/sa/peer_address.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {

namespace {

Verdict verdict_of(net::gre::Fault fault) {
  switch (fault) {
    case net::gre::Fault::none:
      break;
    case net::gre::Fault::malformed:
      return Verdict::GRE_HEADER_INVALID;
    case net::gre::Fault::bad_checksum:
      return Verdict::GRE_CHECKSUM_BAD;
    case net::gre::Fault::wrong_key:
      return Verdict::GRE_KEY_MISMATCH;
    case net::gre::Fault::unknown_protocol:
      return Verdict::GRE_PROTOCOL_UNKNOWN;
  }
  return Verdict::undecided;
}

// Where GRE begins in a packet of a transport mode SA; 0 where it carries something else.
std::size_t gre_offset(std::span<const std::uint8_t> packet, net::Family family) {
  parse::UpperLayer upper;
  const bool whole = parse::find_upper_layer(packet, family, upper) && !upper.fragment;
  return whole && upper.protocol == net::protocol_gre ? upper.offset : 0;
}

// The largest packet that fits the SA's path uncut.
unsigned largest_in(const tunnel::Traits& traits, const sa::OutboundSa& sa) {
  const sa::EspSizes sizes(sa.headers_bytes, crypto::suite(sa.suite));
  const unsigned payload = sizes.largest_payload(sa.path_mtu.load(std::memory_order_relaxed));
  const unsigned around = traits.gre ? static_cast<unsigned>(net::gre::header_bytes(traits.options)) : 0;
  return payload - std::min(payload, around);
}

}  // namespace

// What an SA of a tunnel's decrypted has come out of the tunnel; in transport mode only the GRE in it, and
// everything else is the gateway's own.
void Worker::leave_tunnels() {
  for (const auto row : decrypted_) burst_.tunnel[row] = shared_.tunnels->of_inbound(burst_.sa[row]);
  Lanes others;
  for (const auto row : unrouted_) {
    const auto index = shared_.tunnels->of_inbound(burst_.sa[row]);
    const auto& tunnel = shared_.tunnels->at(index);
    const auto offset = index == tunnel::no_tunnel
                            ? 0
                            : gre_offset({burst_.l3[row], burst_.mbuf[row]->pkt_len}, burst_.family[row]);
    if (offset == 0) {
      others.add(row);
      continue;
    }
    burst_.tunnel[row] = index;
    if (const auto verdict = open_gre(row, tunnel, offset); verdict != Verdict::undecided) {
      count_tunnel_drop(row);
      finish(row, verdict);
    } else {
      decrypted_.add(row);
    }
  }
  unrouted_ = others;
}

// Takes the IP header and the GRE header off. Undecided: a sound IP packet is left.
Verdict Worker::open_gre(unsigned row, const tunnel::Tunnel& tunnel, std::size_t offset) {
  auto* mbuf = burst_.mbuf[row];
  const auto* outer = burst_.l3[row];
  const auto opened =
      net::gre::read({outer + offset, mbuf->pkt_len - offset}, tunnel.current_traits().options);
  if (opened.fault != net::gre::Fault::none) return verdict_of(opened.fault);
  rte_pktmbuf_adj(mbuf, static_cast<std::uint16_t>(offset + opened.header_bytes));
  auto* packet = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
  std::uint32_t bytes = 0;
  if (!net::inner_ok(opened.payload, {packet, mbuf->pkt_len}, bytes)) return Verdict::IN_INNER_HEADER_INVALID;
  rte_pktmbuf_trim(mbuf, static_cast<std::uint16_t>(mbuf->pkt_len - bytes));
  const std::uint8_t congestion = net::traffic_class(outer, burst_.family[row]) & net::ecn_mask;
  burst_.l3[row] = packet;
  burst_.family[row] = opened.payload;
  return (congestion & 1) != 0 && !net::take_in_congestion(congestion, packet, opened.payload)
             ? Verdict::IN_CONGESTED_NOT_ECT
             : Verdict::undecided;
}

// On a port with ipsec: a source that is reached by a tunnel must come through it, unless a policy says more.
void Worker::judge_sources() {
  for (const auto row : clear_) {
    if (arrival_[row].decision != policy::Decision::none()) continue;
    const auto family = burst_.family[row];
    const auto& back = shared_.forwarding->hop_to(source_of(burst_.l3[row], family), family);
    if (back.kind == forward::HopKind::tunnel)
      arrival_[row].decision = shared_.tunnels->at(back.tunnel).current();
  }
}

void Worker::enter_tunnels() {
  if (unrouted_.count != 0) route();
  Lanes others;
  for (const auto row : routed_) {
    const auto& hop = shared_.forwarding->hop(hop_[row]);
    if (hop.kind != forward::HopKind::tunnel)
      others.add(row);
    else if (burst_.mbuf[row]->pkt_len <= hop.mtu || fits_link(row, hop))
      enter_tunnel(row, hop.tunnel);
  }
  if (others.count != routed_.count) routed_ = others;
}

// Of a packet larger than the tunnel's link takes, whatever its SA could carry: cut to what both do, or
// refused (RFC 1812 5.2.6). True: it goes in all the same, for the SA to drop, or as IPv6 that every link has
// to take.
bool Worker::fits_link(unsigned row, const forward::Hop& hop) {
  const auto& tunnel = shared_.tunnels->at(hop.tunnel);
  const auto decision = tunnel.current();
  const auto family = burst_.family[row];
  const unsigned bytes = burst_.mbuf[row]->pkt_len;
  if (!decision.is_protect() || (family == net::Family::v6 && bytes <= net::ipv6_least_mtu)) return true;
  const auto& sa = shared_.sas->outbound(decision.outbound_sa());
  const unsigned limit = std::min<unsigned>(hop.mtu, largest_in(tunnel.current_traits(), sa));
  burst_.tunnel[row] = hop.tunnel;
  if (!must_stay_whole(row) && Cutter::possible(burst_.l3[row], family, bytes, limit)) {
    set_aside(row, limit, Onward::tunnel);
  } else {
    count_tunnel_drop(row);
    tell_sender(row, Verdict::MTU_EXCEEDED, too_big(row, limit), burst_.port);
  }
  return false;
}

void Worker::enter_tunnel(unsigned row, tunnel::Index index) {
  const auto& tunnel = shared_.tunnels->at(index);
  const auto decision = tunnel.current();
  burst_.tunnel[row] = index;
  const auto traits = tunnel.current_traits();
  if (!decision.is_protect()) {
    count_tunnel_drop(row);
    finish(row, traits.multipoint ? Verdict::GRE_NEXT_HOP_UNKNOWN
                                  : by_family(burst_.family[row], Verdict::OUT_V4_PKT_HIT_IKE_START_SP,
                                              Verdict::OUT_V6_PKT_HIT_IKE_START_SP));
    return;
  }
  if (traits.gre) {
    const auto& sa = shared_.sas->outbound(decision.outbound_sa());
    if (!fits_gre(row, traits.options, sa) || !wrap_in_gre(row, traits.options, sa)) {
      if (burst_.verdict[row] != Verdict::FRAGMENTED) count_tunnel_drop(row);
      return;
    }
  }
  burst_.sa[row] = decision.outbound_sa();
  burst_.protect[row] = true;
  protect_.add(row);
}

// Whether GRE and ESP around the packet fit the SA's path, or may be cut: what becomes too large is
// fragmented outside, where the peer makes it whole (RFC 7588 2.1), unless the packet's sender forbade it or
// df = "set" does; then inside, if the sender allows that. False: the packet will come in pieces, or its
// sender is told, while it is still his.
bool Worker::fits_gre(unsigned row, const net::gre::Options& options, const sa::OutboundSa& sa) {
  const unsigned bytes = burst_.mbuf[row]->pkt_len;
  const unsigned largest = largest_in({.gre = true, .options = options}, sa);
  if (bytes <= largest) return true;
  const bool outer_df = sa.outer_family == net::Family::v4 && (sa.headers[net::ipv4::fragment] & 0x40) != 0;
  const bool follows = sa.outer_family == net::Family::v6 || sa.outer.copy_df;
  const bool forbidden = must_stay_whole(row);
  burst_.fragment_outer[row] = (!outer_df && !(follows && forbidden)) ||
                               (burst_.family[row] == net::Family::v6 && bytes <= net::ipv6_least_mtu);
  if (burst_.fragment_outer[row]) return true;
  if (!forbidden && Cutter::possible(burst_.l3[row], burst_.family[row], bytes, largest))
    set_aside(row, largest, Onward::tunnel);
  else
    refuse_for_path(row, largest);
  return false;
}

// IP and GRE headers in front of the packet, which is then one between the SA's own two ends: its IP header
// is the template's, with DSCP, ECN and DF as in tunnel mode (RFC 2784 3, RFC 6040). False: it has its
// verdict.
bool Worker::wrap_in_gre(unsigned row, const net::gre::Options& options, const sa::OutboundSa& sa) {
  const auto family = burst_.family[row];
  if (!make_exclusive(row)) {
    finish(row, copy_fault(row));
    return false;
  }
  if (burst_.origin[row] != Origin::host && !decrement_ttl(burst_.l3[row], family)) {
    refuse_to_route(row, Verdict::TTL_EXPIRED, net::Refusal::Why::hop_limit);
    return false;
  }
  auto* mbuf = burst_.mbuf[row];
  const auto* inner = burst_.l3[row];
  const bool v4 = sa.outer_family == net::Family::v4;
  const std::size_t ip_bytes = v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
  const bool dont_fragment = must_stay_whole(row);
  const auto copied = static_cast<std::uint8_t>(net::traffic_class(inner, family) & sa.traffic_class_mask);
  const auto front_bytes = static_cast<std::uint16_t>(ip_bytes + net::gre::header_bytes(options));
  auto* front = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(mbuf, front_bytes));
  if (front == nullptr || mbuf->pkt_len > net::ip_packet_max) {
    finish(row,
           by_family(family, Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG, Verdict::OUT_INFRA_V6_PKT_LEN_TOO_BIG));
    return false;
  }
  const std::span packet(front, mbuf->pkt_len);
  net::gre::write(packet.subspan(ip_bytes), options, family);
  sa::load_shared(front, sa.headers, ip_bytes);
  if (v4) {
    packet[net::ipv4::tos] |= copied;
    if (sa.outer.copy_df && dont_fragment) packet[net::ipv4::fragment] = 0x40;
    if (burst_.fragment_outer[row]) packet[net::ipv4::fragment] = 0;
  } else {
    net::store_be32(packet, 0, net::load_be32(packet, 0) | std::uint32_t{copied} << 20);
  }
  net::rewrite_header(packet, sa.outer_family, ip_bytes, v4 ? net::ipv4::protocol : net::ipv6::next_header,
                      net::protocol_gre);
  burst_.l3[row] = front;
  burst_.family[row] = sa.outer_family;
  burst_.info[row].fragment = false;  // a whole packet around it, if it was one
  burst_.dont_fragment[row] = dont_fragment;
  return true;
}

// Packets of the kernel's own, that it routed into the tunnel's link.
void Worker::decide_from_tunnel(tunnel::Index index) {
  clear_lanes();
  for (unsigned row = 0; row < burst_.count; ++row) {
    auto* mbuf = burst_.mbuf[row];
    auto* ip = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
    const auto family = ip[0] >> 4 == 4 ? net::Family::v4 : net::Family::v6;
    begin_row(row, ip, family);
    burst_.info[row] = {};
    burst_.info[row].kind = parse::FrameKind::ip;
    burst_.tunnel[row] = index;
    burst_.origin[row] = Origin::host;
    std::uint32_t bytes = 0;
    if (!net::inner_ok(family, {ip, mbuf->data_len}, bytes)) {
      finish(row, by_family(family, Verdict::IPV4_HEADER_INVALID, Verdict::IPV6_HEADER_INVALID));
      continue;
    }
    rte_pktmbuf_trim(mbuf, static_cast<std::uint16_t>(mbuf->pkt_len - bytes));
    burst_.info[row].fragment = is_fragment({ip, bytes}, family);
    clear_.add(row);
  }
  tracer_.begin(burst_);
  enter_links(clear_);
}

// What the kernel routed into links, as policies decide: into the tunnels, unless they say otherwise. Of
// parts that they judge by ports, or protect in transport mode, the whole packet.
void Worker::enter_links(const Lanes& lanes) {
  for (const auto row : lanes) parse::read_flow_of_part(present_packet(row), burst_.family[row], flow_[row]);
  look_up_policies(lanes);
  Lanes entering;
  for (const auto row : lanes) {
    const auto& match = match_[row];
    if (must_be_whole(row, match.decision))
      finish(row, rejoin(row, Onward::link));
    else if (match.decision == policy::Decision::none())
      entering.add(row);
    else
      apply_match(row, match, entering);
  }
  for (const auto row : entering) {
    const auto link = burst_.tunnel[row];
    const auto family = burst_.family[row];
    const bool multipoint = shared_.tunnels->at(link).current_traits().multipoint;
    if (multipoint && is_multicast(destination_of(burst_.l3[row], family), family))
      copy_to_peers(row, link);
    else
      enter_tunnel(row, multipoint ? peer_towards(row, link) : link);
  }
}

// The copies come as the pieces of a large packet do, in bursts of their own.
void Worker::copy_to_peers(unsigned row, tunnel::Index tunnel) {
  burst_.tunnel[row] = shared_.tunnels->at(tunnel).next_peer.load(std::memory_order_acquire);
  if (burst_.tunnel[row] == tunnel::no_tunnel)
    enter_tunnel(row, tunnel);  // which drops it
  else
    set_aside(row, 0, Onward::peers);
}

// The peer that routes give a packet of the kernel's to, which does not say by which next hop it meant it to
// go. The tunnel itself, which drops, where they lead to none of its peers.
tunnel::Index Worker::peer_towards(unsigned row, tunnel::Index tunnel) const {
  const auto family = burst_.family[row];
  const auto& hop = shared_.forwarding->hop_to(destination_of(burst_.l3[row], family), family);
  if (hop.kind != forward::HopKind::tunnel) return tunnel;
  return shared_.tunnels->at(hop.tunnel).current_traits().peer_of == tunnel ? hop.tunnel : tunnel;
}

// Whether a packet that must not be forwarded, for this fault, was meant for this end of the tunnel: the two
// ends are a link of their own, with routing protocols that talk over it.
bool Worker::is_for_this_end(unsigned row, Verdict fault) const {
  if (burst_.tunnel[row] == tunnel::no_tunnel) return false;
  const auto family = burst_.family[row];
  const auto* destination = destination_of(burst_.l3[row], family);
  if (fault == Verdict::MULTICAST_NOT_FORWARDED) return !is_routable_multicast(destination, family);
  if (fault != Verdict::LINK_LOCAL_NOT_FORWARDED) return false;
  return shared_.forwarding->hop_to(destination, family).kind == forward::HopKind::local;
}

// To the kernel, by the link of the tunnel or of the one it is a peer of: the IP packet as it is.
void Worker::deliver_from_tunnel(unsigned row) {
  punt_inner(row, static_cast<std::uint16_t>(first_tunnel_link + burst_.tunnel[row]));
}

}  // namespace espgate::worker

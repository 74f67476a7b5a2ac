// Packets that came in parts.
//
//   fragments to us ──► reassemble ──► (all there) one frame ──► a burst of its own, from parse on
//   our kernel's, for transport mode ──► the same: it encrypts whole packets, and what comes of them is cut
//   (RFC 4303 3.3.4)
//   those that policies judge by ports ──► the same: what policies let pass is cut again (RFC 4301 7)
//   those in an SA, or to go into one, whose selectors name ports, and our kernel's into a tunnel's link that
//   policies judge by ports ──► rejoin ──► (all there) one packet ──► a burst of its own, from there on
#include <rte_mbuf.h>

#include <algorithm>

#include "datapath/net/transport_headers.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {

// Whether a fragment may be one of ESP, plain or in UDP. What is behind IPv6 destination options only the
// first fragment tells, so that all of them count.
bool Worker::is_part(unsigned row) const {
  if (cutting_ || in_whole_ || !in_port().ipsec) return false;
  const auto& info = burst_.info[row];
  auto protocol = info.protocol;
  if (info.family == net::Family::v6) {
    const std::span ip(burst_.l3[row], burst_.mbuf[row]->data_len - std::size_t{info.l3_offset});
    const auto header = net::fragment_header(ip);
    if (header) protocol = ip[header->bytes];
  }
  return protocol == net::protocol_esp || protocol == net::protocol_udp ||
         protocol == net::protocol_destination_options;
}

void Worker::take_part(unsigned row) {
  const auto result = reassembly_.add(*burst_.mbuf[row], burst_.info[row], burst_.tsc);
  if (result.whole != nullptr) whole_[whole_count_++] = result.whole;
  finish(row, result.verdict);
  count_given_up(reassembly_);
}

// Of a fragment: whether ports decide what becomes of it (RFC 4301 7), which only the whole packet has.
bool Worker::lacks_ports(unsigned row, policy::Decision decision) const {
  return burst_.info[row].fragment && decision == policy::Decision::ports_unknown();
}

// Of a fragment that our kernel made: transport mode must have the whole packet, too.
bool Worker::must_be_whole(unsigned row, policy::Decision decision) const {
  if (!burst_.info[row].fragment) return false;
  if (!decision.is_protect()) return lacks_ports(row, decision);
  return shared_.sas->outbound(decision.outbound_sa()).mode == sa::Mode::transport;
}

// Only what is for us: routers leave fragments alone. What is not goes where its kind always went.
void Worker::reassemble() {
  const auto& tables = *shared_.forwarding;
  look_up_routes(tables, Destinations(burst_, parts_), [&](unsigned row, forward::HopIndex hop) {
    if (tables.hop(hop).kind != forward::HopKind::local) {
      (burst_.info[row].kind == parse::FrameKind::esp ? esp_ : clear_).add(row);
      return;
    }
    take_part(row);
  });
}

// A datagram that will not become whole counts as one packet that was made and dropped.
void Worker::count_given_up(Reassembly& reassembly) {
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    const auto count = reassembly.take_given_up(family);
    if (count == 0) continue;
    counters_.made.add(count);
    counters_.count(by_family(family, Verdict::IN_V4_PKT_FRAG_ERR, Verdict::IN_V6_PKT_FRAG_ERR), count);
  }
}

void Worker::process_whole() {
  burst_.count = whole_count_;
  std::copy_n(whole_.begin(), whole_count_, burst_.mbuf.begin());
  counters_.made.add(whole_count_);
  whole_count_ = 0;
  if (capture_.wants_drops()) capture_.keep(burst_.mbuf.data(), burst_.count, Capture::As::frame);
  in_whole_ = true;
  burst_.from_host ? run_host_stages() : run_stages();
  in_whole_ = false;
}

// Whether a packet that was taken out of its frame is a fragment.
bool Worker::is_inner_part(unsigned row) const {
  return is_fragment(present_packet(row), burst_.family[row]);
}

// Takes a fragment that came out of an SA, or is to go into one or into a tunnel's link, until the packet is
// whole, which goes on from there. Returns the fragment's verdict.
Verdict Worker::rejoin(unsigned row, Onward onward) {
  const auto& mbuf = *burst_.mbuf[row];
  parse::FrameInfo info;
  info.family = burst_.family[row];
  info.l3_bytes = static_cast<std::uint16_t>(mbuf.pkt_len);
  const auto index = burst_.sa[row];
  const bool outbound = onward == Onward::sa;
  const Within within = onward == Onward::link ? Within{Within::What::into_link, burst_.tunnel[row]}
                        : outbound ? Within{Within::What::into_sa, shared_.sas->outbound_owner(index)}
                                   : Within{Within::What::out_of_sa, shared_.sas->inbound_owner(index)};
  const auto kind = burst_.info[row].kind;
  const bool decrypted = kind == parse::FrameKind::esp || kind == parse::FrameKind::esp_in_udp;
  auto& reassembly = decrypted ? decrypted_reassembly_ : reassembly_;
  const auto result = reassembly.add(mbuf, info, burst_.tsc, within);
  count_given_up(reassembly);
  if (result.whole != nullptr)
    rejoined_[rejoined_count_++] = {result.whole,       0,     onward,   info.family,
                                    burst_.origin[row], index, outbound, burst_.tunnel[row],
                                    hop_[row]};
  if (result.verdict != Verdict::REASSEMBLY_PART && burst_.tunnel[row] != tunnel::no_tunnel)
    count_tunnel_drop(row);
  return result.verdict;
}

void Worker::process_rejoined() {
  clear_lanes();
  burst_.count = 0;
  counters_.made.add(rejoined_count_);
  for (unsigned i = 0; i < rejoined_count_; ++i) {
    const auto row = add_piece(rejoined_[i].packet, rejoined_[i]);
    burst_.fragment_outer[row] = true;
    burst_.largest_part[row] = static_cast<std::uint16_t>(burst_.mbuf[row]->hash.usr);
  }
  rejoined_count_ = 0;
  if (capture_.wants_drops()) capture_.keep(burst_.mbuf.data(), burst_.count, Capture::As::packet);
  tracer_.pass_over();
  for (const auto row : clear_) {
    const auto fault = selector_fault(row, shared_.sas->inbound(burst_.sa[row]));
    if (fault == Verdict::undecided)
      decrypted_.add(row);
    else
      finish(row, fault);
  }
  if (has_tunnels()) leave_tunnels();
  if (decrypted_.count != 0) decide_decrypted();
  if (has_tunnels()) enter_tunnels();
  if (transit_.count != 0) enter_links(transit_);
  send();
}

}  // namespace espgate::worker

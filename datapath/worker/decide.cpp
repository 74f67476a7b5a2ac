// What policies make of packets that did not come in clear by a port: decrypted ones, the kernel's, the
// control core's (RFC 4301 5.1, and 5.2 steps 4 and 5).
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <cstring>

#include "datapath/parse/upper_layer.hpp"
#include "datapath/sa/peer_address.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {

// As match_ says. What no policy names stays `admitted`, and so inside.
void Worker::leave(unsigned row) {
  const auto& match = match_[row];
  if (match.decision == policy::Decision::none()) {
    routed_.add(row);
    return;
  }
  if (match.decision == policy::Decision::bypass()) burst_.origin[row] = Origin::transit;
  apply_match(row, match, routed_);
}

// Whether policy would send a decrypted packet back to the peer it came from, as it does where the peer's
// networks cover ours (0.0.0.0/0): it has arrived, and goes on in clear.
bool Worker::leads_back(unsigned row, policy::Decision decision) const {
  if (!decision.is_protect()) return false;
  const auto& in = shared_.sas->inbound(burst_.sa[row]);
  const auto& out = shared_.sas->outbound(decision.outbound_sa());
  if (in.outer_family != out.outer_family || in.encapsulation != out.encapsulation) return false;
  const bool v4 = in.outer_family == net::Family::v4;
  const std::size_t address_bytes = v4 ? 4 : 16;
  std::uint8_t from[16], to[16];
  sa::load_shared(from, in.source, address_bytes);
  sa::load_shared(to, destination_of(out.headers, out.outer_family), address_bytes);
  if (std::memcmp(from, to, address_bytes) != 0) return false;
  if (in.encapsulation == sa::Encapsulation::none) return true;
  // Behind one NAT there may be several peers, told apart by their ports.
  std::uint8_t ports[4];
  sa::load_shared(ports, out.headers + (v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes), sizeof ports);
  return net::load_be16(ports, 2) == __atomic_load_n(&in.remote_port, __ATOMIC_RELAXED);
}

// Whether what goes there leaves the protected side, which is when policies are asked (RFC 4301 5.1). Without
// a route they are asked as well: what they protect finds its way by the outer header.
bool Worker::leaves_inside(const forward::Hop& hop) const {
  switch (hop.kind) {
    case forward::HopKind::resolved:
    case forward::HopKind::unresolved:
    case forward::HopKind::glean:
      return shared_.ports[hop.port]->ipsec;
    case forward::HopKind::local:
      return false;
    case forward::HopKind::tunnel:
    case forward::HopKind::no_route:
    case forward::HopKind::blackhole:
      break;
  }
  return true;
}

// Routes packets that were let in. Those for the inside and for us are on their way; of the others, which are
// returned, match_ has the policies (RFC 4301 5.2, steps 4 and 5).
Lanes Worker::match_leaving(const Lanes& admitted) {
  const auto& tables = *shared_.forwarding;
  look_up_routes(tables, Destinations(burst_, admitted), [&](unsigned row, forward::HopIndex hop) {
    hop_[row] = hop;
    rte_prefetch0(&tables.hop(hop));
  });
  Lanes leaving;
  for (const auto row : admitted) {
    if (!leaves_inside(tables.hop(hop_[row]))) {
      routed_.add(row);
      continue;
    }
    parse::read_flow_of_part(present_packet(row), burst_.family[row], flow_[row]);
    leaving.add(row);
  }
  if (leaving.count != 0) look_up_policies(leaving);
  return leaving;
}

// A decrypted packet may be meant for another protected network (hub and spoke). Its own SA's selectors
// let it in, so that no policy is needed for its way on to the inside.
void Worker::decide_decrypted() {
  Lanes admitted;
  for (const auto row : decrypted_) {
    if (const auto fault = address_fault(burst_.l3[row], burst_.family[row]); fault != Verdict::undecided)
      is_for_this_end(row, fault) ? deliver_from_tunnel(row) : finish(row, fault);
    else
      admitted.add(row);
  }
  for (const auto row : match_leaving(admitted)) {
    const auto decision = match_[row].decision;
    if (decision == policy::Decision::ports_unknown() && is_inner_part(row))
      finish(row, rejoin(row, Onward::policies));
    else if (leads_back(row, decision))
      routed_.add(row);
    else
      leave(row);
  }
  clock_.end_stage(Stage::policy, decrypted_.count);
  tracer_.stage(burst_, Stage::policy, protect_);
}

// Cleartext of the control core's own, about packets that may have come by a tunnel: like what was decrypted
// it is protected where policy says so, and otherwise stays inside.
void Worker::decide_from_control() {
  for (const auto row : decrypted_) burst_.origin[row] = Origin::admitted;
  for (const auto row : match_leaving(decrypted_)) leave(row);
}

// Dummies go under an SA or not at all.
void Worker::decide_dummies() {
  for (const auto row : decrypted_)
    parse::read_flow({burst_.l3[row], burst_.mbuf[row]->data_len}, burst_.family[row], flow_[row]);
  shared_.policies->look_up(flow_.data(), {decrypted_.row.data(), decrypted_.count}, match_.data());
  for (const auto row : decrypted_) {
    const auto tunnel = static_cast<tunnel::Index>(burst_.mbuf[row]->hash.usr);
    const auto decision =
        tunnel == tunnel::no_tunnel ? match_[row].decision : shared_.tunnels->at(tunnel).current();
    if (!decision.is_protect()) {
      finish(row, by_family(burst_.family[row], Verdict::OUT_V4_POST_OUTPUT_POLICY_FAIL,
                            Verdict::OUT_V6_POST_OUTPUT_POLICY_FAIL));
      continue;
    }
    burst_.origin[row] = Origin::dummy;
    burst_.tunnel[row] = tunnel;
    burst_.sa[row] = decision.outbound_sa();
    burst_.protect[row] = true;
    protect_.add(row);
  }
}

// Frames of the kernel's: of those that leave by a port with ipsec, what policy protects is encrypted, what
// it discards is dropped, the rest leaves as it is. What is the link's own is not judged, and IKE and ESP of
// the kernel's making are never protected again.
void Worker::decide_from_host() {
  for (unsigned row = 0; row < burst_.count; ++row) {
    const auto& info = burst_.info[row];
    burst_.origin[row] = Origin::host;
    if (info.kind == parse::FrameKind::invalid)
      finish(row, info.reason);
    else
      (in_whole_ || (in_port().ipsec && may_need_protection(row)) ? clear_ : raw_).add(row);
  }
  if (clear_.count == 0) return;
  read_flows(clear_);
  look_up_policies(clear_);
  for (const auto row : clear_) {
    const auto& match = match_[row];
    if (must_be_whole(row, match.decision)) {
      take_part(row);
      continue;
    }
    const bool unjudged =
        match.decision == policy::Decision::none() || is_ike(row) || !may_need_protection(row);
    // What was made whole takes the way that routes say, which cuts it again.
    auto& unprotected = in_whole_ ? unrouted_ : raw_;
    if (in_whole_ || (!unjudged && match.decision.is_protect())) strip_frame(row);
    if (unjudged)
      unprotected.add(row);
    else
      apply_match(row, match, unprotected);
  }
}

// From one of its ports, whatever the peer's is behind a NAT.
bool Worker::is_ike(unsigned row) const {
  const auto& info = burst_.info[row];
  const bool later = info.fragment && !info.first_fragment;
  if (info.protocol != net::protocol_udp || later) return false;
  const auto packet = present_packet(row);
  const std::size_t at = info.l4_offset - std::size_t{info.l3_offset};
  if (at + 2 > packet.size()) return false;
  const auto port = net::load_be16(packet, at);
  return port == net::ike_port || port == net::natt_port;
}

// Of a frame of the kernel's.
bool Worker::may_need_protection(unsigned row) const {
  const auto& info = burst_.info[row];
  if (info.kind != parse::FrameKind::ip && info.kind != parse::FrameKind::damaged) return false;
  const auto* destination = destination_of(burst_.l3[row], info.family);
  if (is_multicast(destination, info.family)) return is_routable_multicast(destination, info.family);
  return !is_neighbour_discovery(row);
}

void Worker::apply_match(unsigned row, const policy::Match& match, Lanes& bypassed) {
  const auto family = burst_.family[row];
  const auto decision = match.decision;
  if (match.rule != policy::no_rule) shared_.policies->count(id_, match.rule);
  if (decision.is_protect()) {
    burst_.sa[row] = decision.outbound_sa();
    burst_.protect[row] = true;
    protect_.add(row);
  } else if (decision == policy::Decision::bypass()) {
    bypassed.add(row);
  } else if (decision == policy::Decision::discard()) {
    finish(row,
           by_family(family, Verdict::OUT_V4_PKT_HIT_DENY_DROP_SP, Verdict::OUT_V6_PKT_HIT_DENY_DROP_SP));
  } else if (decision == policy::Decision::ports_unknown()) {
    finish(row, Verdict::SELECTOR_FIELDS_OPAQUE);
  } else {
    finish(row,
           by_family(family, Verdict::OUT_V4_PKT_HIT_IKE_START_SP, Verdict::OUT_V6_PKT_HIT_IKE_START_SP));
  }
}

// Leaves just the IP packet: no Ethernet header, no padding behind. What was made whole is to leave in pieces
// no larger than those it came in, or under an SA in one.
void Worker::strip_frame(unsigned row) {
  const auto& info = burst_.info[row];
  burst_.fragment_outer[row] = in_whole_;
  if (in_whole_) burst_.largest_part[row] = static_cast<std::uint16_t>(burst_.mbuf[row]->hash.usr);
  rte_pktmbuf_adj(burst_.mbuf[row], info.l3_offset);
  shorten(*burst_.mbuf[row], info.l3_bytes);
}

}  // namespace espgate::worker

// Tunnels that routes lead into. Policy comes first: what it discards or protects by itself never gets here;
// what it bypasses, or does not know, is encrypted if its route leads into a tunnel, whose SA then is the
// policy (RFC 4301 4.4.1 calls the database; here the routing table selects). A tunnel without an SA drops.
//
// Inbound, what a tunnel's SA decrypted came in by that tunnel: the SA's selectors have judged its addresses,
// and no route back is asked for. What would have to come that way and comes in clear instead is refused.
#include <rte_mbuf.h>

#include "datapath/parse/upper_layer.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {

void Worker::note_tunnels() {
  for (const auto row : decrypted_) burst_.tunnel[row] = shared_.tunnels->of_inbound(burst_.sa[row]);
}

// On a port with ipsec: a source that is reached by a tunnel must come through it, unless a policy says more.
void Worker::judge_sources() {
  for (const auto row : clear_) {
    if (arrival_[row].decision != policy::Decision::none()) continue;
    const auto family = burst_.family[row];
    const auto& back = hop_to(source_of(burst_.l3[row], family), family);
    if (back.kind == forward::HopKind::tunnel)
      arrival_[row].decision = shared_.tunnels->at(back.tunnel).current();
  }
}

void Worker::enter_tunnels() {
  if (unrouted_.count != 0) route();
  Lanes others;
  for (const auto row : routed_) {
    if (leads_into_tunnel(row))
      enter_tunnel(row, shared_.forwarding->hop(hop_[row]).tunnel);
    else
      others.add(row);
  }
  if (others.count != routed_.count) routed_ = others;
}

void Worker::enter_tunnel(unsigned row, tunnel::Index index) {
  auto& tunnel = shared_.tunnels->at(index);
  const auto decision = tunnel.current();
  burst_.tunnel[row] = index;
  if (decision.is_protect()) {
    burst_.sa[row] = decision.outbound_sa();
    burst_.protect[row] = true;
    protect_.add(row);
    return;
  }
  tunnel.drops.fetch_add(1, std::memory_order_relaxed);
  finish(row, by_family(burst_.family[row], Verdict::OUT_V4_PKT_HIT_IKE_START_SP,
                        Verdict::OUT_V6_PKT_HIT_IKE_START_SP));
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
    parse::read_flow({ip, bytes}, family, flow_[row]);
    clear_.add(row);
  }
  tracer_.begin(burst_);
  look_up_policies(clear_);
  Lanes entering;
  for (const auto row : clear_) {
    if (match_[row].decision == policy::Decision::none())
      entering.add(row);
    else
      apply_match(row, match_[row], entering);
  }
  for (const auto row : entering) enter_tunnel(row, index);
}

// Whether a packet that must not be forwarded, for this fault, was meant for this end of the tunnel: the two
// ends are a link of their own, with routing protocols that talk over it.
bool Worker::is_for_this_end(unsigned row, Verdict fault) const {
  if (burst_.tunnel[row] == tunnel::no_tunnel) return false;
  const auto family = burst_.family[row];
  const auto* destination = destination_of(burst_.l3[row], family);
  if (fault == Verdict::MULTICAST_NOT_FORWARDED) return !is_routable_multicast(destination, family);
  if (fault != Verdict::LINK_LOCAL_NOT_FORWARDED) return false;
  return hop_to(destination, family).kind == forward::HopKind::local;
}

// To the kernel, by the tunnel's link: the IP packet as it is.
void Worker::deliver_from_tunnel(unsigned row) {
  const auto link = static_cast<std::uint16_t>(first_tunnel_link + burst_.tunnel[row]);
  punt(row, link, shared_.rings.host, host_limit_,
       {Verdict::TO_HOST, Verdict::HOST_RING_FULL, Verdict::HOST_RATE_LIMITED});
}

}  // namespace espgate::worker

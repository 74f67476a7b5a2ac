// Cleartext: what is for us, what may pass, and what policy makes of it (RFC 4301 5.1, 5.2).
#include <rte_mbuf.h>

#include <cstring>

#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {

// Splits clear_ into packets for us, which leave for the host or control here, and transit_.
void Worker::admit_cleartext() {
  const auto& tables = *shared_.forwarding;
  Addresses destinations;
  destinations.gather(burst_, clear_, Which::destination);
  look_up_routes(tables, destinations, [&](unsigned row, forward::HopIndex hop) { hop_[row] = hop; });

  // On an outside port, what comes in clear from a network that policy protects should not have.
  std::array<forward::Decision, burst_max> reverse{};
  if (in_port().ipsec) {
    Addresses sources;
    sources.gather(burst_, clear_, Which::source);
    look_up_policies(tables, sources,
                     [&](unsigned row, forward::Decision decision) { reverse[row] = decision; });
  }

  for (const auto row : clear_) {
    const auto kind = burst_.info[row].kind;
    const bool local = tables.hop(hop_[row]).kind == forward::HopKind::local;
    if (local && kind == parse::FrameKind::damaged) {
      finish(row, burst_.info[row].reason);
    } else if (local && kind == parse::FrameKind::ike) {
      punt_ike(row);
    } else if (local && kind == parse::FrameKind::nat_keepalive) {
      finish(row, Verdict::NAT_KEEPALIVE);
    } else if (reverse[row].demands_protection() && should_have_been_protected(row, reverse[row], local)) {
      const auto family = burst_.family[row];
      finish(row, local ? by_family(family, Verdict::IN_US_CL_V4_PKT_FAILED_POLICY,
                                    Verdict::IN_US_CL_V6_PKT_FAILED_POLICY)
                        : by_family(family, Verdict::IN_TRANS_CL_V4_PKT_FAILED_POLICY,
                                    Verdict::IN_TRANS_CL_V6_PKT_FAILED_POLICY));
    } else if (local) {
      if (is_neighbour_discovery(row))
        punt_link(row);
      else
        punt_to_host(row);
    } else if (burst_.info[row].link_group) {
      finish(row, Verdict::ETH_NOT_FOR_US);
    } else {
      transit_.add(row);
    }
  }
}

// RFC 4861 6 and 7: such messages come from the link itself, which the hop limit proves.
bool Worker::is_neighbour_discovery(unsigned row) const {
  constexpr std::uint8_t router_solicitation = 133, redirect = 137;
  const auto& info = burst_.info[row];
  if (info.family == net::Family::v4 || info.protocol != net::protocol_icmpv6 || info.fragment ||
      burst_.l3[row][net::ipv6::hop_limit] != 255 || info.l4_offset >= burst_.mbuf[row]->data_len)
    return false;
  const std::uint8_t type = burst_.l3[row][info.l4_offset - info.l3_offset];
  return type >= router_solicitation && type <= redirect;
}

// The source lies in a protected network; it counts when the destination is one of the networks on our
// side of that protection. Without an SA those are not known here: then transit counts, and packets to
// us do not, or a gateway whose policy covers all addresses could not be reached while a tunnel is down.
bool Worker::should_have_been_protected(unsigned row, forward::Decision decision, bool local) const {
  if (!decision.is_protect()) return !local;
  const auto& sa = shared_.sas->outbound(decision.outbound_sa());
  const auto family = burst_.family[row];
  for (unsigned i = 0; i < sa.selector_count; ++i)
    if (sa::matches(sa.selectors[i], family, source_of(burst_.l3[row], family),
                    destination_of(burst_.l3[row], family)))
      return true;
  return false;
}

void Worker::decide_transit() {
  const auto& tables = *shared_.forwarding;
  Addresses destinations;
  destinations.gather(burst_, transit_, Which::destination);
  look_up_policies(tables, destinations, [&](unsigned row, forward::Decision decision) {
    const auto family = burst_.family[row];
    if (const auto fault = address_fault(burst_.l3[row], family); fault != Verdict::undecided) {
      finish(row, fault);
    } else if (decision == forward::Decision::none()) {
      const bool esp = burst_.info[row].protocol == net::protocol_esp;
      finish(row, esp ? by_family(family, Verdict::IN_TRANS_V4_IPSEC_PKT_NOT_FOUND_SPI,
                                  Verdict::IN_TRANS_V6_IPSEC_PKT_NOT_FOUND_SPI)
                      : by_family(family, Verdict::OUT_V4_POST_OUTPUT_POLICY_FAIL,
                                  Verdict::OUT_V6_POST_OUTPUT_POLICY_FAIL));
    } else if (decision.is_protect() && in_port().ipsec && came_from_elsewhere(row)) {
      finish(row, by_family(family, Verdict::IN_TRANS_CL_V4_PKT_FAILED_POLICY,
                            Verdict::IN_TRANS_CL_V6_PKT_FAILED_POLICY));
    } else {
      strip_frame(row);
      apply_decision(row, decision, routed_);
    }
  });
  clock_.end_stage(Stage::policy, transit_.count);
  tracer_.stage(burst_, Stage::policy, transit_);
}

// On an outside port only stations that live behind it may have packets protected: anybody there could write
// an inside source into cleartext, and we would vouch for it.
bool Worker::came_from_elsewhere(unsigned row) const {
  const auto family = burst_.family[row];
  forward::HopIndex hop = forward::no_route_hop;
  if (family == net::Family::v4) {
    const std::uint32_t source = load_v4(source_of(burst_.l3[row], family));
    shared_.forwarding->route4({&source, 1}, &hop);
  } else {
    std::uint8_t source[1][16];
    std::memcpy(source[0], source_of(burst_.l3[row], family), sizeof source[0]);
    shared_.forwarding->route6(source, &hop);
  }
  const auto& back = shared_.forwarding->hop(hop);
  return back.kind == forward::HopKind::no_route || back.kind == forward::HopKind::local ||
         back.port != burst_.port;
}

// Whether policy would send a decrypted packet back to the peer it came from, as it does where the peer's
// networks cover ours (0.0.0.0/0): it has arrived, and goes on in clear.
bool Worker::leads_back(unsigned row, forward::Decision decision) const {
  if (!decision.is_protect()) return false;
  const auto& in = shared_.sas->inbound(burst_.sa[row]);
  const auto& out = shared_.sas->outbound(decision.outbound_sa());
  return in.outer_family == out.outer_family &&
         std::memcmp(in.source, destination_of(out.headers, out.outer_family),
                     in.outer_family == net::Family::v4 ? 4 : 16) == 0;
}

// A decrypted packet may be meant for another protected network (hub and spoke). Its own SA's selectors
// let it in, so that no policy is needed for its way on.
void Worker::decide_decrypted() {
  const auto& tables = *shared_.forwarding;
  Addresses destinations;
  destinations.gather(burst_, decrypted_, Which::destination);
  look_up_policies(tables, destinations, [&](unsigned row, forward::Decision decision) {
    if (const auto fault = address_fault(burst_.l3[row], burst_.family[row]); fault != Verdict::undecided)
      finish(row, fault);
    else if (decision == forward::Decision::none() || leads_back(row, decision))
      unrouted_.add(row);
    else
      apply_decision(row, decision, unrouted_);
  });
  clock_.end_stage(Stage::policy, decrypted_.count);
  tracer_.stage(burst_, Stage::policy, protect_);
}

// Frames of the kernel's: what policy protects is encrypted, what it discards is dropped, the rest leaves
// as it is. IKE and ESP of the kernel's own making are never protected again.
void Worker::decide_from_host() {
  const auto& tables = *shared_.forwarding;
  for (unsigned row = 0; row < burst_.count; ++row) {
    const auto& info = burst_.info[row];
    burst_.origin[row] = Origin::host;
    const bool plain = (info.kind == parse::FrameKind::ip || info.kind == parse::FrameKind::damaged) &&
                       !is_multicast(destination_of(burst_.l3[row], info.family), info.family);
    if (info.kind == parse::FrameKind::invalid)
      finish(row, info.reason);
    else
      (plain ? clear_ : raw_).add(row);
  }
  Addresses destinations;
  destinations.gather(burst_, clear_, Which::destination);
  look_up_policies(tables, destinations, [&](unsigned row, forward::Decision decision) {
    if (decision.is_protect()) strip_frame(row);
    if (decision == forward::Decision::none())
      raw_.add(row);
    else
      apply_decision(row, decision, raw_);
  });
}

void Worker::apply_decision(unsigned row, forward::Decision decision, Lanes& bypassed) {
  const auto family = burst_.family[row];
  if (decision.is_protect()) {
    burst_.sa[row] = decision.outbound_sa();
    protect_.add(row);
  } else if (decision == forward::Decision::bypass()) {
    bypassed.add(row);
  } else if (decision == forward::Decision::discard()) {
    finish(row,
           by_family(family, Verdict::OUT_V4_PKT_HIT_DENY_DROP_SP, Verdict::OUT_V6_PKT_HIT_DENY_DROP_SP));
  } else {
    finish(row,
           by_family(family, Verdict::OUT_V4_PKT_HIT_IKE_START_SP, Verdict::OUT_V6_PKT_HIT_IKE_START_SP));
  }
}

// Leaves just the IP packet: no Ethernet header, no padding behind.
void Worker::strip_frame(unsigned row) {
  const auto& info = burst_.info[row];
  auto* mbuf = burst_.mbuf[row];
  rte_pktmbuf_adj(mbuf, info.l3_offset);
  rte_pktmbuf_trim(mbuf, static_cast<std::uint16_t>(mbuf->pkt_len - info.l3_bytes));
}

}  // namespace espgate::worker

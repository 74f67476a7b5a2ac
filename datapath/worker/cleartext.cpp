// Cleartext: what is for us, what may pass, and what policy makes of it (RFC 4301 5.1, 5.2).
#include <rte_mbuf.h>

#include <algorithm>

#include "datapath/net/transport_headers.hpp"
#include "datapath/parse/icmp_error.hpp"
#include "datapath/parse/upper_layer.hpp"
#include "datapath/sa/peer_address.hpp"
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {
namespace {

// `quoted`: the beginning of a packet of ours, an IP header without options and eight bytes at least.
bool is_esp_or_ike(const std::uint8_t* quoted, net::Family family) {
  const bool v4 = family == net::Family::v4;
  const auto* upper = quoted + (v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes);
  std::uint8_t protocol = quoted[v4 ? net::ipv4::protocol : net::ipv6::next_header];
  if (!v4 && protocol == net::protocol_fragment) protocol = upper[0];
  if (protocol == net::protocol_esp) return true;
  const auto source_port = net::load_be16({upper, 2}, 0);
  return protocol == net::protocol_udp && (source_port == net::ike_port || source_port == net::natt_port);
}

}  // namespace

// What policies judge by, of packets as they were parsed.
void Worker::read_flows(const Lanes& lanes) {
  for (const auto row : lanes) {
    const auto& info = burst_.info[row];
    const auto present = std::min<std::size_t>(info.l3_bytes, burst_.mbuf[row]->data_len - info.l3_offset);
    parse::read_flow_of_part({burst_.l3[row], present}, info.family,
                             {info.protocol, info.fragment, info.first_fragment,
                              static_cast<std::uint16_t>(info.l4_offset - info.l3_offset)},
                             flow_[row]);
  }
}

void Worker::look_up_policies(const Lanes& lanes) {
  const auto& policies = *shared_.policies;
  policies.look_up(flow_.data(), {lanes.row.data(), lanes.count}, match_.data());
  for (const auto row : lanes) {
    if (match_[row].rule == policy::no_rule && net::is_icmp(flow_[row].protocol())) match_error(row);
    if (match_[row].rule != policy::no_rule) policies.will_count(id_, match_[row].rule);
  }
}

// An ICMP error that no policy is for, such as a router's with an address of its own: the policy that
// protects what would be answered to the packet it is about protects it, too (RFC 4301 6.2).
void Worker::match_error(unsigned row) {
  const auto quoted = parse::quoted_by_error(present_packet(row), burst_.family[row]);
  if (quoted.empty()) return;
  net::Flow about;
  parse::read_flow(quoted, burst_.family[row], about);
  about = about.turned();
  policy::Match match;
  constexpr std::uint8_t only = 0;
  shared_.policies->look_up(&about, {&only, 1}, &match);
  if (match.decision.is_protect()) match_[row] = match;
}

// As much of the IP packet as lies in its first buffer.
std::span<const std::uint8_t> Worker::present_packet(unsigned row) const {
  const auto* mbuf = burst_.mbuf[row];
  const auto* end = rte_pktmbuf_mtod(mbuf, const std::uint8_t*) + mbuf->data_len;
  return {burst_.l3[row], static_cast<std::size_t>(end - burst_.l3[row])};
}

// On a port with ipsec, what comes in clear is judged by the policy of its answers (RFC 4301 5.2 step 3b).
void Worker::judge_arrival() {
  if (!in_port().ipsec) {
    for (const auto row : clear_) arrival_[row] = {};
    return;
  }
  std::array<net::Flow, burst_max> turned;
  for (const auto row : clear_) turned[row] = flow_[row].turned();
  shared_.policies->look_up(turned.data(), {clear_.row.data(), clear_.count}, arrival_.data());
  if (has_tunnels()) judge_sources();
}

// Undecided: it may have come in clear.
Verdict Worker::arrival_fault(unsigned row, bool local) const {
  const auto decision = arrival_[row].decision;
  const auto family = burst_.family[row];
  if (decision == policy::Decision::ports_unknown()) return Verdict::SELECTOR_FIELDS_OPAQUE;
  const bool unprotected = decision.demands_protection();
  if (!unprotected && decision != policy::Decision::discard()) return Verdict::undecided;
  if (unprotected && local && is_about_our_esp(row)) return Verdict::undecided;
  return local ? by_family(family, Verdict::IN_US_CL_V4_PKT_FAILED_POLICY,
                           Verdict::IN_US_CL_V6_PKT_FAILED_POLICY)
               : by_family(family, Verdict::IN_TRANS_CL_V4_PKT_FAILED_POLICY,
                           Verdict::IN_TRANS_CL_V6_PKT_FAILED_POLICY);
}

// Splits clear_ into packets for us, which leave for the host or control here, and transit_.
void Worker::admit_cleartext() {
  const auto& tables = *shared_.forwarding;
  look_up_routes(tables, Destinations(burst_, clear_),
                 [&](unsigned row, forward::HopIndex hop) { hop_[row] = hop; });
  read_flows(clear_);
  judge_arrival();
  for (const auto row : clear_) {
    const auto kind = burst_.info[row].kind;
    const bool local = tables.hop(hop_[row]).kind == forward::HopKind::local;
    if (local && kind == parse::FrameKind::damaged) {
      finish(row, burst_.info[row].reason);
    } else if (local && kind == parse::FrameKind::ike) {
      punt_ike(row);
    } else if (local && kind == parse::FrameKind::nat_keepalive) {
      finish(row, Verdict::NAT_KEEPALIVE);
    } else if (local && is_neighbour_discovery(row)) {
      punt_link(row);
    } else if (lacks_ports(row, arrival_[row].decision)) {
      take_part(row);
    } else if (const auto fault = arrival_fault(row, local); fault != Verdict::undecided) {
      if (arrival_[row].rule != policy::no_rule) shared_.policies->count(id_, arrival_[row].rule);
      finish(row, fault);
    } else if (local) {
      punt_to_host(row);
    } else if (burst_.info[row].link_group) {
      finish(row, Verdict::ETH_NOT_FOR_US);
    } else {
      transit_.add(row);
    }
  }
}

// An ICMP error about ESP or IKE that we sent: it comes from whoever is on the way there, with whom there is
// no SA, and path MTUs depend on it (RFC 4301 6.1.1, 8.2.1).
bool Worker::is_about_our_esp(unsigned row) const {
  const auto quoted = parse::quoted_by_error(present_packet(row), burst_.family[row]);
  return !quoted.empty() && is_esp_or_ike(quoted.data(), burst_.family[row]);
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

void Worker::decide_transit() {
  look_up_policies(transit_);
  for (const auto row : transit_) {
    const auto family = burst_.family[row];
    auto match = match_[row];
    // What may come in clear from the outside may go on to the inside, unless policy knows better.
    if (match.decision == policy::Decision::none() && arrival_[row].decision == policy::Decision::bypass()) {
      match = arrival_[row];
      burst_.origin[row] = Origin::admitted;
    }
    const auto decision = match.decision;
    if (const auto fault = address_fault(burst_.l3[row], family); fault != Verdict::undecided) {
      finish(row, fault);
    } else if (lacks_ports(row, decision)) {
      take_part(row);
    } else if (decision == policy::Decision::none() && !leads_into_tunnel(row)) {
      const bool esp = burst_.info[row].protocol == net::protocol_esp;
      finish(row, esp ? by_family(family, Verdict::IN_TRANS_V4_IPSEC_PKT_NOT_FOUND_SPI,
                                  Verdict::IN_TRANS_V6_IPSEC_PKT_NOT_FOUND_SPI)
                      : by_family(family, Verdict::OUT_V4_POST_OUTPUT_POLICY_FAIL,
                                  Verdict::OUT_V6_POST_OUTPUT_POLICY_FAIL));
    } else if (in_port().ipsec && !may_pass_on(row, decision)) {
      finish(row, by_family(family, Verdict::IN_TRANS_CL_V4_PKT_FAILED_POLICY,
                            Verdict::IN_TRANS_CL_V6_PKT_FAILED_POLICY));
    } else {
      strip_frame(row);
      if (decision == policy::Decision::none())
        routed_.add(row);  // into a tunnel
      else
        apply_match(row, match, routed_);
    }
  }
  clock_.end_stage(Stage::policy, transit_.count);
  tracer_.stage(burst_, Stage::policy, transit_);
}

// What comes in clear by a port with ipsec: to go on in clear it needs a policy for its way in as well
// (RFC 4301 5.2 step 3b), and only stations that live behind the port may have packets protected: anybody
// there could write an inside source into cleartext, and we would vouch for it.
bool Worker::may_pass_on(unsigned row, policy::Decision decision) const {
  if (decision.is_protect() || leads_into_tunnel(row)) return !came_from_elsewhere(row);
  return decision != policy::Decision::bypass() || arrival_[row].decision == policy::Decision::bypass();
}

bool Worker::came_from_elsewhere(unsigned row) const {
  const auto family = burst_.family[row];
  const auto& back = shared_.forwarding->hop_to(source_of(burst_.l3[row], family), family);
  return back.kind == forward::HopKind::no_route || back.kind == forward::HopKind::local ||
         back.kind == forward::HopKind::tunnel || back.port != burst_.port;
}

}  // namespace espgate::worker

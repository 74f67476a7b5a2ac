// The rig's SAs behind a tunnel that 10.2.0.0/16 and 2001:db8:2::/48 lead into, and no policy at all. Unless
// the options say otherwise SAs in tunnel mode are for everything.
#pragma once

#include "datapath/net/headers.hpp"
#include "drivers/port/eal.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"

namespace espgate::test {

inline constexpr const char* everything[] = {"0.0.0.0/0", "::/0"};

struct TunnelRig : Rig {
  tunnel::Index tunnel = tunnel::no_tunnel;

  explicit TunnelRig(SaOptions sa_options = {}, const tunnel::Traits& traits = {})
      : Rig(with_everything(std::move(sa_options))) {
    policies = must(policy::Classifier::create(256, 1, port::dpdk_memory(), {}));
    shared.policies = policies.get();
    tunnel = must(tunnels->add(traits));
    tunnels->set(tunnel, policy::Decision::protect(outbound));
    tunnels->bind_inbound(inbound, tunnel);
    for (const char* network : {"10.2.0.0/16", "2001:db8:2::/48"}) lead_into(tunnel, network);
  }
  static SaOptions with_everything(SaOptions sa_options) {
    sa_options.by_route = sa_options.mode == sa::Mode::tunnel;
    if (sa_options.by_route && sa_options.selectors.empty())
      for (const char* prefix : everything)
        sa_options.selectors.push_back(net::between(*net::parse_prefix(prefix), *net::parse_prefix(prefix)));
    return sa_options;
  }
  void lead_into(tunnel::Index index, const char* network, std::uint16_t mtu = 0xffff) {
    forward::Hop hop;
    hop.kind = forward::HopKind::tunnel;
    hop.tunnel = index;
    hop.mtu = mtu;
    must(forwarding->set_route(*net::parse_prefix(network), must(forwarding->add_hop(hop))));
  }
  Output from_inside(const Bytes& packet) { return run(inside, frame_to(inside, packet)); }
  Output from_peer(const Bytes& packet, std::uint64_t sequence = 1) {
    const bool v4 = packet[0] >> 4 == 4;
    return run(outside, esp_frame(sequence, packet, v4 ? net::protocol_ipv4 : net::protocol_ipv6));
  }
  std::uint64_t drops() const { return tunnels->at(tunnel).drops.load(); }
  void policy_for_all(std::uint64_t order, policy::Decision decision) {
    for (const char* prefix : everything)
      add_policy(net::between(*net::parse_prefix(prefix), *net::parse_prefix(prefix)), order, decision);
  }
};

inline Bytes redirected(Bytes packet, const char* destination) {
  const auto address = *net::parse_address(destination);
  const bool v4 = address.family == net::Family::v4;
  std::copy_n(address.bytes.begin(), v4 ? 4 : 16, packet.begin() + (v4 ? 16 : 24));
  if (v4) mend_checksum(packet);
  return packet;
}

}  // namespace espgate::test

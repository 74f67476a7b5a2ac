// Routes that lead into a tunnel: what goes in, what comes out, and what policy has to say before.
#include <rte_mbuf.h>

#include <catch2/catch.hpp>

#include "tests/datapath/policy/policies.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/taken_buffers.hpp"
#include "tests/datapath/worker/tunnel_rig.hpp"

using namespace espgate;
using namespace espgate::test;
using policy::Decision;

TEST_CASE("a route into a tunnel encrypts, without a policy or with one that bypasses") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  const bool bypass = GENERATE(false, true);
  TunnelRig rig;
  if (bypass) rig.policy_for_all(1, Decision::bypass());
  const auto packet = rig.inner(family, 100, false);
  const auto out = rig.from_inside(packet);
  REQUIRE(out.outside.size() == 1);
  auto opened = rig.open(out.outside[0]);
  REQUIRE(opened.size() == packet.size());
  const std::size_t ttl = family == net::Family::v4 ? net::ipv4::ttl : net::ipv6::hop_limit;
  CHECK(opened[ttl] == packet[ttl] - 1);
  CHECK(rig.verdicts() == "FORWARDED=1");
  CHECK(rig.conserved());
}

TEST_CASE("what policy discards does not enter a tunnel, nor what it gives to no SA") {
  TunnelRig rig;
  const auto packet = rig.inner(net::Family::v4, 100, false);
  rig.policy_for_all(2, Decision::protect_without_sa());
  CHECK(rig.from_inside(packet).outside.empty());
  rig.policy_for_all(1, Decision::discard());
  CHECK(rig.from_inside(packet).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_PKT_HIT_IKE_START_SP=1 OUT_V4_PKT_HIT_DENY_DROP_SP=1");
  CHECK(rig.drops() == 0);
  CHECK(rig.conserved());
}

TEST_CASE("a tunnel without an SA drops, and so does one whose SA is retired") {
  TunnelRig rig;
  rig.policy_for_all(1, Decision::bypass());
  rig.tunnels->set(rig.tunnel, Decision::protect_without_sa());
  for (const auto family : {net::Family::v4, net::Family::v6})
    CHECK(rig.from_inside(rig.inner(family, 100, false)).outside.empty());
  CHECK(rig.drops() == 2);
  rig.tunnels->set(rig.tunnel, Decision::protect(rig.outbound));
  rig.sas->retire_outbound(rig.outbound);
  CHECK(rig.from_inside(rig.inner(net::Family::v4, 100, false)).outside.empty());
  CHECK(rig.verdicts() ==
        "OUT_V4_PKT_HIT_INVALID_SA=1 OUT_V4_PKT_HIT_IKE_START_SP=1 OUT_V6_PKT_HIT_IKE_START_SP=1");
  CHECK(rig.conserved());
}

TEST_CASE("what comes out of a tunnel goes on to the inside, without a policy") {
  TunnelRig rig;
  CHECK(rig.from_peer(rig.inner(net::Family::v4, 64, true)).inside.size() == 1);
  // The SA's selectors alone judge the source, and it takes all.
  auto odd = rig.inner(net::Family::v4, 64, true);
  odd[12] = 11;
  mend_checksum(odd);
  CHECK(rig.from_peer(odd, 2).inside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=2");
  CHECK(rig.conserved());
}

TEST_CASE("what comes out of a tunnel for this host goes up the tunnel's link, as it is") {
  TunnelRig rig;
  const auto ring_port = static_cast<std::uint16_t>(worker::first_tunnel_link + rig.tunnel);
  SECTION("to an address of the host") {
    const auto packet = redirected(rig.inner(net::Family::v4, 64, true), "10.1.0.1");
    const auto out = rig.from_peer(packet);
    REQUIRE(out.host.size() == 1);
    CHECK(out.host[0] == packet);
    CHECK(rig.host_ports == std::vector<std::uint16_t>{ring_port});
  }
  SECTION("a routing protocol's hello") {
    for (const char* group : {"224.0.0.5", "ff02::5"}) {
      const auto family = group[0] == 'f' ? net::Family::v6 : net::Family::v4;
      CHECK(rig.from_peer(redirected(rig.inner(family, 64, true), group), family == net::Family::v4 ? 1 : 2)
                .host.size() == 1);
    }
    CHECK(rig.host_ports == std::vector<std::uint16_t>{ring_port, ring_port});
  }
  SECTION("but not multicast that routers forward, nor what is link-local elsewhere") {
    CHECK(rig.from_peer(redirected(rig.inner(net::Family::v4, 64, true), "239.1.1.1")).host.empty());
    CHECK(rig.from_peer(redirected(rig.inner(net::Family::v4, 64, true), "169.254.7.7"), 2).host.empty());
    CHECK(rig.verdicts() == "MULTICAST_NOT_FORWARDED=1 LINK_LOCAL_NOT_FORWARDED=1");
  }
  CHECK(rig.conserved());
}

TEST_CASE("from one tunnel into another: hub and spoke") {
  TunnelRig rig;
  // 10.3.0.0/16 lies behind a second tunnel, which uses the same SA here.
  const auto second = must(rig.tunnels->add());
  rig.tunnels->set(second, Decision::protect(rig.outbound));
  rig.lead_into(second, "10.3.0.0/16");
  const auto packet = redirected(rig.inner(net::Family::v4, 64, true), "10.3.0.9");
  const auto out = rig.from_peer(packet);
  REQUIRE(out.outside.size() == 1);
  CHECK(rig.open(out.outside[0]).size() == packet.size());
  CHECK(rig.conserved());
}

TEST_CASE("what the host sends into a tunnel's link is encrypted, with its TTL as it is") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  TunnelRig rig;
  const auto link = static_cast<std::uint16_t>(worker::first_tunnel_link + rig.tunnel);
  const auto packet = rig.inner(family, 64, false);
  auto out = rig.run_from_host(link, packet);
  REQUIRE(out.outside.size() == 1);
  CHECK(rig.open(out.outside[0]) == packet);
  // Also where no route leads, such as a routing protocol's hello.
  out = rig.run_from_host(link, redirected(packet, family == net::Family::v4 ? "224.0.0.5" : "ff02::5"));
  CHECK(out.outside.size() == 1);
  rig.policy_for_all(1, Decision::discard());
  CHECK(rig.run_from_host(link, packet).outside.empty());
  CHECK(rig.run_from_host(link, Bytes{0x45, 0}).outside.empty());
  CHECK(rig.conserved());
}

TEST_CASE("a source behind a tunnel is refused where it comes in clear") {
  TunnelRig rig;
  const auto spoofed = rig.inner(net::Family::v4, 64, true);
  const auto to_us = redirected(spoofed, "192.0.2.1");
  rig.run(Rig::outside, rig.frame_to(Rig::outside, spoofed));
  rig.run(Rig::outside, rig.frame_to(Rig::outside, to_us));
  CHECK(rig.verdicts() == "IN_TRANS_CL_V4_PKT_FAILED_POLICY=1 IN_US_CL_V4_PKT_FAILED_POLICY=1");
  // Nor does cleartext from outside get into the tunnel.
  rig.run(Rig::outside,
          rig.frame_to(Rig::outside, redirected(rig.inner(net::Family::v4, 64, false), "10.2.0.9")));
  CHECK(rig.verdicts() == "IN_TRANS_CL_V4_PKT_FAILED_POLICY=1");
  // Also while the tunnel has no SA, but for what a policy bypasses.
  rig.tunnels->set(rig.tunnel, Decision::protect_without_sa());
  CHECK(rig.run(Rig::outside, rig.frame_to(Rig::outside, to_us)).host.empty());
  CHECK(rig.verdicts() == "IN_US_CL_V4_PKT_FAILED_POLICY=1");
  rig.add_policy(net::between(*net::parse_prefix("192.0.2.1/32"), *net::parse_prefix("10.2.0.0/16")), 1,
                 Decision::bypass());
  CHECK(rig.run(Rig::outside, rig.frame_to(Rig::outside, to_us)).host.size() == 1);
  CHECK(rig.conserved());
}

TEST_CASE("a tunnel does not lead through a tunnel") {
  TunnelRig rig;
  rig.lead_into(rig.tunnel, "192.0.2.2/32");
  CHECK(rig.from_inside(rig.inner(net::Family::v4, 64, false)).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_TX_PKT_ADJ_FAIL=1");
  CHECK(rig.conserved());
}

TEST_CASE("selectors narrower than everything judge what comes out of a tunnel") {
  TunnelRig rig(
      {.selectors = {net::between(*net::parse_prefix("10.1.0.0/24"), *net::parse_prefix("10.2.0.0/24"))}});
  auto odd = rig.inner(net::Family::v4, 64, true);
  odd[13] = 9;
  mend_checksum(odd);
  CHECK(rig.from_peer(odd).inside.empty());
  CHECK(rig.verdicts() == "IN_V4_POST_INPUT_POLICY_FAIL=1");
}

namespace {

SaOptions for_udp_port(std::uint16_t port) {
  return {.selectors = {
              testing::selector("10.1.0.0/24", "10.2.0.0/16", net::protocol_udp, {}, {port, port}),
              testing::selector("2001:db8:1::/64", "2001:db8:2::/48", net::protocol_udp, {}, {port, port})}};
}

}  // namespace

TEST_CASE("selectors narrower than everything judge what goes into a tunnel: the peer would drop the rest") {
  TunnelRig rig(
      {.selectors = {net::between(*net::parse_prefix("10.1.0.0/24"), *net::parse_prefix("10.2.0.0/24"))}});
  const auto packet = rig.inner(net::Family::v4, 64, false);
  const auto outside_them = redirected(packet, "10.2.9.9");
  CHECK(rig.from_inside(packet).outside.size() == 1);
  CHECK(rig.from_inside(outside_them).outside.empty());
  CHECK(rig.from_inside(rig.inner(net::Family::v6, 64, false)).outside.empty());
  const auto link = static_cast<std::uint16_t>(worker::first_tunnel_link + rig.tunnel);
  CHECK(rig.run_from_host(link, outside_them).outside.empty());
  CHECK(rig.run_from_host(link, packet).outside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=2 OUT_SELECTOR_MISMATCH=3");
  CHECK(rig.drops() == 3);
  CHECK(rig.sas->outbound_faults(rig.outbound).of(Verdict::OUT_SELECTOR_MISMATCH) == 3);
  CHECK(rig.conserved());
}

TEST_CASE("selectors for ports judge what goes into a tunnel, and let the pieces of what they took pass") {
  {
    TunnelRig other_port(for_udp_port(10));
    CHECK(other_port.from_inside(other_port.inner(net::Family::v4, 64, false)).outside.empty());
    CHECK(other_port.verdicts() == "OUT_SELECTOR_MISMATCH=1");
  }
  TunnelRig rig(for_udp_port(9));
  auto packet = rig.inner(net::Family::v4, 1400, false);
  CHECK(rig.from_inside(packet).outside.size() == 1);
  rig.sas->outbound(rig.outbound).path_mtu = 1000;
  CHECK(rig.from_inside(packet).outside.size() == 2);
  CHECK(rig.verdicts() == "FORWARDED=3 FRAGMENTED=1");
  CHECK(rig.drops() == 0);
  CHECK(rig.conserved());
}

TEST_CASE("fragments go into a tunnel for ports as the packet that they are of") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  const auto port = GENERATE(std::uint16_t{9}, std::uint16_t{10});
  TunnelRig rig(for_udp_port(port));
  const auto parts = fragments_of(rig.frame_to(Rig::inside, rig.inner(family, 600, false)),
                                  std::vector<std::size_t>{304}, 7);
  CHECK(rig.run(Rig::inside, parts[1]).outside.empty());
  const auto out = rig.run(Rig::inside, parts[0]).outside;
  if (port == 9) {
    REQUIRE(out.size() == 1);
    CHECK(rig.open(out[0]) == forwarded(joined(parts)));
    CHECK(rig.verdicts() == "FORWARDED=1 REASSEMBLY_PART=2");
  } else {
    CHECK(out.empty());
    CHECK(rig.verdicts() == "REASSEMBLY_PART=2 OUT_SELECTOR_MISMATCH=1");
    CHECK(rig.drops() == 1);
  }
  // What ports cannot be read of at all is refused.
  auto runt = rig.inner(net::Family::v4, 0, false);
  runt.resize(23);
  net::store_be16(runt, net::ipv4::total_length, 23);
  mend_checksum(runt);
  CHECK(rig.from_inside(runt).outside.empty());
  CHECK(rig.verdicts() == "SELECTOR_FIELDS_OPAQUE=1");
  CHECK(rig.conserved());
}

TEST_CASE("a packet's fragments into a tunnel for ports may straddle the rekey of its SA") {
  auto options = for_udp_port(9);
  options.owner = 1;
  TunnelRig rig(options);
  const auto parts = fragments_of(rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 600, false)),
                                  std::vector<std::size_t>{304}, 7);
  CHECK(rig.run(Rig::inside, parts[0]).outside.empty());
  auto parameters = rig.parameters(false);
  parameters.spi = 0x2002;
  parameters.keymat.back() ^= 1;
  rig.tunnels->set(rig.tunnel, Decision::protect(must(rig.sas->install_outbound(parameters, 1))));
  const auto out = rig.run(Rig::inside, parts[1]).outside;
  REQUIRE(out.size() == 1);
  CHECK(net::load_be32(out[0], net::ethernet_bytes + net::ipv4_header_bytes) == 0x2002);
  CHECK(rig.verdicts() == "FORWARDED=1 REASSEMBLY_PART=2");
  CHECK(rig.conserved());
}

TEST_CASE("fragments that a tunnel for ports cannot take count as its drops") {
  TunnelRig rig(for_udp_port(9));
  TakenBuffers taken(rig.shared.large_buffers);
  const auto parts = fragments_of(rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 600, false)),
                                  std::vector<std::size_t>{304}, 7);
  for (const auto& part : parts) CHECK(rig.run(Rig::inside, part).outside.empty());
  CHECK(rig.verdicts() == "PKT_BUFFER_UNAVAILABLE=2");
  CHECK(rig.drops() == 2);
  taken.give_back();
  CHECK(rig.conserved());
}

TEST_CASE("the kernel's fragments into a tunnel's link are judged as the packet that they are of") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  const auto decision = GENERATE(Decision::bypass(), Decision::discard());
  TunnelRig rig;
  for (const char* all : everything)
    rig.add_policy(testing::selector(all, all, net::protocol_udp, {}, {9, 9}), 1, decision);
  const auto parts = fragments_of(rig.frame_to(Rig::inside, rig.inner(family, 600, false)),
                                  std::vector<std::size_t>{304}, 7);
  const auto link = static_cast<std::uint16_t>(worker::first_tunnel_link + rig.tunnel);
  const auto send_part = [&](const Bytes& part) {
    return rig.run_from_host(link, Bytes(part.begin() + net::ethernet_bytes, part.end())).outside;
  };
  CHECK(send_part(parts[1]).empty());
  const auto out = send_part(parts[0]);
  if (decision == Decision::bypass()) {
    REQUIRE(out.size() == 1);
    CHECK(rig.open(out[0]) == joined(parts));
    CHECK(rig.verdicts() == "FORWARDED=1 REASSEMBLY_PART=2");
  } else {
    CHECK(out.empty());
    CHECK(rig.verdicts() == (family == net::Family::v4 ? "REASSEMBLY_PART=2 OUT_V4_PKT_HIT_DENY_DROP_SP=1"
                                                       : "REASSEMBLY_PART=2 OUT_V6_PKT_HIT_DENY_DROP_SP=1"));
  }
  // What comes by a port is another packet's, whatever it says.
  CHECK(send_part(parts[1]).empty());
  CHECK(rig.run(Rig::inside, parts[0]).outside.empty());
  CHECK(rig.workers[0]->reassembling() == 2);
}

TEST_CASE(
    "without the tunnel's route nothing leaves in clear by the route around it, but what a policy bypasses") {
  TunnelRig rig;
  must(rig.forwarding->remove_route(*net::parse_prefix("10.2.0.0/16")));
  forward::HopIndex outside_hop = forward::no_route_hop;
  const std::uint32_t peer = 0xc0000202;
  rig.forwarding->route4({&peer, 1}, &outside_hop);
  must(rig.forwarding->set_route(*net::parse_prefix("0.0.0.0/0"), outside_hop));
  const auto packet = rig.inner(net::Family::v4, 64, false);
  CHECK(rig.from_inside(packet).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
  // Neither does what came out of another tunnel.
  const auto onward = redirected(rig.inner(net::Family::v4, 64, true), "10.2.0.9");
  CHECK(rig.from_peer(onward).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
  rig.policy_for_all(1, Decision::bypass());
  CHECK(rig.from_inside(packet).outside.size() == 1);
  CHECK(rig.conserved());
}

TEST_CASE("routes lead no packet into a tunnel that is larger than its link takes") {
  TunnelRig rig;
  rig.lead_into(rig.tunnel, "10.2.0.0/16", 600);
  rig.lead_into(rig.tunnel, "2001:db8:2::/48", 1300);
  SECTION("IPv4 is cut") {
    const auto out = rig.from_inside(rig.inner(net::Family::v4, 1000, false));
    REQUIRE(out.outside.size() == 2);
    for (const auto& frame : out.outside) CHECK(rig.open(frame).size() <= 600);
    CHECK(rig.verdicts() == "FORWARDED=2 FRAGMENTED=1");
  }
  SECTION("and to what the SA takes, if that is less") {
    rig.sas->outbound(rig.outbound).path_mtu = 500;
    const auto out = rig.from_inside(rig.inner(net::Family::v4, 1000, false));
    REQUIRE(out.outside.size() == 3);
    for (const auto& frame : out.outside) CHECK(frame.size() <= 14 + 500);
  }
  SECTION("what must stay whole is refused") {
    const auto family = GENERATE(net::Family::v4, net::Family::v6);
    auto packet = rig.inner(family, 1300, false);
    if (family == net::Family::v4) {
      packet[net::ipv4::fragment] = 0x40;
      mend_checksum(packet);
    }
    CHECK(rig.from_inside(packet).outside.empty());
    const auto told = rig.refused();
    REQUIRE(told.size() == 1);
    CHECK(told[0].refusal.largest == (family == net::Family::v4 ? 600 : 1300));
    CHECK(rig.verdicts() == "MTU_EXCEEDED=1");
  }
  CHECK(rig.conserved());
}

TEST_CASE("a flood in clear to us does not cost what came through a tunnel") {
  TunnelRig rig;
  rig.shared.rates = {1, 1, 1, 1};
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, must(rig.engine->make_queue()));
  auto flood = redirected(rig.inner(net::Family::v4, 20, true), "192.0.2.1");
  const std::uint8_t stranger[] = {203, 0, 113, 7};
  std::copy_n(stranger, 4, flood.begin() + net::ipv4::source);
  mend_checksum(flood);
  for (int i = 0; i < 100; ++i) rig.run(Rig::outside, rig.frame_to(Rig::outside, flood));
  CHECK(rig.taken(Verdict::HOST_RATE_LIMITED) >= 8);
  const auto* ours = GENERATE("224.0.0.5", "192.0.2.1");
  CHECK(rig.from_peer(redirected(rig.inner(net::Family::v4, 20, true), ours)).host.size() == 1);
  CHECK(rig.taken(Verdict::HOST_RATE_LIMITED) == 0);
}

// Policies are asked where packets cross a port with ipsec, and nowhere else (RFC 4301 5.1, 5.2).
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"
#include "tests/datapath/worker/tunnel_rig.hpp"

using namespace espgate;
using namespace espgate::test;
using policy::Decision;

namespace {

net::TrafficSelector between(const char* local, const char* remote) {
  return {*net::parse_range(local), *net::parse_range(remote), {}, {}, {}};
}

// Discards what nothing before it matches, as the last policy of many lists does.
struct ClosedRig : Rig {
  explicit ClosedRig(const SaOptions& sa = {}) : Rig(sa) {
    policies->remove(bypass_to_inside);
    for (const char* all : {"0.0.0.0/0", "::/0"}) add_policy(between(all, all), 60'000, Decision::discard());
  }
};

Bytes from(Bytes packet, std::initializer_list<std::uint8_t> source) {
  std::copy(source.begin(), source.end(), packet.begin() + net::ipv4::source);
  mend_checksum(packet);
  return packet;
}

// A neighbour advertisement of ours that answers a solicitation: unicast (RFC 4861 7.2.4).
Bytes solicited_advertisement(const Rig& rig) {
  auto packet = rig.inner(net::Family::v6, 16, true);
  packet[net::ipv6::next_header] = net::protocol_icmpv6;
  packet[net::ipv6::hop_limit] = 255;
  const auto us = *net::parse_address("2001:db8:a::1");
  std::copy(us.bytes.begin(), us.bytes.end(), packet.begin() + net::ipv6::source);
  packet[40] = 136;
  return redirected(packet, "2001:db8:a::2");
}

}  // namespace

TEST_CASE("a decrypted packet for the inside meets no policy") {
  ClosedRig rig;
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    const auto inner = rig.inner(family, 20, true);
    const auto out = rig.run(Rig::outside, rig.esp_frame(family == net::Family::v4 ? 1 : 2, inner,
                                                         family == net::Family::v4 ? 4 : 41));
    CHECK(out.inside.size() == 1);
  }
  CHECK(rig.verdicts() == "FORWARDED=2");
  CHECK(rig.conserved());
}

TEST_CASE("a decrypted fragment for the inside does not meet a policy that goes by ports") {
  ClosedRig rig;
  auto dns = between("0.0.0.0/0", "0.0.0.0/0");
  dns.protocol = net::protocol_udp;
  dns.remote_ports = {53, 53};
  rig.add_policy(dns, 50'000, Decision::bypass());
  auto inner = rig.inner(net::Family::v4, 40, true);
  net::store_be16(inner, net::ipv4::fragment, 100);
  mend_checksum(inner);
  CHECK(rig.run(Rig::outside, rig.esp_frame(1, inner, 4)).inside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=1");
}

TEST_CASE("a spoke's packet to the inside is not given to a spoke whose network is everything") {
  ClosedRig rig({.selectors = {between("0.0.0.0/0", "10.2.0.0/16")}});
  auto other = rig.parameters(false);
  other.spi = 0x2002;
  other.selectors.clear();
  other.remote = *net::parse_address("192.0.2.3");
  const auto sa = must(rig.sas->install_outbound(other));
  rig.add_policy(between("0.0.0.0/0", "0.0.0.0/0"), 1, Decision::protect(sa));
  CHECK(rig.run(Rig::outside, rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4)).inside.size() == 1);
  CHECK(rig.sas->outbound_total(sa).packets == 0);
  CHECK(rig.verdicts() == "FORWARDED=1");
}

TEST_CASE("what control tells an inside host meets no policy") {
  ClosedRig rig;
  const auto message = redirected(rig.inner(net::Family::v4, 20, false), "10.1.0.9");
  CHECK(rig.run_from_control(message, true).inside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=1");
}

TEST_CASE("the kernel's packets to inside hosts meet no policy, those to the outside do") {
  ClosedRig rig;
  const auto packet = rig.inner(net::Family::v4, 20, false);
  CHECK(rig.run_from_host(Rig::inside, rig.frame_to(Rig::inside, redirected(packet, "10.1.0.9")))
            .inside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=1");
  CHECK(rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, redirected(packet, "203.0.113.9")))
            .outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_PKT_HIT_DENY_DROP_SP=1");
}

TEST_CASE("the kernel's neighbour discovery meets no policy") {
  const auto decision = GENERATE(Decision::discard().value, Decision::protect_without_sa().value);
  Rig rig;
  rig.add_policy(between("::/0", "::/0"), 1, {decision});
  auto packet = solicited_advertisement(rig);
  CHECK(rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, packet)).outside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=1");
  packet[net::ipv6::hop_limit] = 254;  // from another link, so none
  CHECK(rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, packet)).outside.empty());
}

TEST_CASE("the kernel's IKE meets no policy, whatever the peer's port is behind a NAT") {
  Rig rig;
  rig.add_policy(between("0.0.0.0/0", "0.0.0.0/0"), 1, Decision::protect_without_sa());
  auto packet = redirected(from(rig.inner(net::Family::v4, 40, false), {192, 0, 2, 1}), "192.0.2.2");
  net::store_be16(packet, 22, 61'000);
  for (const std::uint16_t port : std::initializer_list<std::uint16_t>{500, 4500, 4501}) {
    net::store_be16(packet, 20, port);
    const bool passes = port != 4501;
    CHECK(rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, packet)).outside.size() == passes);
  }
  CHECK(rig.verdicts() == "FORWARDED=2 OUT_V4_PKT_HIT_IKE_START_SP=1");
}

TEST_CASE("of the kernel's multicast, policies judge what routers forward, and not the link's own") {
  Rig rig;
  rig.add_policy(between("0.0.0.0/0", "0.0.0.0/0"), 1, Decision::discard());
  const auto packet = rig.inner(net::Family::v4, 20, false);
  CHECK(rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, redirected(packet, "239.1.1.1")))
            .outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_PKT_HIT_DENY_DROP_SP=1");
  CHECK(rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, redirected(packet, "224.0.0.5")))
            .outside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=1");
}

TEST_CASE("cleartext from outside goes inside only where a policy says so for its way in") {
  Rig rig;  // bypasses what goes to 10.1.0.0/24, the inside
  const auto packet = from(rig.inner(net::Family::v4, 20, true), {203, 0, 113, 7});
  const auto frame = rig.frame_to(Rig::outside, packet);
  CHECK(rig.run(Rig::outside, frame).inside.empty());
  CHECK(rig.verdicts() == "IN_TRANS_CL_V4_PKT_FAILED_POLICY=1");
  rig.add_policy(between("10.1.0.0/24", "203.0.113.0/24"), 1, Decision::bypass());
  CHECK(rig.run(Rig::outside, frame).inside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=1");
  CHECK(rig.conserved());
}

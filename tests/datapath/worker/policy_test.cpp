// What policies make of packets: order, protocols and ports, packets without ports, and both directions.
#include <algorithm>
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/policy/policies.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;
using policy::Decision;
using testing::selector;

namespace {

constexpr std::uint8_t tcp = 6, udp = 17;

// From the inside host to the peer's, or the other way round, with these ports.
Bytes ports(const Rig& rig, std::uint16_t source, std::uint16_t destination, bool from_peer = false,
            std::uint8_t protocol = udp) {
  auto packet = rig.inner(net::Family::v4, 32, from_peer);
  packet[net::ipv4::protocol] = protocol;
  net::store_be16(packet, 20, source);
  net::store_be16(packet, 22, destination);
  mend_checksum(packet);
  return packet;
}

Rig::Output send(Rig& rig, const Bytes& packet, std::uint8_t port = Rig::inside) {
  return rig.run(port, rig.frame_to(port, packet));
}

// In clear from the peer's network to the inside host, by the outside port.
Bytes clear_from_peer(const Rig& rig) {
  return rig.inner(net::Family::v4, 20, true);
}

Bytes to_us(Bytes packet) {
  const std::uint8_t us[] = {192, 0, 2, 1};
  std::copy_n(us, 4, packet.begin() + net::ipv4::destination);
  mend_checksum(packet);
  return packet;
}

}  // namespace

TEST_CASE("the policy that comes first decides, and is counted") {
  Rig rig;
  const auto packet = rig.inner(net::Family::v4, 20, false);
  const auto first = rig.add_policy(selector("10.1.0.9", "10.2.0.0/16"), 1, Decision::discard());
  const auto later = rig.add_policy(selector("0.0.0.0/0", "0.0.0.0/0"), 5'000, Decision::bypass());
  CHECK(send(rig, packet).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_PKT_HIT_DENY_DROP_SP=1");
  rig.policies->set(first, Decision::bypass());
  rig.verdicts();
  send(rig, packet);
  CHECK(rig.policies->hits(first) == 2);
  CHECK(rig.policies->hits(later) == 0);
  CHECK(rig.refused().size() == 1);  // there is no route but the tunnel
  rig.policies->remove(first);
  rig.verdicts();
  CHECK(rig.open(send(rig, packet).outside.at(0)).size() == packet.size());
  CHECK(rig.conserved());
}

TEST_CASE("one port is protected, another passes in clear, a third is dropped") {
  Rig rig({.selectors = {selector("10.1.0.0/24", "10.2.0.0/16", tcp, {}, {443, 443})}});
  const auto peer = *net::parse_address("10.2.0.9");
  const std::uint32_t gateway = 0xc0000202;
  forward::HopIndex hop = 0;
  rig.forwarding->route4({&gateway, 1}, &hop);
  must(rig.forwarding->set_route({peer, 32}, hop));
  rig.add_policy(selector("10.1.0.0/24", "10.2.0.0/16", tcp, {}, {8000, 8999}), 2'000, Decision::bypass());
  CHECK_FALSE(rig.open(send(rig, ports(rig, 40'000, 443, false, tcp)).outside.at(0)).empty());
  const auto clear = send(rig, ports(rig, 40'000, 8'080, false, tcp)).outside;
  REQUIRE(clear.size() == 1);
  CHECK(clear[0][14 + net::ipv4::protocol] == tcp);
  send(rig, ports(rig, 40'000, 80, false, tcp));
  send(rig, ports(rig, 40'000, 443, false, udp));
  CHECK(rig.verdicts() == "FORWARDED=2 OUT_V4_POST_OUTPUT_POLICY_FAIL=2");
  CHECK(rig.conserved());
}

TEST_CASE("for want of room for a policy nothing leaves in clear that it should have protected") {
  Rig rig;
  const auto to_peer = [&](std::uint8_t last_byte) {
    auto packet = rig.inner(net::Family::v4, 20, false);
    const std::uint8_t ends[] = {192, 0, 2, 1, 192, 0, 2, last_byte};
    std::ranges::copy(ends, packet.begin() + net::ipv4::source);
    mend_checksum(packet);
    return rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, packet)).outside.size();
  };
  CHECK(to_peer(2) == 1);  // the kernel's own, which no policy names
  rig.verdicts();
  const policy::StandIn refused{selector("192.0.2.1", "192.0.2.2"), 1, Decision::protect_without_sa()};
  rig.policies->stand_in({&refused, 1});
  CHECK(to_peer(2) == 0);
  CHECK(rig.verdicts() == "OUT_V4_PKT_HIT_IKE_START_SP=1");
  CHECK(to_peer(3) == 1);
  rig.verdicts();
  // In clear from there, it is as if it were protected.
  auto answer = rig.inner(net::Family::v4, 20, true);
  const std::uint8_t ends[] = {192, 0, 2, 2, 192, 0, 2, 1};
  std::ranges::copy(ends, answer.begin() + net::ipv4::source);
  mend_checksum(answer);
  CHECK(send(rig, answer, Rig::outside).host.empty());
  CHECK(rig.verdicts() == "IN_US_CL_V4_PKT_FAILED_POLICY=1");
  CHECK_FALSE(rig.open(send(rig, rig.inner(net::Family::v4, 20, false)).outside.at(0)).empty());
  CHECK(rig.conserved());
}

TEST_CASE("what is too short for ports is dropped where a policy goes by them") {
  Rig rig;
  rig.add_policy(selector("10.1.0.0/24", "10.2.0.0/16", udp, {}, {9, 9}), 1, Decision::bypass());
  auto runt = rig.inner(net::Family::v4, 0, false);
  runt.resize(23);
  net::store_be16(runt, net::ipv4::total_length, 23);
  mend_checksum(runt);
  CHECK(send(rig, runt).outside.empty());
  CHECK(rig.verdicts() == "SELECTOR_FIELDS_OPAQUE=1");
  CHECK(rig.conserved());
}

TEST_CASE("what comes in clear is judged by the policy of its answers") {
  Rig rig;
  SECTION("protected") {
    CHECK(send(rig, clear_from_peer(rig), Rig::outside).inside.empty());
    CHECK(rig.verdicts() == "IN_TRANS_CL_V4_PKT_FAILED_POLICY=1");
  }
  SECTION("discarded, in transit and to us") {
    rig.add_policy(selector("0.0.0.0/0", "10.2.0.9", udp, {}, {1234, 1234}), 1, Decision::discard());
    CHECK(send(rig, clear_from_peer(rig), Rig::outside).inside.empty());
    CHECK(rig.verdicts() == "IN_TRANS_CL_V4_PKT_FAILED_POLICY=1");
    CHECK(send(rig, to_us(clear_from_peer(rig)), Rig::outside).host.empty());
    CHECK(rig.verdicts() == "IN_US_CL_V4_PKT_FAILED_POLICY=1");
    // From another port it is not what the policy is about, and our own address is no inside network.
    CHECK(send(rig, to_us(ports(rig, 99, 9, true)), Rig::outside).host.size() == 1);
  }
  SECTION("bypassed: it needs no policy for its way on") {
    const auto rule =
        rig.add_policy(selector("10.1.0.9", "10.2.0.9", udp, {9, 9}, {1234, 1234}), 1, Decision::bypass());
    rig.policies->remove(rig.bypass_to_inside);
    CHECK(send(rig, clear_from_peer(rig), Rig::outside).inside.size() == 1);
    CHECK(rig.verdicts() == "FORWARDED=1");
    CHECK(send(rig, ports(rig, 99, 9, true), Rig::outside).inside.empty());
    CHECK(rig.verdicts() == "IN_TRANS_CL_V4_PKT_FAILED_POLICY=1");
    CHECK(rig.policies->hits(rule) == 1);
    // But not out again: that is another crossing.
    rig.add_policy(selector("0.0.0.0/0", "10.2.0.0/16"), 2, Decision::bypass());
    auto reflected = clear_from_peer(rig);
    const std::uint8_t peer[] = {192, 0, 2, 2};
    std::copy_n(peer, 4, reflected.begin() + net::ipv4::destination);
    mend_checksum(reflected);
    CHECK(send(rig, reflected, Rig::outside).outside.empty());
    CHECK(rig.verdicts() == "OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
  }
  SECTION("unknown for want of ports") {
    rig.add_policy(selector("10.1.0.9", "10.2.0.9", udp, {}, {1234, 1234}), 1, Decision::bypass());
    auto runt = clear_from_peer(rig);
    runt.resize(23);
    net::store_be16(runt, net::ipv4::total_length, 23);
    mend_checksum(runt);
    CHECK(send(rig, runt, Rig::outside).inside.empty());
    CHECK(rig.verdicts() == "SELECTOR_FIELDS_OPAQUE=1");
  }
  SECTION("on the inside nothing is judged so") {
    auto packet = rig.inner(net::Family::v4, 20, true);
    CHECK(send(rig, packet, Rig::inside).inside.size() == 1);
    CHECK(rig.verdicts() == "FORWARDED=1");
  }
  CHECK(rig.conserved());
}

TEST_CASE("an SA carries what its selectors name by protocol and ports, and nothing else") {
  Rig rig({.selectors = {selector("10.1.0.0/24", "10.2.0.0/16", tcp, {443, 443}),
                         selector("10.1.0.9", "10.2.0.5-10.2.0.9", udp, {}, {1000, 2000}),
                         selector("2001:db8:1::/64", "2001:db8:2::/48")}});
  std::uint64_t sequence = 0;
  const auto arrives = [&](const Bytes& inner, std::uint8_t next_header = 4) {
    return rig.run(Rig::outside, rig.esp_frame(++sequence, inner, next_header)).inside.size() == 1;
  };
  CHECK(arrives(ports(rig, 40'000, 443, true, tcp)));
  CHECK(arrives(ports(rig, 1'234, 9, true, udp)));
  CHECK(arrives(rig.inner(net::Family::v6, 20, true), 41));
  CHECK(rig.verdicts() == "FORWARDED=3");
  CHECK_FALSE(arrives(ports(rig, 40'000, 444, true, tcp)));
  CHECK_FALSE(arrives(ports(rig, 999, 9, true, udp)));
  CHECK_FALSE(arrives(ports(rig, 443, 443, true, 47)));
  auto stranger = ports(rig, 1'234, 9, true, udp);
  stranger[net::ipv4::source + 3] = 10;
  mend_checksum(stranger);
  CHECK_FALSE(arrives(stranger));
  CHECK(rig.verdicts() == "IN_V4_POST_INPUT_POLICY_FAIL=4");
  auto runt = rig.inner(net::Family::v4, 0, true);
  runt.resize(23);
  net::store_be16(runt, net::ipv4::total_length, 23);
  mend_checksum(runt);
  CHECK_FALSE(arrives(runt));
  CHECK(rig.verdicts() == "SELECTOR_FIELDS_OPAQUE=1");
  CHECK(rig.conserved());
}

TEST_CASE("a decrypted packet leaves by an outside port in clear only where a policy says so") {
  Rig rig({.selectors = {selector("0.0.0.0/0", "10.2.0.0/16")}});
  auto inner = rig.inner(net::Family::v4, 20, true);
  const std::uint8_t elsewhere[] = {192, 0, 2, 2};
  std::copy_n(elsewhere, 4, inner.begin() + net::ipv4::destination);
  mend_checksum(inner);
  CHECK(rig.run(Rig::outside, rig.esp_frame(1, inner, 4)).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
  rig.add_policy(selector("10.2.0.0/16", "192.0.2.0/24"), 1, Decision::bypass());
  CHECK(rig.run(Rig::outside, rig.esp_frame(2, inner, 4)).outside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=1");
  CHECK(rig.conserved());
}

TEST_CASE("spokes reach each other through the hub where policies cover both") {
  Rig rig({.selectors = {selector("0.0.0.0/0", "10.2.0.0/16")}});
  auto inner = rig.inner(net::Family::v4, 20, true);
  inner[net::ipv4::destination + 1] = 3;  // 10.3.0.9, behind another peer
  mend_checksum(inner);
  CHECK(rig.run(Rig::outside, rig.esp_frame(1, inner, 4)).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_PKT_HIT_IKE_START_SP=1");
  auto other = rig.parameters(false);
  other.spi = 0x2002;
  other.selectors.clear();
  other.remote = *net::parse_address("192.0.2.3");
  const auto sa = must(rig.sas->install_outbound(other));
  rig.add_policy(selector("10.2.0.0/16", "10.3.0.0/16"), 1, Decision::protect(sa));
  rig.run(Rig::outside, rig.esp_frame(2, inner, 4));
  CHECK(rig.verdicts() == "OUT_V4_TX_PKT_ADJ_FAIL=1");  // encrypted for a peer that the rig has no route to
  CHECK(rig.conserved());
}

TEST_CASE("spokes behind one NAT address are told apart by their ports") {
  Rig rig({.encapsulation = sa::Encapsulation::udp, .selectors = {selector("0.0.0.0/0", "10.2.0.0/16")}});
  auto inner = rig.inner(net::Family::v4, 20, true);
  inner[net::ipv4::destination + 1] = 3;  // 10.3.0.9, behind another peer
  mend_checksum(inner);
  auto other = rig.parameters(false);
  other.spi = 0x2002;
  other.selectors.clear();
  other.remote_port = 61'000;
  const auto sa = must(rig.sas->install_outbound(other));
  rig.add_policy(selector("10.2.0.0/16", "10.3.0.0/16"), 1, Decision::protect(sa));
  const auto out = rig.run(Rig::outside, rig.esp_frame(1, inner, 4)).outside;
  REQUIRE(out.size() == 1);
  CHECK(out[0].size() > inner.size() + 14 + 8 + 8 + 16);
  CHECK(rig.sas->outbound_total(sa).packets == 1);
  CHECK(rig.verdicts() == "FORWARDED=1");
  CHECK(rig.conserved());
}

TEST_CASE("where all is protected and there is no SA, we are reached by what a policy bypasses") {
  Rig rig({.selectors = {selector("0.0.0.0/0", "10.2.0.0/16")}});
  for (const auto decision : {Decision::protect_without_sa(), Decision::protect(rig.outbound)}) {
    const auto all = rig.add_policy(selector("0.0.0.0/0", "0.0.0.0/0"), 1, decision);
    const auto ssh = to_us(ports(rig, 40'000, 22, true, tcp));
    CHECK(send(rig, ssh, Rig::outside).host.empty());
    CHECK(rig.verdicts() == "IN_US_CL_V4_PKT_FAILED_POLICY=1");
    const auto bypass =
        rig.add_policy(selector("192.0.2.1", "0.0.0.0/0", tcp, {22, 22}), 0, Decision::bypass());
    CHECK(send(rig, ssh, Rig::outside).host.size() == 1);
    CHECK(send(rig, to_us(ports(rig, 40'000, 23, true, tcp)), Rig::outside).host.empty());
    CHECK(rig.verdicts() == "TO_HOST=1 IN_US_CL_V4_PKT_FAILED_POLICY=1");
    CHECK(send(rig, to_us(ports(rig, 500, 500, true)), Rig::outside).control.size() == 1);
    rig.verdicts();
    rig.policies->remove(bypass);
    rig.policies->remove(all);
  }
  CHECK(rig.conserved());
}

TEST_CASE("routers on the way may say in clear what became of our ESP, and nothing else") {
  Rig rig({.selectors = {selector("0.0.0.0/0", "10.2.0.0/16"), selector("::/0", "2001:db8:2::/48")}});
  const auto us4 = *net::parse_address("192.0.2.1"), us6 = *net::parse_address("2001:db8:a::1");
  const auto arrives = [&](Bytes packet) {
    const bool v4 = packet[0] >> 4 == 4;
    if (!v4) std::ranges::copy(us6.bytes, packet.begin() + net::ipv6::destination);
    return send(rig, v4 ? to_us(packet) : packet, Rig::outside).host.size() == 1;
  };
  // ICMP of this type around an IP header of this protocol, and the ports or SPI behind it.
  const auto report = [&](net::Family family, std::uint8_t type, std::uint8_t quoted, std::uint16_t port) {
    const bool v4 = family == net::Family::v4;
    auto packet = rig.inner(family, 60, true);
    packet[v4 ? net::ipv4::protocol : net::ipv6::next_header] =
        v4 ? net::protocol_icmp : net::protocol_icmpv6;
    const std::size_t icmp = v4 ? 20 : 40;
    packet[icmp] = type;
    const std::size_t inner = icmp + 8;
    packet[inner] = v4 ? 0x45 : 0x60;
    packet[inner + (v4 ? net::ipv4::protocol : net::ipv6::next_header)] = quoted;
    std::copy_n(
        (v4 ? us4 : us6).bytes.begin(), v4 ? 4 : 16,
        packet.begin() + static_cast<std::ptrdiff_t>(inner + (v4 ? net::ipv4::source : net::ipv6::source)));
    net::store_be16(packet, inner + icmp, port);
    return packet;
  };
  using net::Family;
  CHECK(arrives(report(Family::v4, 3, net::protocol_esp, 0)));
  CHECK(arrives(report(Family::v4, 11, udp, 4500)));
  CHECK(arrives(report(Family::v6, 2, net::protocol_esp, 0)));
  CHECK(arrives(report(Family::v6, 1, udp, 500)));
  CHECK(rig.verdicts() == "TO_HOST=4");
  CHECK_FALSE(arrives(report(Family::v4, 8, net::protocol_esp, 0)));  // an echo request is no report
  CHECK_FALSE(arrives(report(Family::v4, 5, net::protocol_esp, 0)));  // nor does a redirect say it is lost
  CHECK_FALSE(arrives(report(Family::v4, 3, tcp, 22)));               // of a session that is protected
  CHECK_FALSE(arrives(report(Family::v4, 3, udp, 53)));
  CHECK_FALSE(arrives(report(Family::v6, 128, net::protocol_esp, 0)));
  auto of_another = report(Family::v4, 3, net::protocol_esp, 0);  // not of ours
  ++of_another[20 + 8 + net::ipv4::source];
  CHECK_FALSE(arrives(of_another));
  auto cut = report(Family::v4, 3, net::protocol_esp, 0);
  cut.resize(20 + 8 + 20 + 7);
  net::store_be16(cut, net::ipv4::total_length, static_cast<std::uint16_t>(cut.size()));
  mend_checksum(cut);
  CHECK_FALSE(arrives(cut));
  CHECK(rig.verdicts() == "IN_US_CL_V4_PKT_FAILED_POLICY=6 IN_US_CL_V6_PKT_FAILED_POLICY=1");
  // What a policy discards is discarded.
  rig.add_policy(selector("192.0.2.1", "0.0.0.0/0"), 1, Decision::discard());
  CHECK_FALSE(arrives(report(Family::v4, 3, net::protocol_esp, 0)));
  CHECK(rig.conserved());
}

TEST_CASE("neighbour discovery needs no policy, even where all addresses are protected") {
  Rig rig({.selectors = {selector("::/0", "::/0")}});
  auto packet = rig.inner(net::Family::v6, 16, true);
  packet[net::ipv6::next_header] = net::protocol_icmpv6;
  const auto us = *net::parse_address("2001:db8:a::1");
  std::copy(us.bytes.begin(), us.bytes.end(), packet.begin() + net::ipv6::destination);
  packet[net::ipv6::hop_limit] = 255;
  packet[40] = 135;
  CHECK(send(rig, packet, Rig::outside).link.size() == 1);
  packet[40] = 128;
  CHECK(send(rig, packet, Rig::outside).host.empty());
  CHECK(rig.verdicts() == "TO_HOST=1 IN_US_CL_V6_PKT_FAILED_POLICY=1");
}

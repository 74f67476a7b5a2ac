// Packets that are not for us: what they carry is the receiver's to judge.
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

// From the inside host to 203.0.113.9, which the rig routes outside and a policy lets pass.
Bytes transit(const Rig& rig, std::uint8_t protocol, Bytes payload) {
  Bytes packet = rig.inner(net::Family::v4, 0, false);
  packet.resize(net::ipv4_header_bytes);
  packet[net::ipv4::protocol] = protocol;
  const std::uint8_t destination[] = {203, 0, 113, 9};
  std::copy_n(destination, 4, packet.begin() + net::ipv4::destination);
  net::store_be16(packet, net::ipv4::total_length, static_cast<std::uint16_t>(20 + payload.size()));
  mend_checksum(packet);
  packet.insert(packet.end(), payload.begin(), payload.end());
  return rig.frame_to(Rig::inside, packet);
}

void route_out(Rig& rig, bool bypass) {
  const auto prefix = *net::parse_prefix("203.0.113.0/24");
  const std::uint32_t peer = 0xc0000202;
  forward::HopIndex hop = 0;
  rig.forwarding->route4({&peer, 1}, &hop);
  must(rig.forwarding->set_route(prefix, hop));
  if (bypass)
    rig.add_policy(
        {net::AddressRange::everything(net::Family::v4), net::AddressRange::of(prefix), {}, {}, {}}, 1,
        policy::Decision::bypass());
}

}  // namespace

TEST_CASE("ESP runts and odd UDP 4500 in transit are forwarded where policy lets them") {
  Rig rig;
  route_out(rig, true);
  CHECK(rig.run(Rig::inside, transit(rig, net::protocol_esp, Bytes(7))).outside.size() == 1);
  const Bytes contradictory{0x11, 0x94, 0x11, 0x94, 0x00, 0x63, 0x00, 0x00, 1, 2, 3, 4, 5};
  CHECK(rig.run(Rig::inside, transit(rig, net::protocol_udp, contradictory)).outside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=2");
  CHECK(rig.conserved());
}

TEST_CASE("without a policy even an ESP runt in transit is called ESP in transit") {
  Rig rig;
  route_out(rig, false);
  rig.run(Rig::inside, transit(rig, net::protocol_esp, Bytes(7)));
  CHECK(rig.verdicts() == "IN_TRANS_V4_IPSEC_PKT_NOT_FOUND_SPI=1");
}

TEST_CASE("link-local sources and destinations stay on their link") {
  Rig rig;
  route_out(rig, true);
  auto frame = transit(rig, 1, Bytes(8));
  frame[14 + net::ipv4::source] = 169;
  frame[14 + net::ipv4::source + 1] = 254;
  mend_checksum(frame, 14);
  rig.run(Rig::inside, frame);
  auto inner = rig.inner(net::Family::v6, 20, false);
  inner[net::ipv6::source] = 0xfe;
  inner[net::ipv6::source + 1] = 0x80;
  rig.run(Rig::inside, rig.frame_to(Rig::inside, inner));
  CHECK(rig.verdicts() == "LINK_LOCAL_NOT_FORWARDED=2");
  CHECK(rig.conserved());
}

TEST_CASE("the kernel gets frames without the priority tag that was passed over") {
  Rig rig;
  Bytes arp{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
  Bytes tagged = arp;
  const Bytes tag{0x81, 0x00, 0xe0, 0x00};
  tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
  const auto out = rig.run(Rig::outside, tagged);
  REQUIRE(out.link.size() == 1);
  CHECK(out.link[0] == arp);
}

TEST_CASE("neighbour discovery to our own address is the link's business, pings are not") {
  Rig rig;
  auto packet = rig.inner(net::Family::v6, 16, false);
  packet[net::ipv6::next_header] = net::protocol_icmpv6;
  const auto us = *net::parse_address("2001:db8:1::1");
  std::copy(us.bytes.begin(), us.bytes.end(), packet.begin() + net::ipv6::destination);
  packet[net::ipv6::hop_limit] = 255;
  packet[40] = 135;
  CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, packet)).link.size() == 1);
  packet[40] = 128;
  CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, packet)).host.size() == 1);
  packet[40] = 135;
  packet[net::ipv6::hop_limit] = 254;  // from beyond the link, so not what it says
  CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, packet)).host.size() == 1);
  CHECK(rig.conserved());
}

#include "datapath/parse/frame.hpp"

#include <catch2/catch.hpp>

#include "tests/datapath/parse/frames.hpp"

using namespace espgate;
using namespace espgate::parse;
using namespace espgate::testing;

namespace {

FrameInfo parsed(const Frame& frame, Vlans vlans = 0) {
  return parse_frame(frame, frame.size(), false, vlans);
}

Verdict fault(const Frame& frame, Vlans vlans = 0) {
  const auto info = parsed(frame, vlans);
  CHECK((info.kind == FrameKind::invalid || info.kind == FrameKind::damaged) ==
        (info.reason != Verdict::undecided));
  return info.reason;
}

const Frame eth4 = ethernet(0x0800);
const Frame eth6 = ethernet(0x86dd);

}  // namespace

TEST_CASE("ESP over IPv4") {
  const auto info = parsed(eth4 + Ipv4{}(esp(0x12345678, 0x9abcdef0)));
  CHECK(info.kind == FrameKind::esp);
  CHECK(info.family == net::Family::v4);
  CHECK(info.l3_offset == 14);
  CHECK(info.l4_offset == 34);
  CHECK(info.l3_bytes == 68);
  CHECK(info.protocol == 50);
  CHECK(info.spi == 0x12345678);
  CHECK(info.sequence == 0x9abcdef0);
  CHECK_FALSE(info.fragment);
  CHECK_FALSE(info.link_group);
}

TEST_CASE("the IP header's length wins over Ethernet padding") {
  const auto info = parsed(eth4 + Ipv4{}(esp(1, 2, 0)) + Frame(18, 0));
  CHECK(info.kind == FrameKind::esp);
  CHECK(info.l3_bytes == 28);
  CHECK(fault(eth4 + Ipv4{}(Frame(7, 1)) + Frame(18, 0)) == Verdict::IN_ESP_RUNT);
}

TEST_CASE("a packet may continue behind the contiguous part, its headers may not") {
  const auto frame = eth4 + Ipv4{}(esp());
  const std::span<const std::uint8_t> start(frame.data(), 14 + 20 + 8);
  CHECK(parse_frame(start, frame.size(), false, 0).kind == FrameKind::esp);
  CHECK(parse_frame(start, start.size(), false, 0).reason == Verdict::IPV4_LENGTH_INVALID);
  CHECK(parse_frame(start.first(41), frame.size(), false, 0).reason == Verdict::IN_ESP_RUNT);
  CHECK(parse_frame(start.first(33), frame.size(), false, 0).reason == Verdict::IPV4_HEADER_INVALID);
}

TEST_CASE("IPv4 options move the upper layer") {
  const auto info = parsed(eth4 + Ipv4{.options = Frame(8, 1)}(esp()));
  CHECK(info.kind == FrameKind::esp);
  CHECK(info.l4_offset == 42);
  CHECK(info.spi == 0x1001);
}

TEST_CASE("VLAN tags must be the port's") {
  const auto packet = Ipv4{}(esp());
  CHECK(parsed(ethernet(0x0800, {100}) + packet, 100).l3_offset == 18);
  CHECK(parsed(ethernet(0x0800, {0xe064}) + packet, 100).kind == FrameKind::esp);  // priority bits
  CHECK(fault(ethernet(0x0800, {100}) + packet) == Verdict::ETH_VLAN_UNKNOWN);
  CHECK(fault(ethernet(0x0800, {101}) + packet, 100) == Verdict::ETH_VLAN_UNKNOWN);
  CHECK(fault(eth4 + packet, 100) == Verdict::ETH_VLAN_UNKNOWN);
  SECTION("a priority tag is no VLAN") {
    CHECK(parsed(ethernet(0x0800, {0xe000}) + packet).l3_offset == 18);
  }
  SECTION("QinQ") {
    const auto frame = ethernet(0x0800, {7, 100}, 0x88a8) + packet;
    CHECK(parsed(frame, 7 << 16 | 100).l3_offset == 22);
    CHECK(parsed(frame, 7 << 16 | 100).spi == 0x1001);
    CHECK(fault(frame, 100) == Verdict::ETH_VLAN_UNKNOWN);
    CHECK(fault(frame, 100 << 16 | 7) == Verdict::ETH_VLAN_UNKNOWN);
  }
  SECTION("no more than two") {
    CHECK(fault(ethernet(0x0800, {0, 0, 100}) + packet, 100) == Verdict::ETH_VLAN_UNKNOWN);
  }
}

TEST_CASE("what is not IP is the kernel's") {
  for (const unsigned type : {0x0806U, 0x88ccU, 0x0026U}) {
    const auto info = parsed(ethernet(type, {5}) + Frame(46, 0), 5);
    CHECK(info.kind == FrameKind::not_ip);
    CHECK(info.l3_offset == 18);
    CHECK(info.l3_bytes == 46);
  }
  CHECK(parsed(ethernet(0x0806)).kind == FrameKind::not_ip);
  CHECK(fault(Frame(13, 0)) == Verdict::ETH_RUNT);
  CHECK(fault(Frame{}) == Verdict::ETH_RUNT);
  CHECK(fault(ethernet(0x8100) + Frame(3, 0)) == Verdict::ETH_RUNT);
}

TEST_CASE("a group MAC address is marked") {
  auto frame = eth4 + Ipv4{.protocol = 6}(Frame(20, 0));
  CHECK_FALSE(parsed(frame).link_group);
  frame[0] = 0xff;
  CHECK(parsed(frame).link_group);
  CHECK(parsed(frame).kind == FrameKind::ip);
}

TEST_CASE("IPv4 headers are checked") {
  const auto good = eth4 + Ipv4{}(esp());
  const auto with = [&](std::size_t offset, std::uint8_t value) {
    auto frame = good;
    frame[14 + offset] = value;
    return parse_frame(frame, frame.size(), true, 0).reason;
  };
  CHECK(with(0, 0x55) == Verdict::IPV4_HEADER_INVALID);
  CHECK(with(0, 0x44) == Verdict::IPV4_HEADER_INVALID);
  CHECK(fault(eth4 + Frame{0x4f} + Frame(39, 0)) == Verdict::IPV4_HEADER_INVALID);
  CHECK(with(2, 1) == Verdict::IPV4_LENGTH_INVALID);
  CHECK(with(3, 19) == Verdict::IPV4_LENGTH_INVALID);
  CHECK(with(10, 0) == Verdict::undecided);  // the port has checked it
  auto frame = good;
  frame[14 + 10] ^= 1;
  CHECK(fault(frame) == Verdict::IPV4_CHECKSUM_BAD);
}

TEST_CASE("IPv4 sources nobody can have") {
  const auto from = [](std::uint32_t source, std::uint32_t destination = 0xc0000201) {
    return fault(eth4 + Ipv4{.source = source, .destination = destination}(esp()));
  };
  for (const std::uint32_t bad :
       {0x00000000U, 0x7f000001U, 0x7fffffffU, 0xe0000001U, 0xefffffffU, 0xffffffffU})
    CHECK(from(bad) == Verdict::IP_SOURCE_INVALID);
  for (const std::uint32_t good :
       {0x00000001U, 0x01000000U, 0x7effffffU, 0x80000000U, 0xdfffffffU, 0xf0000000U})
    CHECK(from(good) == Verdict::undecided);
  CHECK(from(0, 0xffffffff) == Verdict::undecided);  // DHCP
}

TEST_CASE("IPv4 fragments") {
  auto info = parsed(eth4 + Ipv4{.fragment = 0x2000}(esp()));
  CHECK(info.kind == FrameKind::esp);
  CHECK(info.fragment);
  CHECK(info.first_fragment);
  CHECK(info.spi == 0x1001);
  info = parsed(eth4 + Ipv4{.fragment = 100}(Frame(3, 0)));  // no ESP header to look for
  CHECK(info.kind == FrameKind::esp);
  CHECK(info.fragment);
  CHECK_FALSE(info.first_fragment);
  CHECK(info.spi == 0);
  info = parsed(eth4 + Ipv4{.protocol = 17, .fragment = 0x2000}(udp(4500, 4500, esp())));
  CHECK(info.kind == FrameKind::ip);
  CHECK(info.first_fragment);
  info = parsed(eth4 + Ipv4{.protocol = 17, .fragment = 1}(udp(4500, 4500, esp())));
  CHECK(info.kind == FrameKind::ip);
  CHECK(info.fragment);
  CHECK_FALSE(parsed(eth4 + Ipv4{.fragment = 0x4000}(esp())).fragment);  // "do not"
}

TEST_CASE("UDP to port 4500") {
  const auto natt = [](const Frame& payload) {
    return eth4 + Ipv4{.protocol = 17}(udp(61234, 4500, payload));
  };
  auto info = parsed(natt(esp(0x2001, 9)));
  CHECK(info.kind == FrameKind::esp_in_udp);
  CHECK(info.l4_offset == 34);
  CHECK(info.source_port == 61234);
  CHECK(info.destination_port == 4500);
  CHECK(info.spi == 0x2001);
  CHECK(info.sequence == 9);
  CHECK(parsed(natt(esp(0, 9))).kind == FrameKind::ike);
  CHECK(parsed(natt(Frame(4, 0))).kind == FrameKind::ike);
  CHECK(parsed(natt({0xff})).kind == FrameKind::nat_keepalive);
  CHECK(parsed(natt({0xff}) + Frame(17, 0)).kind == FrameKind::nat_keepalive);  // Ethernet padding
  CHECK(fault(natt({0xfe})) == Verdict::IN_NATT_LENGTH_MISMATCH);
  CHECK(fault(natt({})) == Verdict::IN_NATT_LENGTH_MISMATCH);
  CHECK(fault(natt({0xff, 0xff})) == Verdict::IN_NATT_LENGTH_MISMATCH);
  CHECK(fault(natt(Frame(7, 1))) == Verdict::IN_ESP_RUNT);
  for (const int change : {-1, 1}) {
    auto frame = natt(esp());
    frame[14 + 20 + 5] = static_cast<std::uint8_t>(frame[14 + 20 + 5] + change);
    CHECK(fault(frame) == Verdict::IN_NATT_LENGTH_MISMATCH);
  }
}

TEST_CASE("UDP to port 500, and to others") {
  const auto over4 = [](const Frame& datagram) { return eth4 + Ipv4{.protocol = 17}(datagram); };
  auto info = parsed(over4(udp(500, 500, Frame(28, 0))));
  CHECK(info.kind == FrameKind::ike);
  CHECK(info.destination_port == 500);
  auto contradictory = udp(500, 500, Frame(28, 0));
  contradictory[5] = 37;
  CHECK(fault(over4(contradictory)) == Verdict::UDP_HEADER_INVALID);
  contradictory[5] = 7;
  CHECK(fault(over4(contradictory)) == Verdict::UDP_HEADER_INVALID);
  for (const unsigned port : {500U, 4500U}) {
    auto cut_off = udp(1, port, {});
    cut_off.resize(7);
    CHECK(fault(over4(cut_off)) == Verdict::UDP_HEADER_INVALID);
  }
  CHECK(parsed(over4(udp(4500, 53, esp()))).kind == FrameKind::ip);
  CHECK(parsed(over4(udp(500, 501, esp()))).source_port == 0);
  CHECK(parsed(over4(Frame{0, 0, 1})).kind == FrameKind::ip);
}

TEST_CASE("ESP and UDP over IPv6") {
  auto info = parsed(eth6 + Ipv6{}(esp(5, 6)));
  CHECK(info.kind == FrameKind::esp);
  CHECK(info.family == net::Family::v6);
  CHECK(info.l4_offset == 54);
  CHECK(info.l3_bytes == 88);
  CHECK(info.spi == 5);
  info = parsed(eth6 + Ipv6{.next_header = 17}(udp(4500, 4500, esp(8, 9))));
  CHECK(info.kind == FrameKind::esp_in_udp);
  CHECK(info.spi == 8);
  CHECK(parsed(eth6 + Ipv6{.next_header = 17}(udp(500, 500, Frame(28, 1)))).kind == FrameKind::ike);
  CHECK(parsed(eth6 + Ipv6{.next_header = 51}(extension(50) + esp())).kind == FrameKind::ip);  // AH
  CHECK(parsed(eth6 + Ipv6{.next_header = 59}({})).kind == FrameKind::ip);
}

TEST_CASE("IPv6 headers are checked") {
  const auto good = eth6 + Ipv6{}(esp());
  auto frame = good;
  frame[14] = 0x50;
  CHECK(fault(frame) == Verdict::IPV6_HEADER_INVALID);
  CHECK(fault(eth6 + Frame{0x60} + Frame(38, 0)) == Verdict::IPV6_HEADER_INVALID);
  frame = good;
  frame[14 + 5] = static_cast<std::uint8_t>(frame[14 + 5] + 1);
  CHECK(fault(frame) == Verdict::IPV6_LENGTH_INVALID);

  Frame unspecified(16, 0), loopback(16, 0), multicast(16, 0), solicited(16, 0), v4_compatible(16, 0);
  loopback[15] = 1;
  multicast[0] = solicited[0] = 0xff;
  v4_compatible[15] = 2;
  for (const auto& bad : {unspecified, loopback, multicast})
    CHECK(fault(eth6 + Ipv6{.source = bad}(esp())) == Verdict::IP_SOURCE_INVALID);
  CHECK(fault(eth6 + Ipv6{.source = v4_compatible}(esp())) == Verdict::undecided);
  // A duplicate address probe must reach the kernel.
  const Ipv6 probe{.next_header = 58, .source = unspecified, .destination = solicited};
  CHECK(parsed(eth6 + probe(Frame(24, 0))).kind == FrameKind::ip);
}

TEST_CASE("IPv6 extension headers are walked") {
  auto info =
      parsed(eth6 + Ipv6{.next_header = 0}(extension(60) + extension(43, 3) + extension(50, 2) + esp(3)));
  CHECK(info.kind == FrameKind::esp);
  CHECK(info.protocol == 50);
  CHECK(info.l4_offset == 14 + 40 + 8 + 8 + 24 + 16 - 8);
  CHECK(info.spi == 3);
  SECTION("eight at most") {
    Frame chain;
    for (int i = 0; i < 7; ++i) chain = chain + extension(60);
    CHECK(parsed(eth6 + Ipv6{.next_header = 60}(chain + extension(50) + esp())).kind == FrameKind::esp);
    CHECK(fault(eth6 + Ipv6{.next_header = 60}(chain + extension(60) + extension(50) + esp())) ==
          Verdict::IPV6_EXTENSION_INVALID);
  }
  SECTION("cut off") {
    CHECK(fault(eth6 + Ipv6{.next_header = 60}({})) == Verdict::IPV6_EXTENSION_INVALID);
    CHECK(fault(eth6 + Ipv6{.next_header = 60}({50, 1, 0, 0, 0, 0, 0, 0})) ==
          Verdict::IPV6_EXTENSION_INVALID);
    // A jumbogram (RFC 2675) says 0 and means more.
    auto jumbo = eth6 + Ipv6{.next_header = 0}(extension(50) + esp());
    jumbo[14 + 4] = jumbo[14 + 5] = 0;
    CHECK(fault(jumbo) == Verdict::IPV6_EXTENSION_INVALID);
  }
  SECTION("hop-by-hop options come first or not at all") {
    info = parsed(eth6 + Ipv6{.next_header = 60}(extension(0) + extension(50) + esp()));
    CHECK(info.kind == FrameKind::ip);
    CHECK(info.protocol == 0);
  }
}

TEST_CASE("IPv6 fragments") {
  auto info = parsed(eth6 + Ipv6{.next_header = 44}(fragment_header(50, 0, true) + esp()));
  CHECK(info.kind == FrameKind::esp);
  CHECK(info.first_fragment);
  CHECK(info.l4_offset == 62);
  CHECK(info.spi == 0x1001);
  info = parsed(eth6 + Ipv6{.next_header = 44}(fragment_header(50, 1232, false) + Frame(2, 0)));
  CHECK(info.kind == FrameKind::esp);
  CHECK(info.fragment);
  CHECK_FALSE(info.first_fragment);
  info = parsed(eth6 + Ipv6{.next_header = 44}(fragment_header(60, 1232, true) + Frame(8, 0xff)));
  CHECK(info.kind == FrameKind::ip);  // what looks like an extension header is data
  CHECK(info.protocol == 60);
  info = parsed(eth6 + Ipv6{.next_header = 44}(fragment_header(17, 0, true) + udp(4500, 4500, esp())));
  CHECK(info.kind == FrameKind::ip);
  CHECK(info.fragment);
  info = parsed(eth6 + Ipv6{.next_header = 44}(fragment_header(50, 0, false) + esp()));
  CHECK(info.kind == FrameKind::esp);
  CHECK_FALSE(info.fragment);  // atomic
}

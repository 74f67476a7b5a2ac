#include "control/daemon/ike_datagrams.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "datapath/parse/frame.hpp"

using namespace espgate;
using namespace espgate::daemon;

namespace {

net::Address address(const char* text) {
  return net::parse_address(text).value();
}

// A message with the header that a parser looks for in vain: what is in it is the core's business.
ike::SendDatagram datagram(const char* from, const char* to, std::uint16_t port, std::size_t bytes = 101) {
  ike::SendDatagram result{{address(from), port}, {address(to), 61'000}, {}};
  for (std::size_t i = 0; i < bytes; ++i) result.bytes.push_back(static_cast<std::uint8_t>(i + 1));
  return result;
}

// As it comes back from a peer: to our port.
ike::SendDatagram to_us(const char* from, const char* to, std::uint16_t port, std::size_t bytes = 101) {
  auto result = datagram(from, to, port, bytes);
  result.to.port = port;
  return result;
}

std::vector<std::uint8_t> frame_of(const std::vector<std::uint8_t>& packet) {
  std::vector<std::uint8_t> frame(14 + packet.size());
  const bool v4 = packet[0] >> 4 == 4;
  frame[12] = v4 ? 0x08 : 0x86;
  frame[13] = v4 ? 0x00 : 0xdd;
  std::copy(packet.begin(), packet.end(), frame.begin() + 14);
  return frame;
}

std::vector<std::uint8_t> frame_of(const ike::SendDatagram& sent) {
  return frame_of(ike_packet(sent));
}

constexpr const char* ends[][2] = {{"192.0.2.1", "198.51.100.2"}, {"2001:db8::1", "2001:db8::2"}};

}  // namespace

TEST_CASE("what is sent is read back, by either family and port") {
  for (const auto& [from, to] : ends)
    for (const std::uint16_t port : {net::ike_port, net::natt_port})
      for (const std::size_t bytes : {28u, 101u, 1'400u}) {
        const auto sent = to_us(from, to, port, bytes);
        const auto frame = frame_of(sent);
        CAPTURE(from, port, bytes);
        const auto received = read_ike_frame(frame);
        REQUIRE(received);
        CHECK(received->from == sent.from);
        CHECK(received->to == sent.to);
        CHECK(received->bytes == sent.bytes);
      }
}

TEST_CASE("a message is described by its header, and what is none as that") {
  std::vector<std::uint8_t> message(28);
  message[7] = 0x1a;
  message[15] = 0x2b;
  message[16] = 46;
  message[17] = 0x20;
  message[18] = 35;
  message[19] = 0x28;
  message[23] = 1;
  message[27] = 28;
  CHECK(describe_ike_message(message) ==
        "IKE_AUTH answer 1, 28 bytes, of IKE SA 0x000000000000001a 0x000000000000002b");
  message[16] = 53;
  message[19] = 0x08;
  CHECK(describe_ike_message(message) ==
        "a part of IKE_AUTH request 1, 28 bytes, of IKE SA 0x000000000000001a 0x000000000000002b");
  message[18] = 99;
  CHECK(describe_ike_message(message) == "28 bytes that are no message of IKEv2");
  message.resize(20);
  CHECK(describe_ike_message(message) == "20 bytes that are no message of IKEv2");
}

TEST_CASE("a peer behind a NAT is where its datagram says") {
  auto sent = to_us("192.0.2.1", "198.51.100.2", net::natt_port);
  // Port 61,000 has no marker rule of its own: the marker is there since our port is 4500.
  auto frame = frame_of(sent);
  frame[14 + 20] = 61'000 >> 8;
  frame[14 + 20 + 1] = 61'000 & 0xff;
  frame[14 + 20 + 6] = frame[14 + 20 + 7] = 0;  // no checksum, as IPv4 allows
  const auto received = read_ike_frame(frame);
  REQUIRE(received);
  CHECK(received->from.port == 61'000);
  CHECK(received->bytes == sent.bytes);
}

TEST_CASE("each flipped bit of the datagram is found by its checksum") {
  for (const auto& [from, to] : ends) {
    const auto good = frame_of(to_us(from, to, net::ike_port, 40));
    const std::size_t ip_bytes = good[12] == 0x08 ? 20 : 40;
    REQUIRE(read_ike_frame(good));
    for (std::size_t at = 14 + ip_bytes; at < good.size(); ++at)
      for (unsigned bit = 0; bit < 8; ++bit) {
        // A port of another value is no IKE, a length of another value cuts; the checksum finds the rest.
        auto bad = good;
        bad[at] = static_cast<std::uint8_t>(bad[at] ^ (1u << bit));
        const auto received = read_ike_frame(bad);
        CAPTURE(at, bit);
        CHECK_FALSE(received);
      }
  }
}

TEST_CASE("what is cut anywhere is no message, and reads nothing behind its end") {
  for (const auto& [from, to] : ends) {
    const auto good = frame_of(to_us(from, to, net::natt_port, 60));
    for (std::size_t length = 0; length < good.size(); ++length) {
      const std::vector<std::uint8_t> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
      CHECK_FALSE(read_ike_frame(cut));
    }
  }
}

TEST_CASE("behind the frame's packet there may be padding") {
  auto frame = frame_of(to_us("192.0.2.1", "198.51.100.2", net::ike_port, 28));
  frame.insert(frame.end(), 46, std::uint8_t{0});
  const auto received = read_ike_frame(frame);
  REQUIRE(received);
  CHECK(received->bytes.size() == 28);
}

TEST_CASE("a NAT keepalive is one byte behind no marker, by either family") {
  for (const auto& end : ends) {
    const auto packet = nat_keepalive_packet({address(end[0]), 4500}, {address(end[1]), 4500});
    CHECK(packet.back() == 0xff);
    const auto frame = frame_of(packet);
    const auto info = parse::parse_frame(frame, frame.size(), true, 0);
    CHECK(info.kind == parse::FrameKind::nat_keepalive);
    CHECK(info.source_port == 4500);
    CHECK_FALSE(read_ike_frame(frame));
    const auto udp = std::span(frame).subspan(info.l4_offset);
    const auto both = std::span(frame).subspan(
        info.l3_offset + (packet[0] >> 4 == 4 ? net::ipv4::source : net::ipv6::source),
        packet[0] >> 4 == 4 ? 8 : 32);
    CHECK(net::upper_checksum(both, net::protocol_udp, udp) == 0xffff);
  }
}

TEST_CASE("a message that fits no IP packet is not sent") {
  CHECK(ike_packet(datagram("192.0.2.1", "198.51.100.2", net::ike_port, 65'535 - 28)).size() == 65'535);
  CHECK(ike_packet(datagram("192.0.2.1", "198.51.100.2", net::ike_port, 65'535 - 27)).empty());
  CHECK(ike_packet(datagram("192.0.2.1", "198.51.100.2", net::natt_port, 65'535 - 31)).empty());
}

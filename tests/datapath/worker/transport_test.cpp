// Transport mode through a real worker: the gateway's own packets to and from its peer.
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

enum class Way { from_peer, to_peer };

struct Headers {
  Bytes before;            // IP header and what stands before ESP
  std::uint8_t next = 17;  // what the payload is
  std::size_t field = 9;   // where the header says so
};

// An IP packet between the two outer addresses: `headers` in front of `payload`.
Bytes packet(const Headers& headers, const Bytes& payload) {
  Bytes bytes = headers.before;
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  bytes[headers.field] = headers.next;
  if (bytes[0] >> 4 == 4) {
    net::store_be16(bytes, net::ipv4::total_length, static_cast<std::uint16_t>(bytes.size()));
    const std::span header = std::span(bytes).first(std::size_t{bytes[0]} % 16 * 4);
    net::store_be16(header, net::ipv4::checksum, 0);
    net::store_be16(header, net::ipv4::checksum, net::header_checksum(header));
  } else {
    net::store_be16(bytes, net::ipv6::payload_length, static_cast<std::uint16_t>(bytes.size() - 40));
  }
  return bytes;
}

Headers plain(const Rig& rig, Way way) {
  const auto sa = rig.parameters(true);
  const auto& source = way == Way::from_peer ? sa.remote : sa.local;
  const auto& destination = way == Way::from_peer ? sa.local : sa.remote;
  Headers headers;
  if (sa.local.family == net::Family::v4) {
    headers.before.assign(20, 0);
    headers.before[0] = 0x45;
    headers.before[net::ipv4::ttl] = 64;
    std::copy_n(source.bytes.begin(), 4, headers.before.begin() + net::ipv4::source);
    std::copy_n(destination.bytes.begin(), 4, headers.before.begin() + net::ipv4::destination);
  } else {
    headers.before.assign(40, 0);
    headers.before[0] = 0x60;
    headers.before[net::ipv6::hop_limit] = 64;
    headers.field = net::ipv6::next_header;
    std::copy_n(source.bytes.begin(), 16, headers.before.begin() + net::ipv6::source);
    std::copy_n(destination.bytes.begin(), 16, headers.before.begin() + net::ipv6::destination);
  }
  return headers;
}

// Adds an extension header (or IPv4 options, with type 0) of 8 bytes behind what is there.
void extend(Headers& headers, int type) {
  if (headers.before[0] >> 4 == 4) {
    headers.before[0] = static_cast<std::uint8_t>(headers.before[0] + 2);
    headers.before.insert(headers.before.end(), 8, 1);
    return;
  }
  headers.before[headers.field] = static_cast<std::uint8_t>(type);
  headers.field = headers.before.size();
  std::uint8_t body[8] = {0, 0, 1, 4, 0, 0, 0, 0};  // a PadN option
  if (type == net::protocol_routing) body[3] = 0;   // no segments left
  headers.before.insert(headers.before.end(), body, body + 8);
}

Bytes datagram_of(std::size_t bytes) {
  Bytes datagram(8 + bytes, 0x77);
  net::store_be16(datagram, 0, 7000);
  net::store_be16(datagram, 2, 7001);
  net::store_be16(datagram, 4, static_cast<std::uint16_t>(datagram.size()));
  net::store_be16(datagram, 6, 0);
  return datagram;
}

Bytes without_ethernet(const Bytes& frame) {
  return Bytes(frame.begin() + net::ethernet_bytes, frame.end());
}

// ESP from the peer inside `headers` in place of the rig's plain ones.
Bytes esp_in(const Rig& rig, Headers headers, std::uint64_t sequence, const Bytes& payload,
             std::uint8_t next) {
  const auto frame = rig.esp_frame(sequence, payload, next);
  const std::size_t ip_bytes = headers.before[0] >> 4 == 4 ? 20 : 40;
  headers.next = net::protocol_esp;
  return rig.frame_to(
      Rig::outside,
      packet(headers, Bytes(frame.begin() + 14 + static_cast<std::ptrdiff_t>(ip_bytes), frame.end())));
}

}  // namespace

TEST_CASE("transport mode gives the kernel the packet that the peer protected") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  const bool esn = GENERATE(false, true);
  Rig rig({.outer = outer,
           .mode = sa::Mode::transport,
           .encapsulation = encapsulation,
           .extended_sequence = esn});
  std::uint64_t sequence = 0;
  for (const std::size_t bytes : {0u, 1u, 2u, 3u, 500u, 1300u}) {
    auto out = rig.run(Rig::outside, rig.esp_frame(++sequence, datagram_of(bytes), 17));
    REQUIRE(out.host.size() == 1);
    auto expected = packet(plain(rig, Way::from_peer), datagram_of(bytes));
    auto got = without_ethernet(out.host[0]);
    // Behind a NAT, UDP's checksum is made anew, and over IPv6 it must not be 0.
    if (encapsulation == sa::Encapsulation::udp && outer == net::Family::v6) {
      const auto checksum = net::upper_checksum(std::span(got).subspan(8, 32), 17, datagram_of(bytes));
      net::store_be16(std::span(expected).subspan(46), 0, checksum);
    }
    CHECK(got == expected);
  }
  CHECK(rig.verdicts() == "TO_HOST=6");
  CHECK(rig.conserved());
}

TEST_CASE("transport mode keeps IPv4 options and IPv6 extension headers in front of ESP") {
  SECTION("IPv4 options") {
    Rig rig({.mode = sa::Mode::transport});
    auto headers = plain(rig, Way::from_peer);
    extend(headers, 0);
    const auto out = rig.run(Rig::outside, esp_in(rig, headers, 1, datagram_of(20), 17));
    REQUIRE(out.host.size() == 1);
    CHECK(without_ethernet(out.host[0]) == packet(headers, datagram_of(20)));
  }
  SECTION("IPv6 hop-by-hop, destination options, routing") {
    Rig rig({.outer = net::Family::v6, .mode = sa::Mode::transport});
    auto headers = plain(rig, Way::from_peer);
    for (const int type : {0, 60, 43}) extend(headers, type);
    const auto out = rig.run(Rig::outside, esp_in(rig, headers, 1, datagram_of(20), 17));
    REQUIRE(out.host.size() == 1);
    CHECK(without_ethernet(out.host[0]) == packet(headers, datagram_of(20)));
  }
}

TEST_CASE("ESP behind a routing header with segments left is not for us (RFC 8200 4.4)") {
  const std::uint8_t segments_left = GENERATE(std::uint8_t{0}, std::uint8_t{1});
  Rig rig({.outer = net::Family::v6, .mode = sa::Mode::transport});
  auto headers = plain(rig, Way::from_peer);
  extend(headers, 43);
  headers.before[43] = segments_left;
  const auto out = rig.run(Rig::outside, esp_in(rig, headers, 1, datagram_of(20), 17));
  CHECK(out.host.size() == (segments_left == 0 ? 1 : 0));
  CHECK(rig.verdicts() == (segments_left == 0 ? "TO_HOST=1" : "IPV6_EXTENSION_INVALID=1"));
}

TEST_CASE("transport mode puts ESP where RFC 4303 3.1.1 wants it") {
  struct Case {
    std::vector<int> extensions;
    std::size_t in_clear;  // of them
  };
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto wanted = outer == net::Family::v4
                          ? std::vector<Case>{{{}, 0}, {{0}, 1}}
                          : std::vector<Case>{{{}, 0},   {{0}, 1},      {{60}, 0},       {{0, 60}, 1},
                                              {{43}, 1}, {{60, 43}, 2}, {{0, 43, 60}, 2}};
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  Rig rig({.outer = outer, .mode = sa::Mode::transport, .encapsulation = encapsulation});
  for (const auto& [extensions, in_clear] : wanted) {
    auto headers = plain(rig, Way::to_peer);
    for (const auto type : extensions) extend(headers, type);
    const auto whole = packet(headers, datagram_of(33));
    const auto out = rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, whole));
    REQUIRE(out.outside.size() == 1);
    auto sent = without_ethernet(out.outside[0]);
    const std::size_t ip_bytes = (outer == net::Family::v4 ? 20u : 40u) + 8 * in_clear;
    // The rig opens ESP behind plain headers: take the ones that stayed in clear out.
    Bytes bare(out.outside[0].begin(), out.outside[0].begin() + (outer == net::Family::v4 ? 34 : 54));
    bare.insert(bare.end(), sent.begin() + static_cast<std::ptrdiff_t>(ip_bytes), sent.end());
    CHECK(rig.open(bare) == Bytes(whole.begin() + static_cast<std::ptrdiff_t>(ip_bytes), whole.end()));
    // In front of it the headers are those of the packet, but for length, protocol and checksum.
    auto clear = Bytes(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(ip_bytes));
    if (outer == net::Family::v4) {
      CHECK(net::header_sum(clear) == 0xffff);
      CHECK(net::load_be16(clear, net::ipv4::total_length) == sent.size());
    } else {
      CHECK(net::load_be16(clear, net::ipv6::payload_length) == sent.size() - 40);
    }
    const bool udp_outside = encapsulation == sa::Encapsulation::udp;
    const std::size_t field =
        in_clear == 0 || outer == net::Family::v4 ? (outer == net::Family::v4 ? 9u : 6u) : ip_bytes - 8;
    CHECK(clear[field] == (udp_outside ? 17 : 50));
  }
  CHECK(rig.conserved());
}

TEST_CASE("what comes out of the trailer's next header is what the packet says, and selectors hold") {
  Rig rig({.mode = sa::Mode::transport});
  auto headers = plain(rig, Way::from_peer);
  headers.next = 1;
  auto out = rig.run(Rig::outside, rig.esp_frame(1, Bytes(16, 8), 1));
  REQUIRE(out.host.size() == 1);
  CHECK(without_ethernet(out.host[0]) == packet(headers, Bytes(16, 8)));
  CHECK(rig.run(Rig::outside, rig.esp_frame(2, Bytes(16, 8), 59)).host.empty());
  CHECK(rig.verdicts() == "TO_HOST=1 ESP_DUMMY=1");
  CHECK(rig.conserved());
}

TEST_CASE("a transport mode SA takes packets between its two ends only, and no fragments") {
  Rig rig({.mode = sa::Mode::transport});
  auto headers = plain(rig, Way::to_peer);
  auto transit = packet(headers, datagram_of(20));
  const std::uint8_t inside_host[] = {10, 1, 0, 9};
  std::copy_n(inside_host, 4, transit.begin() + net::ipv4::source);
  mend_checksum(transit);
  CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, transit)).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
  // With our own address, but not from our kernel.
  auto fragment = packet(headers, datagram_of(24));
  fragment[net::ipv4::fragment] = 0x20;
  mend_checksum(fragment);
  CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, fragment)).outside.empty());
  CHECK(rig.verdicts() == "OUT_TRANSPORT_FRAGMENT=1");
  CHECK(rig.conserved());
}

// RFC 4303 3.3.4
TEST_CASE("what our kernel fragmented is encrypted whole, and cut behind that") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  const bool by_port = GENERATE(false, true);
  SaOptions options{.outer = outer, .mode = sa::Mode::transport, .encapsulation = encapsulation};
  const auto ends = Rig(options).parameters(true);
  if (by_port) {
    net::TrafficSelector selector{{ends.local, ends.local}, {ends.remote, ends.remote}, {}, {}, {}};
    selector.protocol = net::protocol_udp;
    selector.remote_ports = {7001, 7001};
    options.selectors = {selector};
  }
  Rig rig(options);
  const unsigned path_mtu = GENERATE(65'535u, 1300u);
  rig.sas->outbound(rig.outbound).path_mtu = static_cast<std::uint16_t>(path_mtu);
  const auto datagram = datagram_of(8000);
  const auto whole = packet(plain(rig, Way::to_peer), datagram);
  const std::vector<std::size_t> cuts{1448, 2 * 1448, 3 * 1448, 4 * 1448, 5 * 1448};
  const auto parts = fragments_of(rig.frame_to(Rig::outside, whole), cuts, 77);
  REQUIRE(parts.size() == 6);
  std::vector<Bytes> sent;
  for (const auto& part : parts)
    for (auto& frame : rig.run_from_host(Rig::outside, part).outside) sent.push_back(frame);
  REQUIRE(sent.size() >= 6);
  for (const auto& frame : sent) CHECK(frame.size() <= 14 + std::min(path_mtu, 1500u));
  const auto esp = joined(sent);
  REQUIRE(!esp.empty());
  CHECK(rig.open(rig.frame_to(Rig::outside, esp)) == datagram);
  CHECK(rig.taken(Verdict::REASSEMBLY_PART) == 6);
  CHECK(rig.taken(Verdict::FRAGMENTED) == 1);
  CHECK(rig.taken(Verdict::FORWARDED) == sent.size());
  CHECK(rig.large_buffers_in_use() == 0);
  CHECK(rig.conserved());
}

TEST_CASE("what our kernel fragmented and nobody protects in transport mode leaves as it is") {
  Rig rig({.mode = sa::Mode::transport});
  const auto other = *net::parse_address("192.0.2.99");
  auto whole = packet(plain(rig, Way::to_peer), datagram_of(3000));
  std::copy_n(other.bytes.begin(), 4, whole.begin() + net::ipv4::destination);
  mend_checksum(whole);
  const auto parts = fragments_of(rig.frame_to(Rig::outside, whole), std::vector<std::size_t>{1480}, 78);
  for (const auto& part : parts)
    CHECK(rig.run_from_host(Rig::outside, part).outside == std::vector<Bytes>{part});
  CHECK(rig.verdicts() == "FORWARDED=2");
}

TEST_CASE("a datagram of our kernel's whose policy changed meanwhile goes the new one's way, in pieces") {
  Rig rig({.mode = sa::Mode::transport});
  const auto whole = packet(plain(rig, Way::to_peer), datagram_of(3000));
  const auto parts = fragments_of(rig.frame_to(Rig::outside, whole), std::vector<std::size_t>{1480}, 79);
  const auto tail = parts.back();
  rig.run_from_host(Rig::outside, parts.front());
  const auto ends = rig.parameters(true);
  net::TrafficSelector selector{{ends.local, ends.local}, {ends.remote, ends.remote}, {}, {}, {}};
  selector.protocol = net::protocol_udp;
  selector.remote_ports = {7001, 7001};
  rig.add_policy(selector, 1, policy::Decision::bypass());
  CHECK(joined(rig.run_from_host(Rig::outside, tail).outside) == joined(parts));
  CHECK(rig.verdicts() == "FORWARDED=3 REASSEMBLY_PART=2 FRAGMENTED=1");
  CHECK(rig.large_buffers_in_use() == 0);
  CHECK(rig.conserved());
}

TEST_CASE("fragments of ESP behind destination options are made whole (RFC 8200 4.5)") {
  const auto upper = GENERATE(std::uint8_t{50}, std::uint8_t{58});
  Rig rig({.outer = net::Family::v6, .mode = sa::Mode::transport});
  auto headers = plain(rig, Way::from_peer);
  extend(headers, 60);
  auto frame = esp_in(rig, headers, 1, datagram_of(1000), 17);
  if (upper != 50) {  // not ESP: as whole as that, and then judged
    headers.next = upper;
    frame = rig.frame_to(Rig::outside, packet(headers, Bytes(1000, 1)));
  }
  const std::vector<std::size_t> cuts{400};
  std::size_t host = 0;
  for (const auto& part : fragments_of(frame, cuts, 5)) host += rig.run(Rig::outside, part).host.size();
  CHECK(host == (upper == 50 ? 1 : 0));
  CHECK(rig.taken(Verdict::REASSEMBLY_PART) == 2);
  CHECK(rig.taken(upper == 50 ? Verdict::TO_HOST : Verdict::IN_US_CL_V6_PKT_FAILED_POLICY) == 1);
  CHECK(rig.conserved());
}

TEST_CASE("a NAT's change of addresses is mended in TCP and UDP checksums (RFC 3948 3.1.2)") {
  const std::uint8_t protocol = GENERATE(std::uint8_t{6}, std::uint8_t{17});
  Rig rig({.mode = sa::Mode::transport, .encapsulation = sa::Encapsulation::udp});
  Bytes segment(40, 0x21);
  if (protocol == 17) net::store_be16(segment, 4, 40);
  const std::size_t at = protocol == 6 ? 16 : 6;
  net::store_be16(segment, at, 0xdead);  // right for the addresses before the NAT, so wrong here
  const auto out = rig.run(Rig::outside, rig.esp_frame(1, segment, protocol));
  REQUIRE(out.host.size() == 1);
  auto got = without_ethernet(out.host[0]);
  const auto upper = std::span(got).subspan(20);
  const auto checksum = net::load_be16(upper, at);
  net::store_be16(upper, at, 0);
  CHECK(checksum == net::upper_checksum(std::span(got).subspan(12, 8), protocol, upper));
}

// A peer behind a NAT that moves: on the wire it is where it is now, in our kernel where it was configured.
TEST_CASE("in transport mode a peer that moved keeps its address for policies and for our kernel") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const bool by_protocol = GENERATE(false, true);
  const bool v4 = outer == net::Family::v4;
  SaOptions options{.outer = outer, .mode = sa::Mode::transport, .encapsulation = sa::Encapsulation::udp};
  const auto ends = Rig(options).parameters(true);
  if (by_protocol) {
    options.selectors = {
        net::TrafficSelector{{ends.local, ends.local}, {ends.remote, ends.remote}, {}, {}, {}}};
    options.selectors[0].protocol = net::protocol_udp;
  }
  Rig rig(options);
  const std::size_t ip_bytes = v4 ? 20 : 40;
  const std::size_t source_end = 14 + (v4 ? net::ipv4::source + 4u : net::ipv6::source + 16u);
  auto frame = rig.esp_frame(1, datagram_of(100), 17);
  frame[source_end - 1] = 77;
  net::store_be16(frame, 14 + ip_bytes, 61'000);
  if (v4) mend_checksum(frame, 14);
  const auto out = rig.run(Rig::outside, frame);
  REQUIRE(out.host.size() == 1);
  const auto arrived = without_ethernet(out.host[0]);
  const auto expected = packet(plain(rig, Way::from_peer), datagram_of(100));
  REQUIRE(arrived.size() == expected.size());
  CHECK(
      std::equal(arrived.begin(), arrived.begin() + static_cast<std::ptrdiff_t>(ip_bytes), expected.begin()));
  if (!v4)
    CHECK(net::load_be16(arrived, 46) ==
          net::upper_checksum(std::span(arrived).subspan(8, 32), 17, datagram_of(100)));
  const auto moves = rig.peers_moved();
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].address[v4 ? 3 : 15] == 77);
  CHECK(moves[0].port == 61'000);

  const auto now = *net::parse_address(v4 ? "10.1.0.9" : "2001:db8:1::9");
  rig.sas->move_peer(rig.inbound, rig.outbound, now, 61'000);
  const auto whole = packet(plain(rig, Way::to_peer), datagram_of(33));
  const auto sent = rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, whole));
  REQUIRE(sent.inside.size() == 1);  // the way to there
  const auto& answer = sent.inside[0];
  CHECK(std::equal(answer.begin() + static_cast<std::ptrdiff_t>(source_end),
                   answer.begin() + static_cast<std::ptrdiff_t>(14 + ip_bytes), now.bytes.begin()));
  CHECK(net::load_be16(answer, 14 + ip_bytes + 2) == 61'000);
  if (v4) CHECK(net::header_sum(std::span(answer).subspan(14, 20)) == 0xffff);
  CHECK(rig.open(answer) == datagram_of(33));
  CHECK(rig.verdicts() == "FORWARDED=1 TO_HOST=1");
  CHECK(rig.conserved());
}

TEST_CASE("in transport mode nobody but a peer that is followed is answered elsewhere") {
  Rig rig({.mode = sa::Mode::transport, .encapsulation = sa::Encapsulation::udp, .track_peer = false});
  auto frame = rig.esp_frame(1, datagram_of(100), 17);
  frame[14 + net::ipv4::source + 3] = 77;
  mend_checksum(frame, 14);
  CHECK(rig.run(Rig::outside, frame).host.empty());
  rig.sas->move_peer(rig.inbound, rig.outbound, *net::parse_address("10.1.0.9"), 4'500);
  const auto whole = packet(plain(rig, Way::to_peer), datagram_of(33));
  CHECK(rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, whole)).inside.empty());
  CHECK(rig.verdicts() == "IN_V4_PKT_HIT_INVALID_SA=1 OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
  CHECK(rig.conserved());
}

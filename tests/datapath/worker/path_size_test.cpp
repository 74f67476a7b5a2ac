// Who is told that a packet went no further, and how large one may be; frames in several segments.
#include <rte_mbuf.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <utility>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

Bytes unfragmentable(const Rig& rig, net::Family family, std::size_t payload, bool from_peer) {
  auto inner = rig.inner(family, payload, from_peer);
  if (family == net::Family::v6) return inner;
  inner[net::ipv4::fragment] = 0x40;
  mend_checksum(inner);
  return inner;
}

}  // namespace

TEST_CASE("what must not be cut is dropped, and control told what would fit") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  rig.sas->outbound(rig.outbound).path_mtu = 1400;
  const auto inner = unfragmentable(rig, family, 1400, false);
  CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, inner)).outside.empty());
  CHECK(rig.verdicts() == "OUT_CANNOT_FRAG_DF_SET_PKT=1");
  CHECK(rig.sas->outbound_faults(rig.outbound).of(Verdict::OUT_CANNOT_FRAG_DF_SET_PKT) == 1);
  const auto told = rig.refused();
  REQUIRE(told.size() == 1);
  const unsigned around = (outer == net::Family::v4 ? 20 : 40) + 8 + 8 + 16;
  CHECK(told[0].refusal.largest == (1400 - around) / 4 * 4 - 2);
  CHECK(told[0].port == Rig::inside);
  CHECK(std::equal(told[0].packet.begin(), told[0].packet.end(), inner.begin()));
  // A packet of just that size fits.
  const std::size_t header_bytes = family == net::Family::v4 ? 28 : 48;
  const auto largest = unfragmentable(rig, family, told[0].refusal.largest - header_bytes, false);
  CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, largest)).outside.size() == 1);
  CHECK(rig.conserved());
}

TEST_CASE("no IPv6 sender is asked for less than 1280 bytes") {
  Rig rig;
  rig.sas->outbound(rig.outbound).path_mtu = 1280;
  rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v6, 1400, false)));
  const auto told = rig.refused();
  REQUIRE(told.size() == 1);
  CHECK(told[0].refusal.largest == 1280);
  CHECK(rig.conserved());
}

TEST_CASE("a decrypted packet too large for its way on is told of by the address of that side") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig;
  const auto inner = unfragmentable(rig, family, 1600, true);
  rig.run(Rig::outside,
          rig.esp_frame(1, inner, family == net::Family::v4 ? net::protocol_ipv4 : net::protocol_ipv6));
  CHECK(rig.verdicts() == "MTU_EXCEEDED=1");
  const auto told = rig.refused();
  REQUIRE(told.size() == 1);
  CHECK(told[0].refusal.largest == 1500);
  CHECK(told[0].port == Rig::inside);
  CHECK(rig.conserved());
}

TEST_CASE("a packet of the kernel's that is too large is told of as the kernel's") {
  Rig rig;
  rig.sas->outbound(rig.outbound).path_mtu = 1400;
  const auto inner = unfragmentable(rig, net::Family::v4, 1400, false);
  rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, inner));
  CHECK(rig.verdicts() == "OUT_CANNOT_FRAG_DF_SET_PKT=1");
  const auto told = rig.refused();
  REQUIRE(told.size() == 1);
  CHECK(told[0].port == worker::from_control);
  CHECK(rig.conserved());
}

TEST_CASE("senders hear of packets that have been through too many routers, or have no way on") {
  using Why = net::Refusal::Why;
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  const bool v4 = family == net::Family::v4;
  const bool from_peer = GENERATE(false, true);
  const auto why = GENERATE(Why::hop_limit, Why::no_route);
  const auto between = [](const char* ours, const char* theirs) {
    return net::between(*net::parse_prefix(ours), *net::parse_prefix(theirs));
  };
  Rig rig({.selectors = {between("10.0.0.0/8", "10.2.0.0/16"), between("2001:db8::/32", "2001:db8:2::/48")}});
  auto packet = rig.inner(family, 40, from_peer);
  if (why == Why::hop_limit)
    packet[v4 ? net::ipv4::ttl : net::ipv6::hop_limit] = 1;
  else if (from_peer)
    packet[v4 ? net::ipv4::destination + 2 : net::ipv6::destination + 6] ^= 0xff;
  else
    return;  // what a policy protects needs no route of its own
  if (v4) mend_checksum(packet);
  if (from_peer)
    rig.run(Rig::outside, rig.esp_frame(1, packet, v4 ? net::protocol_ipv4 : net::protocol_ipv6));
  else
    rig.run(Rig::inside, rig.frame_to(Rig::inside, packet));
  const auto told = rig.refused();
  REQUIRE(told.size() == 1);
  CHECK(told[0].packet == packet);
  CHECK(told[0].refusal.why == why);
  CHECK(told[0].port == (from_peer ? Rig::outside : Rig::inside));
  CHECK(rig.taken(why == Why::hop_limit ? Verdict::TTL_EXPIRED
                  : v4                  ? Verdict::NO_ROUTE_V4
                                        : Verdict::NO_ROUTE_V6) == 1);
  CHECK(rig.conserved());
}

TEST_CASE("senders are told at a limited rate, and packets beyond dropped all the same") {
  Rig rig;
  rig.shared.rates.icmp_error_pps = 10;
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, rig.engine->make_queue().value());
  rig.sas->outbound(rig.outbound).path_mtu = 1400;
  std::vector<Bytes> burst(64, rig.frame_to(Rig::inside, unfragmentable(rig, net::Family::v4, 1400, false)));
  rig.run(Rig::inside, burst);
  const auto at_first = rig.refused().size();
  CHECK(at_first >= 32);
  rig.run(Rig::inside, burst);
  CHECK(rig.verdicts() == "OUT_CANNOT_FRAG_DF_SET_PKT=128");
  CHECK(rig.refused().size() < 32);
  CHECK(rig.conserved());
}

TEST_CASE("senders of shared and of segmented packets are told as well, and those stay as they are") {
  Rig rig;
  rig.sas->outbound(rig.outbound).path_mtu = 1400;
  const auto inner = unfragmentable(rig, net::Family::v4, 1800, false);
  const auto frame = rig.frame_to(Rig::inside, inner);
  SECTION("in segments, as jumbo frames come") {
    const std::size_t ends[] = {100, 700, 1'300};
    rig.run_split(Rig::inside, frame, ends);
  }
  SECTION("shared") {
    auto* packet = rte_pktmbuf_alloc(rig.shared.buffers);
    auto* bytes =
        reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packet, static_cast<std::uint16_t>(frame.size())));
    std::ranges::copy(frame, bytes);
    rte_mbuf_refcnt_update(packet, 1);
    rig.workers[0]->process_frames(&packet, 1, Rig::inside);
    CHECK(std::equal(frame.begin(), frame.end(), bytes));
    rte_pktmbuf_free(packet);
  }
  CHECK(rig.verdicts() == "OUT_CANNOT_FRAG_DF_SET_PKT=1");
  CHECK(rig.sas->outbound_faults(rig.outbound).of(Verdict::OUT_CANNOT_FRAG_DF_SET_PKT) == 1);
  const auto told = rig.refused();
  REQUIRE(told.size() == 1);
  CHECK(told[0].packet == Bytes(inner.begin(), inner.begin() + 1232));
  CHECK(rig.conserved());
}

TEST_CASE("in transport mode headers in front of ESP take their part of the path") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  Rig rig({.outer = outer, .mode = sa::Mode::transport, .encapsulation = encapsulation});
  auto& path_mtu = rig.sas->outbound(rig.outbound).path_mtu;
  const auto packet_of = [&](std::size_t bytes) {
    const bool v4 = outer == net::Family::v4;
    auto packet = rig.inner(outer, bytes, false);
    const auto sa = rig.parameters(false);
    const auto address_bytes = static_cast<std::ptrdiff_t>(sa.local.bits() / 8);
    const auto at = packet.begin() + (v4 ? 12 : 8);
    std::copy_n(sa.local.bytes.begin(), address_bytes, at);
    std::copy_n(sa.remote.bytes.begin(), address_bytes, at + address_bytes);
    Bytes extra(24, 1);  // options that do nothing, or a hop-by-hop header
    if (v4) {
      packet[0] = 0x4b;
      packet[net::ipv4::fragment] = 0x40;
    } else {
      extra = {std::exchange(packet[net::ipv6::next_header], std::uint8_t{0}), 2, 1, 20};
      extra.resize(24);
    }
    const std::size_t header_bytes = v4 ? 20 : 40;
    packet.resize(packet.size() + extra.size());
    std::copy_backward(packet.begin() + static_cast<std::ptrdiff_t>(header_bytes), packet.end() - 24,
                       packet.end());
    std::ranges::copy(extra, packet.begin() + static_cast<std::ptrdiff_t>(header_bytes));
    const auto total = static_cast<std::uint16_t>(packet.size() - (v4 ? 0 : 40));
    net::store_be16(packet, v4 ? net::ipv4::total_length : net::ipv6::payload_length, total);
    if (v4) {
      net::store_be16(packet, net::ipv4::checksum, 0);
      net::store_be16(packet, net::ipv4::checksum, net::header_checksum(std::span(packet).first(44)));
    }
    return packet;
  };
  const auto send = [&](const Bytes& packet) {
    return rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, packet)).outside;
  };
  for (std::uint16_t mtu = 1'390; mtu < 1'400; ++mtu) {
    CAPTURE(mtu);
    path_mtu = mtu;
    CHECK(send(packet_of(1'380)).empty());
    const auto told = rig.refused();
    REQUIRE(told.size() == 1);
    const auto empty = packet_of(0).size();
    const auto fits = send(packet_of(told[0].refusal.largest - empty));
    REQUIRE(fits.size() == 1);
    CHECK(fits[0].size() <= 14u + mtu);
    CHECK(send(packet_of(told[0].refusal.largest - empty + 1)).empty());
    CHECK(rig.refused().size() == 1);
    CHECK(rig.verdicts() == "FORWARDED=1 OUT_CANNOT_FRAG_DF_SET_PKT=2");
  }
  CHECK(rig.conserved());
}

TEST_CASE("what control says in clear is protected where policy says so, and else stays inside") {
  Rig rig;
  auto message = rig.inner(net::Family::v4, 20, false);
  auto out = rig.run_from_control(message, true);
  REQUIRE(out.outside.size() == 1);
  CHECK_FALSE(rig.open(out.outside[0]).empty());
  message = rig.inner(net::Family::v4, 20, true);  // to the inside host
  out = rig.run_from_control(message, true);
  CHECK(out.inside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=2");
  const std::uint8_t peer[] = {192, 0, 2, 2};
  std::copy_n(peer, 4, message.begin() + net::ipv4::destination);
  mend_checksum(message);
  CHECK(rig.run_from_control(message, true).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
  CHECK(rig.run_from_control(message, false).outside.size() == 1);
  CHECK(rig.conserved());
}

TEST_CASE("the trailer, the padding and the ICV may lie in any two segments") {
  const auto suite = GENERATE(crypto::SuiteId::aes_gcm_16_128, crypto::SuiteId::chacha20_poly1305);
  Rig rig({.suite = suite});
  std::uint64_t sequence = 1;
  const auto inner = rig.inner(net::Family::v4, 21, true);
  const auto size = rig.esp_frame(sequence, inner, net::protocol_ipv4).size();
  for (std::size_t split = size - 60; split < size; ++split) {
    const auto frame = rig.esp_frame(sequence++, inner, net::protocol_ipv4);
    const std::size_t ends[] = {split};
    CHECK(rig.run_split(Rig::outside, frame, ends).inside.size() == 1);
    if (split + 1 >= size) break;
    const auto again = rig.esp_frame(sequence++, inner, net::protocol_ipv4);
    const std::size_t thrice[] = {split, split + 1};
    CHECK(rig.run_split(Rig::outside, again, thrice).inside.size() == 1);
  }
  CHECK(rig.taken(Verdict::FORWARDED) == sequence - 1);
  CHECK(rig.conserved());
}

TEST_CASE("frames longer than a buffer are decrypted, and encrypted, in a large one") {
  Rig rig;
  const auto whole = rig.inner(net::Family::v4, 6'000, true);
  const auto esp = rig.esp_frame(1, whole, net::protocol_ipv4);
  const std::size_t ends[] = {1'500, 3'000, 4'500};
  auto out = rig.run_split(Rig::outside, esp, ends);
  CHECK(out.inside.size() == 5);
  CHECK(joined(out.inside).size() == whole.size());
  CHECK(rig.verdicts() == "FORWARDED=5 FRAGMENTED=1");
  rig.sas->outbound(rig.outbound).path_mtu = 1500;
  out = rig.run_split(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 6'000, false)), ends);
  CHECK(out.outside.size() == 5);
  CHECK(rig.verdicts() == "FORWARDED=5 FRAGMENTED=1");
  CHECK(rig.conserved());
}

// Inbound ESP through a real worker: what is good comes out as it went in, what is not is dropped under
// its own name, and the neighbours in the burst are unharmed.
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

Bytes payload_of(const Bytes& frame) {
  return Bytes(frame.begin() + net::ethernet_bytes, frame.end());
}

std::uint8_t next_header(net::Family family) {
  return family == net::Family::v4 ? net::protocol_ipv4 : net::protocol_ipv6;
}

// Sets the ECN field of the IP header at `offset`.
void mark(Bytes& bytes, std::size_t offset, std::uint8_t congestion) {
  const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(offset) + 1;
  if (bytes[offset] >> 4 == 4) {
    *at = static_cast<std::uint8_t>((*at & ~3) | congestion);
    mend_checksum(bytes, offset);
  } else {
    *at = static_cast<std::uint8_t>((*at & 0xcf) | (congestion << 4));
  }
}

}  // namespace

TEST_CASE(
    "good ESP comes out as the inner packet, in all family combinations, plain and in UDP, ESN on and off") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto inner_family = GENERATE(net::Family::v4, net::Family::v6);
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  const bool esn = GENERATE(false, true);
  const auto suite = GENERATE(crypto::SuiteId::aes_gcm_16_128, crypto::SuiteId::aes_gcm_16_256);
  Rig rig({.outer = outer, .encapsulation = encapsulation, .extended_sequence = esn, .suite = suite});
  std::uint64_t sequence = 0;
  for (const std::size_t payload : {0u, 1u, 2u, 3u, 4u, 18u, 500u, 1300u}) {
    const auto inner = rig.inner(inner_family, payload, true);
    const auto out = rig.run(Rig::outside, rig.esp_frame(++sequence, inner, next_header(inner_family)));
    REQUIRE(out.inside.size() == 1);
    CHECK(payload_of(out.inside[0]) == forwarded(inner));
  }
  CHECK(rig.taken(Verdict::FORWARDED) == 8);
  CHECK(rig.sas->inbound_total(rig.inbound).packets == 8);
  CHECK(rig.conserved());
}

TEST_CASE("a forwarded packet carries the hop's Ethernet header") {
  Rig rig;
  const auto out = rig.run(Rig::outside, rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4));
  REQUIRE(out.inside.size() == 1);
  const Bytes header(out.inside[0].begin(), out.inside[0].begin() + 14);
  CHECK(header == Bytes{2, 0, 0, 0, 1, 9, 2, 0, 0, 0, 0, 2, 8, 0});
}

TEST_CASE("the same sequence number twice in one burst is accepted exactly once") {
  Rig rig;
  const auto frame = rig.esp_frame(7, rig.inner(net::Family::v4, 20, true), 4);
  const std::vector<Bytes> burst{frame, frame, frame};
  CHECK(rig.run(Rig::outside, burst).inside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=1 IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL=2");
  CHECK(rig.run(Rig::outside, frame).inside.empty());
  CHECK(rig.verdicts() == "IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL=1");
  CHECK(rig.conserved());
}

TEST_CASE("any worker takes any packet of any SA, and a number taken by one is taken for all") {
  Rig rig({}, 2);
  const auto inner = rig.inner(net::Family::v4, 20, true);
  for (std::uint64_t sequence = 1; sequence <= 40; ++sequence) {
    const auto frame = rig.esp_frame(sequence, inner, 4);
    const unsigned first = sequence % 2;
    CHECK(rig.run(Rig::outside, std::span(&frame, 1), first).inside.size() == 1);
    CHECK(rig.run(Rig::outside, std::span(&frame, 1), 1 - first).inside.empty());
  }
  CHECK(rig.verdicts() == "FORWARDED=40 IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL=40");
  CHECK(rig.sas->inbound_total(rig.inbound).packets == 40);
  CHECK(rig.workers[0]->counters().received.value() == 40);
  CHECK(rig.conserved());
}

TEST_CASE("the window moves only after a good ICV, and its left edge is exact") {
  Rig rig({.window_packets = 64});
  const auto inner = rig.inner(net::Family::v4, 20, true);
  auto forged = rig.esp_frame(1'000'000, inner, 4);
  forged.back() ^= 1;
  rig.run(Rig::outside, forged);
  CHECK(rig.verdicts() == "IN_CD_SW_IPSEC_MAC_EXCEPTION=1");
  for (const std::uint64_t sequence : {200u, 137u})
    CHECK(rig.run(Rig::outside, rig.esp_frame(sequence, inner, 4)).inside.size() == 1);
  rig.verdicts();
  rig.run(Rig::outside, rig.esp_frame(136, inner, 4));
  CHECK(rig.verdicts() == "CD_IN_PKT_OUT_OF_WINDOW=1");
  rig.run(Rig::outside, rig.esp_frame(0, inner, 4));
  CHECK(rig.taken(Verdict::FORWARDED) == 0);
  CHECK(rig.conserved());
}

TEST_CASE("with ESN the high half is found on both sides of a 2^32 crossing") {
  Rig rig({.extended_sequence = true});
  const auto inner = rig.inner(net::Family::v4, 20, true);
  auto& top = rig.sas->inbound(rig.inbound).top;
  top = 0xffff'fff0;
  for (const std::uint64_t sequence : {0xffff'fff8ull, 0x1'0000'0002ull, 0xffff'fffaull, 0x1'0000'0001ull})
    CHECK(rig.run(Rig::outside, rig.esp_frame(sequence, inner, 4)).inside.size() == 1);
  CHECK(top == 0x1'0000'0002);
  rig.verdicts();
  // The low half of an accepted number under the next high half is another number: its ICV cannot match.
  rig.run(Rig::outside, rig.esp_frame(0x2'0000'0005, inner, 4));
  CHECK(rig.verdicts() == "IN_CD_SW_IPSEC_MAC_EXCEPTION=1");
}

TEST_CASE("with ESN and anti-replay off the high half is kept up all the same") {
  Rig rig({.extended_sequence = true, .window_packets = 0});
  const auto inner = rig.inner(net::Family::v4, 20, true);
  for (const std::uint64_t sequence :
       {0x7fff'0000ull, 0xffff'fff0ull, 0x1'0000'0005ull, 0x1'0000'0005ull, 0x1'8000'0000ull})
    CHECK(rig.run(Rig::outside, rig.esp_frame(sequence, inner, 4)).inside.size() == 1);
}

TEST_CASE("a pad length beyond the payload and padding out of order are dropped after a good ICV") {
  Rig rig;
  const auto inner = rig.inner(net::Family::v4, 18, true);  // 46 bytes: no padding needed
  for (const int pad : {47, 100, 255}) {
    Bytes text = inner;
    text.push_back(static_cast<std::uint8_t>(pad));
    text.push_back(4);
    rig.run(Rig::outside, rig.sealed_frame(static_cast<std::uint64_t>(pad), text));
  }
  CHECK(rig.taken(Verdict::IN_PKT_HEADPAD_LEN_ERR) == 3);
  Bytes text = inner;
  for (const int byte : {1, 2, 4, 3, 4, 4}) text.push_back(static_cast<std::uint8_t>(byte));
  rig.run(Rig::outside, rig.sealed_frame(300, text));
  CHECK(rig.verdicts() == "IN_PKT_HEADPAD_LEN_ERR=1");
  // Longer padding than needed is legal (RFC 4303 2.4).
  Bytes padded = inner;
  for (unsigned i = 1; i <= 200; ++i) padded.push_back(static_cast<std::uint8_t>(i));
  padded.push_back(200);
  padded.push_back(4);
  CHECK(rig.run(Rig::outside, rig.sealed_frame(301, padded)).inside.size() == 1);
  CHECK(rig.conserved());
}

TEST_CASE("next header, inner version and inner lengths are checked") {
  Rig rig;
  const auto inner4 = rig.inner(net::Family::v4, 20, true);
  const auto inner6 = rig.inner(net::Family::v6, 20, true);
  std::uint64_t sequence = 0;
  const auto sends = [&](const Bytes& payload, std::uint8_t next) {
    rig.run(Rig::outside, rig.esp_frame(++sequence, payload, next));
    return rig.verdicts();
  };
  CHECK(sends(inner4, 6) == "IN_CD_SW_IPSEC_NH_MISMATCH=1");
  CHECK(sends(inner4, 41) == "IN_PKT_IPVER_INVALID=1");
  CHECK(sends(inner6, 4) == "IN_PKT_IPVER_INVALID=1");
  CHECK(sends(inner4, 59) == "ESP_DUMMY=1");
  CHECK(sends({}, 59) == "ESP_DUMMY=1");
  CHECK(sends({}, 4) == "IN_INNER_HEADER_INVALID=1");
  CHECK(sends(Bytes(inner4.begin(), inner4.begin() + 19), 4) == "IN_INNER_HEADER_INVALID=1");
  Bytes too_long = inner4;
  net::store_be16(too_long, net::ipv4::total_length, static_cast<std::uint16_t>(inner4.size() + 1));
  CHECK(sends(too_long, 4) == "IN_INNER_HEADER_INVALID=1");
  Bytes with_tfc = inner4;
  with_tfc.resize(inner4.size() + 200, 0xee);
  const auto out = rig.run(Rig::outside, rig.esp_frame(++sequence, with_tfc, 4));
  REQUIRE(out.inside.size() == 1);
  CHECK(payload_of(out.inside[0]) == forwarded(inner4));
  CHECK(rig.conserved());
}

TEST_CASE("a decrypted packet outside the selectors is dropped") {
  Rig rig;
  Bytes inner = rig.inner(net::Family::v4, 20, true);
  inner[net::ipv4::source + 1] = 77;  // 10.77.0.9 is not behind this peer
  rig.run(Rig::outside, rig.esp_frame(1, inner, 4));
  CHECK(rig.verdicts() == "IN_V4_POST_INPUT_POLICY_FAIL=1");
  Bytes inner6 = rig.inner(net::Family::v6, 20, true);
  inner6[net::ipv6::destination + 5] ^= 0xff;
  rig.run(Rig::outside, rig.esp_frame(2, inner6, 41));
  CHECK(rig.verdicts() == "IN_V6_POST_INPUT_POLICY_FAIL=1");
  CHECK(rig.sas->inbound_faults(rig.inbound).of(Verdict::IN_V4_POST_INPUT_POLICY_FAIL) == 1);
  CHECK(rig.sas->inbound_faults(rig.inbound).of(Verdict::IN_V6_POST_INPUT_POLICY_FAIL) == 1);
}

TEST_CASE("unknown, reserved, larval and retired SPIs are told apart and sampled") {
  Rig rig;
  const auto with_spi = [&](std::uint32_t spi) {
    auto frame = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4);
    net::store_be32(frame, 34, spi);
    return frame;
  };
  rig.run(Rig::outside, with_spi(0xdeadbeef));
  CHECK(rig.verdicts() == "IN_US_V4_PKT_SA_NOT_FOUND_SPI=1");
  const auto misses = rig.spi_misses();
  REQUIRE(misses.size() == 1);
  CHECK(misses[0].spi == 0xdeadbeef);
  CHECK(misses[0].miss == sa::Miss::not_found);
  CHECK(net::to_string(net::Address::from_bytes(misses[0].family, misses[0].source)) == "192.0.2.2");
  // The packet's beginning, as it came.
  const auto came = with_spi(0xdeadbeef);
  CHECK(misses[0].link_bytes == 14);
  CHECK(misses[0].frame_bytes == came.size());
  REQUIRE(misses[0].head_bytes == std::min(came.size(), sizeof misses[0].head));
  CHECK(std::equal(misses[0].head, misses[0].head + misses[0].head_bytes, came.begin()));
  for (const std::uint32_t spi : {0u, 1u, 255u}) rig.run(Rig::outside, with_spi(spi));
  CHECK(rig.verdicts() == "IN_SPI_RESERVED=3");
  REQUIRE(rig.sas->reserve_inbound(0x3001));
  rig.run(Rig::outside, with_spi(0x3001));
  CHECK(rig.verdicts() == "IN_SA_LARVAL=1");
  rig.sas->retire_inbound(rig.inbound);
  rig.run(Rig::outside, with_spi(Rig::inbound_spi));
  CHECK(rig.verdicts() == "IN_SA_RETIRED=1");
  const auto more = rig.spi_misses();
  REQUIRE(more.size() == 2);
  CHECK(more[0].miss == sa::Miss::larval);
  CHECK(more[1].miss == sa::Miss::retired);
  CHECK(rig.conserved());
}

TEST_CASE("outer addresses, encapsulation and port must be the SA's") {
  Rig rig;
  auto frame = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4);
  frame[14 + net::ipv4::source + 3] = 77;
  mend_checksum(frame, 14);
  rig.run(Rig::outside, frame);
  CHECK(rig.verdicts() == "IN_V4_PKT_HIT_INVALID_SA=1");
}

TEST_CASE("plain ESP on a UDP-encapsulated SA and the reverse are dropped by name") {
  const auto ours = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  const auto theirs = ours == sa::Encapsulation::none ? sa::Encapsulation::udp : sa::Encapsulation::none;
  Bytes frame;
  {
    const Rig peer({.encapsulation = theirs});
    frame = peer.esp_frame(1, peer.inner(net::Family::v4, 20, true), 4);
  }
  {
    Rig rig({.encapsulation = ours});
    CHECK(rig.run(Rig::outside, frame).inside.empty());
    CHECK(rig.verdicts() == "IN_SA_ENCAP_MISMATCH=1");
  }
  // But for what IKE negotiates, and such a packet tells nothing of where the peer is.
  Rig negotiated({.encapsulation = ours, .any_encapsulation = true});
  CHECK(negotiated.run(Rig::outside, frame).inside.size() == 1);
  CHECK(negotiated.peers_moved().empty());
}

TEST_CASE("runts and misaligned ciphertext are dropped before any key is used") {
  Rig rig;
  const auto cut_to = [&](std::size_t esp_bytes) {
    auto frame = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4);
    frame.resize(14 + 20 + esp_bytes);
    net::store_be16(frame, 14 + net::ipv4::total_length, static_cast<std::uint16_t>(20 + esp_bytes));
    mend_checksum(frame, 14);
    rig.run(Rig::outside, frame);
    return rig.verdicts();
  };
  CHECK(cut_to(7) == "IN_ESP_RUNT=1");
  CHECK(cut_to(8 + 8 + 16) == "IN_ESP_RUNT=1");
  CHECK(cut_to(8 + 8 + 16 + 1) == "IN_ESP_RUNT=1");
  CHECK(cut_to(8 + 8 + 16 + 5) == "IN_ESP_LENGTH_MISALIGNED=1");
  CHECK(cut_to(8 + 8 + 16 + 4) == "IN_CD_SW_IPSEC_MAC_EXCEPTION=1");
  CHECK(rig.conserved());
}

TEST_CASE("one packet's failure does not harm the rest of its burst") {
  Rig rig;
  std::vector<Bytes> burst;
  for (std::uint64_t sequence = 1; sequence <= 64; ++sequence) {
    burst.push_back(rig.esp_frame(sequence, rig.inner(net::Family::v4, 100, true), 4));
    if (sequence % 3 == 0) burst.back().back() ^= 0x80;
  }
  CHECK(rig.run(Rig::outside, burst).inside.size() == 43);
  CHECK(rig.verdicts() == "FORWARDED=43 IN_CD_SW_IPSEC_MAC_EXCEPTION=21");
  CHECK(rig.conserved());
}

// RFC 6040, figure 4: the inner packet's field by what it was (row) and what the outer header says (column),
// in the order Not-ECT, ECT(1), ECT(0), CE; 4 is a drop.
TEST_CASE("congestion marks of the outer header reach the inner packet") {
  constexpr std::uint8_t inner_after[4][4] = {{0, 0, 0, 4}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
  const auto outer_family = GENERATE(net::Family::v4, net::Family::v6);
  const auto inner_family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer_family});
  std::uint64_t sequence = 0;
  for (std::uint8_t own = 0; own < 4; ++own)
    for (std::uint8_t outer = 0; outer < 4; ++outer) {
      CAPTURE(own, outer);
      auto inner = rig.inner(inner_family, 20, true);
      mark(inner, 0, own);
      auto frame = rig.esp_frame(++sequence, inner, next_header(inner_family));
      mark(frame, net::ethernet_bytes, outer);
      const auto out = rig.run(Rig::outside, frame);
      const auto expected = inner_after[own][outer];
      if (expected == 4) {
        CHECK(rig.verdicts() == "IN_CONGESTED_NOT_ECT=1");
        continue;
      }
      REQUIRE(out.inside.size() == 1);
      mark(inner, 0, expected);
      CHECK(payload_of(out.inside[0]) == forwarded(inner));
      rig.verdicts();
    }
  CHECK(rig.conserved());
}

TEST_CASE("decrypted packets with addresses of one link or of many hosts go no further") {
  Rig rig({.remote_network4 = "0.0.0.0/0", .remote_network6 = "::/0"});
  std::uint64_t sequence = 0;
  const auto from = [&](net::Family family, std::initializer_list<std::uint8_t> start) {
    auto inner = rig.inner(family, 20, true);
    const bool v4 = family == net::Family::v4;
    std::copy(start.begin(), start.end(), inner.begin() + (v4 ? 12 : 8));
    if (v4) mend_checksum(inner);
    rig.run(Rig::outside, rig.esp_frame(++sequence, inner, next_header(family)));
    return rig.verdicts();
  };
  using enum net::Family;
  CHECK(from(v4, {169, 254, 1, 1}) == "LINK_LOCAL_NOT_FORWARDED=1");
  CHECK(from(v4, {127, 0, 0, 1}) == "LINK_LOCAL_NOT_FORWARDED=1");
  CHECK(from(v4, {0, 0, 0, 0}) == "LINK_LOCAL_NOT_FORWARDED=1");
  CHECK(from(v4, {224, 0, 0, 5}) == "IP_SOURCE_INVALID=1");
  CHECK(from(v4, {255, 255, 255, 255}) == "IP_SOURCE_INVALID=1");
  CHECK(from(v4, {169, 253, 1, 1}) == "FORWARDED=1");
  CHECK(from(v6, {0xfe, 0x80}) == "LINK_LOCAL_NOT_FORWARDED=1");
  CHECK(from(v6, {0xff, 0x02}) == "IP_SOURCE_INVALID=1");
  CHECK(from(v6, {0xfd, 0x00}) == "FORWARDED=1");
  CHECK(rig.conserved());
}

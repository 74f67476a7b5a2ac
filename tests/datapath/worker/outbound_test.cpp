// Cleartext in, ESP out, opened again by the reference engine.
#include <catch2/catch.hpp>
#include <set>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

TEST_CASE("a protected packet leaves as ESP that the peer opens, in all combinations") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto inner_family = GENERATE(net::Family::v4, net::Family::v6);
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  const bool esn = GENERATE(false, true);
  Rig rig({.outer = outer, .encapsulation = encapsulation, .extended_sequence = esn});
  std::uint64_t expected = 0;
  for (const std::size_t payload : {0u, 1u, 2u, 3u, 18u, 1300u}) {
    auto inner = rig.inner(inner_family, payload, false);
    const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, inner));
    REQUIRE(out.outside.size() == 1);
    if (inner_family == net::Family::v4)
      net::decrement_ttl(inner);
    else
      --inner[net::ipv6::hop_limit];
    std::uint64_t sequence = 0;
    CHECK(rig.open(out.outside[0], &sequence) == inner);
    CHECK(sequence == ++expected);
    if (outer == net::Family::v4) CHECK(net::header_sum(std::span(out.outside[0]).subspan(14, 20)) == 0xffff);
  }
  CHECK(rig.verdicts() == "FORWARDED=6");
  CHECK(rig.conserved());
}

TEST_CASE("a burst takes consecutive sequence numbers and distinct IVs") {
  Rig rig;
  std::vector<Bytes> burst(64, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 64, false)));
  std::set<std::uint64_t> ivs;
  std::uint64_t expected = 0;
  for (int round = 0; round < 3; ++round) {
    for (const auto& frame : rig.run(Rig::inside, burst).outside) {
      std::uint64_t sequence = 0;
      CHECK_FALSE(rig.open(frame, &sequence).empty());
      CHECK(sequence == ++expected);
      ivs.insert(net::load_be64(frame, 14 + 20 + 8));
    }
  }
  CHECK(ivs.size() == 192);
}

TEST_CASE("two workers on one outbound SA never use a sequence number or an IV twice") {
  Rig rig({}, 2);
  const std::vector<Bytes> burst(7, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 64, false)));
  std::set<std::uint64_t> sequences;
  std::set<std::uint64_t> ivs;
  for (unsigned round = 0; round < 20; ++round)
    for (const auto& frame : rig.run(Rig::inside, burst, round % 2).outside) {
      std::uint64_t sequence = 0;
      CHECK_FALSE(rig.open(frame, &sequence).empty());
      CHECK(sequences.insert(sequence).second);
      CHECK(ivs.insert(net::load_be64(frame, 14 + 20 + 8)).second);
    }
  CHECK(*sequences.begin() == 1);
  CHECK(*sequences.rbegin() == 140);
}

TEST_CASE("sequence numbers end with an error and never wrap") {
  Rig rig;
  rig.sas->outbound(rig.outbound).sequence = 0xffff'fffd;
  std::vector<Bytes> burst(5, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 64, false)));
  CHECK(rig.run(Rig::inside, burst).outside.size() == 2);
  CHECK(rig.verdicts() == "FORWARDED=2 OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW=3");
  CHECK(rig.run(Rig::inside, burst).outside.empty());
  CHECK(rig.verdicts() == "OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW=5");
}

TEST_CASE("with ESN, too, the last number is 2^64 - 1 and an exhausted SA stays so") {
  const unsigned workers = GENERATE(1u, 2u);
  Rig rig({.extended_sequence = true}, workers);
  rig.sas->outbound(rig.outbound).sequence = ~std::uint64_t{0} - 3;
  std::vector<Bytes> burst(5, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 64, false)));
  CHECK(rig.run(Rig::inside, burst).outside.size() == 3);
  for (unsigned round = 0; round < 4; ++round)
    CHECK(rig.run(Rig::inside, burst, round % workers).outside.empty());
  CHECK(rig.verdicts() == "FORWARDED=3 OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW=22");
  CHECK(rig.sas->outbound(rig.outbound).sequence == ~std::uint64_t{0});
}

TEST_CASE("DSCP and ECN are copied to the outer header") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  auto inner = rig.inner(net::Family::v4, 20, false);
  inner[net::ipv4::tos] = 0xb9;  // EF, ECT(1)
  mend_checksum(inner);
  const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, inner));
  REQUIRE(out.outside.size() == 1);
  const auto* ip = &out.outside[0][14];
  const int traffic_class = outer == net::Family::v4 ? ip[1] : (ip[0] & 15) << 4 | ip[1] >> 4;
  CHECK(traffic_class == 0xb9);
}

TEST_CASE("a retired outbound SA drops, and so does a policy without an SA: nothing leaves in clear") {
  Rig rig;
  rig.sas->retire_outbound(rig.outbound);
  CHECK(
      rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 20, false))).outside.empty());
  CHECK(
      rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v6, 20, false))).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_PKT_HIT_INVALID_SA=1 OUT_V6_PKT_HIT_INVALID_SA=1");
  auto inner = rig.inner(net::Family::v4, 20, false);
  inner[net::ipv4::destination + 1] = 3;
  mend_checksum(inner);
  CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, inner)).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_PKT_HIT_IKE_START_SP=1");
  CHECK(rig.conserved());
}

TEST_CASE("packets of the kernel's own are protected too, and everything else of it leaves as it is") {
  Rig rig;
  const auto inner = rig.inner(net::Family::v4, 20, false);
  auto out = rig.run_from_host(Rig::outside, rig.frame_to(Rig::outside, inner));
  REQUIRE(out.outside.size() == 1);
  CHECK(rig.open(out.outside[0]) == inner);  // not forwarded, so the TTL stays
  const Bytes arp{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
  out = rig.run_from_host(Rig::outside, arp);
  REQUIRE(out.outside.size() == 1);
  CHECK(out.outside[0] == arp);
  CHECK(rig.conserved());
}

namespace {

// The same packet with another third byte of the IPv4 source and a right checksum.
Bytes from_network(Bytes inner, std::uint8_t second_byte) {
  inner[net::ipv4::source + 1] = second_byte;
  mend_checksum(inner);
  return inner;
}

}  // namespace

TEST_CASE("only what lies within the SA's networks is protected") {
  Rig rig;
  const auto inner = from_network(rig.inner(net::Family::v4, 20, false), 9);  // 10.9.0.9 is not ours
  CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, inner)).outside.empty());
  CHECK(rig.verdicts() == "OUT_V4_POST_OUTPUT_POLICY_FAIL=1");
}

TEST_CASE("cleartext from the outside with an inside source is not vouched for") {
  const auto family = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig;
  CHECK(rig.run(Rig::outside, rig.frame_to(Rig::outside, rig.inner(family, 20, false))).outside.empty());
  CHECK(rig.verdicts() == (family == net::Family::v4 ? "IN_TRANS_CL_V4_PKT_FAILED_POLICY=1"
                                                     : "IN_TRANS_CL_V6_PKT_FAILED_POLICY=1"));
}

TEST_CASE("a peer whose networks cover ours does not get its own packets back") {
  Rig rig({.remote_network4 = "0.0.0.0/0"});
  const auto out = rig.run(Rig::outside, rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4));
  CHECK(out.inside.size() == 1);
  CHECK(out.outside.empty());
  CHECK(rig.verdicts() == "FORWARDED=1");
}

TEST_CASE("a unicast packet in a broadcast frame is not forwarded and meets policy") {
  Rig rig;
  auto frame = rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 20, false));
  std::fill(frame.begin(), frame.begin() + 6, std::uint8_t{0xff});
  CHECK(rig.run(Rig::inside, frame).outside.empty());
  CHECK(rig.verdicts() == "ETH_NOT_FOR_US=1");
}

// Where implementers of ESP go wrong, as far as no other test shows it: docs/pitfalls.md lists all cases.
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/worker_lane.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

constexpr std::uint64_t two_to_32 = std::uint64_t{1} << 32;
constexpr std::size_t esp_offset = net::ethernet_bytes + net::ipv4_header_bytes;

Bytes esp(const Rig& rig, std::uint64_t sequence) {
  return rig.esp_frame(sequence, rig.inner(net::Family::v4, 40, true), net::protocol_ipv4);
}

}  // namespace

TEST_CASE("5: packets of one burst on both sides of 2^32 keep their own high halves") {
  Rig rig({.extended_sequence = true});
  rig.sas->inbound(rig.inbound).top = 3 * two_to_32 - 20;
  std::vector<Bytes> burst;
  for (std::uint64_t i = 0; i < 32; ++i) {
    burst.push_back(esp(rig, 3 * two_to_32 + i));
    burst.push_back(esp(rig, 3 * two_to_32 - 1 - i));
  }
  // A forged one far ahead must not become what the next ones are reckoned from.
  burst[7] = esp(rig, 3 * two_to_32 + 0x7000'0000);
  burst[7].back() ^= 1;
  CHECK(rig.run(Rig::outside, burst).inside.size() == 63);
  CHECK(rig.verdicts() == "FORWARDED=63 IN_CD_SW_IPSEC_MAC_EXCEPTION=1");
  CHECK(rig.sas->inbound(rig.inbound).top == 3 * two_to_32 + 31);
  CHECK(rig.conserved());
}

TEST_CASE("5: at 2^64 the numbers end, and do not begin again") {
  Rig rig({.extended_sequence = true});
  constexpr std::uint64_t last = ~std::uint64_t{0};
  rig.sas->inbound(rig.inbound).top = last - 2;
  CHECK(rig.run(Rig::outside, esp(rig, last - 1)).inside.size() == 1);
  CHECK(rig.run(Rig::outside, esp(rig, last)).inside.size() == 1);
  rig.verdicts();
  // As a peer would seal them that wraps: its high half is 0.
  for (const std::uint64_t sequence : {0u, 1u, 2u})
    CHECK(rig.run(Rig::outside, esp(rig, sequence)).inside.empty());
  CHECK(rig.taken(Verdict::FORWARDED) == 0);
  CHECK(rig.sas->inbound(rig.inbound).top == last);
  CHECK(rig.conserved());
}

TEST_CASE("6: sequence number 0 is refused, and a jump beyond the ring empties the window") {
  const std::uint32_t window = GENERATE(64u, 1'024u, 65'536u);
  Rig rig({.window_packets = window});
  const auto verdict_of = [&](std::uint64_t sequence) {
    rig.run(Rig::outside, esp(rig, sequence));
    return rig.verdicts();
  };
  CHECK(verdict_of(0) == "IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL=1");
  CHECK(verdict_of(1) == "FORWARDED=1");
  const std::uint64_t jump = 1 + 10 * std::uint64_t{window};
  CHECK(verdict_of(jump) == "FORWARDED=1");
  CHECK(verdict_of(1) == "CD_IN_PKT_OUT_OF_WINDOW=1");
  CHECK(verdict_of(jump - window) == "CD_IN_PKT_OUT_OF_WINDOW=1");
  CHECK(verdict_of(jump - window + 1) == "FORWARDED=1");
  CHECK(verdict_of(jump - window + 1) == "IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL=1");
}

TEST_CASE("10: ESP split into segments anywhere opens") {
  const auto suite = GENERATE(crypto::SuiteId::aes_gcm_16_128, crypto::SuiteId::aes_cbc_128_sha256);
  Rig rig({.window_packets = 65'536, .suite = suite});
  WorkerLane lane(rig, 0);
  const auto size = esp(rig, 1).size();
  for (std::size_t at = esp_offset + net::esp_header_bytes; at < size; ++at) {
    CAPTURE(at, size);
    const auto frame = esp(rig, at);
    const std::span whole(frame);
    auto* head = lane.buffer(whole.first(at));
    rte_pktmbuf_chain(head, lane.buffer(whole.subspan(at)));
    REQUIRE(lane.run(Rig::outside, std::span(&head, 1)).size() == 1);
  }
  CHECK(rig.taken(Verdict::FORWARDED) == size - esp_offset - net::esp_header_bytes);
  CHECK(lane.all_buffers_are_back());
}

TEST_CASE("10: a packet to be protected may be split into segments anywhere behind its ports") {
  Rig rig;
  WorkerLane lane(rig, 0);
  auto inner = rig.inner(net::Family::v4, 40, false);
  const auto frame = rig.frame_to(Rig::inside, inner);
  net::decrement_ttl(inner);
  for (std::size_t at = net::ethernet_bytes + 28; at < frame.size(); ++at) {
    CAPTURE(at);
    auto* head = lane.buffer(std::span(frame).first(at));
    rte_pktmbuf_chain(head, lane.buffer(std::span(frame).subspan(at)));
    const auto left = lane.run(Rig::inside, std::span(&head, 1));
    REQUIRE(left.size() == 1);
    REQUIRE(rig.open(left[0]) == inner);
  }
  CHECK(lane.all_buffers_are_back());
}

TEST_CASE("10: the buffer behind an indirect one is never written to, in either direction") {
  Rig rig;
  WorkerLane lane(rig, 0);
  const std::pair<std::uint8_t, Bytes> packets[] = {
      {Rig::outside, esp(rig, 1)},
      {Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 40, false))}};
  for (const auto& [port, frame] : packets) {
    auto* owner = lane.buffer(frame);
    auto* indirect = lane.buffer({});
    rte_pktmbuf_attach(indirect, owner);
    const auto* room = static_cast<const std::uint8_t*>(owner->buf_addr);
    const Bytes before(room, room + owner->buf_len);
    CHECK(lane.run(port, std::span(&indirect, 1)).size() == 1);
    CHECK(Bytes(room, room + owner->buf_len) == before);
    rte_pktmbuf_free(owner);
  }
  CHECK(rig.verdicts() == "FORWARDED=2");
  CHECK(lane.all_buffers_are_back());
}

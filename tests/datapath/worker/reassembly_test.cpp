// Outer fragments to us, in every order and shape, and what must not come of them.
#include "datapath/worker/reassembly.hpp"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/rig.hpp"
#include "tests/datapath/worker/taken_buffers.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

Rig::Output run_each(Rig& rig, const std::vector<Bytes>& frames) {
  Rig::Output all;
  for (const auto& frame : frames)
    for (auto& packet : rig.run(Rig::outside, frame).inside) all.inside.push_back(packet);
  return all;
}

// A round in which nothing comes in.
void idle(Rig& rig) {
  for (unsigned port = 0; port < 2; ++port) rig.shared.ports[port]->present = false;
  rig.workers[0]->poll();
  for (unsigned port = 0; port < 2; ++port) rig.shared.ports[port]->present = true;
}

// UDP from the peer to us, as IKE sends it.
Bytes ike_frame(const Rig& rig, std::size_t payload_bytes) {
  auto packet = rig.inner(net::Family::v4, payload_bytes, true);
  const std::uint8_t addresses[] = {192, 0, 2, 2, 192, 0, 2, 1};
  std::copy_n(addresses, 8, packet.begin() + net::ipv4::source);
  net::store_be16(packet, 22, 500);
  for (std::size_t i = 28; i < packet.size(); ++i) packet[i] = static_cast<std::uint8_t>(i * 3 + i / 256);
  mend_checksum(packet);
  return rig.frame_to(Rig::outside, packet);
}

std::vector<std::size_t> cuts_every(std::size_t bytes, std::size_t until) {
  std::vector<std::size_t> cuts;
  for (std::size_t at = bytes; at < until; at += bytes) cuts.push_back(at);
  return cuts;
}

Bytes tagged(Bytes frame, std::uint16_t vlan) {
  const std::uint8_t tag[] = {0x81, 0, static_cast<std::uint8_t>(vlan >> 8), static_cast<std::uint8_t>(vlan)};
  Bytes result(frame.begin(), frame.begin() + 12);
  std::copy_n(tag, 4, std::back_inserter(result));
  std::copy(frame.begin() + 12, frame.end(), std::back_inserter(result));
  return result;
}

Bytes esp_of(const Rig& rig, std::size_t payload_bytes, std::uint64_t sequence = 1) {
  auto inner = rig.inner(net::Family::v4, payload_bytes, true);
  for (std::size_t i = 28; i < inner.size(); ++i) inner[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return rig.esp_frame(sequence, inner, net::protocol_ipv4);
}

}  // namespace

TEST_CASE("fragments in every order become the packet that they were") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto encapsulation = GENERATE(sa::Encapsulation::none, sa::Encapsulation::udp);
  Rig rig({.outer = outer, .encapsulation = encapsulation});
  const auto whole = esp_of(rig, 1000);
  const std::vector<std::size_t> cuts{8, 400, 800};
  auto parts = fragments_of(whole, cuts, 7);
  REQUIRE(parts.size() == 4);
  std::vector<std::size_t> order{0, 1, 2, 3};
  std::uint64_t sequence = 1;
  std::uint32_t identification = 7;
  do {
    const auto packet = esp_of(rig, 1000, sequence++);
    parts = fragments_of(packet, cuts, identification++);
    std::vector<Bytes> burst;
    for (const auto i : order) burst.push_back(parts[i]);
    const bool one_burst = sequence % 2 == 0;
    const auto out = one_burst ? rig.run(Rig::outside, burst) : run_each(rig, burst);
    REQUIRE(out.inside.size() == 1);
    CHECK(out.inside[0].size() == 14 + 20 + 8 + 1000);
    CHECK(rig.verdicts() == "FORWARDED=1 REASSEMBLY_PART=4");
  } while (std::ranges::next_permutation(order).found);
  CHECK(rig.workers[0]->reassembling() == 0);
  CHECK(rig.conserved());
}

TEST_CASE("a packet of sixty fragments, larger than a buffer, is decrypted and goes on in pieces") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  const auto whole = esp_of(rig, 60'000);
  std::vector<std::size_t> cuts;
  for (std::size_t at = 1000; at < 60'000; at += 1000) cuts.push_back(at);
  auto parts = fragments_of(whole, cuts, 1);
  std::mt19937 random(1);
  std::ranges::shuffle(parts, random);
  const auto out = rig.run(Rig::outside, parts);
  CHECK(rig.verdicts() == "FORWARDED=41 REASSEMBLY_PART=60 FRAGMENTED=1");
  const auto inner = joined(out.inside);
  auto expected = rig.inner(net::Family::v4, 60'000, true);
  REQUIRE(inner.size() == expected.size());
  for (std::size_t i = 28; i < inner.size(); ++i)
    if (inner[i] != static_cast<std::uint8_t>(i * 7 + i / 256)) FAIL("byte " << i);
  CHECK(rig.conserved());
}

TEST_CASE("what comes twice with the same bytes is ignored; what overlaps gives up the packet") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  const std::vector<std::size_t> cuts{400, 800};
  const auto whole = esp_of(rig, 1000);
  const auto parts = fragments_of(whole, cuts, 1);
  const std::string error = outer == net::Family::v4 ? "IN_V4_PKT_FRAG_ERR" : "IN_V6_PKT_FRAG_ERR";

  SECTION("duplicates") {
    const auto out = run_each(rig, {parts[1], parts[1], parts[2], parts[2], parts[0]});
    CHECK(out.inside.size() == 1);
    CHECK(rig.verdicts() == "FORWARDED=1 REASSEMBLY_PART=5");
  }
  SECTION("the same place with other bytes") {
    auto other = parts[1];
    other.back() ^= 1;
    CHECK(run_each(rig, {parts[1], other, parts[2], parts[0]}).inside.empty());
    CHECK(rig.verdicts() == "REASSEMBLY_PART=1 " + error + "=3");
  }
  SECTION("a shifted part, before and after") {
    const auto shifted = fragments_of(whole, std::vector<std::size_t>{392, 800}, 1)[1];
    const bool first = GENERATE(true, false);
    const auto frames = first ? std::vector<Bytes>{shifted, parts[0], parts[2], parts[1]}
                              : std::vector<Bytes>{parts[0], shifted, parts[2], parts[1]};
    CHECK(run_each(rig, frames).inside.empty());
    CHECK(rig.verdicts() == "REASSEMBLY_PART=1 " + error + "=3");
  }
  SECTION("a part beyond the end, a second end, an end before what is there") {
    const auto shorter = fragments_of(whole, std::vector<std::size_t>{400, 600}, 1)[1];  // 400 to 600
    auto ends_there = shorter;
    clear_more(ends_there);
    CHECK(run_each(rig, {parts[2], ends_there}).inside.empty());
    CHECK(rig.verdicts() == "REASSEMBLY_PART=1 " + error + "=1");
  }
  // The key stays until its time is over, so that the rest does not become something else.
  rig.shared.reassembly_timeout_tsc = 1;
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, rig.engine->make_queue().value());
  (void)rig.verdicts();
  CHECK(rig.large_buffers_in_use() == 0);
}

TEST_CASE("malformed fragments are dropped by name") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  const auto parts = fragments_of(esp_of(rig, 1000), std::vector<std::size_t>{400}, 1);
  const auto refused = [&] {
    return rig.taken(by(outer, Verdict::IN_V4_PKT_FRAG_ERR, Verdict::IN_V6_PKT_FRAG_ERR));
  };
  SECTION("a length that no other part can follow") {
    auto odd = parts[0];
    odd.pop_back();
    set_length(odd, odd.size() - 14);
    rig.run(Rig::outside, odd);
    CHECK(refused() == 1);
  }
  SECTION("beyond the largest packet") {
    auto far = parts[1];
    set_offset(far, 65'528);
    rig.run(Rig::outside, far);
    CHECK(refused() == 1);
  }
  CHECK(rig.conserved());
}

TEST_CASE("a packet too long for our buffers is called that, whatever part shows it") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  auto part = fragments_of(esp_of(rig, 1000), std::vector<std::size_t>{400}, 1)[0];
  set_offset(part, 65'000);
  rig.run(Rig::outside, part);
  CHECK(rig.taken(by(outer, Verdict::IN_INFRA_V4_PKT_LEN_TOO_BIG, Verdict::IN_INFRA_V6_PKT_LEN_TOO_BIG)) ==
        1);
  CHECK(rig.conserved());
}

TEST_CASE("parts of one packet may come by several ports, tagged there or not") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const bool with_tags = GENERATE(false, true);
  Rig rig({.outer = outer});
  rig.shared.ports[Rig::inside]->ipsec = true;
  if (with_tags) rig.shared.ports[Rig::inside]->vlans = 7;
  std::vector<std::size_t> order{0, 1, 2};
  std::uint64_t sequence = 0;
  do {
    for (unsigned by_inside = 0; by_inside < 8; ++by_inside) {
      ++sequence;
      const auto parts = fragments_of(esp_of(rig, 1000, sequence), std::vector<std::size_t>{400, 800},
                                      static_cast<std::uint32_t>(sequence));
      std::size_t arrived = 0;
      for (const auto i : order) {
        auto part = parts[i];
        const bool inside = (by_inside >> i & 1) != 0;
        if (inside) std::ranges::copy(rig.shared.ports[Rig::inside]->mac, part.begin());
        if (inside && with_tags) part = tagged(part, 7);
        arrived += rig.run(inside ? Rig::inside : Rig::outside, part).inside.size();
      }
      CHECK(arrived == 1);
    }
  } while (std::ranges::next_permutation(order).found);
  CHECK(rig.taken(Verdict::FORWARDED) == sequence);
  CHECK(rig.conserved());
}

TEST_CASE("whole packets that wait for control do so in ordinary buffers") {
  Rig rig;
  for (const std::size_t payload : {600u, 3'000u, 20'000u}) {
    const auto frame = ike_frame(rig, payload);
    std::vector<rte_mbuf*> parts;
    for (const auto& part : fragments_of(frame, cuts_every(496, payload + 8), 3))
      parts.push_back(buffer_with(rig.shared.buffers, part));
    REQUIRE(parts.size() <= worker::burst_max);
    rig.workers[0]->process_frames(parts.data(), static_cast<unsigned>(parts.size()), Rig::outside);
    CHECK(rte_ring_count(rig.shared.rings.ike) == 1);
    CHECK(rig.large_buffers_in_use() == 0);
    const auto out = rig.run(Rig::outside, Bytes(1));
    REQUIRE(out.control.size() == 1);
    CHECK(std::equal(out.control[0].begin() + 34, out.control[0].end(), frame.begin() + 34, frame.end()));
    CHECK(rig.conserved());
  }
}

TEST_CASE("a flood of new packets costs the same however large the table is") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  auto* frame =
      buffer_with(rig.shared.buffers, fragments_of(esp_of(rig, 40), std::vector<std::size_t>{8}, 0)[0]);
  auto* other = rte_pktmbuf_copy(frame, rig.shared.buffers, 0, frame->pkt_len);
  auto* last_byte = rte_pktmbuf_mtod_offset(other, std::uint8_t*, other->data_len - 1u);
  *last_byte = static_cast<std::uint8_t>(*last_byte ^ 1);
  const auto info = parse::parse_frame({rte_pktmbuf_mtod(frame, const std::uint8_t*), frame->data_len},
                                       frame->pkt_len, true, 0);
  REQUIRE(info.fragment);
  const std::size_t at = 14 + (outer == net::Family::v4 ? net::ipv4::identification : 40u + 6u);
  // Cycles a packet of a new identification that meets a full table. Both parts overlap, so that the place
  // stays taken without a buffer.
  const auto cycles = [&](std::uint32_t flows) {
    worker::Reassembly table(flows, ~std::uint64_t{0}, rig.shared.large_buffers);
    std::uint64_t best = ~std::uint64_t{0};
    std::uint32_t number = 0;
    for (int round = 0; round < 8; ++round) {
      const auto before = rte_rdtsc();
      for (unsigned i = 0; i < flows; ++i, ++number)
        for (auto* part : {frame, other}) {
          net::store_be16({rte_pktmbuf_mtod_offset(part, std::uint8_t*, at), 2}, 0,
                          static_cast<std::uint16_t>(number));
          (void)table.add(*part, info, 1);
        }
      if (round != 0) best = std::min(best, (rte_rdtsc() - before) / flows);
    }
    CHECK(table.held() == 0);
    return best;
  };
  const auto small = cycles(64);
  const auto large = cycles(16'384);
  CAPTURE(small, large);
  CHECK(large < 20 * small);  // a search through all would take 200 times as long
  for (auto* part : {frame, other}) rte_pktmbuf_free(part);
}

TEST_CASE("a packet that stays incomplete goes when its time is over, and gives its buffer back") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  Rig rig({.outer = outer});
  rig.shared.reassembly_timeout_tsc = rig.shared.tsc_hz / 1000;
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, rig.engine->make_queue().value());
  const auto parts = fragments_of(esp_of(rig, 1000), std::vector<std::size_t>{400}, 1);
  rig.run(Rig::outside, parts[0]);
  CHECK(rig.workers[0]->reassembling() == 1);
  CHECK(rig.large_buffers_in_use() == 1);
  rte_delay_ms(5);
  idle(rig);
  CHECK(rig.verdicts() == (outer == net::Family::v4 ? "REASSEMBLY_PART=1 IN_V4_PKT_FRAG_ERR=1"
                                                    : "REASSEMBLY_PART=1 IN_V6_PKT_FRAG_ERR=1"));
  CHECK(rig.conserved());
}

TEST_CASE("when all places are taken the oldest packet goes, and a whole one still comes through") {
  Rig rig({.reassembly_flows = 4});
  const auto whole = esp_of(rig, 1000);
  for (std::uint32_t identification = 100; identification < 110; ++identification)
    rig.run(Rig::outside, fragments_of(whole, std::vector<std::size_t>{400}, identification)[0]);
  CHECK(rig.workers[0]->reassembling() == 4);
  CHECK(rig.verdicts() == "REASSEMBLY_PART=10 IN_V4_PKT_FRAG_ERR=6");
  CHECK(run_each(rig, fragments_of(whole, std::vector<std::size_t>{400}, 5)).inside.size() == 1);
  CHECK(rig.verdicts() == "FORWARDED=1 REASSEMBLY_PART=2 IN_V4_PKT_FRAG_ERR=1");
  rig.workers.clear();
  CHECK(rig.large_buffers_in_use() == 0);
}

TEST_CASE("without a large buffer fragments are dropped by name") {
  Rig rig;
  TakenBuffers taken(rig.shared.large_buffers);
  CHECK(taken.size() == Rig::large_buffer_count);
  const auto parts = fragments_of(esp_of(rig, 1000), std::vector<std::size_t>{400}, 1);
  CHECK(run_each(rig, parts).inside.empty());
  CHECK(rig.verdicts() == "PKT_BUFFER_UNAVAILABLE=2");
  taken.give_back();
  CHECK(rig.conserved());
}

TEST_CASE("fragments of others are not ours to make whole") {
  Rig rig;
  auto parts = fragments_of(esp_of(rig, 1000), std::vector<std::size_t>{400}, 1);
  SECTION("in transit") {
    for (auto& part : parts) {
      part[14 + net::ipv4::destination] = 203;  // no policy lets it through
      mend_checksum(part, 14);
    }
    rig.run(Rig::outside, parts);
    CHECK(rig.verdicts() == "IN_TRANS_V4_IPSEC_PKT_NOT_FOUND_SPI=2");
  }
  SECTION("on a port without ipsec") {
    for (auto& part : parts) std::copy_n(rig.shared.ports[Rig::inside]->mac.begin(), 6, part.begin());
    rig.run(Rig::inside, parts);
    CHECK(rig.verdicts() == "IN_US_V4_PKT_FOUND_IPSEC_NOT_ENABLED=2");
  }
  SECTION("of other protocols") {
    for (auto& part : parts) {
      part[14 + net::ipv4::protocol] = 1;
      mend_checksum(part, 14);
    }
    rig.run(Rig::outside, parts);
    CHECK(rig.verdicts() == "TO_HOST=2");
  }
  CHECK(rig.conserved());
}

TEST_CASE("random parts of random packets never break the balance") {
  Rig rig({.reassembly_flows = 4});
  rig.shared.reassembly_timeout_tsc = rig.shared.tsc_hz / 500;
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, rig.engine->make_queue().value());
  std::mt19937 random(20240611);
  std::uint64_t sequence = 1;
  for (int round = 0; round < 400; ++round) {
    std::vector<Bytes> frames;
    for (int packet = 0; packet < 3; ++packet) {
      std::vector<std::size_t> cuts;
      for (std::size_t at = 8 + random() % 50 * 8; at < 1400; at += 8 + random() % 60 * 8) cuts.push_back(at);
      for (auto& part :
           fragments_of(esp_of(rig, 1400, sequence++), cuts, static_cast<std::uint32_t>(random() % 6))) {
        if (random() % 20 == 0) part[14 + 20 + random() % 8] ^= 1;
        if (random() % 30 != 0) frames.push_back(part);
        if (random() % 15 == 0) frames.push_back(part);
      }
    }
    std::ranges::shuffle(frames, random);
    frames.resize(std::min<std::size_t>(frames.size(), 64));
    rig.run(Rig::outside, frames);
  }
  rte_delay_ms(5);
  idle(rig);
  CHECK(rig.taken(Verdict::FORWARDED) > 100);
  CHECK(rig.conserved());
}

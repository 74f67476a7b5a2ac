// Lifetimes: exactly as many packets pass as may, by however many workers, and afterwards none does.
#include <fmt/format.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;
using sa::LifetimeStage;

namespace {

std::vector<sa::LifetimeReached> reached(Rig& rig) {
  std::vector<sa::LifetimeReached> records(16);
  records.resize(rte_ring_sc_dequeue_burst_elem(rig.shared.rings.lifetime, records.data(), sizeof records[0],
                                                static_cast<unsigned>(records.size()), nullptr));
  return records;
}

std::string text(const std::vector<sa::LifetimeReached>& records) {
  std::string result;
  for (const auto& record : records)
    result += fmt::format("{}{} {:x}", result.empty() ? "" : ", ",
                          record.stage == LifetimeStage::hard ? "hard" : "soft", record.spi);
  return result;
}

}  // namespace

TEST_CASE("inbound, a hard lifetime in packets lets exactly that many pass, and tells of both stages once") {
  const unsigned workers = GENERATE(1u, 2u);
  Rig rig({.lifetime = {.soft_packets = 900, .hard_packets = 1'000}}, workers);
  std::uint64_t sequence = 0;
  std::size_t passed = 0;
  for (unsigned round = 0; round < 60; ++round) {
    std::vector<Bytes> burst;
    for (int i = 0; i < 20; ++i)
      burst.push_back(rig.esp_frame(++sequence, rig.inner(net::Family::v4, 20, true), 4));
    const auto before = passed;
    passed += rig.run(Rig::outside, burst, round % workers).inside.size();
    if (before < 900 && passed >= 900) CHECK(text(reached(rig)) == "soft 1001");
  }
  CHECK(passed == 1'000);
  CHECK(text(reached(rig)) == "hard 1001");
  CHECK(rig.verdicts() == "FORWARDED=1000 IN_CD_SW_IPSEC_HARD_EXPIRY=200");
  CHECK(rig.sas->inbound_faults(rig.inbound).of(Verdict::IN_CD_SW_IPSEC_HARD_EXPIRY) == 200);
  CHECK(rig.sas->inbound_total(rig.inbound).packets == 1'000);
  CHECK(rig.conserved());
}

TEST_CASE("dummies of the peer's use the SA up as they use up the peer's") {
  const unsigned workers = GENERATE(1u, 2u);
  Rig rig({.lifetime = {.hard_packets = 3}}, workers);
  for (std::uint64_t sequence = 1; sequence <= 4; ++sequence)
    rig.run(Rig::outside, rig.esp_frame(sequence, Bytes(28, 0), net::protocol_none));
  CHECK(rig.verdicts() == "ESP_DUMMY=3 IN_CD_SW_IPSEC_HARD_EXPIRY=1");
  const auto total = rig.sas->inbound_total(rig.inbound);
  CHECK(total.packets == 3);
  CHECK(total.bytes == 3 * 28);
  CHECK(total.last_tsc != 0);
  CHECK(rig.conserved());
}

TEST_CASE("outbound, exactly as many leave, and nothing leaves in clear afterwards") {
  const unsigned workers = GENERATE(1u, 2u);
  Rig rig({.lifetime = {.soft_packets = 999, .hard_packets = 1'000}}, workers);
  const std::vector<Bytes> burst(30, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 64, false)));
  std::size_t left = 0;
  for (unsigned round = 0; round < 40; ++round)
    for (const auto& frame : rig.run(Rig::inside, burst, round % workers).outside) {
      CHECK_FALSE(rig.open(frame).empty());
      ++left;
    }
  CHECK(left == 1'000);
  CHECK(rig.verdicts() == "FORWARDED=1000 OUT_CD_SW_IPSEC_HARD_EXPIRY=200");
  CHECK(text(reached(rig)) == "soft 2001, hard 2001");
  CHECK(rig.sas->outbound_faults(rig.outbound).of(Verdict::OUT_CD_SW_IPSEC_HARD_EXPIRY) == 200);
  CHECK(rig.conserved());
}

TEST_CASE("pieces of a packet use up the lifetime of the SA that they leave by, and no other's") {
  Rig rig({.lifetime = {.hard_packets = 3}});
  // In the place that has no inbound SA.
  auto second = rig.parameters(false);
  second.spi = 0x2002;
  REQUIRE(rig.sas->install_outbound(second));
  second.spi = 0x2003;
  const auto outbound = *rig.sas->install_outbound(second);
  REQUIRE(outbound > rig.inbound);
  rig.add_policy({net::between(*net::parse_prefix("10.1.0.0/24"), *net::parse_prefix("10.2.0.0/16"))}, 0,
                 policy::Decision::protect(outbound));
  rig.sas->outbound(outbound).path_mtu = 1000;
  const auto frame = rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 1400, false));
  CHECK(rig.run(Rig::inside, frame).outside.size() == 2);
  CHECK(rig.run(Rig::inside, frame).outside.size() == 1);
  CHECK(rig.run(Rig::inside, frame).outside.empty());
  CHECK(rig.verdicts() == "FORWARDED=3 FRAGMENTED=2 OUT_CD_SW_IPSEC_HARD_EXPIRY=2");
  CHECK(text(reached(rig)) == "hard 2003");
  CHECK(rig.sas->outbound(outbound).state == sa::State::expired);
  CHECK(rig.sas->outbound(rig.outbound).state == sa::State::active);
  CHECK(rig.sas->inbound(rig.inbound).state == sa::State::active);
  CHECK(rig.sas->outbound_faults(outbound).of(Verdict::OUT_CD_SW_IPSEC_HARD_EXPIRY) == 2);
  CHECK(rig.conserved());
}

TEST_CASE("bytes are inner packets' bytes, and a packet that would lead past the limit does not pass") {
  Rig limited({.lifetime = {.soft_bytes = 500, .hard_bytes = 1'050}});
  const auto inner = limited.inner(net::Family::v4, 72, true);
  REQUIRE(inner.size() == 100);
  std::size_t passed = 0;
  for (std::uint64_t sequence = 1; sequence <= 20; ++sequence) {
    passed += limited.run(Rig::outside, limited.esp_frame(sequence, inner, 4)).inside.size();
    if (sequence == 4) CHECK(reached(limited).empty());
    if (sequence == 5) CHECK(text(reached(limited)) == "soft 1001");
  }
  CHECK(passed == 10);
  CHECK(text(reached(limited)) == "hard 1001");
}

TEST_CASE("what fails uses nothing up: bad ICVs, replays, other selectors") {
  Rig rig({.lifetime = {.hard_packets = 3}});
  const auto inner = rig.inner(net::Family::v4, 20, true);
  auto forged = rig.esp_frame(5, inner, 4);
  forged.back() ^= 1;
  auto foreign = inner;
  foreign[net::ipv4::source + 1] = 77;
  const auto first = rig.esp_frame(1, inner, 4);
  CHECK(rig.run(Rig::outside, first).inside.size() == 1);
  for (int i = 0; i < 5; ++i) {
    rig.run(Rig::outside, forged);
    rig.run(Rig::outside, first);
    rig.run(Rig::outside, rig.esp_frame(10 + static_cast<std::uint64_t>(i), foreign, 4));
  }
  CHECK(rig.run(Rig::outside, rig.esp_frame(2, inner, 4)).inside.size() == 1);
  CHECK(rig.run(Rig::outside, rig.esp_frame(3, inner, 4)).inside.size() == 1);
  CHECK(rig.run(Rig::outside, rig.esp_frame(4, inner, 4)).inside.empty());
  CHECK(rig.sas->inbound_faults(rig.inbound).of(Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION) == 5);
  CHECK(rig.sas->inbound_faults(rig.inbound).of(Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL) == 5);
}

TEST_CASE("a worker stops an SA whose seconds are over, even if control does not") {
  Rig rig({.lifetime = {.hard_seconds = 3'600}});
  auto in = [&, sequence = std::uint64_t{0}]() mutable {
    return rig.run(Rig::outside, rig.esp_frame(++sequence, rig.inner(net::Family::v4, 20, true), 4))
        .inside.size();
  };
  const auto out = rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 64, false));
  CHECK(in() == 1);
  CHECK(rig.run(Rig::inside, out).outside.size() == 1);
  rig.sas->inbound_allowance(rig.inbound).hard_tsc = rte_rdtsc();
  rig.sas->outbound_allowance(rig.outbound).hard_tsc = rte_rdtsc();
  for (int i = 0; i < 2; ++i) {
    CHECK(in() == 0);
    CHECK(rig.run(Rig::inside, out).outside.empty());
  }
  CHECK(text(reached(rig)) == "hard 1001, hard 2001");
}

TEST_CASE(
    "an expired SA is named so after it was retired as well, and is told of when the ring had no room") {
  Rig rig({.lifetime = {.hard_packets = 1}});
  sa::LifetimeReached filler{};
  while (rte_ring_mp_enqueue_elem(rig.shared.rings.lifetime, &filler, sizeof filler) == 0) {
  }
  const auto in = [&](std::uint64_t sequence) {
    rig.run(Rig::outside, rig.esp_frame(sequence, rig.inner(net::Family::v4, 20, true), 4));
  };
  in(1);
  in(2);
  while (!reached(rig).empty()) {
  }
  in(3);
  in(4);
  CHECK(text(reached(rig)) == "hard 1001");
  rig.sas->retire_inbound(rig.inbound);
  in(5);
  CHECK(rig.verdicts() == "FORWARDED=1 IN_CD_SW_IPSEC_HARD_EXPIRY=4");
  CHECK(rig.spi_misses().size() == 3);  // for `show invalid-spi`: a peer that keeps to an expired SA
}

TEST_CASE("threads that claim at the same time get exactly what there is") {
  sa::Allowance allowance{};
  allowance.soft_packets = allowance.soft_bytes = allowance.hard_bytes = sa::Allowance::unlimited;
  allowance.hard_tsc = sa::Allowance::unlimited;
  allowance.hard_packets = 100'000;
  std::atomic<unsigned> granted{0}, first{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50'000; ++i) {
        const bool passes = allowance.claim(100, 1, false) != LifetimeStage::hard;
        granted += passes;
        if (!passes && allowance.first_at(LifetimeStage::hard)) ++first;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(granted == 100'000);
  CHECK(first == 1);
}

TEST_CASE("the last good packet leaves the time of its burst, a bad one none") {
  Rig rig;
  auto forged = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4);
  forged.back() ^= 1;
  rig.run(Rig::outside, forged);
  CHECK(rig.sas->inbound_total(rig.inbound).last_tsc == 0);
  const auto before = rte_rdtsc();
  rig.run(Rig::outside, rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4));
  rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 64, false)));
  const auto after = rte_rdtsc();
  for (const auto last :
       {rig.sas->inbound_total(rig.inbound).last_tsc, rig.sas->outbound_total(rig.outbound).last_tsc}) {
    CHECK(last >= before);
    CHECK(last <= after);
  }
}

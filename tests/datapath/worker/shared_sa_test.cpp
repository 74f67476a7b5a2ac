// Two workers on one SA at the same time, on threads of their own: no number is used or accepted twice, and
// none is lost, while packets are cut and made whole and control moves their peer. Also run under the thread
// sanitizer.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "datapath/net/headers.hpp"
#include "tests/datapath/sa/from_environment.hpp"
#include "tests/datapath/sa/pace.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/watched_pool.hpp"
#include "tests/datapath/worker/worker_lane.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

constexpr std::uint32_t packet_count = 3'000;
constexpr std::size_t number_offset = 20 + 8;  // of an inner packet's payload

// ESP with the numbers first, first + 1, …; each inner packet says its own number.
std::vector<Bytes> numbered_frames(const Rig& rig, std::uint64_t first) {
  std::vector<Bytes> frames;
  auto inner = rig.inner(net::Family::v4, 20, true);
  for (std::uint32_t i = 0; i < packet_count; ++i) {
    net::store_be32(inner, number_offset, i);
    frames.push_back(rig.esp_frame(first + i, inner, net::protocol_ipv4));
  }
  return frames;
}

// Cuts `frames` into bursts of 1 to 64 and calls `take` with each.
template <typename Take>
void in_bursts(std::span<const Bytes> frames, std::mt19937& random, Take take) {
  while (!frames.empty()) {
    const auto count = std::min<std::size_t>(1 + random() % 64, frames.size());
    take(frames.first(count));
    frames = frames.subspan(count);
  }
}

std::uint32_t number_in(const Bytes& frame) {
  return net::load_be32(frame, net::ethernet_bytes + number_offset);
}

}  // namespace

TEST_CASE("two workers that both get every packet of an SA accept each once and lose none") {
  CAPTURE(seed());
  const bool esn = GENERATE(false, true);
  Rig rig({.extended_sequence = esn, .window_packets = 65'536}, 2);
  // With ESN the numbers cross 2^32 on the way.
  const std::uint64_t first = esn ? (std::uint64_t{1} << 32) - packet_count / 2 : 1;
  auto& sa = rig.sas->inbound(rig.inbound);
  sa.top = first - 1;
  const auto frames = numbered_frames(rig, first);
  std::vector<std::uint32_t> accepted[2];
  Pace pace(0);
  CHECK(on_threads(rig, [&](WorkerLane& lane) {
    std::mt19937 random(seed());
    std::mt19937 order(seed() + lane.worker());
    std::uint64_t bursts = 0;
    in_bursts(frames, random, [&](std::span<const Bytes> in_order) {
      std::vector<Bytes> burst(in_order.begin(), in_order.end());
      std::ranges::shuffle(burst, order);
      pace.wait(lane.worker(), bursts++);
      for (const auto& frame : lane.run(Rig::outside, burst))
        accepted[lane.worker()].push_back(number_in(frame));
    });
    pace.finish(lane.worker());
  }));
  std::vector<std::uint32_t> all(accepted[0]);
  all.insert(all.end(), accepted[1].begin(), accepted[1].end());
  std::ranges::sort(all);
  std::vector<std::uint32_t> each_once(packet_count);
  for (std::uint32_t i = 0; i < packet_count; ++i) each_once[i] = i;
  CHECK(all == each_once);
  CHECK(rig.verdicts() == "FORWARDED=3000 IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL=3000");
  CHECK(sa.top == first + packet_count - 1);
  CHECK(rig.sas->inbound_total(rig.inbound).packets == packet_count);
  CHECK(rig.sas->inbound_faults(rig.inbound).of(Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL) == packet_count);
  const sa::ReplayWindow window(sa.top, sa.cells, sa.window_packets, sa.cell_mask);
  for (std::uint64_t sequence = first; sequence < first + packet_count; ++sequence)
    if (window.check(sequence) != sa::Replay::duplicate) FAIL(sequence << " is forgotten");
  CHECK(window.check(first + packet_count) == sa::Replay::fresh);
  CHECK(rig.conserved());
}

TEST_CASE("two workers in a small window accept nothing twice and forget nothing in it") {
  CAPTURE(seed());
  Rig rig({.window_packets = 64}, 2);
  const auto frames = numbered_frames(rig, 1);
  std::vector<std::uint32_t> accepted[2];
  CHECK(on_threads(rig, [&](WorkerLane& lane) {
    std::mt19937 random(seed() + lane.worker());
    in_bursts(frames, random, [&](std::span<const Bytes> burst) {
      for (const auto& frame : lane.run(Rig::outside, burst))
        accepted[lane.worker()].push_back(number_in(frame));
    });
  }));
  std::map<std::uint32_t, unsigned> times;
  for (const auto& numbers : accepted)
    for (const auto number : numbers) ++times[number];
  CHECK(std::ranges::all_of(times, [](const auto& entry) { return entry.second == 1; }));
  // In order within each worker, so whoever comes to a number first accepts it, unless the other has moved
  // the window past it; then the other has seen it.
  CHECK(times.size() == packet_count);
  auto& sa = rig.sas->inbound(rig.inbound);
  CHECK(sa.top == packet_count);
  const sa::ReplayWindow window(sa.top, sa.cells, sa.window_packets, sa.cell_mask);
  for (std::uint64_t sequence = packet_count - 63; sequence <= packet_count; ++sequence)
    CHECK(window.check(sequence) == sa::Replay::duplicate);
  CHECK(window.check(packet_count - 64) == sa::Replay::out_of_window);
  CHECK(rig.taken(Verdict::FORWARDED) == packet_count);
  CHECK(rig.taken(Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL) + rig.taken(Verdict::CD_IN_PKT_OUT_OF_WINDOW) ==
        packet_count);
}

TEST_CASE("two workers that use up one outbound SA stop at its last number and use none twice") {
  CAPTURE(seed());
  const bool esn = GENERATE(false, true);
  Rig rig({.extended_sequence = esn}, 2);
  auto& sa = rig.sas->outbound(rig.outbound);
  const std::uint64_t last = esn ? ~std::uint64_t{0} : 0xffff'ffff;
  constexpr std::uint64_t wanted = 40'000;  // by each, in bursts so small that they do little but claim
  constexpr std::uint64_t left = wanted + wanted / 2;
  sa.sequence = last - left;
  const std::vector<Bytes> burst(2, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 20, false)));
  std::vector<Bytes> sent[2];
  CHECK(on_threads(rig, [&](WorkerLane& lane) {
    for (std::uint64_t i = 0; i < wanted / burst.size(); ++i)
      for (auto& frame : lane.run(Rig::inside, burst)) sent[lane.worker()].push_back(std::move(frame));
  }));
  std::set<std::uint32_t> numbers;
  std::set<std::uint64_t> ivs;
  for (const auto& frames_of_one : sent)
    for (const auto& frame : frames_of_one) {
      numbers.insert(net::load_be32(frame, 14 + 20 + 4));
      ivs.insert(net::load_be64(frame, 14 + 20 + 8));
    }
  CHECK(sent[0].size() + sent[1].size() == left);
  CHECK(numbers.size() == left);
  CHECK(ivs.size() == left);
  CHECK(*numbers.rbegin() == static_cast<std::uint32_t>(last));
  CHECK(sa.sequence == last);
  CHECK(rig.verdicts() == "FORWARDED=60000 OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW=20000");
  CHECK(rig.sas->outbound_total(rig.outbound).packets == left);
  CHECK(rig.sas->outbound_faults(rig.outbound).of(Verdict::OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW) ==
        2 * wanted - left);
  CHECK(rig.conserved());
}

TEST_CASE("two workers on both directions of one SA pair at once disturb each other in neither") {
  CAPTURE(seed());
  Rig rig({.window_packets = 4'096}, 2);
  const auto arriving = numbered_frames(rig, 1);
  const std::vector<Bytes> leaving(packet_count,
                                   rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 20, false)));
  std::vector<Bytes> sent[2];
  CHECK(on_threads(rig, [&](WorkerLane& lane) {
    std::mt19937 random(seed() + lane.worker());
    std::span<const Bytes> out(leaving);
    in_bursts(arriving, random, [&](std::span<const Bytes> burst) {
      lane.run(Rig::outside, burst);
      for (auto& frame : lane.run(Rig::inside, out.first(burst.size())))
        sent[lane.worker()].push_back(std::move(frame));
      out = out.subspan(burst.size());
    });
  }));
  CHECK(rig.verdicts() == "FORWARDED=9000 IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL=3000");
  std::set<std::uint64_t> numbers;
  for (const auto& frames : sent)
    for (const auto& frame : frames) {
      std::uint64_t sequence = 0;
      if (rig.open(frame, &sequence).empty()) FAIL("the peer cannot open number " << sequence);
      numbers.insert(sequence);
    }
  CHECK(numbers.size() == 2 * packet_count);
  CHECK(*numbers.begin() == 1);
  CHECK(*numbers.rbegin() == 2 * packet_count);
  CHECK(rig.conserved());
}

TEST_CASE("two workers cut and make whole packets of one SA pair while control moves its peer") {
  CAPTURE(seed());
  constexpr std::uint32_t datagrams = 600, burst_of = 4;  // by each worker, each way
  Rig rig({.encapsulation = sa::Encapsulation::udp, .window_packets = 65'536, .reassembly_flows = burst_of},
          2);
  rig.sas->outbound(rig.outbound).path_mtu = 600;
  const WatchedPool small("watched", 511, RTE_MBUF_DEFAULT_BUF_SIZE);
  const WatchedPool large("watchedlarge", 15, worker::large_buffer_bytes);
  auto* const small_before = std::exchange(rig.shared.buffers, small.get());
  auto* const large_before = std::exchange(rig.shared.large_buffers, large.get());
  for (unsigned id = 0; id < 2; ++id)
    rig.workers[id] = std::make_unique<worker::Worker>(rig.shared, id, must(rig.engine->make_queue()));
  // Full: the thread sanitizer does not understand what several writers of DPDK's rings do.
  for (worker::PeerMoved any{}; rte_ring_enqueue_elem(rig.shared.rings.peer, &any, sizeof any) == 0;) {
  }
  const auto home = *net::parse_address("192.0.2.2");
  const auto away = *net::parse_address("192.0.2.3");
  const std::uint32_t home_value = home.v4_value();
  forward::HopIndex hop = forward::no_route_hop;
  rig.forwarding->route4({&home_value, 1}, &hop);
  must(rig.forwarding->set_route({away, 32}, hop));

  std::vector<Bytes> arriving[2], leaving[2];
  auto inner = rig.inner(net::Family::v4, 1'000, true);
  auto clear = rig.inner(net::Family::v4, 1'000, false);
  for (std::uint32_t i = 0; i < 2 * datagrams; ++i) {
    net::store_be32(inner, number_offset, i);
    const auto frame = rig.esp_frame(i + 1, inner, net::protocol_ipv4);
    for (auto& part : fragments_of(frame, std::vector<std::size_t>{400, 800}, i % 0x10000))
      arriving[i % 2].push_back(part);
    net::store_be16(clear, net::ipv4::identification, static_cast<std::uint16_t>(i));
    net::store_be32(clear, number_offset, i);
    mend_checksum(clear);
    leaving[i % 2].push_back(rig.frame_to(Rig::inside, clear));
  }

  std::atomic<bool> done{false};
  std::thread control([&] {
    for (std::uint16_t port = 50'000; !done; port = port == 60'000 ? 50'000 : port + 1)
      rig.sas->move_peer(rig.inbound, rig.outbound, port % 2 == 0 ? home : away, port);
  });
  std::vector<Bytes> sent[2], accepted[2];
  CHECK(on_threads(rig, [&](WorkerLane& lane) {
    std::mt19937 random(seed() + lane.worker());
    std::span<Bytes> in(arriving[lane.worker()]);
    std::span<const Bytes> out(leaving[lane.worker()]);
    for (; !out.empty(); in = in.subspan(3 * burst_of), out = out.subspan(burst_of)) {
      std::ranges::shuffle(in.first(3 * burst_of), random);
      for (auto& frame : lane.run(Rig::outside, in.first(3 * burst_of)))
        accepted[lane.worker()].push_back(std::move(frame));
      for (auto& frame : lane.run(Rig::inside, out.first(burst_of)))
        sent[lane.worker()].push_back(std::move(frame));
    }
  }));
  done = true;
  control.join();

  std::set<std::uint32_t> numbers;
  for (const auto& frames : accepted)
    for (const auto& frame : frames) numbers.insert(number_in(frame));
  CHECK(numbers.size() == 2 * datagrams);
  // Every packet of ours opens, wherever it went, and the pieces in them make what was sent.
  std::map<std::uint16_t, std::vector<Bytes>> pieces;
  std::set<std::uint64_t> sequences;
  std::set<std::pair<std::uint32_t, std::uint16_t>> identifications;
  for (const auto& frames : sent)
    for (const auto& frame : frames) {
      std::uint64_t sequence = 0;
      const auto piece = rig.open(frame, &sequence);
      if (piece.empty()) FAIL("the peer cannot open number " << sequence);
      CHECK(sequences.insert(sequence).second);
      CHECK(identifications
                .emplace(net::load_be32(frame, 14 + net::ipv4::destination),
                         net::load_be16(frame, 14 + net::ipv4::identification))
                .second);
      pieces[net::load_be16(piece, net::ipv4::identification)].push_back(rig.frame_to(Rig::outside, piece));
    }
  CHECK(pieces.size() == 2 * datagrams);
  for (const auto& [identification, frames] : pieces)
    if (joined(frames).size() != clear.size()) FAIL("pieces of number " << identification);
  CHECK(rig.taken(Verdict::FRAGMENTED) == 2 * datagrams);
  CHECK(rig.taken(Verdict::REASSEMBLY_PART) == 6 * datagrams);
  rig.shared.buffers = small_before;
  rig.shared.large_buffers = large_before;
  CHECK(small.in_use() + large.in_use() == 0);
  CHECK(rig.conserved());
}

// Every buffer that can be missing, one by one: each is counted, nothing leaks, and the other packets of the
// burst fare as if nothing had happened.
#include <rte_ring.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "datapath/net/headers.hpp"
#include "tests/datapath/policy/policies.hpp"
#include "tests/datapath/worker/bursts.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/tunnel_rig.hpp"
#include "tests/datapath/worker/watched_pool.hpp"
#include "tests/datapath/worker/worker_lane.hpp"

using namespace espgate;
using namespace espgate::test;
using testing::selector;

namespace {

// All that allocates, in two bursts: fragments made whole, decrypted, cut and punted; shared buffers; packets
// cut before and after they are encrypted; a sender to be told; copies for a capture.
std::size_t run_everything(Rig& rig, WorkerLane& lane) {
  const auto burst_of = [&](const std::vector<Bytes>& frames, std::size_t shared_from) {
    std::vector<rte_mbuf*> burst;
    for (const auto& frame : frames) burst.push_back(lane.buffer(frame));
    std::vector<rte_mbuf*> shared(burst.begin() + static_cast<std::ptrdiff_t>(shared_from), burst.end());
    for (auto* mbuf : shared) rte_mbuf_refcnt_update(mbuf, 1);
    return std::pair(burst, shared);
  };
  const auto run = [&](std::uint8_t port, const std::vector<Bytes>& frames, std::size_t shared_from) {
    const auto [burst, shared] = burst_of(frames, shared_from);
    const auto left = lane.run(port, burst).size();
    for (auto* mbuf : shared) rte_pktmbuf_free(mbuf);
    return left;
  };
  auto ike = rig.inner(net::Family::v4, 1'500, true);
  const std::uint8_t addresses[] = {192, 0, 2, 2, 192, 0, 2, 1};
  std::copy_n(addresses, 8, ike.begin() + net::ipv4::source);
  net::store_be16(ike, 22, 500);
  mend_checksum(ike);
  const std::vector<std::size_t> cuts{800};
  std::vector<Bytes> in = fragments_of(rig.frame_to(Rig::outside, ike), cuts, 1);
  for (std::uint64_t sequence = 1; sequence <= 3; ++sequence)
    for (auto& part :
         fragments_of(rig.esp_frame(sequence, rig.inner(net::Family::v4, 800 + 500 * sequence, true),
                                    net::protocol_ipv4),
                      cuts, static_cast<std::uint32_t>(sequence + 1)))
      in.push_back(part);
  const auto parts = in.size();
  for (std::uint64_t sequence = 4; sequence <= 6; ++sequence)
    in.push_back(rig.esp_frame(sequence, rig.inner(net::Family::v4, 100, true), net::protocol_ipv4));
  auto out = leaving(rig);
  auto large = rig.inner(net::Family::v4, 1'400, false);
  out[3] = out[9] = rig.frame_to(Rig::inside, large);
  large[net::ipv4::fragment] = 0x40;
  mend_checksum(large);
  out[5] = rig.frame_to(Rig::inside, large);
  out[7] = rig.frame_to(Rig::inside, rig.inner(net::Family::v6, 1'200, false));
  return run(Rig::outside, in, parts) + run(Rig::inside, out, 8);
}

// For what goes to UDP port 9, as the rig's packets do, either way.
SaOptions for_udp_port_9() {
  return {.selectors = {selector("0.0.0.0/0", "10.2.0.0/16", net::protocol_udp, {9, 9}),
                        selector("0.0.0.0/0", "10.2.0.0/16", net::protocol_udp, {}, {9, 9})}};
}

}  // namespace

TEST_CASE("the n-th buffer is missing, for every n, and no other packet notices") {
  Rig rig;
  WorkerLane lane(rig, 0);
  const WatchedPool pool("watched", 127, RTE_MBUF_DEFAULT_BUF_SIZE);
  auto* const all = std::exchange(rig.shared.buffers, pool.get());
  std::uint64_t next = 1;
  for (const auto port : {Rig::outside, Rig::inside})
    for (unsigned n = 0; n <= burst_size; ++n) {
      CAPTURE(int{port}, n);
      const auto frames = port == Rig::outside ? arriving(rig, next) : leaving(rig);
      next += burst_size;
      std::vector<rte_mbuf*> shared;  // each must be copied before it may be changed
      for (const auto& frame : frames) shared.push_back(lane.buffer(frame));
      std::vector<const std::uint8_t*> bytes;
      for (auto* mbuf : shared) {
        rte_mbuf_refcnt_update(mbuf, 1);
        bytes.push_back(rte_pktmbuf_mtod(mbuf, const std::uint8_t*));
      }
      WatchedPool::allocations = 0;
      WatchedPool::failing = n;
      CHECK(lane.run(port, shared).size() == (n < burst_size ? burst_size - 1 : burst_size));
      CHECK(WatchedPool::allocations == burst_size);
      const auto reason =
          port == Rig::outside ? Verdict::IN_ESP_SHARED_BUFFER : Verdict::PKT_BUFFER_UNAVAILABLE;
      CHECK(rig.taken(reason) == (n < burst_size ? 1 : 0));
      CHECK(rig.taken(Verdict::FORWARDED) == (n < burst_size ? burst_size - 1 : burst_size));
      for (std::size_t i = 0; i < shared.size(); ++i) {
        CHECK(rte_mbuf_refcnt_read(shared[i]) == 1);
        CHECK(std::memcmp(bytes[i], frames[i].data(), frames[i].size()) == 0);
        rte_pktmbuf_free(shared[i]);
      }
      CHECK(pool.in_use() == 0);
    }
  rig.shared.buffers = all;
  WatchedPool::failing = ~0u;
  CHECK(lane.all_buffers_are_back());
  CHECK(rig.conserved());
}

TEST_CASE("allocation n of a run that needs buffers of all kinds fails, for every n") {
  const WatchedPool small("watched", 127, RTE_MBUF_DEFAULT_BUF_SIZE);
  const WatchedPool large("watchedlarge", 15, worker::large_buffer_bytes);
  const WatchedPool copies("watchedcopies", 127, RTE_MBUF_DEFAULT_BUF_SIZE);
  std::size_t all_left = 0;
  unsigned all = 0;
  std::uint64_t all_passed = 0;
  for (unsigned n = 0; n <= all; ++n) {
    const bool whole = n == 0;  // first a run in which none fails, to count them
    CAPTURE(n);
    Rig rig;
    WorkerLane lane(rig, 0);
    auto* const capture_buffers = std::exchange(rig.shared.capture_buffers, copies.get());
    auto* const buffers = std::exchange(rig.shared.buffers, small.get());
    auto* const large_buffers = std::exchange(rig.shared.large_buffers, large.get());
    rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, must(rig.engine->make_queue()));
    rig.sas->outbound(rig.outbound).path_mtu = 1'280;
    rig.shared.capture.drop = Verdict::OUT_CANNOT_FRAG_DF_SET_PKT;
    rig.shared.capture.what = worker::CaptureRequest::What::drop;
    WatchedPool::allocations = 0;
    WatchedPool::failing = whole ? ~0u : n - 1;
    const auto left = run_everything(rig, lane);
    const auto punted = rte_ring_count(rig.shared.rings.ike);
    const auto told = rig.refused().size();
    const auto captured = rig.captured().size();
    const auto passed = left + punted + told + captured;
    const auto unavailable =
        rig.taken(Verdict::PKT_BUFFER_UNAVAILABLE) + rig.taken(Verdict::IN_ESP_SHARED_BUFFER);
    if (whole) {
      all = WatchedPool::allocations;
      all_left = left;
      all_passed = passed;
      CHECK(unavailable == 0);
      CHECK(punted + told + captured == 3);
      CHECK(left == 6 + 2 + 15 + 3);  // two of the six decrypted are cut, and three of the fifteen that leave
    } else {
      // One packet is gone, or one that is in pieces, or a copy; whatever it is, it is counted.
      CHECK(left + 2 >= all_left);
      CHECK(passed + 2 >= all_passed);
      CHECK(unavailable + rig.shared.capture.lost + rig.workers[0]->load().notices_lost.value() == 1);
    }
    CHECK(large.in_use() == rig.workers[0]->reassembling());
    rig.shared.buffers = buffers;
    rig.shared.large_buffers = large_buffers;
    rig.shared.capture_buffers = capture_buffers;
    (void)rig.run(Rig::outside, Bytes(1));  // takes what was punted
    CHECK(rig.conserved());
    CHECK(lane.all_buffers_are_back());
    rig.workers.clear();
    CHECK(small.in_use() + large.in_use() + copies.in_use() == 0);
  }
  CHECK(all > 40);
  WatchedPool::failing = ~0u;
}

TEST_CASE("allocation n fails while fragments inside of SAs are made whole, both ways, for every n") {
  const WatchedPool small("watched", 127, RTE_MBUF_DEFAULT_BUF_SIZE);
  const WatchedPool large("watchedlarge", 15, worker::large_buffer_bytes);
  constexpr unsigned packets = 3, pieces = 2;
  unsigned all = 0;
  for (unsigned n = 0; n <= all; ++n) {
    const bool whole = n == 0;  // first a run in which none fails, to count them
    CAPTURE(n);
    TunnelRig rig(for_udp_port_9());
    WorkerLane lane(rig, 0);
    auto* const buffers = std::exchange(rig.shared.buffers, small.get());
    auto* const large_buffers = std::exchange(rig.shared.large_buffers, large.get());
    rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, must(rig.engine->make_queue()));
    rig.sas->outbound(rig.outbound).path_mtu = 1'000;
    std::vector<Bytes> in, out;
    for (std::uint32_t i = 0; i < packets; ++i) {
      const std::vector<std::size_t> cuts{704};
      const auto cut = [&](bool from_peer) {
        return fragments_of(rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 1'200, from_peer)), cuts, i);
      };
      for (const auto& part : cut(true)) {
        const Bytes packet(part.begin() + net::ethernet_bytes, part.end());
        in.push_back(rig.esp_frame(in.size() + 1, packet, net::protocol_ipv4));
      }
      for (auto& part : cut(false)) out.push_back(std::move(part));
    }
    WatchedPool::allocations = 0;
    WatchedPool::failing = whole ? ~0u : n - 1;
    const auto left = lane.run(Rig::outside, in).size() + lane.run(Rig::inside, out).size();
    if (whole) {
      all = WatchedPool::allocations;
      CHECK(left == 2 * packets * pieces);
      CHECK(rig.taken(Verdict::PKT_BUFFER_UNAVAILABLE) == 0);
      CHECK(rig.drops() == 0);
    } else {
      CHECK(left < 2 * packets * pieces);
      CHECK(left + pieces >= 2 * packets * pieces);
      CHECK(rig.taken(Verdict::PKT_BUFFER_UNAVAILABLE) == 1);
    }
    CHECK(large.in_use() == rig.workers[0]->reassembling());
    rig.shared.buffers = buffers;
    rig.shared.large_buffers = large_buffers;
    CHECK(rig.conserved());
    CHECK(lane.all_buffers_are_back());
    rig.workers.clear();
    CHECK(small.in_use() + large.in_use() == 0);
  }
  CHECK(all >= 2 * packets * (1 + pieces));
  WatchedPool::failing = ~0u;
}

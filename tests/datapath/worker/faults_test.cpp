// Faults put in one by one: every operation of a burst that the cipher can fail, every queue that can be
// full. Each is counted by name, nothing leaks, and the other packets of the
// burst fare as if nothing had happened.
#include <rte_ethdev.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <catch2/catch.hpp>
#include <set>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/bursts.hpp"
#include "tests/datapath/worker/must.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

// The real queue, but that operation `failing` of each burst fails, as IPsec-MB does when it refuses a job.
class FaultyQueue final : public crypto::Queue {
 public:
  FaultyQueue(std::unique_ptr<crypto::Queue> real, const unsigned& failing)
      : real_(std::move(real)), failing_(failing) {}

 private:
  void seal(std::span<crypto::Operation> burst) override {
    run(burst, [&](std::span<crypto::Operation> some) { real_->seal(some); });
  }
  void open(std::span<crypto::Operation> burst) override {
    run(burst, [&](std::span<crypto::Operation> some) { real_->open(some); });
  }
  template <typename Do>
  void run(std::span<crypto::Operation> burst, Do real) {
    const auto before = std::min<std::size_t>(failing_, burst.size());
    if (before != 0) real(burst.first(before));
    if (before == burst.size()) return;
    burst[before].status = crypto::Status::failed;
    if (before + 1 < burst.size()) real(burst.subspan(before + 1));
  }

  std::unique_ptr<crypto::Queue> real_;
  const unsigned& failing_;
};

}  // namespace

TEST_CASE("operation k of a burst fails, for every k, and no other packet notices") {
  const auto suite = GENERATE(crypto::SuiteId::aes_gcm_16_128, crypto::SuiteId::aes_cbc_128_sha256);
  const unsigned workers = GENERATE(1u, 2u);  // windows are committed in another way by several
  Rig rig({.suite = suite}, workers);
  unsigned failing = ~0u;
  rig.workers[0] = std::make_unique<worker::Worker>(
      rig.shared, 0, std::make_unique<FaultyQueue>(must(rig.engine->make_queue()), failing));
  std::uint64_t next = 1;
  std::set<std::uint64_t> sent;
  for (failing = 0; failing < burst_size; ++failing) {
    CAPTURE(failing);
    rig.verdicts();
    const auto frames = arriving(rig, next += burst_size);
    CHECK(rig.run(Rig::outside, frames).inside.size() == burst_size - 1);
    CHECK(rig.verdicts() == "FORWARDED=15 CRYPTO_DEVICE_IPSEC_STOP=1");
    // The number of the packet that failed is not used up: the same packet is welcome once more.
    const unsigned again = std::exchange(failing, ~0u);
    CHECK(rig.run(Rig::outside, frames).inside.size() == 1);
    CHECK(rig.verdicts() == "FORWARDED=1 IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL=15");
    failing = again;

    const auto out = rig.run(Rig::inside, leaving(rig)).outside;
    CHECK(out.size() == burst_size - 1);
    for (const auto& frame : out) {
      std::uint64_t sequence = 0;
      CHECK_FALSE(rig.open(frame, &sequence).empty());
      CHECK(sent.insert(sequence).second);
    }
    CHECK(rig.verdicts() == "FORWARDED=15 CRYPTO_DEVICE_IPSEC_STOP=1");
  }
  CHECK(rig.conserved());
}

TEST_CASE("7: an IV whose operation failed is never used again") {
  Rig rig;
  unsigned failing = 0;
  rig.workers[0] = std::make_unique<worker::Worker>(
      rig.shared, 0, std::make_unique<FaultyQueue>(must(rig.engine->make_queue()), failing));
  const auto frame = leaving(rig)[0];
  CHECK(rig.run(Rig::inside, frame).outside.empty());
  failing = ~0u;
  const auto out = rig.run(Rig::inside, frame).outside;
  REQUIRE(out.size() == 1);
  std::uint64_t sequence = 0;
  CHECK_FALSE(rig.open(out[0], &sequence).empty());
  CHECK(sequence == 2);
  CHECK(rig.sas->outbound_total(rig.outbound).packets == 1);
}

TEST_CASE("a transmit queue with room for r packets takes r of a burst, for every r") {
  const auto port = GENERATE(Rig::outside, Rig::inside);
  Rig rig;
  constexpr unsigned queue_room = 1'023;
  const auto frames_of = [&](std::uint64_t first) {
    return port == Rig::outside ? arriving(rig, first) : leaving(rig);
  };
  std::uint64_t next = 1;
  const auto process = [&](unsigned count) {
    const auto frames = frames_of(next);
    next += burst_size;
    std::vector<rte_mbuf*> burst;
    for (unsigned i = 0; i < count; ++i) {
      auto* mbuf = rte_pktmbuf_alloc(rig.shared.buffers);
      std::memcpy(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frames[i].size())), frames[i].data(),
                  frames[i].size());
      burst.push_back(mbuf);
    }
    rig.workers[0]->process_frames(burst.data(), count, port);
  };
  for (unsigned r = 0; r <= burst_size; r += 5) {
    CAPTURE(int{port}, r);
    unsigned filled = 0;
    for (; filled + burst_size <= queue_room - r; filled += burst_size) process(burst_size);
    if (filled != queue_room - r) process(queue_room - r - filled);
    CHECK(rig.taken(Verdict::FORWARDED) == queue_room - r);
    process(burst_size);
    CHECK(rig.taken(Verdict::FORWARDED) == std::min(r, burst_size));
    CHECK(rig.taken(Verdict::PORT_TX_FULL) == burst_size - std::min(r, burst_size));
    std::array<rte_mbuf*, worker::burst_max> sent;
    while (const auto count = rte_eth_rx_burst(1 - port, 0, sent.data(), worker::burst_max))
      rte_pktmbuf_free_bulk(sent.data(), count);
    process(burst_size);  // emptied, the queue takes what comes
    CHECK(rig.taken(Verdict::FORWARDED) == burst_size);
    rte_pktmbuf_free_bulk(sent.data(), rte_eth_rx_burst(1 - port, 0, sent.data(), worker::burst_max));
  }
  CHECK(rig.conserved());
}

TEST_CASE("full punt rings drop by name or lose a sample, and ESP in the same burst passes") {
  Rig rig;
  rig.shared.rates = {1'000'000, 1'000'000, 1'000'000};
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, must(rig.engine->make_queue()));
  auto& rings = rig.shared.rings;
  const auto fill = [&](rte_ring* ring) {
    while (!rte_ring_full(ring)) rte_ring_enqueue(ring, rte_pktmbuf_alloc(rig.shared.buffers));
  };
  auto ping = rig.inner(net::Family::v4, 8, true);
  const std::uint8_t addresses[] = {192, 0, 2, 2, 192, 0, 2, 1};
  std::memcpy(&ping[net::ipv4::source], addresses, sizeof addresses);
  ping[net::ipv4::protocol] = 1;
  mend_checksum(ping);
  auto ike = ping;
  ike[net::ipv4::protocol] = net::protocol_udp;
  net::store_be16(ike, 22, 500);
  mend_checksum(ike);
  const Bytes arp{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
  auto frames = arriving(rig, 1);
  auto unknown = frames[0];
  net::store_be32(unknown, net::ethernet_bytes + net::ipv4_header_bytes, 0xdead'beef);
  frames[1] = rig.frame_to(Rig::outside, ping);
  frames[5] = rig.frame_to(Rig::outside, ike);
  frames[9] = arp;
  frames[13] = unknown;
  for (auto* ring : {rings.host, rings.inner, rings.ike, rings.link}) fill(ring);
  sa::SpiMiss any{};
  while (rte_ring_enqueue_elem(rings.spi, &any, sizeof any) == 0) {
  }
  CHECK(rig.run(Rig::outside, frames).inside.size() == burst_size - 4);
  CHECK(rig.verdicts() == "FORWARDED=12 IN_US_V4_PKT_SA_NOT_FOUND_SPI=1 IKE_RING_FULL=1 HOST_RING_FULL=2");
  CHECK(rig.workers[0]->load().spi_samples_lost.value() == 1);
  CHECK(rig.conserved());
}

TEST_CASE("full rings of those who are told something lose the word, and no packet fares otherwise") {
  Rig rig({.encapsulation = sa::Encapsulation::udp});
  rig.sas->outbound(rig.outbound).path_mtu = 1'400;
  auto& rings = rig.shared.rings;
  const auto run = [&](std::uint64_t first) {
    auto in = arriving(rig, first);
    auto unresolved = rig.inner(net::Family::v4, 20, true);
    unresolved[net::ipv4::destination + 3] = 77;
    mend_checksum(unresolved);
    in[3] = rig.esp_frame(first + 3, unresolved, net::protocol_ipv4);
    auto& moved = in[burst_size - 1];  // the newest
    net::store_be16(moved, 14 + 20, 61'000);
    CHECK(rig.run(Rig::outside, in).inside.size() == burst_size - 1);
    auto out = leaving(rig);
    out[5] = rig.frame_to(Rig::inside, rig.inner(net::Family::v6, 1'400, false));
    CHECK(rig.run(Rig::inside, out).outside.size() == burst_size - 1);
    CHECK(rig.verdicts() == "FORWARDED=30 OUT_CANNOT_FRAG_DF_SET_PKT=1 NEIGHBOUR_UNRESOLVED=1");
  };
  while (!rte_ring_full(rings.refused)) {
    auto* filler = rte_pktmbuf_alloc(rig.shared.buffers);
    REQUIRE(filler != nullptr);
    rte_ring_enqueue(rings.refused, filler);
  }
  worker::PeerMoved any_peer{};
  while (rte_ring_enqueue_elem(rings.peer, &any_peer, sizeof any_peer) == 0) {
  }
  worker::NeighbourWanted any_neighbour{};
  while (rte_ring_enqueue_elem(rings.neighbour, &any_neighbour, sizeof any_neighbour) == 0) {
  }
  run(1);
  CHECK(rig.workers[0]->load().notices_lost.value() == 3);
  for (const auto& refused : rig.refused()) CHECK(refused.packet.empty());
  for (const auto& moved : rig.peers_moved()) CHECK(moved.port == 0);
  const auto neighbours_wanted = [&] {
    unsigned real = 0;
    for (worker::NeighbourWanted wanted; rte_ring_dequeue_elem(rings.neighbour, &wanted, sizeof wanted) == 0;)
      real += wanted.hop != 0;
    return real;
  };
  CHECK(neighbours_wanted() == 0);
  run(1 + burst_size);  // with room again, the same packets tell
  CHECK(rig.refused().size() == 1);
  CHECK(rig.peers_moved().size() == 1);
  CHECK(neighbours_wanted() == 1);
  CHECK(rig.workers[0]->load().notices_lost.value() == 3);
  CHECK(rig.conserved());
}

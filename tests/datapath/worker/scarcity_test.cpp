// Drops for want of something that frames on a wire cannot take away: buffers, rings, a working engine.
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

class FailingQueue final : public crypto::Queue {
  void seal(std::span<crypto::Operation> burst) override { fail(burst); }
  void open(std::span<crypto::Operation> burst) override { fail(burst); }
  static void fail(std::span<crypto::Operation> burst) {
    for (auto& operation : burst) operation.status = crypto::Status::failed;
  }
};

// The rig's workers have nothing to copy a packet to.
class NoBuffers {
 public:
  explicit NoBuffers(Rig& rig) : rig_(rig), all_(rig.shared.buffers) {
    pool_ = rte_pktmbuf_pool_create("none", 1, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    last_ = rte_pktmbuf_alloc(pool_);
    rig_.shared.buffers = pool_;
  }
  ~NoBuffers() {
    rig_.shared.buffers = all_;
    rte_pktmbuf_free(last_);
    rte_mempool_free(pool_);
  }
  NoBuffers(const NoBuffers&) = delete;
  NoBuffers& operator=(const NoBuffers&) = delete;
  rte_mempool* all() const { return all_; }

 private:
  Rig& rig_;
  rte_mempool* all_;
  rte_mempool* pool_;
  rte_mbuf* last_;
};

Bytes from_inside(Rig& rig) {
  return rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 20, false));
}

Bytes to_us(const Rig& rig, std::uint8_t protocol, std::uint16_t port) {
  Bytes ip(28);
  ip[0] = 0x45;
  net::store_be16(ip, net::ipv4::total_length, 28);
  ip[net::ipv4::ttl] = 64;
  ip[net::ipv4::protocol] = protocol;
  const std::uint8_t addresses[] = {192, 0, 2, 2, 192, 0, 2, 1};
  std::memcpy(&ip[net::ipv4::source], addresses, sizeof addresses);
  net::store_be16(ip, net::ipv4::checksum, net::header_checksum(std::span(ip).first(20)));
  net::store_be16(ip, 22, port);
  net::store_be16(ip, 24, 8);
  return rig.frame_to(Rig::outside, ip);
}

}  // namespace

TEST_CASE("what the crypto engine fails to do is dropped by name, both ways") {
  Rig rig;
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, std::make_unique<FailingQueue>());
  const auto esp = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), net::protocol_ipv4);
  CHECK(rig.run(Rig::outside, esp).inside.empty());
  CHECK(rig.run(Rig::inside, from_inside(rig)).outside.empty());
  CHECK(rig.verdicts() == "CRYPTO_DEVICE_IPSEC_STOP=2");
  CHECK(rig.conserved());
}

TEST_CASE("a shared buffer is copied before it is changed") {
  Rig rig;
  const auto esp = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), net::protocol_ipv4);
  auto* packet = buffer_with(rig.shared.buffers, esp);
  rte_mbuf_refcnt_update(packet, 1);
  rig.workers[0]->process_frames(&packet, 1, Rig::outside);
  CHECK(rig.verdicts() == "FORWARDED=1");
  CHECK(std::memcmp(rte_pktmbuf_mtod(packet, const std::uint8_t*), esp.data(), esp.size()) == 0);
  rte_pktmbuf_free(packet);
}

TEST_CASE("without a buffer to copy to, a shared one is dropped by name") {
  Rig rig;
  NoBuffers none(rig);
  const auto esp = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), net::protocol_ipv4);
  auto* inbound = buffer_with(none.all(), esp);
  auto* outbound = buffer_with(none.all(), from_inside(rig));
  for (auto* packet : {inbound, outbound}) rte_mbuf_refcnt_update(packet, 1);
  rig.workers[0]->process_frames(&inbound, 1, Rig::outside);
  CHECK(rig.verdicts() == "IN_ESP_SHARED_BUFFER=1");
  rig.workers[0]->process_frames(&outbound, 1, Rig::inside);
  CHECK(rig.verdicts() == "PKT_BUFFER_UNAVAILABLE=1");
  for (auto* packet : {inbound, outbound}) rte_pktmbuf_free(packet);
}

TEST_CASE("ESP and cleartext longer than any buffer are dropped by name") {
  Rig rig;
  auto* const large = std::exchange(rig.shared.large_buffers, nullptr);
  const auto chained = [&](const Bytes& frame) {
    auto* head = buffer_with(rig.shared.buffers, frame);
    for (int i = 0; i < 3; ++i) rte_pktmbuf_chain(head, buffer_with(rig.shared.buffers, Bytes(2'000)));
    return head;
  };
  auto esp = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), net::protocol_ipv4);
  auto clear = from_inside(rig);
  for (auto* frame : {&esp, &clear}) {
    const std::span ip = std::span(*frame).subspan(net::ethernet_bytes);
    net::store_be16(ip, net::ipv4::total_length, static_cast<std::uint16_t>(ip.size() + 6'000));
    net::store_be16(ip, net::ipv4::checksum, 0);
    net::store_be16(ip, net::ipv4::checksum, net::header_checksum(ip.first(20)));
  }
  auto* packet = chained(esp);
  rig.workers[0]->process_frames(&packet, 1, Rig::outside);
  CHECK(rig.verdicts() == "IN_INFRA_V4_PKT_LEN_TOO_BIG=1");
  packet = chained(clear);
  rig.workers[0]->process_frames(&packet, 1, Rig::inside);
  CHECK(rig.verdicts() == "OUT_INFRA_V4_PKT_LEN_TOO_BIG=1");
  auto clear6 = rig.frame_to(Rig::inside, rig.inner(net::Family::v6, 20, false));
  net::store_be16(clear6, net::ethernet_bytes + net::ipv6::payload_length, 28 + 6'000);
  packet = chained(clear6);
  rig.workers[0]->process_frames(&packet, 1, Rig::inside);
  CHECK(rig.verdicts() == "OUT_INFRA_V6_PKT_LEN_TOO_BIG=1");
  rig.shared.large_buffers = large;
  CHECK(rig.conserved());
}

TEST_CASE("a full transmit queue and full punt rings drop by name") {
  Rig rig;
  rig.shared.rates = {1'000'000, 1'000'000, 1'000'000};
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, rig.engine->make_queue().value());
  const auto flood = [&](std::uint8_t port, const Bytes& frame, unsigned bursts) {
    for (unsigned i = 0; i < bursts; ++i) {
      std::array<rte_mbuf*, worker::burst_max> packets;
      for (auto& packet : packets) packet = buffer_with(rig.shared.buffers, frame);
      rig.workers[0]->process_frames(packets.data(), worker::burst_max, port);
    }
  };
  constexpr unsigned transmit_ring = 1'023, punt_ring = 256;
  SECTION("transmit queue") {
    flood(Rig::inside, from_inside(rig), 17);
    CHECK(rig.taken(Verdict::FORWARDED) == transmit_ring);
    CHECK(rig.taken(Verdict::PORT_TX_FULL) == 17 * 64 - transmit_ring);
  }
  SECTION("host ring") {
    flood(Rig::outside, to_us(rig, 1, 0), 5);
    CHECK(rig.taken(Verdict::TO_HOST) == punt_ring);
    CHECK(rig.taken(Verdict::HOST_RING_FULL) == 5 * 64 - punt_ring);
  }
  SECTION("a full host ring leaves ARP its own") {
    flood(Rig::outside, to_us(rig, 1, 0), 5);
    const Bytes arp{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
    flood(Rig::outside, arp, 1);
    CHECK(rig.taken(Verdict::TO_HOST) == punt_ring + 64);
  }
  SECTION("IKE ring") {
    flood(Rig::outside, to_us(rig, net::protocol_udp, 500), 5);
    CHECK(rig.taken(Verdict::TO_CONTROL) == punt_ring);
    CHECK(rig.taken(Verdict::IKE_RING_FULL) == 5 * 64 - punt_ring);
  }
}

TEST_CASE("a flood of made up IKE messages leaves those to SPIs of ours theirs, and one SPI the others") {
  Rig rig;
  rig.shared.rates.ike_pps = 1'600;
  rig.shared.ike_spis = net::IkeSpis({1, 2});
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, rig.engine->make_queue().value());
  // By whoever began the IKE SA, we answer, or we did; in UDP 500 or 4500.
  const auto message = [&](std::uint64_t spi, bool from_initiator, bool in_natt) {
    const std::size_t marker = in_natt ? 4 : 0;
    auto packet = rig.inner(net::Family::v4, marker + 28, true);
    const std::uint8_t addresses[] = {192, 0, 2, 2, 192, 0, 2, 1};
    std::memcpy(&packet[net::ipv4::source], addresses, sizeof addresses);
    net::store_be16(packet, 22, in_natt ? 4'500 : 500);
    std::fill(packet.begin() + 28, packet.end(), std::uint8_t{0});
    net::store_be64(packet, 28 + marker + (from_initiator ? 8 : 0), spi);
    packet[28 + marker + 19] = from_initiator ? 0x08 : 0x20;
    mend_checksum(packet);
    return rig.frame_to(Rig::outside, packet);
  };
  const auto flood = [&](const Bytes& frame, unsigned bursts) {
    for (unsigned i = 0; i < bursts; ++i) {
      std::array<rte_mbuf*, worker::burst_max> packets;
      for (auto& packet : packets) packet = buffer_with(rig.shared.buffers, frame);
      rig.workers[0]->process_frames(packets.data(), worker::burst_max, Rig::outside);
    }
    return rte_ring_count(rig.shared.rings.ike_known);
  };
  constexpr unsigned one_share = 64;  // its burst, twice at first
  const auto ours = [&](std::uint32_t number) { return rig.shared.ike_spis.make(number); };
  CHECK(flood(message(0, true, false), 4) == 0);
  CHECK(flood(message(ours(7) ^ 1, true, false), 4) == 0);
  CHECK(rig.taken(Verdict::IKE_RATE_LIMITED) > 0);
  const auto first = flood(message(ours(7), true, false), 3);
  CHECK(first >= one_share);
  CHECK(first < 2 * one_share);
  CHECK(flood(message(ours(8), false, false), 1) >= first + one_share);
  CHECK(flood(message(ours(9), true, true), 1) >= first + 2 * one_share);
}

TEST_CASE("a flood of made up SPIs hides no packet of an SA that is gone, and one such SA no other") {
  Rig rig;
  rig.shared.rates.spi_pps = 1'600;
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, rig.engine->make_queue().value());
  REQUIRE(rig.sas->reserve_inbound(0x3002));
  REQUIRE(rig.sas->publish_earlier(0x3003));
  rig.sas->retire_inbound(rig.inbound);
  const auto flood = [&](std::uint32_t spi, unsigned bursts) {
    auto frame = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), net::protocol_ipv4);
    net::store_be32(frame, net::ethernet_bytes + net::ipv4_header_bytes, spi);
    for (unsigned i = 0; i < bursts; ++i) {
      std::array<rte_mbuf*, worker::burst_max> packets;
      for (auto& packet : packets) packet = buffer_with(rig.shared.buffers, frame);
      rig.workers[0]->process_frames(packets.data(), worker::burst_max, Rig::outside);
    }
    return std::pair(rte_ring_count(rig.shared.rings.spi), rte_ring_count(rig.shared.rings.spi_known));
  };
  const auto [made_up, none] = flood(0xdead'beef, 8);
  CHECK(made_up > 0);
  CHECK(made_up < 8 * worker::burst_max);
  CHECK(none == 0);
  const auto one = flood(Rig::inbound_spi, 3).second;
  CHECK(one >= 32);
  CHECK(one < 2 * worker::burst_max);  // its share
  const auto two = flood(0x3002, 1).second;
  CHECK(two >= one + 32);
  // One of before a restart is known as well.
  CHECK(rig.taken(Verdict::IN_SA_RETIRED) == 3 * worker::burst_max);
  CHECK(flood(0x3003, 1).second >= two + 32);
  CHECK(rig.taken(Verdict::IN_SA_RETIRED) == worker::burst_max);
}

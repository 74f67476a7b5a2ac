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

TEST_CASE("strangers who begin IKE, however many, leave its other messages their limit") {
  Rig rig;
  rig.shared.rates = {1'000'000, 10, 1'000'000};
  rig.workers[0] = std::make_unique<worker::Worker>(rig.shared, 0, rig.engine->make_queue().value());
  constexpr std::uint64_t burst = 32;  // the least that a limit takes at once
  const auto message = [&](std::uint16_t port, std::uint8_t exchange, std::uint8_t flags) {
    auto frame = to_us(rig, net::protocol_udp, port);
    const std::size_t ike = frame.size() + (port == net::natt_port ? 4 : 0);
    frame.resize(ike + 28);
    const auto ip_bytes = static_cast<std::uint16_t>(frame.size() - net::ethernet_bytes);
    net::store_be16(frame, net::ethernet_bytes + net::ipv4::total_length, ip_bytes);
    net::store_be16(frame, net::ethernet_bytes + 24, static_cast<std::uint16_t>(ip_bytes - 20));
    mend_checksum(frame, net::ethernet_bytes);
    frame[ike + 18] = exchange;
    frame[ike + 19] = flags;
    return frame;
  };
  for (const auto port : {net::ike_port, net::natt_port}) {
    const std::vector<Bytes> greetings(64, message(port, 34, 0x08));
    rig.run(Rig::outside, greetings);
  }
  CHECK(rig.taken(Verdict::TO_CONTROL) == burst);
  CHECK(rig.taken(Verdict::IKE_RATE_LIMITED) == 128 - burst);
  const std::vector<Bytes> answers(16, message(500, 34, 0x20));
  const std::vector<Bytes> others(16, message(4500, 37, 0x08));
  rig.run(Rig::outside, answers);
  rig.run(Rig::outside, others);
  CHECK(rig.taken(Verdict::TO_CONTROL) == 32);
}

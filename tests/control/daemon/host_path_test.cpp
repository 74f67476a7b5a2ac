// The control core's half of the host path, between real rings and a real twin.
#include "control/daemon/host_path.hpp"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstring>

#include "tests/drivers/host/namespace_tools.hpp"

namespace espgate::test {
namespace {

constexpr unsigned ring_entries = 64;
constexpr unsigned pool_size = 511;

class Path {
 public:
  Path() {
    taps.push_back(make_tap("twin0", 1));
    run("ip addr add 10.0.0.1/24 dev twin0");
    run("ip neigh add 10.0.0.2 dev twin0 lladdr 02:00:00:00:00:09 nud permanent");
    const auto ring = [](const char* name) {
      return rte_ring_create(name, ring_entries, SOCKET_ID_ANY, RING_F_EXACT_SZ);
    };
    rings.host = ring("t_host");
    rings.inner = ring("t_inner");
    rings.ike_known = ring("t_ike_known");
    rings.ike = ring("t_ike");
    rings.inject = ring("t_inject");
    rings.link = ring("t_link");
    buffers = rte_pktmbuf_pool_create("t_buffers", pool_size, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    REQUIRE(buffers != nullptr);
    path.emplace(taps, rings, buffers);
    forget();
  }
  ~Path() {
    forget();
    for (auto* ring : {rings.link, rings.host, rings.inner, rings.ike_known, rings.ike, rings.inject})
      rte_ring_free(ring);
    rte_mempool_free(buffers);
  }
  void forget() {
    void* packet = nullptr;
    for (auto* ring : {rings.link, rings.host, rings.inner, rings.ike_known, rings.ike, rings.inject})
      while (rte_ring_dequeue(ring, &packet) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
  }
  rte_mbuf* frame(std::uint16_t port) {
    auto* packet = rte_pktmbuf_alloc(buffers);
    std::memset(rte_pktmbuf_append(packet, 60), 0xff, 60);
    packet->port = port;
    return packet;
  }
  void punt(rte_ring* ring, std::uint16_t port = 0) { REQUIRE(rte_ring_enqueue(ring, frame(port)) == 0); }
  void kernel_sends(int datagrams) {
    run("bash -c 'for i in $(seq " + std::to_string(datagrams) + "); do echo x > /dev/udp/10.0.0.2/9; done'");
  }
  // Until nothing comes any more.
  Expected<void> take_all() {
    Expected<void> result;
    for (std::uint64_t before = ~0ull; result && before != path->counters().from_host.value();) {
      before = path->counters().from_host.value();
      result = path->take(0);
    }
    return result;
  }
  std::uint64_t count(Verdict verdict) const { return path->counters().verdicts[index_of(verdict)].value(); }

  std::vector<host::Tap> taps;
  worker::PuntRings rings;
  rte_mempool* buffers = nullptr;
  std::optional<daemon::HostPath> path;
};

TEST_CASE("Punted packets go to the twin of their port, a few of each kind at a time") {
  Path p;
  for (unsigned i = 0; i < ring_entries; ++i)
    for (auto* ring : {p.rings.host, p.rings.inner, p.rings.ike_known, p.rings.ike}) p.punt(ring);
  const auto first = p.path->deliver();
  CHECK(first > 0);
  CHECK(first <= 4 * 8);
  for (auto* ring : {p.rings.host, p.rings.inner, p.rings.ike_known, p.rings.ike})
    CHECK(rte_ring_count(ring) == ring_entries - first / 4);
  while (p.path->deliver() != 0) {
  }
  CHECK(p.count(Verdict::TO_HOST) == 4 * ring_entries);
  CHECK(rte_mempool_avail_count(p.buffers) == pool_size);
}

TEST_CASE("What belongs to an IKE SA of ours is heard before who begins, whatever waits") {
  Path p;
  std::vector<std::uint16_t> taken;
  p.path->take_ike([&](std::span<const std::uint8_t> frame) {
    taken.push_back(frame[0]);
    return true;
  });
  p.punt(p.rings.ike);
  p.punt(p.rings.ike_known);
  void* known = nullptr;
  REQUIRE(rte_ring_dequeue(p.rings.ike_known, &known) == 0);
  *rte_pktmbuf_mtod(static_cast<rte_mbuf*>(known), std::uint8_t*) = 1;
  REQUIRE(rte_ring_enqueue(p.rings.ike_known, known) == 0);
  p.path->deliver();
  CHECK(taken == std::vector<std::uint16_t>{1, 0xff});
  CHECK(p.count(Verdict::TO_CONTROL) == 2);
}

TEST_CASE("A packet for a port that is not there is counted") {
  Path p;
  p.punt(p.rings.host, 7);
  p.path->deliver();
  CHECK(p.count(Verdict::HOST_TAP_FULL) == 1);
}

TEST_CASE("What the kernel sends is handed to the workers, and counted when their ring is full") {
  Path p;
  p.kernel_sends(5);
  REQUIRE(p.path->take(0));
  REQUIRE(p.take_all());
  const auto taken = p.count(Verdict::FORWARDED);
  CHECK(taken >= 5);  // the kernel may add what it likes, such as router solicitations
  CHECK(rte_ring_count(p.rings.inject) == taken);
  CHECK(p.count(Verdict::HOST_INJECT_FULL) == 0);

  p.kernel_sends(100);
  REQUIRE(p.take_all());
  CHECK(p.count(Verdict::FORWARDED) == ring_entries);
  CHECK(p.count(Verdict::HOST_INJECT_FULL) >= 100 + taken - ring_entries);
  CHECK(p.path->counters().from_host.value() ==
        p.count(Verdict::FORWARDED) + p.count(Verdict::HOST_INJECT_FULL));
}

TEST_CASE("Without buffers the twin is emptied all the same") {
  Path p;
  std::vector<rte_mbuf*> held(rte_mempool_avail_count(p.buffers));
  REQUIRE(rte_pktmbuf_alloc_bulk(p.buffers, held.data(), static_cast<unsigned>(held.size())) == 0);
  p.kernel_sends(5);
  REQUIRE(p.take_all());
  CHECK(p.count(Verdict::PKT_BUFFER_UNAVAILABLE) >= 5);
  for (auto* packet : held) rte_pktmbuf_free(packet);
}

TEST_CASE("A twin that somebody removed is told once, and what was for it is counted") {
  Path p;
  p.kernel_sends(1);
  REQUIRE(p.take_all());
  CHECK_FALSE(p.path->twin_gone(0));
  run("ip link del twin0");
  const auto taken = p.path->take(0);
  REQUIRE(!taken);
  CHECK_THAT(taken.error().text(), Catch::Contains("twin0") && Catch::Contains("restart espgated"));
  CHECK(p.path->twin_gone(0));
  CHECK(p.path->take(0));
  p.punt(p.rings.host);
  CHECK(p.path->deliver() == 1);
  CHECK(p.count(Verdict::HOST_TAP_FULL) == 1);
  p.forget();
  CHECK(rte_mempool_avail_count(p.buffers) == pool_size);
}

}  // namespace
}  // namespace espgate::test

#include "drivers/port/open_port.hpp"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <catch2/catch.hpp>

namespace espgate::test {
namespace {

using Catch::Contains;

rte_mempool* buffers() {
  static auto* pool =
      rte_pktmbuf_pool_create("buffers", 4'095, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  REQUIRE(pool != nullptr);
  return pool;
}

port::PortOptions options(const char* device, unsigned workers = 1) {
  port::PortOptions result;
  result.name = "outside";
  result.device = device;
  result.workers = workers;
  return result;
}

std::unique_ptr<port::OpenPort> open(const char* device, unsigned workers = 1) {
  auto opened = port::OpenPort::open(options(device, workers), buffers());
  if (!opened) FAIL(opened.error().text());
  return std::move(*opened);
}

TEST_CASE("A port opens with a transmit queue a worker, and its frames come from our buffers") {
  const auto port = open("net_null0", 3);
  CHECK(port->port().driver == "net_null");
  CHECK(port->port().transmit_queues == 3);
  CHECK(port->port().present);
  CHECK(port->link().up);
  CHECK(port->port().up);
  rte_mbuf* frame = nullptr;
  REQUIRE(rte_eth_rx_burst(port->port().ethdev, 0, &frame, 1) == 1);  // the null device always has one
  CHECK(frame->pool == buffers());
  rte_pktmbuf_free(frame);
  CHECK(port->statistics().rx_packets == 1);
}

TEST_CASE("A port closes when it is destroyed, its device is gone for DPDK then") {
  std::uint16_t id = 0;
  { id = open("net_null1")->port().ethdev; }
  CHECK(rte_eth_dev_is_valid_port(id) == 0);
  const auto again = port::OpenPort::open(options("net_null1"), buffers());
  REQUIRE(!again);
  CHECK_THAT(again.error().what, Contains("the driver refused it"));
}

TEST_CASE("A device that DPDK does not have is named") {
  const auto opened = port::OpenPort::open(options("net_nosuch0,iface=x"), buffers());
  REQUIRE(!opened);
  CHECK_THAT(opened.error().what, Contains("the driver refused it"));
  CHECK_THAT(opened.error().remedy, Contains("driver"));
  const auto pci = port::OpenPort::open(options("0000:ff:1f.7"), buffers());
  REQUIRE(!pci);
  CHECK_THAT(pci.error().what, Contains("DPDK has no such device"));
  CHECK_THAT(pci.error().remedy, Contains("DPDK has no driver for such a card"));
}

TEST_CASE("More workers than the device has queues are refused") {
  const auto opened = port::OpenPort::open(options("net_ring1", 1'000), buffers());
  REQUIRE(!opened);
  CHECK_THAT(opened.error().what, Contains("1000 workers need as many transmit queues"));
  CHECK_THAT(opened.error().remedy, Contains("worker-cpus"));
}

TEST_CASE("A change of the link is told once") {
  const auto port = open("net_ring0");
  CHECK_FALSE(port->refresh_link());  // open() found it so
  REQUIRE(rte_eth_dev_set_link_down(port->port().ethdev) == 0);
  CHECK(port->refresh_link());
  CHECK_FALSE(port->link().up);
  CHECK_FALSE(port->port().up);
  CHECK(port->port().present);
  CHECK_FALSE(port->refresh_link());
  REQUIRE(rte_eth_dev_set_link_up(port->port().ethdev) == 0);
  CHECK(port->refresh_link());
  CHECK(port->link().up);
  CHECK_FALSE(port->refresh_link());
  CHECK(port->link_changes() == 2);

  // As DPDK's interrupt thread does when the device is pulled, between two refreshes.
  port->port().present.store(false);
  CHECK(port->refresh_link());
  CHECK_FALSE(port->link().up);
  CHECK_FALSE(port->refresh_link());
  CHECK(port->link_changes() == 3);
}

TEST_CASE("A device that goes while its link is down is told all the same") {
  const auto port = open("net_ring2");
  REQUIRE(rte_eth_dev_set_link_down(port->port().ethdev) == 0);
  CHECK(port->refresh_link());
  port->port().present.store(false);
  CHECK(port->refresh_link());
  CHECK_FALSE(port->refresh_link());
}

}  // namespace
}  // namespace espgate::test

// What is told of CPUs and devices without DPDK having been started.
#include <fmt/format.h>
#include <rte_build_config.h>
#include <sched.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

#include "drivers/port/eal.hpp"
#include "drivers/port/open_port.hpp"
#include "drivers/port/vdev_drivers.hpp"

namespace espgate::test {
namespace {

using Catch::Contains;

// Leaves this thread one CPU, and the rest again at the end.
class OneCpu {
 public:
  explicit OneCpu(unsigned cpu) {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  }
  ~OneCpu() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

unsigned allowed_cpu() {
  return static_cast<unsigned>(sched_getcpu());
}

TEST_CASE("CPUs that exist and are ours are accepted, more than once too") {
  const auto cpu = allowed_cpu();
  CHECK(port::check_cpus(cpu, {cpu, cpu}));
}

TEST_CASE("All CPUs that do not exist are named") {
  const auto checked = port::check_cpus(allowed_cpu(), {1021, 1020, 900});
  REQUIRE(!checked);
  CHECK_THAT(checked.error().what, Contains("no CPUs 900,1020-1021") && Contains("online"));
  CHECK_THAT(checked.error().remedy, Contains("worker-cpus"));
}

TEST_CASE("A CPU that the process may not use is named, with what it may") {
  cpu_set_t all;
  sched_getaffinity(0, sizeof all, &all);
  if (CPU_COUNT(&all) < 2) return;
  unsigned other = 0;
  const auto cpu = allowed_cpu();
  while (other == cpu || !CPU_ISSET(other, &all)) ++other;
  const OneCpu one(cpu);
  CHECK(port::check_cpus(cpu, {cpu}));
  const auto checked = port::check_cpus(cpu, {cpu, other});
  REQUIRE(!checked);
  CHECK_THAT(checked.error().what, Contains("may use CPU " + std::to_string(cpu) + ",") &&
                                       Contains("not CPU " + std::to_string(other)));
  CHECK_THAT(checked.error().remedy, Contains("taskset"));
}

TEST_CASE("Virtual devices are known by their driver, a misspelt one is answered with what there is") {
  CHECK(port::check_vdev_driver("net_null0"));
  CHECK(port::check_vdev_driver("net_af_packet7,iface=lo"));
  const auto checked = port::check_vdev_driver("net_af_pakcet0,iface=lo");
  REQUIRE(!checked);
  CHECK_THAT(checked.error().what, Contains("no driver") && Contains("net_af_pakcet0") && !Contains("iface"));
  CHECK_THAT(checked.error().remedy,
             Contains("net_af_packet,") && Contains("net_ring") && Contains("net_tap"));
  CHECK_THAT(checked.error().remedy, !Contains("librte") && !Contains("net_ice"));
}

TEST_CASE("Arguments that a virtual device's driver does not know, or misses, are named") {
  const auto misspelt = port::check_device("net_af_packet1,ifce=lo");
  REQUIRE(!misspelt);
  CHECK_THAT(misspelt.error().what, Contains("net_af_packet has no argument \"ifce\""));
  CHECK_THAT(misspelt.error().remedy, Contains("iface, qpairs"));
  const auto missing = port::check_device("net_af_packet1");
  REQUIRE(!missing);
  CHECK_THAT(missing.error().what, Contains("needs the argument iface="));
  CHECK_FALSE(port::check_device("net_null1,bogus=1"));
  const auto no_file = port::check_device("net_pcap1,rx_pcap=/nonexistent.pcap");
  REQUIRE(!no_file);
  CHECK_THAT(no_file.error().what, Contains("/nonexistent.pcap"));
  CHECK(port::check_device("net_null1,size=64,copy=1"));
  CHECK(port::check_device("net_tap1,iface=espgatenew0"));  // which the device will make
}

TEST_CASE("Every argument that is said to be known is one that this DPDK's driver has") {
  // What no driver knows fails in its own parser, which names the argument. The drivers publish their own
  // lists.
  for (const auto& [driver, arguments] :
       {std::pair{"af_packet",
                  "iface=<string> qpairs=<int> blocksz=<int> framesz=<int> framecnt=<int> "
                  "qdisc_bypass=<0|1>"},
        std::pair{"null", "size=<int> copy=<int> no-rx=0|1"},
        std::pair{"tap", "iface=<string> mac=fixed|xx:xx:xx:xx:xx:xx remote=<string>"},
        std::pair{"af_xdp",
                  "iface=<string> start_queue=<int> queue_count=<int> shared_umem=<int> "
                  "xdp_prog=<string> busy_budget=<int> force_copy=<int>"}}) {
    std::ifstream file(fmt::format("{}/librte_net_{}.so", RTE_EAL_PMD_PATH, driver), std::ios::binary);
    if (!file) continue;  // not packaged here
    const std::string image((std::istreambuf_iterator<char>(file)), {});
    INFO(driver);
    CHECK(image.find(arguments) != std::string::npos);
  }
}

TEST_CASE("The interfaces and MTUs behind virtual devices are known where they are the kernel's") {
  CHECK(port::interface_of("net_af_packet0,framesz=2048,iface=eth1") == "eth1");
  CHECK(port::interface_of("net_tap0,iface=eth1").empty());
  CHECK(port::shared_interface_of("net_pcap0,iface=eth1") == "eth1");
  CHECK(port::shared_interface_of("net_af_xdp0,iface=eth1").empty());
  CHECK(port::largest_mtu("net_af_packet0,iface=eth1", 0) == 1'500);
  CHECK(port::largest_mtu("net_af_packet0,iface=eth1", net::vlans_of(0, 100)) == 1'500);
  CHECK(port::largest_mtu("net_af_packet0,iface=eth1", net::vlans_of(7, 100)) == 1'492);
  CHECK_FALSE(port::largest_mtu("0000:3b:00.0", 0));
}

TEST_CASE("A device that cannot be ours is told with what to do") {
  const auto no_driver = port::check_device("net_nosuch0");
  REQUIRE(!no_driver);
  CHECK_THAT(no_driver.error().what, Contains("net_nosuch0"));
  const auto no_interface = port::check_device("net_af_packet0,iface=nosuch0");
  REQUIRE(!no_interface);
  CHECK_THAT(no_interface.error().what, Contains("no network interface nosuch0"));
  const auto no_device = port::check_device("0000:ff:1f.7");
  REQUIRE(!no_device);
  CHECK_THAT(no_device.error().what, Contains("no PCI device 0000:ff:1f.7"));
  CHECK(!no_device.error().remedy.empty());
  CHECK(port::check_device("net_af_packet0,iface=lo"));
}

TEST_CASE("Huge pages that nobody has are an error with the number to reserve") {
  const auto checked = port::check_hugepages(1u << 30);
  REQUIRE(!checked);
  CHECK_THAT(checked.error().what, Contains("1073741824 MB") && Contains("are free"));
  CHECK_THAT(checked.error().remedy, Contains("vm.nr_hugepages=536870913"));
  CHECK(port::check_hugepages(0));
  const auto reserved = port::check_hugepages(1u << 30, port::Hugepages::reserved);
  REQUIRE(!reserved);
  CHECK_THAT(reserved.error().what, Contains("are reserved"));
}

TEST_CASE("A vdev string gets the queue pairs that the workers need, where the driver takes them") {
  CHECK(port::vdev_for("net_af_packet0,iface=a", 1) == "net_af_packet0,iface=a");
  CHECK(port::vdev_for("net_af_packet0,iface=a", 3) == "net_af_packet0,iface=a,qpairs=3");
  CHECK(port::vdev_for("net_af_packet0,iface=a,qpairs=2", 3) == "net_af_packet0,iface=a,qpairs=2");
  CHECK(port::vdev_for("net_null0", 3) == "net_null0");
}

}  // namespace
}  // namespace espgate::test

#include "control/config/device.hpp"

#include <catch2/catch.hpp>

using namespace espgate::config;

TEST_CASE("spellings of one PCI address are one device") {
  for (const auto* text :
       {"0000:3b:00.0", "3b:00.0", "3B:0.0", "0:3b:0.0", "pci:0000:3b:00.0", "3b:00.0,a=1,b=2"}) {
    INFO(text);
    const auto device = parse_device(text);
    REQUIRE(device);
    CHECK(device->identity == "0000:3b:00.0");
    CHECK(device->kernel_interface.empty());
  }
  CHECK(parse_device("10000:01:1f.7")->identity == "10000:01:1f.7");
}

TEST_CASE("virtual devices are known by name, and by the kernel's interface they drive") {
  const auto device = parse_device("vdev:net_af_packet0,blocksz=4096,iface=veth-out,qpairs=1");
  REQUIRE(device);
  CHECK(device->identity == "net_af_packet0");
  CHECK(device->kernel_interface == "veth-out");
  CHECK(parse_device("net_null0")->kernel_interface.empty());
  CHECK(parse_device("net_x,ifaces=a,iface")->kernel_interface.empty());
}

TEST_CASE("what is no device is refused with advice") {
  for (const auto* text : {"", ",", "eth0", "0000:3b:00", "0000:3b:20.0", "0000:3b:00.8", "0000:100:00.0",
                           "::.", "3b:00.0 ", "-1:00.0", "net_", "net_null 0", "pci:", "a:b:c:d.0"}) {
    INFO(text);
    const auto device = parse_device(text);
    REQUIRE_FALSE(device);
    CHECK_FALSE(device.error().remedy.empty());
  }
  CHECK_THAT(parse_device("enp59s0f0").error().remedy, Catch::Contains("net_af_packet0,iface=enp59s0f0"));
  CHECK_THAT(parse_device("0000:3b:00").error().remedy, Catch::Contains("dpdk-devbind.py"));
}

TEST_CASE("port names are names the kernel takes for an interface") {
  for (const auto* name : {"outside", "eth0", "veth-out", "vlan.7", "a_b", "fifteen-letters"})
    CHECK(check_interface_name(name));
  for (const auto* name : {"", "sixteen-letters-", "a b", "a/b", "a:b", "tap%d", ".", "..", "lo", "all",
                           "default", "a\tb", "caf\xc3\xa9", "a\"b"}) {
    INFO(name);
    REQUIRE_FALSE(check_interface_name(name));
    CHECK_FALSE(check_interface_name(name).error().remedy.empty());
  }
}

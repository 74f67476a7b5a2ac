// What is known of DPDK's common virtual devices by their configuration alone ("net_af_packet0,iface=eth1"):
// the arguments they take, the kernel's interfaces behind them, the largest MTU. Needs no DPDK.
#pragma once

#include <optional>
#include <string>

#include "datapath/base/expected.hpp"
#include "datapath/net/vlan.hpp"

namespace espgate::port {

// The kernel interface behind the device, whose coming, going and link are the device's; or empty.
std::string interface_of(const std::string& device);

// The same where the kernel's own stack gets a copy of each frame, unless it is kept from that.
std::string shared_interface_of(const std::string& device);

// The largest IP packet that a device of that driver takes with these tags; none: only the device itself
// knows.
std::optional<unsigned> largest_mtu(const std::string& device, net::Vlans vlans);

// That arguments have names the driver knows, those it cannot do without are there, and interfaces and files
// that they name exist. Drivers without a row here, and values of other kinds, are found by a start only.
Expected<void> check_vdev_arguments(const std::string& device);

}  // namespace espgate::port

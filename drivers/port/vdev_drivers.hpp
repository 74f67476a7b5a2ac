// The virtual devices that this DPDK can drive, known without starting it.
#pragma once

#include <string>
#include <vector>

#include "datapath/base/expected.hpp"

namespace espgate::port {

// That a driver takes the device ("net_af_packet0,iface=eth1"), as the start would find. Loads DPDK's plugins
// as the start does. The error lists the drivers there are.
Expected<void> check_vdev_driver(const std::string& device);

}  // namespace espgate::port

// The names in a port's configuration: which device it is, and whether the kernel takes its name.
#pragma once

#include <string>
#include <string_view>

#include "datapath/base/expected.hpp"

namespace espgate::config {

struct Device {
  std::string identity;          // equal for two spellings of one device: "0000:3b:00.0", "net_af_packet0"
  std::string kernel_interface;  // of a virtual device with iface=, else empty
};

// Understands "[pci:][DDDD:]BB:DD.F[,arguments]" and "[vdev:]net_DRIVER[,arguments]".
Expected<Device> parse_device(std::string_view text);

// Whether Linux accepts `name` for an interface, and no other meaning clings to it.
Expected<void> check_interface_name(std::string_view name);

}  // namespace espgate::config

// Whether a device can be ours, told from the kernel before DPDK is asked, whose own messages do not say
// what to do.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>

#include <cctype>
#include <filesystem>
#include <set>

#include "drivers/port/open_port.hpp"
#include "drivers/port/vdev_drivers.hpp"

namespace espgate::port {
namespace {

namespace fs = std::filesystem;

// Kernel drivers whose device DPDK uses beside the kernel, through verbs.
const std::set<std::string> bifurcated{"mlx5_core", "mlx4_core", "mana"};
const std::set<std::string> userspace{"vfio-pci", "uio_pci_generic", "igb_uio"};

// Ethernet controllers on the machine, for the message to somebody who mistyped an address.
std::vector<std::string> network_devices() {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/sys/bus/pci/devices", ignored)) {
    std::string device_class;
    if (auto* file = std::fopen((entry.path() / "class").c_str(), "r")) {
      char text[16] = {};
      if (std::fgets(text, sizeof text, file) != nullptr) device_class = text;
      std::fclose(file);
    }
    if (device_class.starts_with("0x02")) found.push_back(entry.path().filename());
  }
  return found;
}

}  // namespace

std::string interface_of(const std::string& device) {
  constexpr std::string_view key = ",iface=";
  const auto at = device.find(key);
  if (at == std::string::npos) return {};
  const auto value = at + key.size();
  return device.substr(value, device.find(',', value) - value);
}

// [DOMAIN:]BB:DD.F, hexadecimal, with arguments for the driver behind a comma.
bool is_pci_address(const std::string& device) {
  std::string form;
  for (const char c : device.substr(0, device.find(',')))
    form += std::isxdigit(static_cast<unsigned char>(c)) ? 'x' : c;
  return form == "xx:xx.x" || form == "xxxx:xx:xx.x";
}

Expected<void> check_device(const std::string& device) {
  if (const auto interface = interface_of(device);
      !interface.empty() && if_nametoindex(interface.c_str()) == 0)
    return Error{fmt::format("no network interface {}", interface),
                 "`ip link` lists those of this network namespace"};
  if (!is_pci_address(device)) return check_vdev_driver(device);
  std::string address = device.substr(0, device.find(','));
  if (address.size() == 7) address = "0000:" + address;
  const fs::path folder = fs::path("/sys/bus/pci/devices") / address;
  if (!fs::exists(folder)) {
    const auto present = network_devices();
    return Error{fmt::format("no PCI device {}", address),
                 present.empty() ? "this machine has no PCI network device; use a virtual device such as "
                                   "\"net_af_packet0,iface=eth1\""
                                 : fmt::format("network devices here: {}", fmt::join(present, ", "))};
  }
  std::error_code no_driver;
  const auto driver = fs::read_symlink(folder / "driver", no_driver).filename().string();
  if (no_driver)
    return Error{fmt::format("PCI device {} has no driver", address),
                 fmt::format("bind it with `dpdk-devbind.py -b vfio-pci {}`", address)};
  if (userspace.contains(driver) || bifurcated.contains(driver)) return {};
  return Error{
      fmt::format("PCI device {} is in use by the kernel's driver {}", address, driver),
      fmt::format("take its addresses away and bind it with `dpdk-devbind.py -b vfio-pci {}`", address)};
}

}  // namespace espgate::port

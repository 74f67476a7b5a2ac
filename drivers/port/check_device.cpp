// Whether a device can be ours, told from the kernel before DPDK is asked, whose own messages do not say
// what to do.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <set>

#include "drivers/port/open_port.hpp"
#include "drivers/port/vdev_drivers.hpp"

namespace espgate::port {
namespace {

namespace fs = std::filesystem;

// Kernel drivers whose device DPDK uses beside the kernel, through verbs.
const std::set<std::string> bifurcated{"mlx5_core", "mlx4_core", "mana"};
const std::set<std::string> uio{"uio_pci_generic", "igb_uio"};
// Drivers beside which vfio gives out a device of the same IOMMU group: its own, and those of bridges.
const std::set<std::string> group_mates{"vfio-pci", "pci-stub", "pcieport"};

// Of the PCI device with this folder in sysfs; "" if it has none.
std::string driver_of(const fs::path& folder) {
  std::error_code none;
  return fs::read_symlink(folder / "driver", none).filename();
}

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

std::string how_to_bind(const std::string& address) {
  std::error_code missing;
  if (!fs::is_empty("/sys/class/iommu", missing) && !missing)
    return fmt::format("bind it with `dpdk-devbind.py -b vfio-pci {}`", address);
  return fmt::format(
      "vfio-pci needs an IOMMU, and this machine shows none: switch it on in the firmware and "
      "the kernel (intel_iommu=on), or bind it with `dpdk-devbind.py -b uio_pci_generic {}`",
      address);
}

// vfio gives IOMMU groups out whole: one device that the kernel keeps holds back the others.
Expected<void> check_iommu_group(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& mate : fs::directory_iterator(folder / "iommu_group/devices", ignored)) {
    const auto driver = driver_of(mate.path());
    const auto address = mate.path().filename().string();
    if (!driver.empty() && !group_mates.contains(driver))
      return Error{fmt::format("PCI device {} shares its IOMMU group with {}, which is in use by the "
                               "kernel's driver {}",
                               folder.filename().string(), address, driver),
                   fmt::format("bind that one with `dpdk-devbind.py -b vfio-pci {}` as well, or unbind it "
                               "with `dpdk-devbind.py -u {}`",
                               address, address)};
  }
  return {};
}

}  // namespace

bool is_pci_address(const std::string& device) {
  return device.substr(0, device.find(',')).find(':') != std::string::npos;
}

Expected<void> check_device(const std::string& device) {
  if (!is_pci_address(device)) {
    if (auto known = check_vdev_driver(device); !known) return known;
    return check_vdev_arguments(device);
  }
  const auto address = device.substr(0, device.find(','));
  const fs::path folder = fs::path("/sys/bus/pci/devices") / address;
  if (!fs::exists(folder)) {
    const auto present = network_devices();
    return Error{fmt::format("no PCI device {}", address),
                 present.empty() ? "this machine has no PCI network device; use a virtual device such as "
                                   "\"net_af_packet0,iface=eth1\""
                                 : fmt::format("network devices here: {}", fmt::join(present, ", "))};
  }
  const auto driver = driver_of(folder);
  if (driver.empty()) return Error{fmt::format("PCI device {} has no driver", address), how_to_bind(address)};
  if (driver == "vfio-pci") return check_iommu_group(folder);
  if (uio.contains(driver) || bifurcated.contains(driver)) return {};
  return Error{fmt::format("PCI device {} is in use by the kernel's driver {}", address, driver),
               "take its addresses away; " + how_to_bind(address)};
}

}  // namespace espgate::port

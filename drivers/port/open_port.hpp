// Opening and closing DPDK ports: queues, RSS, offloads, MTU, link state, and what happens when a device
// goes away.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "datapath/base/expected.hpp"
#include "datapath/port/port.hpp"
#include "drivers/port/vdev_arguments.hpp"

struct rte_device;
struct rte_mempool;

namespace espgate::port {

// A queue's length where the device does not set another; a card's queues hold as many packet buffers.
inline constexpr std::uint16_t queue_entries = 1024;

struct PortOptions {
  std::string name;
  std::string device;  // full PCI address or vdev string, as the configuration's reader writes them
  bool ipsec = false;
  std::uint16_t mtu = 1500;
  net::Vlans vlans = 0;
  unsigned workers = 1;
};

// The vdev string to give to DPDK for a configured device: adds the queue pairs that the workers need
// where the driver is known to take them as an argument.
std::string vdev_for(const std::string& device, unsigned workers);
bool is_pci_address(const std::string& device);

// That the device is there and can be ours: a vdev has a driver that takes its arguments; a PCI device exists
// and is not bound to a kernel driver, nor is another of its IOMMU group, but for drivers that share it
// (mlx5). Errors say which devices there are.
Expected<void> check_device(const std::string& device);

// Workers hold the port; destroy it after they stopped.
class OpenPort {
 public:
  // Configures and starts the device; frames come from `buffers`. Main thread, after start_eal. Errors do not
  // repeat which port and device it is.
  static Expected<std::unique_ptr<OpenPort>> open(const PortOptions& options, rte_mempool* buffers);
  // Stops and closes the device. Workers must have stopped.
  ~OpenPort();

  Port& port() { return port_; }

  struct Link {
    bool up = false;
    std::uint32_t speed_mbps = 0;  // 0: unknown
    bool full_duplex = false;
  };
  struct Statistics {
    std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
    std::uint64_t rx_missed = 0, rx_errors = 0, tx_errors = 0, rx_no_buffer = 0;
  };
  // Asks the device. Marks the port up or down, and absent once it is gone for good; says whether either is
  // other than the last call told, or than open() found. Whoever noticed first, here or DPDK's interrupt
  // thread: a device that is gone is told once. Main thread, about once a second.
  bool refresh_link();
  const Link& link() const { return link_; }
  // How often the link changed since open(), the device's going included.
  std::uint64_t link_changes() const { return link_changes_; }
  // Of a device that is given up, the last ones.
  Statistics statistics() const;

  // Gives up a device that is gone, so that the kernel, which waits for that, can finish its removal. No
  // worker may be in the port any more: a grace period has passed since `present` became false. Main thread.
  void release();

 private:
  explicit OpenPort(const PortOptions& options);
  Expected<void> configure(const PortOptions& options, rte_mempool* buffers);
  void close();
  bool device_exists() const;
  void read_link();

  struct Told {
    bool present = true;
    bool up = false;
    bool operator==(const Told&) const = default;
  };

  Port port_;
  Link link_;
  rte_device* device_ = nullptr;  // DPDK's
  Told told_;
  std::uint64_t link_changes_ = 0;
  std::string interface_;  // of the kernel, behind net_af_packet and net_af_xdp; empty otherwise
  bool started_ = false;
  Statistics last_statistics_;
};

}  // namespace espgate::port

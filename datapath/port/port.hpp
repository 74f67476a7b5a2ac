// A port as the datapath uses it: an opened, running DPDK ethdev with one receive and one transmit
// queue a worker. drivers/port fills it in; workers read it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "datapath/net/vlan.hpp"

namespace espgate::port {

inline constexpr unsigned ports_max = 16;

struct Port {
  std::string name;
  std::string device;
  std::string driver;
  std::uint16_t ethdev = 0;           // DPDK port id
  std::uint16_t receive_queues = 0;   // worker w polls queue w while w < receive_queues
  std::uint16_t transmit_queues = 0;  // worker w sends on queue w; always one each
  std::array<std::uint8_t, 6> mac{};
  std::uint16_t mtu = 1500;            // largest IP packet
  net::Vlans vlans = 0;                // tags on every frame
  bool ipsec = false;                  // ESP to our addresses is ours to decrypt
  bool good_checksum_flag = false;     // the NIC verifies IPv4 header checksums
  std::uint64_t receive_offloads = 0;  // RTE_ETH_RX_OFFLOAD_*, for `show ports`
  std::uint64_t transmit_offloads = 0;
  std::atomic<bool> up{true};       // link state; control writes
  std::atomic<bool> present{true};  // false once the device is gone; workers leave it alone
};

}  // namespace espgate::port

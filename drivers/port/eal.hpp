// DPDK's environment: started once a process, before anything that touches a port or a packet buffer.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <string>
#include <vector>

#include "datapath/base/expected.hpp"

namespace espgate::port {

struct EalOptions {
  std::string instance;               // names DPDK's run-time folder: one per espgated on the host
  unsigned control_cpu = 0;           // lcore 0
  std::vector<unsigned> worker_cpus;  // lcore 1 + worker; a CPU may appear more than once
  bool hugepages = true;
  std::uint32_t memory_mb = 512;  // without huge pages: all there will ever be; with: checked to be free
  std::vector<std::string> pci_addresses;  // the only PCI devices DPDK may touch
  std::vector<std::string> vdevs;
};

// The CPUs exist, and this process may use them. The error names all that are not so.
Expected<void> check_cpus(unsigned control_cpu, const std::vector<unsigned>& worker_cpus);
// As many megabytes of huge pages are free; or, while an espgated that is to be replaced holds some, reserved
// at all.
enum class Hugepages : std::uint8_t { free, reserved };
Expected<void> check_hugepages(std::uint32_t memory_mb, Hugepages which = Hugepages::free);

// Errors: not root, no such CPU, too few huge pages, no driver for a virtual device, EAL's own. Call once.
Expected<void> start_eal(const EalOptions& options);
void stop_eal();

// Memory from DPDK's heap on the calling thread's NUMA node: huge pages, when it has them. Throws
// std::bad_alloc, so only for start-up.
std::pmr::memory_resource& dpdk_memory();

}  // namespace espgate::port

#include "drivers/port/eal.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <new>

#include "drivers/port/vdev_drivers.hpp"

namespace espgate::port {
namespace {

std::uint64_t hugepage_mb(Hugepages which) {
  std::uint64_t total_mb = 0;
  for (const auto& [folder, page_mb] :
       {std::pair{"hugepages-2048kB", 2u}, std::pair{"hugepages-1048576kB", 1024u}}) {
    std::ifstream file(fmt::format("/sys/kernel/mm/hugepages/{}/{}", folder,
                                   which == Hugepages::free ? "free_hugepages" : "nr_hugepages"));
    std::uint64_t pages = 0;
    if (file >> pages) total_mb += pages * page_mb;
  }
  return total_mb;
}

class DpdkMemory : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* memory = rte_malloc("espgate", bytes, static_cast<unsigned>(alignment));
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  void do_deallocate(void* memory, std::size_t, std::size_t) override { rte_free(memory); }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace

Expected<void> check_hugepages(std::uint32_t memory_mb, Hugepages which) {
  const auto available_mb = hugepage_mb(which);
  if (available_mb >= memory_mb) return {};
  return Error{fmt::format("{} MB of huge pages are needed, {} MB are {}", memory_mb, available_mb,
                           which == Hugepages::free ? "free" : "reserved"),
               fmt::format("reserve them with `sysctl vm.nr_hugepages={}`, lower the limits, or set "
                           "hugepages = false to try espgate out",
                           memory_mb / 2 + 1)};
}

Expected<void> start_eal(const EalOptions& options) {
  if (geteuid() != 0)
    return Error{"espgated must run as root: it opens NICs, huge pages and TAP devices",
                 "start it with sudo or as a system service"};
  if (auto checked = check_cpus(options.control_cpu, options.worker_cpus); !checked) return checked;
  if (options.hugepages)
    if (auto checked = check_hugepages(options.memory_mb); !checked) return checked;
  for (const auto& vdev : options.vdevs)
    if (auto checked = check_vdev_driver(vdev); !checked) return checked;

  std::string lcores = fmt::format("0@{}", options.control_cpu);
  for (std::size_t worker = 0; worker < options.worker_cpus.size(); ++worker)
    lcores += fmt::format(",{}@{}", worker + 1, options.worker_cpus[worker]);
  std::vector<std::string> arguments{"espgated",      "--lcores",       lcores,        "--no-telemetry",
                                     "--file-prefix", options.instance, "--log-level", "lib.*:error",
                                     "--log-level",   "pmd.*:error"};
  // Either way nothing of ours is left in a file system, however we end.
  if (options.hugepages)
    arguments.emplace_back("--in-memory");
  else
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf", "-m", std::to_string(options.memory_mb)});
  if (options.pci_addresses.empty()) arguments.emplace_back("--no-pci");
  for (const auto& address : options.pci_addresses) arguments.insert(arguments.end(), {"-a", address});
  for (const auto& vdev : options.vdevs) arguments.insert(arguments.end(), {"--vdev", vdev});

  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    const auto reason = rte_errno;
    std::error_code ignored;
    std::filesystem::remove(rte_eal_get_runtime_dir(), ignored);
    return Error{
        fmt::format("DPDK did not start: {}", rte_strerror(reason)),
        fmt::format("its messages above say more; it was started as `{}`", fmt::join(arguments, " "))};
  }
  return {};
}

// EAL leaves its run-time folder behind, which --in-memory keeps empty.
void stop_eal() {
  const std::filesystem::path folder = rte_eal_get_runtime_dir();
  rte_eal_cleanup();
  std::error_code ignored;
  std::filesystem::remove(folder, ignored);
}

std::pmr::memory_resource& dpdk_memory() {
  static DpdkMemory memory;
  return memory;
}

}  // namespace espgate::port

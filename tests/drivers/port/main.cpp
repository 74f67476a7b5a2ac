// Starts DPDK as espgated does, on memory without huge pages and virtual devices only.
#include <unistd.h>

#include <cstdio>

#include "drivers/port/eal.hpp"
#include "tests/catch_runner.hpp"

int main(int argc, char** argv) {
  constexpr int skipped = 77;
  if (geteuid() != 0) {
    std::fprintf(stderr, "skipped: DPDK is started as espgated starts it, as root\n");
    return skipped;
  }
  espgate::port::EalOptions options;
  options.instance = "test-port-" + std::to_string(getpid());
  options.worker_cpus = {0};
  options.hugepages = false;
  options.memory_mb = 128;
  options.vdevs = {"net_null0", "net_null1", "net_ring0", "net_ring1", "net_ring2"};
  if (const auto started = espgate::port::start_eal(options); !started) {
    std::fprintf(stderr, "%s\n", started.error().text().c_str());
    return 1;
  }
  const int result = espgate::test::run_catch(argc, argv);
  espgate::port::stop_eal();
  return result;
}

// The tables live in DPDK's memory, so the tests run inside EAL: no hugepages, no devices, nothing shared.
#include <rte_eal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/catch_runner.hpp"

int main(int argc, char** argv) {
  std::string prefix = "test-forward-" + std::to_string(getpid());
  std::string arguments[] = {argv[0],       "--no-huge",      "-m",          "512", "--no-pci",
                             "--no-shconf", "--no-telemetry", "--log-level", "4",   "--file-prefix",
                             prefix};
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0) return 1;
  const int failures = espgate::test::run_catch(argc, argv);
  rte_eal_cleanup();
  return failures;
}

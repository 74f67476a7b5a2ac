// What benchmarks with google-benchmark and DPDK share: cycles of short parts, and a start of the
// environment.
#pragma once

#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

namespace espgate::bench {

// Runs `part(0)` to `part(parts - 1)` over and over, each measured by itself, and reports the median: a part
// is too short to be interrupted often.
template <typename Part>
void measure(benchmark::State& state, std::size_t parts, std::size_t items_per_part, Part part) {
  std::vector<double> cycles;
  for (auto _ : state)
    for (std::size_t i = 0; i < parts; ++i) {
      const auto begin = rte_rdtsc_precise();
      part(i);
      cycles.push_back(static_cast<double>(rte_rdtsc_precise() - begin) /
                       static_cast<double>(items_per_part));
    }
  std::ranges::sort(cycles);
  const auto median = cycles[cycles.size() / 2];
  state.counters["cycles"] = median;
  state.counters["quartile"] = cycles[cycles.size() / 4];
  state.counters["per_second"] = static_cast<double>(rte_get_tsc_hz()) / median;
}

inline int run(int argc, char** argv, const std::string& name) {
  // Hugepages, as in the daemon, unless NO_HUGE is set; AVX-512 lookups for rte_fib where the machine has
  // them.
  std::vector<std::string> arguments{argv[0],
                                     "--no-pci",
                                     "--no-telemetry",
                                     "--log-level",
                                     "4",
                                     "--force-max-simd-bitwidth=512",
                                     "--file-prefix",
                                     "bench-" + name + "-" + std::to_string(getpid())};
  if (std::getenv("NO_HUGE") != nullptr)
    arguments.insert(arguments.end(), {"--no-huge", "-m", "1536", "--no-shconf"});
  else
    arguments.push_back("--in-memory");
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0) return 1;
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  rte_eal_cleanup();
  return 0;
}

}  // namespace espgate::bench

// What anti-replay costs a packet: check and commit, in order, one SA or many (one packet each in turn),
// by the shared and the exclusive commit; and two workers that take turns on one SA's numbers.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <atomic>
#include <memory>
#include <vector>

#include "datapath/sa/faults.hpp"
#include "datapath/sa/replay_window.hpp"

namespace {

using espgate::sa::Replay;
using espgate::sa::replay_cells;
using espgate::sa::ReplayCell;
using espgate::sa::ReplayWindow;

constexpr std::uint32_t window_packets = 1024;

struct alignas(64) Sa {
  std::atomic<std::uint64_t> top{0};
  std::unique_ptr<ReplayCell[]> cells = std::make_unique<ReplayCell[]>(replay_cells(window_packets));

  ReplayWindow window() { return {top, cells.get(), window_packets, replay_cells(window_packets) - 1}; }
};

template <Replay (ReplayWindow::*commit)(std::uint64_t)>
void check_and_commit(benchmark::State& state) {
  std::vector<Sa> sas(static_cast<std::size_t>(state.range(0)));
  std::uint64_t sequence = 1;
  std::size_t at = 0;
  std::uint64_t fresh = 0;
  const std::uint64_t begin = __rdtsc();
  for (auto unused : state) {
    ReplayWindow window = sas[at].window();
    benchmark::DoNotOptimize(window.check(sequence));
    fresh += (window.*commit)(sequence) == Replay::fresh;
    if (++at == sas.size()) {
      at = 0;
      ++sequence;
    }
  }
  const auto packets = static_cast<double>(state.iterations());
  state.counters["cycles"] = static_cast<double>(__rdtsc() - begin) / packets;
  if (fresh != static_cast<std::uint64_t>(state.iterations())) state.SkipWithError("a fresh number refused");
}

// Each worker takes runs of 32 numbers of one SA, as bursts do.
void two_workers(benchmark::State& state) {
  static Sa sa;
  static std::atomic<std::uint64_t> next{1};
  constexpr std::uint64_t run = 32;
  const std::uint64_t begin = __rdtsc();
  for (auto unused : state) {
    ReplayWindow window = sa.window();
    const std::uint64_t first = next.fetch_add(run, std::memory_order_relaxed);
    for (std::uint64_t sequence = first; sequence < first + run; ++sequence) {
      benchmark::DoNotOptimize(window.check(sequence));
      benchmark::DoNotOptimize(window.commit(sequence));
    }
  }
  state.counters["cycles"] = benchmark::Counter(
      static_cast<double>(__rdtsc() - begin) / static_cast<double>(state.iterations()) / run,
      benchmark::Counter::kAvgThreads);
}

// A dropped packet's mark on its SA, which all workers share.
void count_fault(benchmark::State& state) {
  static espgate::sa::InboundFaults faults;
  const std::uint64_t begin = __rdtsc();
  for (auto unused : state) faults.count(espgate::Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION);
  state.counters["cycles"] =
      benchmark::Counter(static_cast<double>(__rdtsc() - begin) / static_cast<double>(state.iterations()),
                         benchmark::Counter::kAvgThreads);
}

BENCHMARK(check_and_commit<&ReplayWindow::commit>)->ArgName("sas")->Arg(1)->Arg(50'000);
BENCHMARK(check_and_commit<&ReplayWindow::commit_exclusive>)->ArgName("sas")->Arg(1)->Arg(50'000);
BENCHMARK(two_workers)->Threads(1)->Threads(2);
BENCHMARK(count_fault)->Threads(1)->Threads(2);

}  // namespace

BENCHMARK_MAIN();

// What the engine's queue adds to the raw IPsec-MB calls, in bursts of 32: AES-128-GCM with one key and many,
// every other suite with one. `cycles` is the median over bursts of TSC cycles an operation, so that other
// processes on the machine do not show; `p5` is the fifth percentile.
// Run: crypto_bench --benchmark_counters_tabular=true
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "benchmarks/raw_ipsec_mb.hpp"
#include "drivers/crypto/engines.hpp"

using namespace espgate;
using namespace espgate::crypto;

namespace {

constexpr std::size_t burst_size = 32;
constexpr std::size_t most_keys = 65'536;
constexpr std::size_t buffer_count = 8'192;  // for each thread
constexpr std::size_t buffer_bytes = 2'048;
constexpr std::size_t text_offset = 64 + 36;  // behind Ethernet, IPv4 and ESP headers
constexpr auto main_suite = SuiteId::aes_gcm_16_128;

// Huge pages where the kernel has them, as the daemon's memory is.
std::byte* huge_memory(std::size_t bytes) {
  constexpr std::size_t page = 2u << 20;
  bytes = (bytes + page - 1) / page * page;
  auto* const all = ::mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) std::abort();
  auto* const begin =
      static_cast<std::byte*>(all) + (page - reinterpret_cast<std::uintptr_t>(all) % page) % page;
  ::madvise(begin, bytes, MADV_HUGEPAGE);
  std::memset(begin, 1, bytes);
  return begin;
}

// Keys, buffers and the order of keys, made once for all benchmarks.
struct World {
  std::unique_ptr<Engine> engine = std::move(*make_engine("ipsec-mb"));
  std::unique_ptr<Queue> queues[2] = {std::move(*engine->make_queue()), std::move(*engine->make_queue())};
  std::size_t key_bytes = engine->prepared_key_bytes(main_suite);
  std::byte* keys = huge_memory(most_keys * key_bytes);
  std::byte* one_key[suite_count];
  std::byte* buffers = huge_memory(2 * buffer_count * buffer_bytes);
  std::vector<std::uint32_t> order = std::vector<std::uint32_t>(most_keys);

  World() {
    for (std::size_t i = 0; i < most_keys; ++i) {
      std::uint8_t keymat[20] = {};
      std::memcpy(keymat, &i, sizeof i);
      if (!engine->prepare_key(main_suite, keymat, keys + i * key_bytes)) std::abort();
    }
    for (const auto& suite : suites()) {
      const std::vector<std::uint8_t> keymat(suite.keymat_bytes(), 1);
      auto*& key = one_key[index_of(suite.id)] = huge_memory(engine->prepared_key_bytes(suite.id));
      if (!engine->prepare_key(suite.id, keymat, key)) std::abort();
    }
    std::iota(order.begin(), order.end(), 0u);
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
  }
};
World& world() {
  static World instance;
  return instance;
}

// Arguments: text bytes, keys, 1 for the hot lines prefetched as the datapath does it.
template <typename Work>
void run(benchmark::State& state, SuiteId suite_id, Work work) {
  auto& w = world();
  const auto align = suite(suite_id).align_bytes;
  const auto text_bytes = static_cast<std::uint32_t>(state.range(0)) / align * align;
  const auto keys = static_cast<std::size_t>(state.range(1));
  const auto hot_lines = w.engine->hot_key_lines(suite_id);
  std::vector<Operation> burst(burst_size);
  std::vector<double> cycles;
  auto* const buffers =
      w.buffers + static_cast<std::size_t>(state.thread_index()) * buffer_count * buffer_bytes;
  std::size_t next = 0;
  for (auto _ : state) {
    for (auto& op : burst) {
      op.suite = suite_id;
      op.aad_bytes = 8;
      op.key = keys == 1 ? w.one_key[index_of(suite_id)]
                         : w.keys + (w.order[next % most_keys] % keys) * w.key_bytes;
      op.text = reinterpret_cast<std::uint8_t*>(buffers + next % buffer_count * buffer_bytes + text_offset);
      op.text_bytes = text_bytes;
      ++next;
    }
    // What parsing and the look-ups have done to the cache by the time of the call.
    for (auto& op : burst) {
      benchmark::DoNotOptimize(*static_cast<volatile std::uint8_t*>(op.text));
      if (state.range(2) == 0) continue;
      for (const auto offset : hot_lines) __builtin_prefetch(op.key + offset);
    }
    const auto begin = __rdtsc();
    work(std::span(burst));
    cycles.push_back(static_cast<double>(__rdtsc() - begin) / burst_size);
  }
  std::ranges::sort(cycles);
  state.counters["cycles"] = benchmark::Counter(cycles[cycles.size() / 2], benchmark::Counter::kAvgThreads);
  state.counters["p5"] = benchmark::Counter(cycles[cycles.size() / 20], benchmark::Counter::kAvgThreads);
}

void raw_ipsec_mb(benchmark::State& state, SuiteId suite, Direction direction) {
  if (!bench::RawIpsecMb::knows(crypto::suite(suite)))
    return state.SkipWithError("IPsec-MB does not know this suite");
  bench::RawIpsecMb raw;
  run(state, suite, [&](std::span<Operation> burst) { raw.run(burst, direction); });
}

void engine_queue(benchmark::State& state, SuiteId suite, Direction direction) {
  auto& queue = *world().queues[state.thread_index()];
  run(state, suite, [&](std::span<Operation> burst) {
    direction == Direction::seal ? queue.seal(burst) : queue.open(burst);
  });
}

void cases(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"text", "keys", "hot"});
  for (const int keys : {1, 65'536})
    for (const int hot : {0, 1})
      for (const int text : {48, 64, 512, 1'420})
        if (keys > 1 || hot == 0) bench->Args({text, keys, hot});
}

void register_all() {
  using benchmark::RegisterBenchmark;
  const auto pair = [](const std::string& suffix, SuiteId suite, Direction direction, auto arguments) {
    arguments(RegisterBenchmark(fmt::format("raw_ipsec_mb{}", suffix).c_str(), raw_ipsec_mb, suite, direction)
                  ->MinTime(0.05));
    arguments(RegisterBenchmark(fmt::format("engine_queue{}", suffix).c_str(), engine_queue, suite, direction)
                  ->MinTime(0.05));
  };
  pair("", main_suite, Direction::open, [](auto* bench) { bench->Apply(cases); });
  // Two workers: the raw calls of IPsec-MB 1.3 share a variable, the engine's queues do not.
  pair("", main_suite, Direction::open, [](auto* bench) {
    bench->ArgNames({"text", "keys", "hot"})->Args({48, 1, 0})->Threads(2);
  });
  for (const auto& suite : suites())
    for (const auto direction : {Direction::seal, Direction::open})
      pair(fmt::format("/{}/{}", suite.name, direction == Direction::seal ? "seal" : "open"), suite.id,
           direction, [](auto* bench) {
             for (const int text : {48, 1'420}) bench->ArgNames({"text", "keys", "hot"})->Args({text, 1, 0});
           });
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

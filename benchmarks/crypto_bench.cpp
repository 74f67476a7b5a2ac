// What the engine's queue adds to the raw IPsec-MB call: AES-128-GCM, opened in place, bursts of 32.
// `cycles` is the median over bursts of TSC cycles an operation, so that other processes on the machine do
// not show; `p5` is the fifth percentile. Run: crypto_bench --benchmark_counters_tabular=true
#include <benchmark/benchmark.h>
#include <intel-ipsec-mb.h>
#include <sys/mman.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "drivers/crypto/engines.hpp"

using namespace espgate::crypto;

namespace {

constexpr std::size_t burst_size = 32;
constexpr std::size_t most_keys = 65'536;
constexpr std::size_t buffer_count = 8'192;  // for each thread
constexpr std::size_t buffer_bytes = 2'048;
constexpr std::size_t text_offset = 64 + 36;  // behind Ethernet, IPv4 and ESP headers
constexpr auto suite_id = SuiteId::aes_gcm_16_128;

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
  std::size_t key_bytes = engine->prepared_key_bytes(suite_id);
  std::byte* keys = huge_memory(most_keys * key_bytes);
  std::byte* buffers = huge_memory(2 * buffer_count * buffer_bytes);
  std::vector<std::uint32_t> order = std::vector<std::uint32_t>(most_keys);

  World() {
    for (std::size_t i = 0; i < most_keys; ++i) {
      std::uint8_t key[16] = {};
      std::memcpy(key, &i, sizeof i);
      if (!engine->prepare_key(suite_id, key, keys + i * key_bytes)) std::abort();
    }
    std::iota(order.begin(), order.end(), 0u);
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
  }
};
World& world() {
  static World instance;
  return instance;
}

struct RawManager {
  IMB_MGR* manager = alloc_mb_mgr(0);
  RawManager() { init_mb_mgr_auto(manager, nullptr); }
  ~RawManager() { free_mb_mgr(manager); }
};

// Arguments: text bytes, keys, 1 for the hot lines prefetched as the datapath does it.
template <typename Work>
void run(benchmark::State& state, Work work) {
  auto& w = world();
  const auto text_bytes = static_cast<std::uint32_t>(state.range(0));
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
      op.key = w.keys + (w.order[next % most_keys] % keys) * w.key_bytes;
      op.text = reinterpret_cast<std::uint8_t*>(buffers + next % buffer_count * buffer_bytes + text_offset);
      op.icv = op.text + text_bytes;
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

void raw_ipsec_mb(benchmark::State& state) {
  const RawManager raw;
  // Where the engine has the library's structure begin; see drivers/crypto/ipsec_mb_gcm.hpp.
  constexpr std::size_t key_data_offset = 16;
  run(state, [&](std::span<Operation> burst) {
    gcm_context_data context;
    std::uint8_t icv[16];
    for (auto& op : burst)
      raw.manager->gcm128_dec(reinterpret_cast<const gcm_key_data*>(op.key + key_data_offset), &context,
                              op.text, op.text, op.text_bytes, op.nonce, op.aad, op.aad_bytes, icv,
                              sizeof icv);
  });
}

void engine_queue(benchmark::State& state) {
  run(state, [&](std::span<Operation> burst) { world().queues[state.thread_index()]->open(burst); });
}

void cases(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"text", "keys", "hot"});
  for (const int keys : {1, 65'536})
    for (const int hot : {0, 1})
      for (const int text : {48, 64, 512, 1'420})
        if (keys > 1 || hot == 0) bench->Args({text, keys, hot});
}

BENCHMARK(raw_ipsec_mb)->Apply(cases)->MinTime(0.05);
BENCHMARK(engine_queue)->Apply(cases)->MinTime(0.05);

// Two workers: the raw calls of IPsec-MB 1.3 share a variable, the engine's queues do not.
BENCHMARK(raw_ipsec_mb)->ArgNames({"text", "keys", "hot"})->Args({48, 1, 0})->Threads(2)->MinTime(0.05);
BENCHMARK(engine_queue)->ArgNames({"text", "keys", "hot"})->Args({48, 1, 0})->Threads(2)->MinTime(0.05);

}  // namespace

BENCHMARK_MAIN();

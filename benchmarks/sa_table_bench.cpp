// The SA table beside what DPDK offers for the same job: rte_hash (4-byte key, CRC hash) and
// rte_ipsec_sad, each by its bulk lookup of 64 SPIs in random order, hit and miss; and what a change costs.
//
// All tables take their memory from DPDK's heap, so pages are of the same kind. Without arguments that
// is huge pages, as in operation; EAL arguments come after "--": sa_table_bench -- --no-pci --no-huge -m 1024
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_ipsec_sad.h>
#include <rte_malloc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <unordered_set>
#include <vector>

#include "datapath/sa/sa_table.hpp"

namespace {

using espgate::sa::Lookup;
using espgate::sa::SaTable;

constexpr std::size_t burst = 64;
constexpr std::size_t probe_count = std::size_t{1} << 18;

class RteHeap : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* memory = rte_malloc(nullptr, bytes, static_cast<unsigned>(alignment));
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  void do_deallocate(void* memory, std::size_t, std::size_t) override { rte_free(memory); }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

RteHeap heap;

// SPIs that are in the table, and as many that are not.
struct Population {
  std::vector<std::uint32_t> present;
  std::vector<std::uint32_t> absent;

  explicit Population(std::size_t count) {
    std::mt19937 random(20240607);
    std::uniform_int_distribution<std::uint32_t> any_spi(256, 0xffff'ffff);
    std::unordered_set<std::uint32_t> seen;
    const auto fill = [&](std::vector<std::uint32_t>& spis) {
      while (spis.size() < count)
        if (const auto spi = any_spi(random); seen.insert(spi).second) spis.push_back(spi);
    };
    fill(present);
    fill(absent);
  }
};

const Population& population(std::size_t count) {
  static std::unique_ptr<Population> last;
  if (!last || last->present.size() != count) last = std::make_unique<Population>(count);
  return *last;
}

enum class Probes : std::int64_t { hit, miss, half };

std::vector<std::uint32_t> make_probes(const Population& spis, Probes kind) {
  std::mt19937 random(7);
  std::uniform_int_distribution<std::size_t> any(0, spis.present.size() - 1);
  std::vector<std::uint32_t> probes(probe_count);
  for (auto& probe : probes) {
    const bool present = kind == Probes::hit || (kind == Probes::half && random() % 2 == 0);
    probe = (present ? spis.present : spis.absent)[any(random)];
  }
  return probes;
}

// Runs `lookup(const std::uint32_t* spis)` over bursts of the probes and reports cycles a lookup:
// median and minimum over stretches much shorter than a time slice, so that what else the machine does
// shows in their difference.
template <typename BulkLookup>
void measure(benchmark::State& state, const BulkLookup& lookup) {
  constexpr int bursts_a_stretch = 256;
  const auto probes =
      make_probes(population(static_cast<std::size_t>(state.range(0))), static_cast<Probes>(state.range(1)));
  std::vector<double> stretches;
  std::size_t at = 0;
  for (auto unused : state) {
    const std::uint64_t begin = rte_rdtsc_precise();
    for (int i = 0; i < bursts_a_stretch; ++i) {
      lookup(&probes[at]);
      at = (at + burst) % probe_count;
    }
    stretches.push_back(static_cast<double>(rte_rdtsc_precise() - begin) / (bursts_a_stretch * burst));
  }
  const auto middle = stretches.begin() + static_cast<std::ptrdiff_t>(stretches.size() / 2);
  std::ranges::nth_element(stretches, middle);
  state.counters["cycles"] = *middle;
  state.counters["cycles_min"] = *std::ranges::min_element(stretches);
}

void sa_table(benchmark::State& state, Lookup how) {
  if (!SaTable::supports(how)) return state.SkipWithError("not on this CPU");
  const auto& spis = population(static_cast<std::size_t>(state.range(0))).present;
  SaTable table(spis.size(), heap);
  for (std::uint32_t i = 0; i < spis.size(); ++i)
    if (table.insert(spis[i], i) != SaTable::Insert::inserted) return state.SkipWithError("table full");
  state.counters["load"] = static_cast<double>(table.size()) / static_cast<double>(table.slots());
  std::uint32_t out[burst];
  measure(state, [&](const std::uint32_t* probes) {
    table.find_with(how, std::span(probes, burst), out);
    benchmark::DoNotOptimize(out);
    benchmark::ClobberMemory();
  });
}

void rte_hash_bulk(benchmark::State& state, std::uint8_t flags) {
  const auto& spis = population(static_cast<std::size_t>(state.range(0))).present;
  rte_hash_parameters parameters{};
  parameters.name = "bench";
  parameters.entries = static_cast<std::uint32_t>(spis.size());
  parameters.key_len = sizeof(std::uint32_t);
  parameters.hash_func = rte_hash_crc;
  parameters.extra_flag = flags;
  const std::unique_ptr<rte_hash, void (*)(rte_hash*)> hash(rte_hash_create(&parameters), rte_hash_free);
  if (!hash) return state.SkipWithError("rte_hash_create");
  std::size_t added = 0;
  for (std::size_t i = 0; i < spis.size(); ++i)
    added += rte_hash_add_key_data(hash.get(), &spis[i], reinterpret_cast<void*>(i)) == 0;
  state.counters["added"] = static_cast<double>(added);
  std::uint32_t keys[burst];
  const void* pointers[burst];
  for (std::size_t i = 0; i < burst; ++i) pointers[i] = &keys[i];
  void* out[burst];
  measure(state, [&](const std::uint32_t* probes) {
    std::copy_n(probes, burst, keys);
    std::uint64_t hits = 0;
    rte_hash_lookup_bulk_data(hash.get(), pointers, burst, &hits, out);
    benchmark::DoNotOptimize(hits);
    benchmark::DoNotOptimize(out);
    benchmark::ClobberMemory();
  });
}

void ipsec_sad(benchmark::State& state) {
  const auto& spis = population(static_cast<std::size_t>(state.range(0))).present;
  rte_ipsec_sad_conf conf{};
  conf.socket_id = SOCKET_ID_ANY;
  conf.max_sa[RTE_IPSEC_SAD_SPI_ONLY] = static_cast<std::uint32_t>(spis.size());
  const std::unique_ptr<rte_ipsec_sad, void (*)(rte_ipsec_sad*)> sad(rte_ipsec_sad_create("bench", &conf),
                                                                     rte_ipsec_sad_destroy);
  if (!sad) return state.SkipWithError("rte_ipsec_sad_create");
  std::size_t added = 0;
  for (std::size_t i = 0; i < spis.size(); ++i) {
    rte_ipsec_sad_key key{};
    key.v4.spi = spis[i];
    // The two low bits of the pointer are the library's.
    added +=
        rte_ipsec_sad_add(sad.get(), &key, RTE_IPSEC_SAD_SPI_ONLY, reinterpret_cast<void*>((i + 1) * 4)) == 0;
  }
  state.counters["added"] = static_cast<double>(added);
  rte_ipsec_sad_key keys[burst] = {};
  const rte_ipsec_sad_key* pointers[burst];
  for (std::size_t i = 0; i < burst; ++i) pointers[i] = &keys[i];
  void* out[burst];
  measure(state, [&](const std::uint32_t* probes) {
    for (std::size_t i = 0; i < burst; ++i) keys[i].v4.spi = probes[i];
    rte_ipsec_sad_lookup(sad.get(), pointers, out, burst);
    benchmark::DoNotOptimize(out);
    benchmark::ClobberMemory();
  });
}

// Replaces entries of a full table at random: 1024 erased, then 1024 new ones inserted.
void sa_table_change(benchmark::State& state) {
  constexpr std::size_t batch = 1024;
  auto spis = population(static_cast<std::size_t>(state.range(0)));
  SaTable table(spis.present.size(), heap);
  for (std::uint32_t i = 0; i < spis.present.size(); ++i) table.insert(spis.present[i], i);
  std::mt19937 random(11);
  std::shuffle(spis.present.begin(), spis.present.end(), random);
  double erase_cycles = 0;
  double insert_cycles = 0;
  std::size_t at = 0;
  for (auto unused : state) {
    const std::size_t count = std::min(batch, spis.present.size() - at);
    std::uint64_t begin = rte_rdtsc_precise();
    for (std::size_t i = at; i < at + count; ++i) benchmark::DoNotOptimize(table.erase(spis.present[i]));
    erase_cycles += static_cast<double>(rte_rdtsc_precise() - begin) / static_cast<double>(count);
    begin = rte_rdtsc_precise();
    for (std::size_t i = at; i < at + count; ++i)
      benchmark::DoNotOptimize(table.insert(spis.absent[i], static_cast<std::uint32_t>(i)));
    insert_cycles += static_cast<double>(rte_rdtsc_precise() - begin) / static_cast<double>(count);
    std::swap_ranges(&spis.present[at], &spis.present[at] + count, &spis.absent[at]);
    at = at + count < spis.present.size() ? at + count : 0;
  }
  const double ns = 1e9 / static_cast<double>(rte_get_tsc_hz()) / static_cast<double>(state.iterations());
  state.counters["erase_ns"] = erase_cycles * ns;
  state.counters["insert_ns"] = insert_cycles * ns;
}

void lookup_sizes(benchmark::internal::Benchmark* bench) {
  for (const std::int64_t count : {1'000, 50'000, 1'000'000})
    for (const auto kind : {Probes::hit, Probes::miss, Probes::half})
      bench->Args({count, static_cast<std::int64_t>(kind)});
  bench->ArgNames({"sas", "hit0_miss1_half2"})->MinTime(0.2);
}

BENCHMARK_CAPTURE(sa_table, avx512, Lookup::avx512)->Apply(lookup_sizes);
BENCHMARK_CAPTURE(sa_table, avx2, Lookup::avx2)->Apply(lookup_sizes);
BENCHMARK_CAPTURE(sa_table, sse42, Lookup::sse42)->Apply(lookup_sizes);
BENCHMARK_CAPTURE(sa_table, scalar, Lookup::scalar)->Apply(lookup_sizes);
BENCHMARK_CAPTURE(rte_hash_bulk, plain, std::uint8_t{0})->Apply(lookup_sizes);
BENCHMARK_CAPTURE(rte_hash_bulk, lock_free, std::uint8_t{RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF})
    ->Apply(lookup_sizes);
BENCHMARK(ipsec_sad)->Apply(lookup_sizes);
BENCHMARK(sa_table_change)->ArgName("sas")->Arg(50'000)->Arg(1'000'000)->MinTime(0.2);

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> eal = {argv[0], "--in-memory", "-m", "1024", "--no-pci", "--log-level=error"};
  const auto separator = std::find(argv, argv + argc, std::string_view("--"));
  if (separator != argv + argc) {
    eal = {argv[0], "--log-level=error"};
    eal.insert(eal.end(), separator + 1, argv + argc);
    argc = static_cast<int>(separator - argv);
  }
  std::vector<char*> arguments;
  for (auto& argument : eal) arguments.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) return EXIT_FAILURE;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return EXIT_FAILURE;
  benchmark::RunSpecifiedBenchmarks();
  rte_eal_cleanup();
  return EXIT_SUCCESS;
}

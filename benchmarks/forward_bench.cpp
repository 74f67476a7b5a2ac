// Route and policy lookups, and their updates, beside DPDK's rte_fib and rte_fib6 with the same prefixes. The
// time column is of no use; "cycles" counts TSC cycles an address looked up or a prefix changed.
//   build/benchmarks/forward_bench [--benchmark_filter=...]
#include <benchmark/benchmark.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_vect.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "benchmarks/measure.hpp"
#include "datapath/forward/prefix_trie.hpp"
#include "datapath/parse/frame.hpp"
#include "tests/datapath/parse/frames.hpp"

using namespace espgate;
using bench::measure;
using forward::PrefixTrie;

namespace {

constexpr std::size_t burst = 64;
constexpr std::size_t many = std::size_t{1}
                             << 16;  // addresses looked up in turn, so that caches see the table

struct Addresses {
  std::vector<std::uint32_t> v4;
  std::vector<std::uint8_t> v6;  // 16 bytes each
};

// Sites as they are: IPv4 networks of 24 bits in 10/8 and 172.16/12 with every fourth a host of its own; IPv6
// networks of 48 bits, every other one 64, below one provider's 32.
std::vector<net::Prefix> sites(net::Family family, std::size_t count) {
  std::mt19937 random(7);
  std::vector<net::Prefix> prefixes;
  for (std::size_t i = 0; i < count; ++i) {
    if (family == net::Family::v4) {
      const auto base =
          random() % 8 == 0 ? 0xac100000U | (random() & 0xfffff) : 0x0a000000U | (random() & 0xffffff);
      prefixes.push_back(
          net::masked(net::Address::v4(static_cast<std::uint32_t>(base)), i % 4 == 0 ? 32 : 24));
    } else {
      std::uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
      for (int b = 4; b < 8; ++b) bytes[b] = static_cast<std::uint8_t>(random());
      prefixes.push_back(net::masked(net::Address::from_bytes(family, bytes), i % 2 == 0 ? 64 : 48));
    }
  }
  std::ranges::sort(prefixes);
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
  std::ranges::shuffle(prefixes, random);
  return prefixes;
}

Addresses addresses_in(const std::vector<net::Prefix>& prefixes) {
  std::mt19937 random(8);
  Addresses result;
  for (std::size_t i = 0; i < many; ++i) {
    const auto& address = prefixes[random() % prefixes.size()].address;
    result.v4.push_back(address.v4_value());
    result.v6.insert(result.v6.end(), address.bytes.begin(), address.bytes.end());
  }
  return result;
}

std::span<const std::uint8_t[16]> burst_v6(const Addresses& addresses, std::size_t first) {
  return {reinterpret_cast<const std::uint8_t(*)[16]>(addresses.v6.data() + first * 16), burst};
}

net::Family family_of(const benchmark::State& state) {
  return state.range(0) == 4 ? net::Family::v4 : net::Family::v6;
}

PrefixTrie filled_trie(const std::vector<net::Prefix>& prefixes,
                       forward::Instructions instructions = forward::best_instructions()) {
  auto trie = PrefixTrie::create(200'000, SOCKET_ID_ANY, {}, instructions);
  if (!trie) throw std::runtime_error(trie.error().text());
  for (std::uint32_t i = 0; const auto& prefix : prefixes)
    if (!trie->set(prefix, ++i)) throw std::runtime_error("the trie is full");
  return *std::move(trie);
}

void trie_lookup(benchmark::State& state, forward::Instructions instructions) {
  if (!forward::available(instructions)) return state.SkipWithError("not on this machine");
  const auto prefixes = sites(family_of(state), static_cast<std::size_t>(state.range(1)));
  const auto addresses = addresses_in(prefixes);
  const auto trie = filled_trie(prefixes, instructions);
  std::uint32_t values[burst];
  measure(state, many / burst, burst, [&](std::size_t i) {
    if (family_of(state) == net::Family::v4)
      trie.lookup(std::span(addresses.v4).subspan(i * burst, burst), values);
    else
      trie.lookup(burst_v6(addresses, i * burst), values);
    benchmark::DoNotOptimize(values);
  });
}

void trie_update(benchmark::State& state) {
  const auto prefixes = sites(family_of(state), static_cast<std::size_t>(state.range(1)));
  auto trie = filled_trie(prefixes);
  std::uint32_t value = 0;
  const auto set = [&](const net::Prefix& prefix) {
    if (!trie.set(prefix, ++value & 0xffffff)) throw std::runtime_error("the trie is full");
  };
  constexpr std::size_t some = 100;
  const auto change_some = [&](std::size_t part, auto change) {
    for (std::size_t i = part * some; i < (part + 1) * some; ++i) change(prefixes[i]);
  };
  const auto parts = prefixes.size() / some;
  const auto everything = net::masked(prefixes[0].address, 0);
  switch (state.range(2)) {
    case 0:
      state.SetLabel("replace");
      return measure(state, parts, some, [&](std::size_t part) { change_some(part, set); });
    case 1:
      state.SetLabel("remove, then add");
      return measure(state, parts, 2 * some, [&](std::size_t part) {
        change_some(part, [&](const net::Prefix& prefix) { trie.remove(prefix); });
        change_some(part, set);
      });
    case 2:
      state.SetLabel("a default route over all");
      return measure(state, 1, 2, [&](std::size_t) {
        set(everything);
        trie.remove(everything);
      });
  }
}

void fib_lookup(benchmark::State& state) {
  const auto prefixes = sites(family_of(state), static_cast<std::size_t>(state.range(1)));
  const auto addresses = addresses_in(prefixes);
  std::uint64_t values[burst];
  if (family_of(state) == net::Family::v4) {
    rte_fib_conf conf{};
    conf.type = RTE_FIB_DIR24_8;
    conf.max_routes = static_cast<int>(prefixes.size());
    conf.dir24_8 = {RTE_FIB_DIR24_8_4B, 100'000};
    auto* fib = rte_fib_create("bench", SOCKET_ID_ANY, &conf);
    for (std::uint32_t i = 0; const auto& prefix : prefixes)
      rte_fib_add(fib, prefix.address.v4_value(), prefix.length, ++i);
    measure(state, many / burst, burst, [&](std::size_t i) {
      rte_fib_lookup_bulk(fib, const_cast<std::uint32_t*>(addresses.v4.data() + i * burst), values, burst);
      benchmark::DoNotOptimize(values);
    });
    rte_fib_free(fib);
  } else {
    rte_fib6_conf conf{};
    conf.type = RTE_FIB6_TRIE;
    conf.max_routes = static_cast<int>(prefixes.size());
    conf.trie = {RTE_FIB6_TRIE_4B, 500'000};
    auto* fib = rte_fib6_create("bench", SOCKET_ID_ANY, &conf);
    int refused = 0;
    for (std::uint32_t i = 0; const auto& prefix : prefixes)
      refused += rte_fib6_add(fib, prefix.address.bytes.data(), prefix.length, ++i) != 0;
    state.counters["refused"] = refused;
    measure(state, many / burst, burst, [&](std::size_t i) {
      const auto* at = burst_v6(addresses, i * burst).data();
      rte_fib6_lookup_bulk(fib, const_cast<std::uint8_t(*)[16]>(at), values, burst);
      benchmark::DoNotOptimize(values);
    });
    rte_fib6_free(fib);
  }
}

// 64 different frames of one kind, in the cache.
void parse_frames(benchmark::State& state) {
  using namespace testing;
  std::mt19937 random(1);
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < burst; ++i) {
    const auto spi = static_cast<std::uint32_t>(random()) | 0x100;
    const auto source = 0xc0000000U + static_cast<std::uint32_t>(random() % 65'536);
    const auto packet = esp(spi, static_cast<std::uint32_t>(random()), 60);
    switch (state.range(0)) {
      case 0:
        frames.push_back(ethernet(0x0800) + Ipv4{.source = source}(packet));
        break;
      case 1:
        frames.push_back(ethernet(0x0800) + Ipv4{.protocol = 17, .source = source}(udp(4500, 4500, packet)));
        break;
      case 2:
        frames.push_back(ethernet(0x86dd) + Ipv6{}(packet));
        break;
      case 3:
        frames.push_back(ethernet(0x0800) + Ipv4{.protocol = 6, .source = source}(Frame(60, 0)));
        break;
    }
  }
  constexpr const char* names[] = {"ESP over IPv4", "ESP in UDP", "ESP over IPv6", "TCP over IPv4"};
  state.SetLabel(names[state.range(0)]);
  parse::FrameInfo infos[burst];
  measure(state, 100, burst, [&](std::size_t) {
    for (std::size_t i = 0; i < burst; ++i)
      parse::parse_frame(frames[i], frames[i].size(), false, 0, infos[i]);
    benchmark::DoNotOptimize(infos);
  });
}

void lookup_sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"v", "prefixes"})->ArgsProduct({{4, 6}, {100, 10'000, 100'000}})->Iterations(31);
}

BENCHMARK(parse_frames)->DenseRange(0, 3)->Iterations(201);
BENCHMARK_CAPTURE(trie_lookup, plain, forward::Instructions::plain)->Apply(lookup_sizes);
BENCHMARK_CAPTURE(trie_lookup, avx512, forward::Instructions::avx512)->Apply(lookup_sizes);
BENCHMARK(fib_lookup)->Apply(lookup_sizes);
BENCHMARK(trie_update)
    ->ArgNames({"v", "prefixes", "how"})
    ->ArgsProduct({{4, 6}, {100'000}, {0, 1, 2}})
    ->Iterations(5);

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, "forward");
}

// Policy lookups and updates, beside what could have been used instead: DPDK's rte_acl, and the trie over
// destinations with the selectors of each SA compared behind it. The time column is of no use; "cycles"
// counts TSC cycles a packet looked up or a policy changed.
//   build-bench/benchmarks/policy_bench [--benchmark_filter=...]
#include <benchmark/benchmark.h>
#include <rte_acl.h>
#include <rte_malloc.h>

#include <chrono>
#include <memory_resource>
#include <random>

#include "benchmarks/measure.hpp"
#include "datapath/forward/prefix_trie.hpp"
#include "datapath/parse/upper_layer.hpp"
#include "datapath/policy/classifier.hpp"
#include "datapath/sa/selector.hpp"
#include "tests/datapath/parse/frames.hpp"

using namespace espgate;
using bench::measure;
using policy::Classifier;
using policy::Decision;

namespace {

constexpr std::size_t burst = 64;
constexpr std::size_t many = std::size_t{1} << 16;  // packets in turn, so that caches see the table
constexpr std::uint32_t sites_begin = 0x14000000;   // 20.0.0.0, a /24 for each site
constexpr std::uint32_t inside = 0x0a010000;        // 10.1.0.0/16

class HugeMemory final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    auto* memory = rte_malloc(nullptr, bytes, static_cast<unsigned>(alignment));
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  void do_deallocate(void* memory, std::size_t, std::size_t) override { rte_free(memory); }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

HugeMemory& huge_memory() {
  static HugeMemory memory;
  return memory;
}

// One connection: our network and the site's.
net::TrafficSelector site(net::Family family, std::uint32_t number) {
  if (family == net::Family::v4)
    return net::between(net::masked(net::Address::v4(inside), 16),
                        net::masked(net::Address::v4(sites_begin + (number << 8)), 24));
  std::uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8, 1};
  const auto ours = net::Address::from_bytes(family, bytes);
  bytes[4] = 2;
  for (unsigned i = 0; i < 3; ++i) bytes[5 + i] = static_cast<std::uint8_t>(number >> (16 - 8 * i));
  return net::between(net::masked(ours, 40), net::masked(net::Address::from_bytes(family, bytes), 64));
}

std::vector<net::Flow> flows_to(net::Family family, std::uint32_t sites) {
  std::mt19937 random(8);
  std::vector<net::Flow> flows(many);
  for (auto& flow : flows) {
    const auto selector = site(family, static_cast<std::uint32_t>(random() % sites));
    auto local = selector.local.first, remote = selector.remote.first;
    local.bytes[3] = remote.bytes[3] =
        static_cast<std::uint8_t>(family == net::Family::v4 ? 9 : remote.bytes[3]);
    if (family == net::Family::v6) local = selector.local.first;
    flow.set_addresses(family, local.bytes.data(), remote.bytes.data());
    flow.set_upper(6, static_cast<std::uint16_t>(random()), 443);
  }
  return flows;
}

std::unique_ptr<Classifier> made(std::uint32_t rules) {
  auto table = Classifier::create(rules, 1, huge_memory(), {});
  if (!table) throw std::runtime_error(table.error().text());
  return *std::move(table);
}

void must_add(Classifier& table, const net::TrafficSelector& selector, std::uint64_t order,
              Decision decision) {
  if (const auto added = table.add(selector, order, decision); !added)
    throw std::runtime_error(added.error().text());
}

net::Family family_of(const benchmark::State& state) {
  return state.range(0) == 4 ? net::Family::v4 : net::Family::v6;
}

// A policy of another shape that no packet of the sites meets.
net::TrafficSelector bystander(net::Family family, unsigned number) {
  auto selector = site(family, 0);
  const auto elsewhere = family == net::Family::v4 ? "172.16.0.0" : "2001:db8:ff00::";
  selector.remote = net::AddressRange::of(
      net::masked(*net::parse_address(elsewhere), static_cast<std::uint8_t>(12 + number)));
  return selector;
}

// `tuples` shapes, of which that of the sites comes first or last.
void lookup(benchmark::State& state) {
  const auto family = family_of(state);
  const auto sites = static_cast<std::uint32_t>(state.range(1));
  const auto tuples = static_cast<unsigned>(state.range(2));
  const bool first = state.range(3) != 0;
  const auto table = made(sites + 16);
  const auto others = [&](std::uint64_t order) {
    for (unsigned i = 1; i < tuples; ++i)
      must_add(*table, bystander(family, i), order + i, Decision::bypass());
  };
  if (!first) others(0);
  for (std::uint32_t i = 0; i < sites; ++i)
    must_add(*table, site(family, i), 1'000 + i, Decision::protect(i));
  if (first) others(10'000'000);
  const auto flows = flows_to(family, sites);
  std::uint8_t rows[burst];
  for (std::uint8_t i = 0; i < burst; ++i) rows[i] = i;
  policy::Match matches[burst];
  std::size_t missed = 0;
  measure(state, many / burst, burst, [&](std::size_t part) {
    table->look_up(flows.data() + part * burst, rows, matches);
    for (const auto& match : matches) missed += !match.decision.is_protect();
  });
  if (missed != 0) state.SkipWithError("a packet found no policy");
}

// What the worker did before there were ordered policies.
void trie_and_selector(benchmark::State& state) {
  const auto sites = static_cast<std::uint32_t>(state.range(1));
  auto trie = forward::PrefixTrie::create(200'000, SOCKET_ID_ANY, {});
  if (!trie) return state.SkipWithError("no memory");
  std::vector<sa::Selector*> selectors;
  for (std::uint32_t i = 0; i < sites; ++i) {
    const auto selector = site(net::Family::v4, i);
    if (!trie->set(selector.remote.cover(), i + 1)) return state.SkipWithError("the trie is full");
    // Each SA's selectors were an allocation of their own.
    auto* one = static_cast<sa::Selector*>(rte_malloc(nullptr, sizeof(sa::Selector), alignof(sa::Selector)));
    *one = {};
    std::ranges::copy(selector.remote.first.bytes, one->source);
    std::ranges::copy(selector.local.first.bytes, one->destination);
    one->source_bits = 24;
    one->destination_bits = 16;
    one->family = net::Family::v4;
    selectors.push_back(one);
  }
  const auto flows = flows_to(net::Family::v4, sites);
  std::vector<std::uint32_t> addresses;
  for (const auto& flow : flows) addresses.push_back(static_cast<std::uint32_t>(flow.addresses[0]));
  std::uint32_t values[burst];
  std::size_t missed = 0;
  measure(state, many / burst, burst, [&](std::size_t part) {
    trie->lookup(std::span(addresses).subspan(part * burst, burst), values);
    for (std::size_t i = 0; i < burst; ++i) {
      const auto& flow = flows[part * burst + i];
      const std::uint32_t local = __builtin_bswap32(static_cast<std::uint32_t>(flow.addresses[0] >> 32));
      const std::uint32_t remote = __builtin_bswap32(static_cast<std::uint32_t>(flow.addresses[0]));
      missed += !sa::matches(*selectors[values[i] - 1], net::Family::v4,
                             reinterpret_cast<const std::uint8_t*>(&remote),
                             reinterpret_cast<const std::uint8_t*>(&local));
    }
  });
  for (auto* one : selectors) rte_free(one);
  if (missed != 0) state.SkipWithError("a packet found no policy");
}

void update(benchmark::State& state) {
  const auto sites = static_cast<std::uint32_t>(state.range(1));
  const auto table = made(sites);
  std::vector<std::uint32_t> rules;
  for (std::uint32_t i = 0; i < sites; ++i)
    rules.push_back(*table->add(site(family_of(state), i), i, Decision::protect(i)));
  std::mt19937 random(3);
  measure(state, 20'000, 2, [&](std::size_t) {
    const auto i = static_cast<std::uint32_t>(random() % sites);
    table->remove(rules[i]);
    rules[i] = *table->add(site(family_of(state), i), i, Decision::protect(i));
  });
  state.SetLabel("remove, then add");
}

// Ten million stores a second or more: a rekey.
void change_decision(benchmark::State& state) {
  const auto sites = static_cast<std::uint32_t>(state.range(1));
  const auto table = made(sites);
  for (std::uint32_t i = 0; i < sites; ++i)
    must_add(*table, site(family_of(state), i), i, Decision::protect(i));
  std::mt19937 random(3);
  measure(state, 20'000, 10, [&](std::size_t) {
    for (int i = 0; i < 10; ++i)
      table->set(static_cast<std::uint32_t>(random() % sites), Decision::protect(1));
  });
}

// Source, destination, ports and protocol as rte_acl wants its fields: the first of one byte, then fours.
struct __attribute__((packed)) AclKey {
  std::uint8_t protocol;
  std::uint8_t unused[3];
  std::uint32_t source;
  std::uint32_t destination;
  std::uint16_t source_port;
  std::uint16_t destination_port;
};
constexpr std::uint32_t acl_fields = 5;
RTE_ACL_RULE_DEF(AclRule, acl_fields);

void acl(benchmark::State& state) {
  const auto sites = static_cast<std::uint32_t>(state.range(1));
  rte_acl_param param{"bench", SOCKET_ID_ANY, RTE_ACL_RULE_SZ(acl_fields), sites};
  auto* context = rte_acl_create(&param);
  std::vector<AclRule> rules(sites);
  for (std::uint32_t i = 0; i < sites; ++i) {
    auto& rule = rules[i];
    rule.data = {1, static_cast<std::int32_t>(sites - i), i + 1};
    rule.field[0].value.u8 = 0;
    rule.field[0].mask_range.u8 = 0;
    rule.field[1].value.u32 = inside;
    rule.field[1].mask_range.u32 = 16;
    rule.field[2].value.u32 = sites_begin + (i << 8);
    rule.field[2].mask_range.u32 = 24;
    rule.field[3].value.u16 = rule.field[4].value.u16 = 0;
    rule.field[3].mask_range.u16 = rule.field[4].mask_range.u16 = 0xffff;
  }
  rte_acl_config config{};
  config.num_categories = 1;
  config.num_fields = acl_fields;
  config.defs[0] = {RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, offsetof(AclKey, protocol)};
  config.defs[1] = {RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(AclKey, source)};
  config.defs[2] = {RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(AclKey, destination)};
  config.defs[3] = {RTE_ACL_FIELD_TYPE_RANGE, 2, 3, 3, offsetof(AclKey, source_port)};
  config.defs[4] = {RTE_ACL_FIELD_TYPE_RANGE, 2, 4, 3, offsetof(AclKey, destination_port)};
  const bool added =
      rte_acl_add_rules(context, reinterpret_cast<const rte_acl_rule*>(rules.data()), sites) == 0;
  const auto begin = std::chrono::steady_clock::now();
  const bool built = added && rte_acl_build(context, &config) == 0;
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  if (built) {
    const auto flows = flows_to(net::Family::v4, sites);
    std::vector<AclKey> keys;
    for (const auto& flow : flows)
      keys.push_back({flow.protocol(),
                      {},
                      __builtin_bswap32(static_cast<std::uint32_t>(flow.addresses[0] >> 32)),
                      __builtin_bswap32(static_cast<std::uint32_t>(flow.addresses[0])),
                      __builtin_bswap16(flow.local_port()),
                      __builtin_bswap16(flow.remote_port())});
    std::uint32_t results[burst];
    std::size_t missed = 0;
    measure(state, many / burst, burst, [&](std::size_t part) {
      const std::uint8_t* data[burst];
      for (std::size_t i = 0; i < burst; ++i)
        data[i] = reinterpret_cast<const std::uint8_t*>(&keys[part * burst + i]);
      rte_acl_classify(context, data, results, burst, 1);
      for (const auto result : results) missed += result == 0;
    });
    if (missed != 0) state.SkipWithError("a packet found no rule");
    state.counters["build_ms"] = took.count();
  } else {
    state.SkipWithError("rte_acl does not build these rules");
  }
  rte_acl_free(context);
}

// What a flow costs before it is looked up: 64 different packets in the cache.
void read_flows(benchmark::State& state) {
  std::vector<testing::Frame> packets;
  for (std::uint32_t i = 0; i < burst; ++i)
    packets.push_back(testing::Ipv4{.protocol = 6, .source = inside + i}(testing::Frame(60, 0)));
  std::vector<net::Flow> flows(burst);
  measure(state, 100, burst, [&](std::size_t) {
    for (std::size_t i = 0; i < burst; ++i)
      parse::read_flow(packets[i], net::Family::v4, {6, false, false, 20}, flows[i]);
    benchmark::DoNotOptimize(flows.data());
  });
}

BENCHMARK(lookup)
    ->ArgNames({"v", "sites", "tuples", "first"})
    ->ArgsProduct({{4, 6}, {1'000, 50'000, 100'000}, {1}, {1}})
    ->ArgsProduct({{4}, {50'000}, {2, 4, 8}, {0, 1}})
    ->Iterations(31);
BENCHMARK(trie_and_selector)
    ->ArgNames({"v", "sites"})
    ->ArgsProduct({{4}, {1'000, 50'000, 100'000}})
    ->Iterations(31);
BENCHMARK(acl)->ArgNames({"v", "sites"})->ArgsProduct({{4}, {1'000, 50'000}})->Iterations(31);
BENCHMARK(update)->ArgNames({"v", "sites"})->ArgsProduct({{4, 6}, {1'000, 100'000}})->Iterations(3);
BENCHMARK(change_decision)->ArgNames({"v", "sites"})->ArgsProduct({{4}, {100'000}})->Iterations(3);
BENCHMARK(read_flows)->Iterations(201);

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, "policy");
}

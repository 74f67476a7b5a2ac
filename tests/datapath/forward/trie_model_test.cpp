#include <catch2/catch.hpp>
#include <cstring>

#include "datapath/forward/prefix_trie.hpp"
#include "tests/datapath/forward/prefixes.hpp"
#include "tests/sanitized.hpp"

using namespace espgate;
using namespace espgate::forward;
using namespace espgate::testing;

namespace {

std::vector<std::uint32_t> looked_up(const PrefixTrie& trie, const std::vector<net::Address>& addresses) {
  std::vector<std::uint32_t> values(addresses.size());
  std::uint32_t v4[PrefixTrie::most_in_burst];
  std::uint8_t v6[PrefixTrie::most_in_burst][16];
  for (std::size_t i = 0; i < addresses.size(); ++i)
    if (addresses[i].family == net::Family::v4)
      v4[i] = addresses[i].v4_value();
    else
      std::memcpy(v6[i], addresses[i].bytes.data(), 16);
  if (addresses[0].family == net::Family::v4)
    trie.lookup(std::span(v4).first(addresses.size()), values.data());
  else
    trie.lookup(std::span(v6).first(addresses.size()), values.data());
  return values;
}

// Addresses around a prefix's edges, where an off-by-one would show.
std::vector<net::Address> probes(std::mt19937& random, const net::Prefix& prefix) {
  std::vector<net::Address> addresses{prefix.address};
  auto last = prefix.address;
  for (int bit = prefix.length; bit < last.bits(); ++bit)
    last.bytes[static_cast<std::size_t>(bit / 8)] |= static_cast<std::uint8_t>(0x80 >> (bit % 8));
  addresses.push_back(last);
  const auto size = static_cast<std::size_t>(last.bits() / 8);
  for (const int step : {-1, 1}) {
    auto beside = step < 0 ? prefix.address : last;
    for (std::size_t i = size; i-- > 0;) {
      beside.bytes[i] = static_cast<std::uint8_t>(beside.bytes[i] + step);
      if (beside.bytes[i] != (step < 0 ? 0xff : 0)) break;
    }
    addresses.push_back(beside);
  }
  for (int i = 0; i < 12; ++i) addresses.push_back(random_address(random, prefix.address.family));
  return addresses;
}

void run_model(net::Family family, unsigned seed, std::uint32_t groups, std::size_t most,
               Instructions instructions) {
  if (!available(instructions)) return;
  CAPTURE(seed, static_cast<int>(instructions));
  std::mt19937 random(seed);
  auto trie = PrefixTrie::create(groups, SOCKET_ID_ANY, {}, instructions);
  REQUIRE(trie);
  Model model;
  int refused = 0;
  for (int step = 0; step < testing::many(4'000); ++step) {
    auto prefix = random_prefix(random, family);
    const bool known = !model.empty() && random() % 2 == 0;
    if (known) prefix = std::next(model.begin(), static_cast<long>(random() % model.size()))->first;
    const bool remove = model.size() >= most || random() % 3 == 0;
    if (remove) {
      REQUIRE(trie->remove(prefix) == (model.erase(prefix) == 1));
    } else {
      const auto value = static_cast<std::uint32_t>(random() % 5);  // few, so that neighbours are alike
      const auto done = trie->set(prefix, value);
      if (done) model[prefix] = value;
      refused += !done;
    }
    const auto addresses = probes(random, prefix);
    const auto values = looked_up(*trie, addresses);
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      CAPTURE(step, net::to_string(prefix), net::to_string(addresses[i]));
      REQUIRE(values[i] == slow_lookup(model, addresses[i]));
    }
  }
  CHECK((refused > 0) == (groups < 100));
  CHECK(trie->size() == model.size());
  const auto sorted = trie->sorted();
  CHECK(std::equal(sorted.begin(), sorted.end(), model.begin(), model.end(),
                   [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));

  // With the prefixes all groups are given back, whatever the order was: everything fits again.
  for (const auto& [prefix, value] : model) REQUIRE(trie->remove(prefix));
  const auto deepest = net::masked(random_address(random, family), family == net::Family::v4 ? 32 : 128);
  const auto group_needs = family == net::Family::v4 ? 2U : 14U;
  for (std::uint32_t i = 0; i < groups / group_needs; ++i) {
    auto apart = deepest;
    apart.address.bytes[0] = static_cast<std::uint8_t>(i >> 8);
    apart.address.bytes[1] = static_cast<std::uint8_t>(i);
    REQUIRE(trie->set(apart, 1));
  }
}

}  // namespace

TEST_CASE("lookups agree with the longest match, whatever comes and goes") {
  const auto instructions = GENERATE(Instructions::plain, Instructions::avx512);
  for (unsigned seed = 1; seed <= 5; ++seed) {
    run_model(net::Family::v4, seed, 2'000, 60, instructions);
    run_model(net::Family::v6, seed, 10'000, 60, instructions);
  }
}

TEST_CASE("a table without room for a prefix refuses it and stays as it was") {
  const auto instructions = GENERATE(Instructions::plain, Instructions::avx512);
  for (unsigned seed = 1; seed <= 3; ++seed) {
    run_model(net::Family::v4, seed, 12, 60, instructions);
    run_model(net::Family::v6, seed, 60, 60, instructions);
  }
}

TEST_CASE("an empty table says 0, a default route covers all") {
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    auto trie = PrefixTrie::create(10, SOCKET_ID_ANY, {});
    REQUIRE(trie);
    std::mt19937 random(3);
    std::vector<net::Address> addresses;
    for (int i = 0; i < 64; ++i) addresses.push_back(random_address(random, family));
    CHECK(looked_up(*trie, addresses) == std::vector<std::uint32_t>(64, 0));
    REQUIRE(trie->set(net::masked(addresses[0], 0), 7));
    CHECK(looked_up(*trie, addresses) == std::vector<std::uint32_t>(64, 7));
    CHECK(trie->remove(net::masked(addresses[0], 0)));
    CHECK_FALSE(trie->remove(net::masked(addresses[0], 0)));
    CHECK(looked_up(*trie, addresses) == std::vector<std::uint32_t>(64, 0));
  }
}

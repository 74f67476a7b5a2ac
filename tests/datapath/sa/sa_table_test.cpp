#include "datapath/sa/sa_table.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/datapath/sa/from_environment.hpp"

using namespace espgate::sa;
using espgate::test::seed;

namespace {

constexpr Lookup every_lookup[] = {Lookup::scalar, Lookup::sse42, Lookup::avx2, Lookup::avx512};

std::vector<Lookup> lookups_of_this_cpu() {
  std::vector<Lookup> result;
  for (const auto lookup : every_lookup)
    if (SaTable::supports(lookup)) result.push_back(lookup);
  return result;
}

std::pmr::memory_resource& heap() {
  return *std::pmr::new_delete_resource();
}

// Counts how many SPIs, taken from `next` in turn, a table takes before it says that it is full.
template <typename Next>
double load_when_full(std::size_t capacity, Next next) {
  SaTable table(capacity, heap());
  while (table.insert(next(), 1) != SaTable::Insert::full) {
  }
  return static_cast<double>(table.size()) / static_cast<double>(table.slots());
}

}  // namespace

TEST_CASE("an SPI is found under its index until it is erased") {
  SaTable table(10, heap());
  CHECK(table.find(0x1001) == no_sa);
  CHECK(table.insert(0x1001, 7) == SaTable::Insert::inserted);
  CHECK(table.insert(0x1001, 8) == SaTable::Insert::exists);
  CHECK(table.find(0x1001) == 7);
  CHECK(table.size() == 1);
  CHECK(table.erase(0x1001));
  CHECK_FALSE(table.erase(0x1001));
  CHECK(table.find(0x1001) == no_sa);
  CHECK(table.size() == 0);
}

TEST_CASE("SPI 0, which marks empty slots, is never found nor erased") {
  SaTable table(10, heap());
  table.insert(0x1001, 0);
  CHECK(table.find(0) == no_sa);
  CHECK_FALSE(table.erase(0));
  const std::uint32_t spis[] = {0, 0x1001, 0};
  for (const auto lookup : lookups_of_this_cpu()) {
    std::uint32_t out[3];
    table.find_with(lookup, spis, out);
    CHECK(out[0] == no_sa);
    CHECK(out[1] == 0);
    CHECK(out[2] == no_sa);
  }
}

TEST_CASE("the table does what a map does") {
  CAPTURE(seed());
  std::mt19937 random(seed());
  constexpr std::size_t capacity = 5'000;
  SaTable table(capacity, heap());
  std::unordered_map<std::uint32_t, std::uint32_t> model;
  // Few enough SPIs that many operations meet one that is there.
  std::uniform_int_distribution<std::uint32_t> some_spi(1, 8'000);
  const auto spread = [](std::uint32_t spi) { return spi * 2'654'435'761u; };
  for (std::uint32_t step = 0; step < 400'000; ++step) {
    const std::uint32_t spi = spread(some_spi(random));
    const auto known = model.find(spi);
    const bool present = known != model.end();
    switch (random() % 3) {
      case 0:
        if (present) {
          REQUIRE(table.insert(spi, step) == SaTable::Insert::exists);
        } else if (model.size() < capacity) {
          REQUIRE(table.insert(spi, step) == SaTable::Insert::inserted);
          model.emplace(spi, step);
        }
        break;
      case 1:
        if (random() % 2 == 0) break;  // fewer than insertions, so that the table gets full
        REQUIRE(table.erase(spi) == present);
        model.erase(spi);
        break;
      default:
        REQUIRE(table.find(spi) == (present ? known->second : no_sa));
    }
    REQUIRE(table.size() == model.size());
  }
  for (const auto& [spi, index] : model) REQUIRE(table.find(spi) == index);
}

TEST_CASE("1,000,000 SAs fit at a load of at least 0.85, and each is found") {
  CAPTURE(seed());
  std::mt19937 random(seed());
  constexpr std::uint32_t count = 1'000'000;
  SaTable table(count, heap());
  std::vector<std::uint32_t> spis;
  while (spis.size() < count) {
    const auto spi = static_cast<std::uint32_t>(random());
    if (spi < 256) continue;
    const auto result = table.insert(spi, static_cast<std::uint32_t>(spis.size()));
    REQUIRE(result != SaTable::Insert::full);
    if (result == SaTable::Insert::inserted) spis.push_back(spi);
  }
  CHECK(table.size() == count);
  CHECK(static_cast<double>(count) / static_cast<double>(table.slots()) >= 0.85);
  std::uint32_t wrong = 0;
  std::uint32_t out[64];
  for (std::uint32_t i = 0; i < count; i += 64) {
    const auto burst = std::span(spis).subspan(i, std::min(64u, count - i));
    table.find(burst, out);
    for (std::uint32_t k = 0; k < burst.size(); ++k)
      wrong += (out[k] != i + k) + (table.find(burst[k]) != i + k);
  }
  CHECK(wrong == 0);
}

TEST_CASE("a table takes 95% and more of its slots, whatever the SPIs look like") {
  CAPTURE(seed());
  std::mt19937 random(seed());
  std::map<std::string, double> loads;
  loads["random"] = load_when_full(60'000, [&] { return static_cast<std::uint32_t>(random() | 1); });
  for (const std::uint32_t stride : {1u, 2u, 8u, 256u, 4'096u, 65'537u, 0x0101'0101u}) {
    std::uint32_t spi = 256;
    loads["stride " + std::to_string(stride)] = load_when_full(60'000, [&] { return spi += stride; });
  }
  for (const auto& [name, load] : loads) {
    UNSCOPED_INFO(name << ": " << load);
    CHECK(load >= 0.95);
  }
}

TEST_CASE("the capacity asked for always fits, in small tables too") {
  CAPTURE(seed());
  std::mt19937 random(seed());
  for (std::size_t capacity = 1; capacity < 40'000; capacity += 1 + capacity / 7) {
    CAPTURE(capacity);
    SaTable table(capacity, heap());
    while (table.size() < capacity) {
      const auto spi = static_cast<std::uint32_t>(random() | 1);
      REQUIRE(table.insert(spi, 1) != SaTable::Insert::full);
    }
  }
}

TEST_CASE("all instruction sets give the same answers for every burst size") {
  CAPTURE(seed());
  std::mt19937 random(seed());
  constexpr std::uint32_t count = 30'000;
  SaTable table(count, heap());
  std::vector<std::uint32_t> spis;
  for (std::uint32_t i = 0; i < count; ++i) {
    spis.push_back(static_cast<std::uint32_t>(random() | 1));
    table.insert(spis.back(), i);
  }
  for (int round = 0; round < 5'000; ++round) {
    std::vector<std::uint32_t> burst(random() % 65);
    for (auto& spi : burst)
      spi = random() % 2 == 0 ? spis[random() % count] : static_cast<std::uint32_t>(random() % 3 * random());
    for (const auto lookup : lookups_of_this_cpu()) {
      // One more, which nobody may write to.
      std::vector<std::uint32_t> out(burst.size() + 1, 0xdead);
      table.find_with(lookup, burst, out.data());
      CAPTURE(static_cast<int>(lookup), round);
      for (std::size_t i = 0; i < burst.size(); ++i) REQUIRE(out[i] == table.find(burst[i]));
      REQUIRE(out.back() == 0xdead);
    }
  }
}

TEST_CASE("a burst may hold one SPI many times") {
  SaTable table(100, heap());
  table.insert(0xc0ffee, 5);
  const std::vector<std::uint32_t> burst(64, 0xc0ffee);
  for (const auto lookup : lookups_of_this_cpu()) {
    std::vector<std::uint32_t> out(64);
    table.find_with(lookup, burst, out.data());
    CHECK(out == std::vector<std::uint32_t>(64, 5));
  }
}

TEST_CASE("an insertion that finds no room leaves the table as it was") {
  CAPTURE(seed());
  std::mt19937 random(seed());
  SaTable table(2'000, heap());
  std::vector<std::uint32_t> spis;
  for (;;) {
    const auto spi = static_cast<std::uint32_t>(random() | 1);
    const auto result = table.insert(spi, static_cast<std::uint32_t>(spis.size()));
    if (result == SaTable::Insert::full) {
      CHECK(table.find(spi) == no_sa);
      break;
    }
    if (result == SaTable::Insert::inserted) spis.push_back(spi);
  }
  CHECK(table.size() == spis.size());
  for (std::uint32_t i = 0; i < spis.size(); ++i) REQUIRE(table.find(spis[i]) == i);
}

// Readers beside a writer that inserts and deletes without pause in a nearly full table, so that entries
// are moved all the time. Run for minutes in a ThreadSanitizer build: ESPGATE_CHURN_SECONDS=120.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "datapath/sa/sa_table.hpp"
#include "tests/datapath/sa/from_environment.hpp"

using namespace espgate::sa;
using espgate::test::from_environment;
using espgate::test::seed;

namespace {

// The three kinds of SPIs are told apart by their last two bits; the index is a function of the SPI.
enum Kind : std::uint32_t { resident = 1, transient = 2, stranger = 3 };

std::uint32_t spi_number(Kind kind, std::uint32_t number) {
  return number * 0x9e37'79b1u << 2 | kind;
}
std::uint32_t index_of(std::uint32_t spi) {
  return (spi ^ 0x5a5a'5a5a) >> 9;
}

struct Findings {
  std::atomic<std::uint64_t> lookups{0};
  std::atomic<std::uint64_t> missed{0};    // a resident not found
  std::atomic<std::uint64_t> wrong{0};     // another SA's index
  std::atomic<std::uint64_t> invented{0};  // a stranger found
};

constexpr std::uint32_t resident_count = 1'000;
constexpr std::uint32_t transient_count = 2'900;  // 0.95 of 4096 slots with the residents

void judge(std::uint32_t spi, std::uint32_t index, Findings& findings) {
  const auto kind = spi & 3;
  if (index == no_sa)
    findings.missed += kind == resident;
  else
    findings.wrong += index != index_of(spi);
  findings.invented += kind == stranger && index != no_sa;
}

// `newest` is the number of a recent transient.
void read(const SaTable& table, Lookup lookup, const std::atomic<std::uint32_t>& newest,
          const std::atomic<bool>& stop, Findings& findings) {
  std::mt19937 random(seed() + 1);
  while (!stop.load(std::memory_order_relaxed)) {
    std::uint32_t burst[64];
    std::uint32_t out[64];
    for (auto& spi : burst) {
      const Kind kinds[] = {resident, resident, transient, stranger};
      const Kind kind = kinds[random() % 4];
      const auto number = static_cast<std::uint32_t>(random());
      spi = spi_number(kind, kind == transient ? newest - number % transient_count : number % resident_count);
    }
    const auto size = 1 + random() % 64;
    table.find_with(lookup, std::span(burst, size), out);
    for (std::size_t i = 0; i < size; ++i) judge(burst[i], out[i], findings);
    judge(burst[0], table.find(burst[0]), findings);
    findings.lookups += size + 1;
  }
}

}  // namespace

TEST_CASE("a present SPI is never missed while the table changes") {
  CAPTURE(seed());
  const auto seconds = from_environment("ESPGATE_CHURN_SECONDS", 2);
  std::vector<Lookup> lookups;
  for (const auto lookup : {Lookup::scalar, Lookup::sse42, Lookup::avx2, Lookup::avx512})
    if (SaTable::supports(lookup)) lookups.push_back(lookup);

  for (const auto lookup : lookups) {
    SaTable table(resident_count + transient_count, *std::pmr::new_delete_resource());
    REQUIRE(table.slots() == 4'096);
    for (std::uint32_t i = 0; i < resident_count; ++i)
      REQUIRE(table.insert(spi_number(resident, i), index_of(spi_number(resident, i))) ==
              SaTable::Insert::inserted);

    std::atomic<bool> stop{false};
    std::atomic<std::uint32_t> newest{0};
    Findings findings;
    std::vector<std::thread> readers;
    for (int i = 0; i < 2; ++i) readers.emplace_back([&] { read(table, lookup, newest, stop, findings); });

    // A ring of transient SPIs: the oldest goes, a new one comes.
    std::uint32_t oldest = 0;
    std::uint32_t next = 0;
    std::uint64_t failures = 0;
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(seconds * 1000 / lookups.size());
    while (std::chrono::steady_clock::now() < end) {
      newest.store(next, std::memory_order_relaxed);
      for (int i = 0; i < 256; ++i) {
        const std::uint32_t spi = spi_number(transient, next++);
        failures += table.insert(spi, index_of(spi)) != SaTable::Insert::inserted;
        if (next - oldest > transient_count - 1) failures += !table.erase(spi_number(transient, oldest++));
      }
    }
    stop = true;
    for (auto& reader : readers) reader.join();

    CAPTURE(static_cast<int>(lookup), findings.lookups.load(), next);
    CHECK(failures == 0);
    CHECK(findings.missed.load() == 0);
    CHECK(findings.wrong.load() == 0);
    CHECK(findings.invented.load() == 0);
    CHECK(findings.lookups.load() > 0);
    CHECK(next > transient_count);
  }
}

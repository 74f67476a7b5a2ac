#include "datapath/sa/iv_bases.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <vector>

using namespace espgate::sa;

namespace {

const std::vector<std::uint8_t> key_a(20, 0xaa);
const std::vector<std::uint8_t> key_b(20, 0xbb);

// In 2^-32 s, of this second.
std::uint64_t wall_clock() {
  using namespace std::chrono;
  const auto time = system_clock::now().time_since_epoch();
  const auto whole = duration_cast<seconds>(time);
  const auto ns = static_cast<std::uint64_t>(duration_cast<nanoseconds>(time - whole).count());
  return static_cast<std::uint64_t>(whole.count()) << 32 | (ns << 32) / 1'000'000'000;
}

constexpr std::uint64_t second = std::uint64_t{1} << 32;

struct Fixture {
  FixedArray<OutboundSa> sas{*std::pmr::new_delete_resource(), 4};
  IvBases bases{sas, 4};

  std::uint64_t install(std::uint32_t index, std::span<const std::uint8_t> key) {
    sas[index].sequence = 0;
    sas[index].sequence_limit = last_sequence(false);
    return sas[index].iv_base = bases.take(index, key);
  }
};

}  // namespace

TEST_CASE("an IV base is the time of day, and never ahead of it however often a key is installed") {
  Fixture f;
  for (unsigned round = 0; round < 100; ++round) {
    const auto before = wall_clock();
    const auto base = f.install(round % 4, key_a);
    const auto after = wall_clock();
    if (base + second < before || base > after + 1) FAIL(base << " in " << before << ".." << after);
  }
}

TEST_CASE("bases only rise, for all keys and by whichever process") {
  std::uint64_t last = 0;
  for (int process = 0; process < 20; ++process) {
    Fixture f;
    for (const auto& key : {key_a, key_b}) {
      const auto base = f.install(0, key);
      CHECK(base > last);
      last = base;
      f.bases.forget(0);
    }
  }
}

TEST_CASE("an SA whose key is installed again ends below its successor's base, others go on") {
  Fixture f;
  f.install(0, key_a);
  f.install(1, key_b);
  f.sas[0].sequence = 1'000;
  f.sas[1].sequence = 1'000;
  const auto base = f.install(2, key_a);
  CHECK(f.sas[0].sequence_limit == 1'000 + IvBases::handover_packets);
  CHECK(f.sas[0].iv_base + f.sas[0].sequence_limit + 1'000 < base);
  CHECK(f.sas[1].sequence_limit == 0xffff'ffff);
  CHECK(f.sas[2].sequence_limit == 0xffff'ffff);

  SECTION("and so does that one") {
    const auto next = f.install(3, key_a);
    CHECK(f.sas[2].iv_base + f.sas[2].sequence_limit < next);
  }
  SECTION("and gets no number back if it had few left") {
    f.sas[2].sequence_limit = 5;
    f.install(3, key_a);
    CHECK(f.sas[2].sequence_limit == 5);
  }
  SECTION("but for one that is gone") {
    f.bases.forget(2);
    f.sas[2].sequence_limit = 7;
    f.install(3, key_a);
    CHECK(f.sas[2].sequence_limit == 7);
  }
}

// What a store takes of memory, and what it says when there is too little.
#include "tests/datapath/sa/store_fixture.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;

TEST_CASE("a store needs at most 2 KiB for an SA pair beyond the key schedules") {
  constexpr std::uint32_t pairs = 1'000;
  StoreFixture f({pairs, pairs, 4});
  constexpr std::size_t key_schedules = 2 * (256 + 64);
  CHECK(f.memory.out_bytes / pairs - key_schedules <= 2'048);
}

TEST_CASE("all memory goes back") {
  FakeEngine engine;
  CountingMemory memory;
  {
    auto store = *SaStore::create({4, 4, 3}, engine, memory);
    auto parameters = parameters_of(0x1001);
    parameters.window_packets = 4'096;
    parameters.selectors.resize(2, parameters.selectors[0]);
    install(*store, parameters);
    REQUIRE(store->reserve_inbound(0x1002));
    REQUIRE(store->install_outbound(parameters));
  }
  CHECK(memory.out_bytes == 0);
}

TEST_CASE("too little memory is an error with a remedy, and nothing leaks") {
  FakeEngine engine;
  for (const std::size_t limit : {0u, 100'000u, 300'000u}) {
    CountingMemory memory;
    memory.limit = limit;
    const auto store = SaStore::create({1'000, 1'000, 1}, engine, memory);
    REQUIRE_FALSE(store);
    CHECK_FALSE(store.error().remedy.empty());
    CHECK(memory.out_bytes == 0);
  }
}

// What a bulk lookup does when the writer is at work between its two looks at a bucket.
#include <catch2/catch.hpp>

#include "datapath/sa/sa_table_lookup.hpp"

using namespace espgate::sa;
using namespace espgate::sa::detail;

namespace {

// The vectors in plain C++, and a writer that overwrites what matched.
struct Interrupted {
  static constexpr std::size_t lanes = 8;
  static inline bool overwrites = false;

  static void place(Columns& columns, std::size_t at, const std::uint32_t* spis, std::uint32_t mask) {
    for (std::size_t i = 0; i < lanes; ++i) {
      const auto places = places_of(spis[i], mask);
      columns.spi[at + i] = spis[i];
      columns.first[at + i] = places.first * static_cast<std::uint32_t>(sizeof(Bucket));
      columns.second[at + i] = places.second * static_cast<std::uint32_t>(sizeof(Bucket));
      columns.filter[at + i] = static_cast<std::uint32_t>(places.filter_bits >> 32);
      columns.stop[at + i] = stop_at_slot_0 << 2 * places.filter_slot;
    }
  }
  static EqualHalves equal(const Bucket* bucket, std::uint32_t spi) {
    EqualHalves halves = 0;
    for (unsigned slot = 0; slot < slots_a_bucket; ++slot) {
      auto& word = const_cast<Bucket*>(bucket)->slots[slot];
      if (spi_of(word.load()) != spi) continue;
      halves |= 1u << 2 * slot;
      if (overwrites) word.store(entry(spi + 1, 9));
    }
    return halves;
  }
  static Settled settle(Columns& columns, std::size_t at, std::uint32_t* found) {
    Settled settled{};
    for (std::size_t i = 0; i < lanes; ++i) {
      const auto word = columns.word[at + i];
      const bool differs = spi_of(word) != columns.spi[at + i];
      const auto filter = columns.filter[at + i];
      found[i] = differs ? no_sa : detail::index_of(word);
      settled.not_here |= std::uint32_t{differs} << i;
      settled.go_on |= std::uint32_t{differs && (word >> 32 & filter) == filter} << i;
    }
    return settled;
  }
};

}  // namespace

TEST_CASE("an SPI whose slot is overwritten between two looks is never called missing for good") {
  constexpr std::uint32_t spi = 0x1001;
  constexpr std::uint32_t mask = 63;
  const auto places = places_of(spi, mask);
  REQUIRE(places.first != places.second);
  Interrupted::overwrites = GENERATE(false, true);
  static Bucket buckets[mask + 1];
  for (auto& bucket : buckets)
    for (auto& slot : bucket.slots) slot.store(empty_entry);
  // In the middle of its move: the copy is there, the filter says so, the original is about to go.
  const auto slot = (places.filter_slot + 1) % slots_a_bucket;
  buckets[places.first].slots[slot].store(entry(spi, 7));
  buckets[places.first].slots[places.filter_slot].store(empty_entry | places.filter_bits);
  buckets[places.second].slots[0].store(entry(spi, 7));
  std::uint32_t index = 0;
  const auto found = find_by<Interrupted>(buckets, mask, &spi, 1, &index);
  if (Interrupted::overwrites) {
    CHECK(found == Found::disturbed);
  } else {
    CHECK(found == Found::all);
    CHECK(index == 7);
  }
}

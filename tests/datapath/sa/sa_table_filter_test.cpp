// What makes a lookup cheap: nearly every key is in its first bucket, and the filter sends few others on.
// Seen in the table's own memory, as readers see it.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <unordered_map>
#include <vector>

#include "datapath/sa/sa_table_bucket.hpp"
#include "tests/datapath/sa/from_environment.hpp"

using namespace espgate::sa;
using namespace espgate::sa::detail;
using espgate::test::seed;

namespace {

// Knows where the table's buckets are.
class OneBlock : public std::pmr::memory_resource {
 public:
  const Bucket* buckets() const { return static_cast<const Bucket*>(block_); }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    REQUIRE(block_ == nullptr);
    return block_ = std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
    block_ = nullptr;
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  void* block_ = nullptr;
};

// A table, the SPIs that are in it, and both changed at random.
struct Rig {
  std::mt19937 random{seed()};
  OneBlock memory;
  SaTable table;
  std::vector<std::uint32_t> spis;

  explicit Rig(std::size_t capacity) : table(capacity, memory) {}

  std::uint32_t mask() const { return static_cast<std::uint32_t>(table.slots() / slots_a_bucket - 1); }
  static std::uint32_t index_of(std::uint32_t spi) { return (spi * 0x9e37'79b1u) >> 9; }
  std::uint32_t any_spi() { return static_cast<std::uint32_t>(random()) | 1; }

  void insert_one() {
    for (;;) {
      const std::uint32_t spi = any_spi();
      const auto result = table.insert(spi, index_of(spi));
      REQUIRE(result != SaTable::Insert::full);
      if (result == SaTable::Insert::exists) continue;
      spis.push_back(spi);
      return;
    }
  }

  void erase_one() {
    std::swap(spis[random() % spis.size()], spis.back());
    REQUIRE(table.erase(spis.back()));
    spis.pop_back();
  }
};

struct Image {
  std::size_t entries = 0;
  std::size_t lodgers = 0;
  std::size_t misplaced = 0;           // in neither of its buckets
  std::size_t away_for_no_reason = 0;  // in the second while the first has room
  std::size_t wrong_filters = 0;       // words whose filter is not that of the lodgers
};

Image look_at(const Rig& rig) {
  Image image;
  const std::size_t buckets = std::size_t{rig.mask()} + 1;
  std::vector<std::uint64_t> filters(rig.table.slots());
  std::vector<std::size_t> used(buckets);
  std::vector<std::uint32_t> left;  // the first bucket of each lodger
  for (std::uint32_t b = 0; b < buckets; ++b) {
    for (const auto& slot : rig.memory.buckets()[b].slots) {
      const std::uint32_t spi = spi_of(slot.load());
      if (spi == 0) continue;
      ++image.entries;
      ++used[b];
      const auto places = places_of(spi, rig.mask());
      image.misplaced += b != places.first && b != places.second;
      if (b == places.first) continue;
      ++image.lodgers;
      left.push_back(places.first);
      filters[places.first * slots_a_bucket + places.filter_slot] |= places.filter_bits;
    }
  }
  for (const std::uint32_t b : left) image.away_for_no_reason += used[b] != slots_a_bucket;
  for (std::size_t i = 0; i < filters.size(); ++i) {
    const auto& slot = rig.memory.buckets()[i / slots_a_bucket].slots[i % slots_a_bucket];
    image.wrong_filters += (slot.load() & ~entry_mask) != filters[i];
  }
  return image;
}

void check(const Rig& rig, const Image& image) {
  CHECK(image.entries == rig.spis.size());
  CHECK(image.misplaced == 0);
  CHECK(image.away_for_no_reason == 0);
  CHECK(image.wrong_filters == 0);
}

}  // namespace

TEST_CASE("the filter says exactly who lodges, whatever was inserted, moved and erased") {
  CAPTURE(seed());
  // Few buckets, so that lodgers share filter bits; nearly full, so that entries are moved all the time.
  constexpr std::size_t capacity = 490;
  Rig rig(capacity);
  REQUIRE(rig.table.slots() == 512);
  std::size_t lodgers = 0;
  for (int step = 0; step < 30'000; ++step) {
    // In turns filled up and emptied.
    const bool grow = rig.random() % 10 < (step / 2'000 % 2 == 0 ? 8 : 2);
    if (grow ? rig.spis.size() < capacity : rig.spis.empty())
      rig.insert_one();
    else
      rig.erase_one();
    if (step % 10 != 0) continue;
    const Image image = look_at(rig);
    check(rig, image);
    lodgers = std::max(lodgers, image.lodgers);
    for (const std::uint32_t spi : rig.spis) REQUIRE(rig.table.find(spi) == Rig::index_of(spi));
  }
  CHECK(lodgers > capacity / 8);

  while (!rig.spis.empty()) rig.erase_one();
  for (std::size_t i = 0; i < rig.table.slots(); ++i)
    REQUIRE(rig.memory.buckets()[i / slots_a_bucket].slots[i % slots_a_bucket].load() == empty_entry);
}

TEST_CASE("at a load of 0.95 few lookups need a second bucket, after long use too") {
  CAPTURE(seed());
  constexpr std::size_t capacity = 62'000;
  Rig rig(capacity);
  while (rig.spis.size() < capacity) rig.insert_one();
  const auto check_cost = [&] {
    const Image image = look_at(rig);
    check(rig, image);
    CHECK(static_cast<double>(image.lodgers) / static_cast<double>(capacity) < 0.20);
    constexpr int strangers = 100'000;
    int sent_on = 0;
    for (int i = 0; i < strangers; ++i)
      sent_on += may_lodge(rig.memory.buckets(), places_of(rig.any_spi(), rig.mask()));
    CHECK(sent_on < strangers / 80);
  };
  check_cost();
  for (std::size_t i = 0; i < 4 * capacity; ++i) {
    rig.erase_one();
    rig.insert_one();
  }
  check_cost();
}

TEST_CASE("all instruction sets find lodgers, and the largest index, in a full table") {
  CAPTURE(seed());
  constexpr std::size_t capacity = 3'900;
  Rig rig(capacity);
  constexpr std::uint32_t largest = SaTable::most_entries - 1;
  REQUIRE(rig.table.insert(0x8000'0000, largest) == SaTable::Insert::inserted);
  while (rig.spis.size() < capacity) rig.insert_one();
  for (const auto lookup : {Lookup::scalar, Lookup::sse42, Lookup::avx2, Lookup::avx512}) {
    if (!SaTable::supports(lookup)) continue;
    CAPTURE(static_cast<int>(lookup));
    std::uint32_t wrong = 0;
    for (std::size_t i = 0; i < rig.spis.size();) {
      const std::size_t size = std::min<std::size_t>(1 + rig.random() % 64, rig.spis.size() - i);
      std::uint32_t out[64];
      rig.table.find_with(lookup, std::span(rig.spis).subspan(i, size), out);
      for (std::size_t k = 0; k < size; ++k) wrong += out[k] != Rig::index_of(rig.spis[i + k]);
      i += size;
    }
    CHECK(wrong == 0);
    const std::uint32_t spis[] = {0x8000'0000, 0};
    std::uint32_t out[2];
    rig.table.find_with(lookup, spis, out);
    CHECK(out[0] == largest);
    CHECK(out[1] == no_sa);
  }
}

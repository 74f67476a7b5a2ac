// SPI -> SA index: a cuckoo hash for one writer and any number of lock-free readers.
//
//   key --hash--> first bucket ──┐   a bucket is one 64-byte cache line of 8 slots,
//        \------> second bucket ─┴─► a slot is one 64-bit word {8 bits of filter, 24 bits SA index, SPI},
//                                     read and written whole, so a hit can never pair an SPI with
//                                     another SA's index.
//
// A key lives in its first bucket if it can. If that is full the key lodges in its second, and its bit is
// set in the first one's filter: 64 bits a bucket, each set exactly while some lodger with that bit is away.
// So one cache line answers nearly every lookup; of the others few are in vain (docs/decisions/0006).
//
// The writer makes room, and brings lodgers home, by moving entries: it sets the filter bit if the entry
// leaves home, writes the copy, bumps `moves_`, and only then clears the filter bit if the entry came home
// and overwrites the original. So what makes an entry findable comes before its bump, what hides it after.
// A reader that finds nothing looks again if `moves_` changed since it began. If it did not change, the
// reader saw all that came before that bump and nothing that came after the next: it cannot have missed
// what a move hid. A key that is present is never missed, however the writer shuffles. (A false miss would
// be an invented invalid SPI.) Lookup of a key being inserted or erased at that moment may answer either way.
//
// SPI 0 marks an empty slot: it can be looked up (and is not found), not inserted.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <string_view>
#include <vector>

namespace espgate::sa {

inline constexpr std::uint32_t no_sa = 0xffff'ffff;

namespace detail {
struct Bucket;
}

// The ways a burst can be looked up. All give the same answers.
enum class Lookup : std::uint8_t { scalar, sse42, avx2, avx512 };

class SaTable {
 public:
  // An index is 23 bits: with its sign, no_sa, it has 24 in a slot.
  static constexpr std::size_t most_entries = std::size_t{1} << 23;

  // Room for `capacity` entries, 1 to most_entries, at a load factor of at most 0.96, from `memory`, which
  // must outlive the table; the writer's own lists are from the heap. Throws std::bad_alloc at start-up,
  // never later.
  SaTable(std::size_t capacity, std::pmr::memory_resource& memory);
  ~SaTable();
  SaTable(const SaTable&) = delete;
  SaTable& operator=(const SaTable&) = delete;

  // Of `memory`, at most, whatever the capacity: the number of buckets is a power of two.
  static constexpr std::size_t bytes_an_entry = 2 * sizeof(std::uint64_t) * 10 / 9;

  // Writer's side, one thread. `spi` is not 0 and `index` below most_entries. `full` means that a bounded
  // search found no room; the table is unchanged then.
  enum class Insert : std::uint8_t { inserted, exists, full };
  Insert insert(std::uint32_t spi, std::uint32_t index);
  bool erase(std::uint32_t spi);
  // Another index for a key that is there: readers find the old one or the new one. False: it is not there.
  bool replace(std::uint32_t spi, std::uint32_t index);
  std::size_t size() const { return size_; }
  std::size_t slots() const;

  // Any thread. The SA index, or no_sa.
  std::uint32_t find(std::uint32_t spi) const;
  // Looks up a burst of at most 64: out[i] is the index of spis[i] or no_sa. Buckets are brought
  // into the cache well before they are compared.
  void find(std::span<const std::uint32_t> spis, std::uint32_t* out) const;

  // The instruction set that bulk lookup uses on this machine: "avx512", "avx2" or "sse4.2"
  // ("scalar" under ThreadSanitizer, which cannot see vector loads as atomic).
  static std::string_view implementation();

  // For tests and benchmarks: a given way, which `supports` must have allowed.
  static bool supports(Lookup lookup);
  void find_with(Lookup lookup, std::span<const std::uint32_t> spis, std::uint32_t* out) const;

 private:
  // The writer's. A slot is numbered through all buckets.
  std::atomic<std::uint64_t>& word(std::uint32_t slot);
  std::uint64_t read(std::uint32_t slot);
  void put(std::uint32_t slot, std::uint64_t entry);
  std::uint32_t slot_with(std::uint32_t bucket, std::uint32_t spi);
  std::uint32_t slot_of(std::uint32_t spi);
  std::uint32_t free_slot(std::uint32_t bucket);
  std::uint32_t make_room(std::uint32_t first, std::uint32_t second);
  void move(std::uint32_t from, std::uint32_t to);
  void begin_lodging(std::uint32_t slot, std::uint32_t spi);
  void end_lodging(std::uint32_t slot);

  // Read by every lookup, never written; `moves_` seldom; the rest by every insert: a line each.
  detail::Bucket* buckets_;
  std::uint32_t mask_;
  std::pmr::memory_resource* memory_;
  alignas(64) std::atomic<std::uint32_t> moves_{0};
  alignas(64) std::size_t size_ = 0;
  // The slots where the keys of a first bucket lodge: a list for each bucket, linked by slot.
  std::vector<std::uint32_t> first_lodger_;
  std::vector<std::uint32_t> next_lodger_;
};

}  // namespace espgate::sa

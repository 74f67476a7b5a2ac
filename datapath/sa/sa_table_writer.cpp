// The writer's half of the SA table. What it does to slots, readers see; its lists of lodgers they do not.
#include <algorithm>
#include <array>
#include <cassert>

#include "datapath/sa/sa_table_bucket.hpp"

namespace espgate::sa {
namespace {

using detail::no_slot;
using detail::places_of;
using detail::slots_a_bucket;
using detail::spi_of;

constexpr std::uint32_t bucket_of(std::uint32_t slot) {
  return slot / slots_a_bucket;
}

}  // namespace

std::atomic<std::uint64_t>& SaTable::word(std::uint32_t slot) {
  return buckets_[bucket_of(slot)].slots[slot % slots_a_bucket];
}

std::uint64_t SaTable::read(std::uint32_t slot) {
  return word(slot).load(std::memory_order_relaxed);
}

// Only the entry changes: the bits of the filter above it speak of others.
void SaTable::put(std::uint32_t slot, std::uint64_t entry) {
  word(slot).store((read(slot) & ~detail::entry_mask) | (entry & detail::entry_mask),
                   std::memory_order_release);
}

std::uint32_t SaTable::slot_with(std::uint32_t bucket, std::uint32_t spi) {
  for (std::uint32_t slot = bucket * slots_a_bucket; slot < (bucket + 1) * slots_a_bucket; ++slot)
    if (spi_of(read(slot)) == spi) return slot;
  return no_slot;
}

std::uint32_t SaTable::slot_of(std::uint32_t spi) {
  const auto places = places_of(spi, mask_);
  __builtin_prefetch(&buckets_[places.second]);
  const std::uint32_t slot = slot_with(places.first, spi);
  if (slot != no_slot || !detail::may_lodge(buckets_, places)) return slot;
  return slot_with(places.second, spi);
}

std::uint32_t SaTable::free_slot(std::uint32_t bucket) {
  return slot_with(bucket, 0);
}

// From now on readers look for the SPI in its second bucket, too, where it will be in `slot`.
void SaTable::begin_lodging(std::uint32_t slot, std::uint32_t spi) {
  const auto places = places_of(spi, mask_);
  next_lodger_[slot] = first_lodger_[places.first];
  first_lodger_[places.first] = slot;
  auto& filter = buckets_[places.first].slots[places.filter_slot];
  filter.store(filter.load(std::memory_order_relaxed) | places.filter_bits, std::memory_order_release);
}

// The entry in `slot` is in its first bucket, too, or about to go. Of the filter stays what other lodgers
// of the bucket need.
void SaTable::end_lodging(std::uint32_t slot) {
  const auto places = places_of(spi_of(read(slot)), mask_);
  std::uint64_t needed = 0;
  for (std::uint32_t* link = &first_lodger_[places.first]; *link != no_slot;) {
    if (*link == slot) {
      *link = next_lodger_[slot];
      continue;
    }
    const auto other = places_of(spi_of(read(*link)), mask_);
    if (other.filter_slot == places.filter_slot) needed |= other.filter_bits;
    link = &next_lodger_[*link];
  }
  auto& filter = buckets_[places.first].slots[places.filter_slot];
  const std::uint64_t entry = filter.load(std::memory_order_relaxed) & detail::entry_mask;
  filter.store(entry | needed, std::memory_order_release);
}

// Copies an entry to its other bucket. Overwriting the original, which now is free, is up to the caller.
void SaTable::move(std::uint32_t from, std::uint32_t to) {
  const std::uint64_t entry = read(from);
  const bool to_second = bucket_of(from) == places_of(spi_of(entry), mask_).first;
  if (to_second) begin_lodging(to, spi_of(entry));
  put(to, entry);
  moves_.store(moves_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  if (!to_second) end_lodging(from);
}

// A slot that may be overwritten in one of two full buckets, made by moving a chain of entries each to its
// other bucket. Breadth first, so the chain is the shortest there is and no bucket is on it twice: the
// second visit would have led nowhere that the first did not lead to earlier.
std::uint32_t SaTable::make_room(std::uint32_t first, std::uint32_t second) {
  struct Step {
    std::uint32_t bucket;
    std::uint16_t parent;  // the step whose bucket the entry leaves ...
    std::uint16_t slot;    // ... and from which slot
  };
  constexpr std::uint16_t no_parent = 0xffff;
  std::array<Step, 2048> steps;
  steps[0] = {first, no_parent, 0};
  steps[1] = {second, no_parent, 0};
  std::size_t count = 2;

  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t bucket = steps[i].bucket;
    if (std::uint32_t to = free_slot(bucket); to != no_slot) {
      // From the far end, so that every entry is in at least one of its buckets all the time.
      for (Step step = steps[i]; step.parent != no_parent; step = steps[step.parent]) {
        const std::uint32_t from = steps[step.parent].bucket * slots_a_bucket + step.slot;
        move(from, to);
        to = from;
      }
      return to;
    }
    for (std::uint16_t slot = 0; slot < slots_a_bucket && count < steps.size(); ++slot) {
      const auto places = places_of(spi_of(read(bucket * slots_a_bucket + slot)), mask_);
      if (places.first == places.second) continue;
      const std::uint32_t other = places.first == bucket ? places.second : places.first;
      __builtin_prefetch(&buckets_[other]);
      steps[count++] = {other, static_cast<std::uint16_t>(i), slot};
    }
  }
  return no_slot;
}

SaTable::Insert SaTable::insert(std::uint32_t spi, std::uint32_t index) {
  assert(spi != 0 && index < most_entries);
  if (slot_of(spi) != no_slot) return Insert::exists;
  const auto places = places_of(spi, mask_);
  std::uint32_t slot = free_slot(places.first);
  if (slot == no_slot) slot = free_slot(places.second);
  if (slot == no_slot) slot = make_room(places.first, places.second);
  if (slot == no_slot) return Insert::full;
  if (bucket_of(slot) != places.first) begin_lodging(slot, spi);
  put(slot, detail::entry(spi, index));
  ++size_;
  return Insert::inserted;
}

// The slot that gets free goes to a lodger that belongs into its bucket, whose slot goes to ..., so that
// there are lodgers of full buckets only.
bool SaTable::erase(std::uint32_t spi) {
  std::uint32_t slot = spi == 0 ? no_slot : slot_of(spi);
  if (slot == no_slot) return false;
  if (bucket_of(slot) != places_of(spi, mask_).first) end_lodging(slot);
  for (std::uint32_t lodger; (lodger = first_lodger_[bucket_of(slot)]) != no_slot; slot = lodger)
    move(lodger, slot);
  put(slot, detail::empty_entry);
  --size_;
  return true;
}

bool SaTable::replace(std::uint32_t spi, std::uint32_t index) {
  assert(index < most_entries);
  const std::uint32_t slot = spi == 0 ? no_slot : slot_of(spi);
  if (slot == no_slot) return false;
  put(slot, detail::entry(spi, index));
  return true;
}

}  // namespace espgate::sa

#include "datapath/sa/sa_table.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <new>

#include "datapath/sa/sa_table_bucket.hpp"

namespace espgate::sa {
namespace {

using detail::Bucket;
using detail::empty_word;
using detail::index_of;
using detail::slots_a_bucket;
using detail::spi_of;
using Slot = std::atomic<std::uint64_t>;

// With few buckets, chance alone can crowd two of them; a small table gets room to spare instead.
constexpr std::size_t least_buckets = 64;

std::size_t bucket_count(std::size_t capacity) {
  const std::size_t wanted = (capacity * 25 / 24 + slots_a_bucket) / slots_a_bucket;
  return std::bit_ceil(std::max(least_buckets, wanted));
}

#if defined(__SANITIZE_THREAD__)
constexpr bool sees_vector_loads = false;
#elif defined(__has_feature)
constexpr bool sees_vector_loads = !__has_feature(thread_sanitizer);
#else
constexpr bool sees_vector_loads = true;
#endif

// Every load is an acquire, so that the caller's look at `moves_` comes after all of them.
std::uint32_t find_in(const Bucket& bucket, std::uint32_t spi) {
  for (const auto& slot : bucket.slots) {
    const std::uint64_t word = slot.load(std::memory_order_acquire);
    if (spi_of(word) == spi) return index_of(word);
  }
  return no_sa;
}

std::uint32_t find_once(const Bucket* buckets, std::uint32_t mask, std::uint32_t spi) {
  const auto [first, second] = detail::buckets_of(spi, mask);
  const std::uint32_t index = find_in(buckets[first], spi);
  return index != no_sa ? index : find_in(buckets[second], spi);
}

bool find_scalar(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis, std::size_t count,
                 std::uint32_t* out) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto [first, second] = detail::buckets_of(spis[i], mask);
    __builtin_prefetch(&buckets[first]);
    __builtin_prefetch(&buckets[second]);
  }
  bool missed = false;
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = find_once(buckets, mask, spis[i]);
    missed |= out[i] == no_sa;
  }
  return missed;
}

constexpr detail::BulkFind bulk_finds[] = {find_scalar, detail::find_sse42, detail::find_avx2,
                                           detail::find_avx512};

Lookup best_lookup() {
  for (const auto lookup : {Lookup::avx512, Lookup::avx2, Lookup::sse42})
    if (SaTable::supports(lookup)) return lookup;
  return Lookup::scalar;
}

const Lookup chosen_lookup = best_lookup();

}  // namespace

SaTable::SaTable(std::size_t capacity, std::pmr::memory_resource& memory) : memory_(&memory) {
  const std::size_t count = bucket_count(capacity);
  mask_ = static_cast<std::uint32_t>(count - 1);
  buckets_ = static_cast<Bucket*>(memory.allocate(count * sizeof(Bucket), alignof(Bucket)));
  for (std::size_t i = 0; i < count; ++i) {
    auto* bucket = new (&buckets_[i]) Bucket;
    for (auto& slot : bucket->slots) slot.store(empty_word, std::memory_order_relaxed);
  }
}

SaTable::~SaTable() {
  memory_->deallocate(buckets_, (std::size_t{mask_} + 1) * sizeof(Bucket), alignof(Bucket));
}

std::size_t SaTable::slots() const {
  return (std::size_t{mask_} + 1) * slots_a_bucket;
}

std::uint32_t SaTable::find(std::uint32_t spi) const {
  for (;;) {
    const std::uint32_t moves = moves_.load(std::memory_order_acquire);
    const std::uint32_t index = find_once(buckets_, mask_, spi);
    // An entry's original is overwritten after the bump: whoever missed it because of that sees the bump.
    if (index != no_sa || moves_.load(std::memory_order_acquire) == moves) return index;
  }
}

void SaTable::find(std::span<const std::uint32_t> spis, std::uint32_t* out) const {
  find_with(chosen_lookup, spis, out);
}

void SaTable::find_with(Lookup lookup, std::span<const std::uint32_t> spis, std::uint32_t* out) const {
  assert(spis.size() <= 64);
  const std::uint32_t moves = moves_.load(std::memory_order_acquire);
  const auto bulk_find = bulk_finds[static_cast<std::size_t>(lookup)];
  if (!bulk_find(buckets_, mask_, spis.data(), spis.size(), out)) return;
  if (moves_.load(std::memory_order_acquire) == moves) return;
  for (std::size_t i = 0; i < spis.size(); ++i)
    if (out[i] == no_sa) out[i] = find(spis[i]);
}

bool SaTable::supports(Lookup lookup) {
  if (lookup == Lookup::scalar) return true;
  if (!sees_vector_loads) return false;
  __builtin_cpu_init();  // also called before main, when nobody else may have
  switch (lookup) {
    case Lookup::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("bmi");
    case Lookup::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
    case Lookup::sse42:
    case Lookup::scalar:
      break;
  }
  return true;  // SSE4.2 is in the baseline
}

std::string_view SaTable::implementation() {
  constexpr std::string_view names[] = {"scalar", "sse4.2", "avx2", "avx512"};
  return names[static_cast<std::size_t>(chosen_lookup)];
}

Slot* SaTable::slot_of(std::uint32_t spi) {
  const auto [first, second] = detail::buckets_of(spi, mask_);
  __builtin_prefetch(&buckets_[second]);
  for (auto* bucket : {&buckets_[first], &buckets_[second]})
    for (auto& slot : bucket->slots)
      if (spi_of(slot.load(std::memory_order_relaxed)) == spi) return &slot;
  return nullptr;
}

Slot* SaTable::free_slot(std::uint32_t bucket) {
  for (auto& slot : buckets_[bucket].slots)
    if (slot.load(std::memory_order_relaxed) == empty_word) return &slot;
  return nullptr;
}

// A free slot in one of two full buckets, made by moving a chain of entries each to its other bucket.
// Breadth first, so the chain is the shortest there is and no bucket is on it twice: the second visit
// would have led nowhere that the first did not lead to earlier.
Slot* SaTable::make_room(std::uint32_t first, std::uint32_t second) {
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
    if (Slot* to = free_slot(bucket)) {
      // From the far end, so that every entry is in at least one of its buckets all the time.
      for (Step step = steps[i]; step.parent != no_parent; step = steps[step.parent]) {
        Slot* from = &buckets_[steps[step.parent].bucket].slots[step.slot];
        to->store(from->load(std::memory_order_relaxed), std::memory_order_release);
        moves_.store(moves_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
        to = from;
      }
      return to;
    }
    for (std::uint16_t slot = 0; slot < slots_a_bucket && count < steps.size(); ++slot) {
      const std::uint32_t spi = spi_of(buckets_[bucket].slots[slot].load(std::memory_order_relaxed));
      const auto [a, b] = detail::buckets_of(spi, mask_);
      if (a == b) continue;
      const std::uint32_t other = a == bucket ? b : a;
      __builtin_prefetch(&buckets_[other]);
      steps[count++] = {other, static_cast<std::uint16_t>(i), slot};
    }
  }
  return nullptr;
}

// The slot that make_room returns still holds the original of the last entry moved; writing the new
// entry over it is what removes that original, and comes after its bump.
SaTable::Insert SaTable::insert(std::uint32_t spi, std::uint32_t index) {
  assert(spi != 0 && index != no_sa);
  if (slot_of(spi)) return Insert::exists;
  const auto [first, second] = detail::buckets_of(spi, mask_);
  Slot* slot = free_slot(first);
  if (!slot) slot = free_slot(second);
  if (!slot) slot = make_room(first, second);
  if (!slot) return Insert::full;
  slot->store(detail::word(spi, index), std::memory_order_release);
  ++size_;
  return Insert::inserted;
}

bool SaTable::erase(std::uint32_t spi) {
  Slot* slot = spi == 0 ? nullptr : slot_of(spi);
  if (!slot) return false;
  slot->store(empty_word, std::memory_order_release);
  --size_;
  return true;
}

bool SaTable::replace(std::uint32_t spi, std::uint32_t index) {
  Slot* slot = spi == 0 ? nullptr : slot_of(spi);
  if (!slot) return false;
  slot->store(detail::word(spi, index), std::memory_order_release);
  return true;
}

}  // namespace espgate::sa

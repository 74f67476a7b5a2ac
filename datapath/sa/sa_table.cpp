#include "datapath/sa/sa_table.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>

#include "datapath/sa/sa_table_bucket.hpp"

namespace espgate::sa {
namespace {

using detail::Bucket;
using detail::Found;
using detail::index_of;
using detail::slots_a_bucket;
using detail::spi_of;

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
  const auto places = detail::places_of(spi, mask);
  const std::uint32_t index = find_in(buckets[places.first], spi);
  if (index != no_sa || !detail::may_lodge(buckets, places)) return index;
  return find_in(buckets[places.second], spi);
}

Found find_scalar(const Bucket* buckets, std::uint32_t mask, const std::uint32_t* spis, std::size_t count,
                  std::uint32_t* out) {
  for (std::size_t i = 0; i < count; ++i)
    __builtin_prefetch(&buckets[detail::places_of(spis[i], mask).first]);
  bool missed = false;
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = find_once(buckets, mask, spis[i]);
    missed |= out[i] == no_sa;
  }
  return missed ? Found::not_all : Found::all;
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

SaTable::SaTable(std::size_t capacity, std::pmr::memory_resource& memory)
    : memory_(&memory),
      first_lodger_(bucket_count(capacity), detail::no_slot),
      next_lodger_(first_lodger_.size() * slots_a_bucket, detail::no_slot) {
  assert(capacity <= most_entries);
  const std::size_t count = first_lodger_.size();
  mask_ = static_cast<std::uint32_t>(count - 1);
  buckets_ = static_cast<Bucket*>(memory.allocate(count * sizeof(Bucket), alignof(Bucket)));
  for (std::size_t i = 0; i < count; ++i) {
    auto* bucket = new (&buckets_[i]) Bucket;
    for (auto& slot : bucket->slots) slot.store(detail::empty_entry, std::memory_order_relaxed);
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
  const auto found = bulk_find(buckets_, mask_, spis.data(), spis.size(), out);
  if (found == Found::all) return;
  if (found == Found::not_all && moves_.load(std::memory_order_acquire) == moves) return;
  for (std::size_t i = 0; i < spis.size(); ++i)
    if (out[i] == no_sa) out[i] = find(spis[i]);
}

bool SaTable::supports(Lookup lookup) {
  if (lookup == Lookup::scalar) return true;
  if (!sees_vector_loads) return false;
  __builtin_cpu_init();  // also called before main, when nobody else may have
  const bool has_bmi = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  switch (lookup) {
    case Lookup::avx512:
      return __builtin_cpu_supports("avx512f") && has_bmi;
    case Lookup::avx2:
      return __builtin_cpu_supports("avx2") && has_bmi;
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

}  // namespace espgate::sa

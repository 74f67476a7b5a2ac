// How many packets there were in the last two minutes, to within ten seconds: never one that is older.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace espgate::recovery {

class RecentCount {
 public:
  using Time = std::chrono::nanoseconds;  // steady
  static constexpr std::chrono::minutes window{2};

  void add(Time now) {
    const auto slot = now / slot_time;
    for (auto clear = std::max(newest_ + 1, slot - slot_count + 1); clear <= slot; ++clear) at(clear) = 0;
    newest_ = std::max(newest_, slot);
    ++at(slot);
  }
  std::uint64_t value(Time now) const {
    std::uint64_t sum = 0;
    for (auto slot = now / slot_time - slot_count + 1; slot <= newest_; ++slot)
      if (slot >= 0 && slot > newest_ - slot_count) sum += slots_[index(slot)];
    return sum;
  }

 private:
  static constexpr std::chrono::seconds slot_time{10};
  static constexpr std::int64_t slot_count = window / slot_time;
  static std::size_t index(std::int64_t slot) { return static_cast<std::size_t>(slot % slot_count); }
  std::uint32_t& at(std::int64_t slot) { return slots_[index(slot)]; }

  std::array<std::uint32_t, slot_count> slots_{};
  std::int64_t newest_ = -1;  // the slot of the last one
};

}  // namespace espgate::recovery

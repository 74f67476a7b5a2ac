// The first few, in an order, of what is gone through a piece at a time: the control core has other things to
// do meanwhile, and most of it nobody asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

namespace espgate::recovery {

// `Before(one, other)`: whether the one comes first. One thread. Holds `most` of them at most.
template <typename Item, typename Before>
class Foremost {
 public:
  explicit Foremost(std::size_t most, Before before = {}) : most_(most), kept_(std::move(before)) {}

  // Of equal ones that which was offered first comes first.
  template <typename Offered>
  void offer(Offered&& item) {
    ++offered_;
    if (kept_.size() >= most_) {
      if (most_ == 0 || !kept_.key_comp()(item, *kept_.rbegin())) return;
      kept_.erase(std::prev(kept_.end()));
    }
    kept_.insert(std::forward<Offered>(item));
  }
  // The first of those that are left.
  std::optional<Item> take() {
    if (kept_.empty()) return std::nullopt;
    return std::move(kept_.extract(kept_.begin()).value());
  }
  std::uint64_t offered() const { return offered_; }
  // That there was no place for.
  std::uint64_t left_off() const { return offered_ > most_ ? offered_ - most_ : 0; }

 private:
  std::size_t most_;
  std::uint64_t offered_ = 0;
  std::multiset<Item, Before> kept_;
};

}  // namespace espgate::recovery

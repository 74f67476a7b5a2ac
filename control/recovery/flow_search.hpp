// The flows that an operator asks for, looked for a few at a time: there may be a million of them, and the
// control core has other things to do meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>

#include "control/recovery/flow_table.hpp"

namespace espgate::recovery {

// One thread. Holds copies, `most` of them.
class FlowSearch {
 public:
  enum class Order : std::uint8_t {
    last_seen,  // the most recent first, those of a flood behind all others
    packets,    // the most frequent first, the more recent of equal ones
  };
  static constexpr std::uint32_t at_once = 64;

  // Of those that are `wanted` the first `most` in that order. `table` outlives it.
  FlowSearch(const FlowTable& table, Order order, std::size_t most, std::function<bool(const Flow&)> wanted)
      : table_(table), best_(Before{order}), most_(most), wanted_(std::move(wanted)) {}

  // At the next `at_once` flows. False: at all of them.
  bool look();
  // Once look() is through: the first of those that are left.
  std::optional<Flow> take();
  // How many were wanted.
  std::uint64_t found() const { return found_; }

 private:
  struct Before {
    Order order;
    bool operator()(const Flow& one, const Flow& other) const;
  };

  const FlowTable& table_;
  std::uint32_t place_ = 0;
  std::multiset<Flow, Before> best_;
  std::size_t most_;
  std::uint64_t found_ = 0;
  std::function<bool(const Flow&)> wanted_;
};

}  // namespace espgate::recovery

// The flows that an operator asks for, looked for a few at a time: there may be a million of them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "control/recovery/flow_table.hpp"
#include "control/recovery/foremost.hpp"

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
      : table_(table), best_(most, Before{order}), wanted_(std::move(wanted)) {}

  // At the next `at_once` flows. False: at all of them.
  bool look();
  // Once look() is through: the first of those that are left.
  std::optional<Flow> take() { return best_.take(); }
  // How many were wanted.
  std::uint64_t found() const { return best_.offered(); }

 private:
  struct Before {
    Order order;
    bool operator()(const Flow& one, const Flow& other) const;
  };

  const FlowTable& table_;
  std::uint32_t place_ = 0;
  Foremost<Flow, Before> best_;
  std::function<bool(const Flow&)> wanted_;
};

}  // namespace espgate::recovery

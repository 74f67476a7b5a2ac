// Tells a flood of made-up packets from trouble: more new flows a second than peers in trouble would make.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace espgate::recovery {

class FloodWatch {
 public:
  using Time = std::chrono::nanoseconds;  // steady

  explicit FloodWatch(std::uint32_t flows_per_s) : most_(flows_per_s) {}

  // A flow of which nothing is known begins. Whether it is part of a flood: of one that has begun.
  bool note_new(Time now);
  bool is_on() const { return began_.has_value(); }

  struct Over {
    Time lasted;
    std::uint64_t flows;
  };
  // Once for each flood that is over: a whole second was below the limit.
  std::optional<Over> tick(Time now);

 private:
  void roll(Time now);

  std::uint32_t most_;
  Time counted_from_ = Time::min() / 2;  // for a second
  std::uint32_t counted_ = 0;
  std::optional<Time> began_;
  std::uint64_t in_flood_ = 0;
  std::optional<Over> over_;
};

}  // namespace espgate::recovery

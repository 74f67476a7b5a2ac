// How often something is repaired, so that forged packets make nobody busy: so many a second in all, and one
// thing ever less often while it does not help. What could not be sent costs nothing of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "control/recovery/repair.hpp"
#include "datapath/base/token_bucket.hpp"

namespace espgate::recovery {

class RepairBudget {
 public:
  using Time = std::chrono::nanoseconds;  // steady
  static constexpr Time first_wait = std::chrono::seconds(1);

  // `most`: of so many the waits are remembered; while there is no room for another, none is repaired.
  // `longest_wait` of one: each is twice the one before, until it was quiet for that long.
  RepairBudget(std::uint32_t per_s, std::size_t most, Time longest_wait)
      : repairs_(per_s), most_(most), longest_wait_(longest_wait) {
    all_.reserve(most);
  }

  // Whether it may be tried now; then `note` is called with what came of it. `what`: an SPI that we know,
  // which is hard to guess, or else the address of a peer that is configured.
  bool may_try(const std::string& what, Time now);
  // What was sent counts, here and in all. What was not is tried again: after `first_wait`, or with the next
  // packet where there was too much of it.
  void note(const std::string& what, Repair done, Time now);
  // Why it may not be tried now: as it was the last time, if it cannot be repaired, or too much of it lately.
  Repair refusal(const std::string& what) const;
  std::size_t size() const { return all_.size(); }

 private:
  struct Each {
    Time not_before;
    Time wait;
    Repair last = Repair::limited;
  };
  void forget_old(Time now);

  TokenBucket repairs_;
  std::size_t most_;
  Time longest_wait_;
  std::unordered_map<std::string, Each> all_;
  Time forgot_ = Time::min() / 2;
};

}  // namespace espgate::recovery

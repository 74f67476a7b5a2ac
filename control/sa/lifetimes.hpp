// The lifetimes of SAs in seconds: which SA comes to which stage when. Packets and bytes are the workers' to
// watch; so is the end in seconds, in case the control core is late.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>

#include "control/sa/moment.hpp"
#include "control/sa/reaper.hpp"
#include "datapath/sa/sa_parameters.hpp"

namespace espgate::sa {

// Which SA, as the store and its peer know it.
struct SaName {
  Direction direction = Direction::inbound;
  std::uint32_t index = 0;
  std::uint32_t spi = 0;
  auto operator<=>(const SaName&) const = default;
};

// An SA came to a stage of its lifetime, for whoever rekeys, logs or remembers.
struct LifetimeNews {
  Direction direction = Direction::inbound;
  std::uint32_t spi = 0;
  std::string_view connection;  // valid during the call
  LifetimeStage stage = LifetimeStage::soft;
};

// When the lifetime began that an SA goes on with: at `now`, but for what was used of it before.
Moment began(const SaParameters& parameters, Moment now);

class Lifetimes {
 public:
  struct Due {
    std::chrono::nanoseconds at;  // steady time
    SaName sa;
    LifetimeStage stage;
    auto operator<=>(const Due&) const = default;
  };

  // Does nothing for a lifetime without seconds.
  void watch(const SaName& sa, const Lifetime& lifetime, Moment began);
  // The SA has no use any more. The arguments are those of `watch`.
  void forget(const SaName& sa, const Lifetime& lifetime, Moment began);
  // The longest due, which is then forgotten.
  std::optional<Due> take_due(Moment now);
  std::size_t size() const { return due_.size(); }

 private:
  std::set<Due> due_;
};

}  // namespace espgate::sa

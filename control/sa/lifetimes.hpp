// The lifetimes of SAs in seconds: which SA comes to which stage when. Packets and bytes are the workers' to
// watch; so is the end in seconds, in case the control core is late.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "control/sa/moment.hpp"
#include "control/sa/reaper.hpp"
#include "datapath/sa/sa_parameters.hpp"

namespace espgate::sa {

// Which SA: the store index may have gone to another by the time that one asks, the SPI tells.
struct SaName {
  Direction direction = Direction::inbound;
  std::uint32_t index = 0;
  std::uint32_t spi = 0;
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
    SaName sa;
    LifetimeStage stage;
  };

  // Does nothing for a lifetime without seconds. An SA that ends before stays listed until then.
  void watch(const SaName& sa, const Lifetime& lifetime, Moment began);
  // The longest due, which is then forgotten.
  std::optional<Due> take_due(Moment now);
  std::size_t size() const { return due_.size(); }

 private:
  std::multimap<std::chrono::nanoseconds, Due> due_;  // by steady time
};

}  // namespace espgate::sa

// The SPIs that an espgated before this one left behind with peers who do not know that it ended, as workers
// have them: as tombstones, so that a peer that was quiet for long is heard beside a flood of made-up SPIs,
// by the ring and limit of those that were ours.
//
// How long: as long as there is room. A peer may be quiet for as long as its SA lives, which is the peer's to
// say, and each takes no more than a place in the SPI table, which is made for the SAs and tombstones of this
// process. These come first: who finds the table full pushes out one of the oldest, and rather one whose
// peer has another SA by now.
//
// Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>

#include "datapath/sa/sa_store.hpp"

namespace espgate::sa {

class EarlierSpis {
 public:
  // The store outlives this. `is_followed`: the peer of that SPI has another SA by now.
  EarlierSpis(SaStore& store, std::function<bool(std::uint32_t spi)> is_followed);

  // The last ones that have room, of these, the oldest first.
  void publish(std::span<const std::uint32_t> spis);
  // Of the SPI table, for one more SA; in constant time.
  void make_room();

 private:
  SaStore& store_;
  std::function<bool(std::uint32_t)> is_followed_;
  std::deque<std::uint32_t> spis_;  // the next to go first; some may be an SA's by now
};

}  // namespace espgate::sa

// Who keeps more of trouble than its counts: the event, the packets, what the peer was told before.
#pragma once

#include <cstdint>
#include <string_view>

#include "control/recovery/flood_watch.hpp"
#include "control/recovery/flow_table.hpp"
#include "control/sa/moment.hpp"
#include "datapath/sa/spi_miss.hpp"

namespace espgate::recovery {

// Called on the control thread, in the midst of a packet's handling: no call does more than remember.
struct Witness {
  virtual ~Witness() = default;
  // The first line about a flow was written: as many a second as lines, none of a flood and none that is
  // normal. `connection` as owner_of() has it. Returns the number of what is kept of it, from 1.
  virtual std::uint64_t flow_began(const Flow& flow, std::string_view connection, const sa::SpiMiss& miss,
                                   Moment now) = 0;
  // Another packet of a flow that has such a number.
  virtual void flow_went_on(const Flow& flow, const sa::SpiMiss& miss, Moment now) = 0;
  virtual void flood_began(const net::Address& last_source, std::uint32_t flows_per_s, Moment now) = 0;
  virtual void flood_ended(const FloodWatch::Over& over, Moment now) = 0;
};

}  // namespace espgate::recovery

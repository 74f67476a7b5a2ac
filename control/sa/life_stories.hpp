// What happened to each inbound SPI, for `show spi`. An SPI's story outlives its tombstone for a while,
// so that "we once issued this" is not forgotten the moment the table entry goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "control/sa/connection.hpp"
#include "control/sa/moment.hpp"
#include "control/sa/spi_knowledge.hpp"

namespace espgate::sa {

enum class Happening : std::uint8_t {
  reserved,         // SPI chosen and published as larval
  installed,        // keys in place
  soft_expired,     // near the end of its lifetime
  hard_expired,     // past it: packets are dropped from here on
  rekeyed,          // `other_spi` took over; still accepting for the linger time
  retired_deleted,  // tombstone from here on
  retired_expired,
  retired_rekeyed,
  tombstone_expired,  // SPI forgotten by the datapath, its time being over
  tombstone_dropped,  // the same before its time, for a newer tombstone or a new SA
  replaced,           // same SPI, new SA
  withdrawn,          // reserved, but its SA could not be installed
};
std::string_view name(Happening happening);

struct LifeEvent {
  Moment when;
  Happening what = Happening::reserved;
  std::uint32_t other_spi = 0;  // rekeyed only
};

struct LifeStory {
  ConnectionHandle connection;    // the last owner
  std::vector<LifeEvent> events;  // oldest first; at most LifeStories::events_max, the oldest dropped
  std::uint64_t ended = 0;        // ticket in the queue of ended stories; 0: the SPI is in the SA table
};

class LifeStories {
 public:
  static constexpr std::size_t events_max = 16;

  // Stories of SPIs that left the SA table are kept for the last `ended_max` of them.
  // Up to `present_max` SPIs that are in it no story takes longer than any other: a table that has to grow
  // moves all that is in it.
  explicit LifeStories(std::size_t ended_max, std::size_t present_max) : ended_max_(ended_max) {
    stories_.reserve(present_max + ended_max);
  }

  void begin(std::uint32_t spi, const ConnectionHandle& connection, Moment now);
  void note(std::uint32_t spi, LifeEvent event);
  // The SPI left the SA table.
  void end(std::uint32_t spi);
  // nullptr: nothing known. Valid until the next change.
  const LifeStory* find(std::uint32_t spi) const;
  std::size_t size() const { return stories_.size(); }

 private:
  struct Ended {
    std::uint32_t spi;
    std::uint64_t ticket;  // tells a story that ended from a later one of the same SPI
  };
  std::size_t ended_max_;
  std::uint64_t next_ticket_ = 1;
  std::unordered_map<std::uint32_t, LifeStory> stories_;
  std::deque<Ended> ended_;
};

}  // namespace espgate::sa

// The flows of packets with unusable SPIs: bounded, the least recently seen makes room for a new one. What is
// made up and what is known take no room from each other beyond half of the table.
// All memory is taken by the constructor; every operation costs the same whatever the senders do, since
// the hash is keyed with a secret.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "control/recovery/classify.hpp"
#include "control/recovery/recent_count.hpp"
#include "control/recovery/repair.hpp"
#include "control/sa/moment.hpp"
#include "datapath/net/address.hpp"
#include "datapath/sa/spi_miss.hpp"

namespace espgate::recovery {

struct FlowKey {
  net::Address source;
  net::Address destination;
  std::uint32_t spi = 0;
  sa::Encapsulation encapsulation = sa::Encapsulation::none;
  bool operator==(const FlowKey&) const = default;
};

struct Flow {
  FlowKey key;
  Moment first;
  Moment last;
  Moment logged;                 // when a line was last written
  std::uint64_t packets = 0;     // reported by workers, since `first`
  RecentCount recent;            // of them
  std::uint64_t suppressed = 0;  // of them, without a line since `logged`
  std::uint32_t last_sequence = 0;
  std::uint16_t source_port = 0;  // UDP encapsulation: of the last packet
  bool was_logged = false;
  Class kind = Class::stranger;  // of the last packet
  bool of_flood = false;         // it began in one
  Repair repair = Repair::none;  // the last one that was tried, or why none was
  std::uint64_t evidence = 0;    // what a Witness keeps of it has this number; 0: nothing
  std::array<char, 16> port{};   // the interface of the last packet, cut to fit
  std::string_view port_name() const { return port.data(); }
};

// Of the SPI: one that is or was ours, or any other, which is made up easily.
enum class Sort : std::uint8_t { known, any };

class FlowTable {
 public:
  // `capacity` at least 1. `secret`: unpredictable to senders.
  FlowTable(std::uint32_t capacity, std::array<std::uint64_t, 2> secret);

  // The flow of this key, made the most recently seen, and of that sort from now on; a new one (packets == 0)
  // when there is none. It takes the place of one of its sort, or of the other while its own has less than
  // half.
  Flow& touch(const FlowKey& key, Sort sort = Sort::any);
  const Flow* find(const FlowKey& key) const;
  // The flow of this key makes room before all others of its sort, whenever they were seen. References stay
  // good.
  void make_next_to_go(const FlowKey& key);

  std::uint32_t size() const { return size_; }
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(entries_.size()); }
  std::uint64_t evicted() const { return evicted_; }
  // Calls visitor(const Flow&) from the most to the least recently seen, what is next to go last, until it
  // returns false.
  template <typename Visitor>
  void visit(Visitor&& visitor) const {
    std::array<std::uint32_t, sorts> at{lines_[0].newest, lines_[1].newest};
    while (at[0] != none || at[1] != none) {
      const bool first = at[1] == none || (at[0] != none && entries_[at[0]].seen >= entries_[at[1]].seen);
      auto& next = at[first ? 0 : 1];
      if (!visitor(entries_[next].flow)) return;
      next = entries_[next].older;
    }
  }
  // Calls visitor(const Flow&) for the next `count` flows at most, each once, in no order of theirs. `place`
  // is 0 at first and where to go on afterwards, also if flows came or went meanwhile. False: there are no
  // more.
  template <typename Visitor>
  bool visit_some(std::uint32_t& place, std::uint32_t count, Visitor&& visitor) const {
    for (; count != 0 && place < size_; --count) visitor(entries_[place++].flow);
    return place < size_;
  }

 private:
  static constexpr std::uint32_t none = 0xffff'ffff;
  struct Entry {
    Flow flow;
    std::uint32_t next = none;   // in the hash chain
    std::uint32_t newer = none;  // in the order last seen
    std::uint32_t older = none;
    std::uint64_t seen = 0;  // its turn among all; 0: next to go
    Sort sort = Sort::any;
  };
  static constexpr std::size_t sorts = 2;
  struct Line {  // of one sort, in the order last seen
    std::uint32_t newest = none;
    std::uint32_t oldest = none;
    std::uint32_t length = 0;
  };

  std::size_t chain_of(const FlowKey& key) const;
  std::uint32_t lookup(const FlowKey& key, std::size_t chain) const;
  std::uint32_t take_entry(Sort sort);
  void unchain(std::uint32_t index);
  Line& line_of(Sort sort) { return lines_[static_cast<std::size_t>(sort)]; }
  void unlink(std::uint32_t index);
  void link_newest(std::uint32_t index);
  void link_oldest(std::uint32_t index);

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> chains_;  // first entry of each; a power of two of them
  std::array<std::uint64_t, 2> secret_;
  std::uint32_t size_ = 0;
  std::array<Line, sorts> lines_;
  std::uint64_t touched_ = 0;
  std::uint64_t evicted_ = 0;
};

}  // namespace espgate::recovery

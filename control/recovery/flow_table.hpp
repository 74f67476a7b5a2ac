// The flows of packets with unusable SPIs: bounded, the least recently seen makes room for a new one.
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

class FlowTable {
 public:
  // `capacity` at least 1. `secret`: unpredictable to senders.
  FlowTable(std::uint32_t capacity, std::array<std::uint64_t, 2> secret);

  // The flow of this key, made the most recently seen; a new one (packets == 0) when there is none.
  Flow& touch(const FlowKey& key);
  const Flow* find(const FlowKey& key) const;
  // The flow of this key makes room before all others, whenever they were seen. References stay good.
  void make_next_to_go(const FlowKey& key);

  std::uint32_t size() const { return size_; }
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(entries_.size()); }
  std::uint64_t evicted() const { return evicted_; }
  // Calls visitor(const Flow&) from the most to the least recently seen, what is next to go last, until it
  // returns false.
  template <typename Visitor>
  void visit(Visitor&& visitor) const {
    for (auto i = newest_; i != none; i = entries_[i].older)
      if (!visitor(entries_[i].flow)) return;
  }

 private:
  static constexpr std::uint32_t none = 0xffff'ffff;
  struct Entry {
    Flow flow;
    std::uint32_t next = none;   // in the hash chain
    std::uint32_t newer = none;  // in the order last seen
    std::uint32_t older = none;
  };

  std::size_t chain_of(const FlowKey& key) const;
  std::uint32_t lookup(const FlowKey& key, std::size_t chain) const;
  std::uint32_t take_entry();
  void unchain(std::uint32_t index);
  void unlink(std::uint32_t index);
  void link_newest(std::uint32_t index);
  void link_oldest(std::uint32_t index);

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> chains_;  // first entry of each; a power of two of them
  std::array<std::uint64_t, 2> secret_;
  std::uint32_t size_ = 0;
  std::uint32_t newest_ = none;
  std::uint32_t oldest_ = none;
  std::uint64_t evicted_ = 0;
};

}  // namespace espgate::recovery

// What is kept of flows in trouble beyond the line: their first packets, and what IKE did with the peer.
//
// Bounds: the newest `kept_of_peers` flows, and as many of strangers' as the other says, so that strangers
// push out nothing of a peer's; who writes a peer's address into made-up packets, and so has SPIs that were
// never issued, pushes out others of that kind. Of each `packets_each` packets, cut by the worker
// (sa::SpiMiss), as they were on the wire. One thread, no I/O.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "control/recovery/flow_table.hpp"

namespace espgate::recovery {

// An Ethernet frame, cut; its header is one of zeros where what came in had none.
struct EvidencePacket {
  WallTime when;
  std::uint32_t frame_bytes = 0;  // of the whole frame
  std::vector<std::uint8_t> frame;
};

// Something that IKE did with a peer, or alike things in a row.
struct HistoryLine {
  WallTime first;
  WallTime last;
  std::string event;   // "exchange", "SA made", "log", ...
  std::string detail;  // a sentence on it
};

struct Case {
  std::uint64_t number = 0;
  FlowKey key;
  Class kind = Class::stranger;  // when it began, and what was done then
  Repair repair = Repair::none;
  std::string connection;  // as the handler's owner_of() has it; may be empty
  std::string port;
  Moment began;
  std::vector<EvidencePacket> packets;
  std::vector<HistoryLine> history;  // oldest first
  std::string file;                  // the case's files, without what they end in; empty: none
  bool is_settled = false;           // history is complete, and files are written if they are to be
  bool was_handed_on = false;        // to the operator's program, if there is one
};

class EvidenceBook {
 public:
  static constexpr std::size_t kept_of_peers = 48;
  static constexpr std::size_t kept_of_strangers = 16;
  static constexpr std::size_t packets_each = 4;

  // Numbers go on behind `last_number`.
  explicit EvidenceBook(std::uint64_t last_number = 0) : last_number_(last_number) {}

  // Another case; the oldest of its sort makes room. Valid until the next call.
  Case& open(const Flow& flow, std::string_view connection, Moment now);
  // nullptr: it made room.
  Case* find(std::uint64_t number);
  // Adds the packet if there is room for it.
  static void add_packet(Case& one, const sa::SpiMiss& miss, WallTime when);
  // The oldest for which `wanted(const Case&)` holds, a stranger's only if there is no other; or nullptr.
  template <typename Wanted>
  Case* oldest(Wanted&& wanted) {
    Case* strangers = nullptr;
    for (auto& [number, one] : cases_) {
      if (!wanted(one)) continue;
      if (one.kind != Class::stranger) return &one;
      if (strangers == nullptr) strangers = &one;
    }
    return strangers;
  }
  // Those with this SPI, oldest first. Valid until the next open().
  std::vector<const Case*> of_spi(std::uint32_t spi) const;
  std::size_t size() const { return cases_.size(); }

 private:
  void make_room(Class kind);

  std::uint64_t last_number_;
  std::map<std::uint64_t, Case> cases_;  // by number
};

}  // namespace espgate::recovery

// The inbound SAs, each in one phase of its life; the caller of the store's inbound writer side.
//
//          reserve          install            supersede           linger over
//   (none) ───────► larval ─────────► active ──────────► lingering ─────────────┐
//                     │     retire      │     retire         │     retire       ▼
//                     └─────────────────┴────────────────────┴──────────────► retired
//                                                                               │ tombstone over,
//                                                                               │ or room is needed
//   (none) ◄── readers' grace passed, counters added to the connection ── unpublished
//
// Lingering SAs accept packets like active ones; they are what a rekey leaves behind. A retired SA is a
// tombstone: its packets are dropped, its SPI is still recognised. An SA of any phase is unpublished at
// once when its SPI gets a new SA.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <list>
#include <vector>

#include "control/sa/connection.hpp"
#include "control/sa/key_memory.hpp"
#include "control/sa/life_stories.hpp"
#include "control/sa/lifetimes.hpp"
#include "control/sa/reaper.hpp"
#include "control/sa/spi_knowledge.hpp"

namespace espgate::sa {

enum class Phase : std::uint8_t { larval, active, lingering, retired, unpublished };
inline constexpr std::size_t phase_count = 5;
std::string_view name(Phase phase);

struct InboundRecord {
  std::uint32_t index = no_sa;  // in the store
  std::uint32_t spi = 0;
  Phase phase = Phase::larval;
  Reason reason = Reason::deleted;  // retired
  std::uint32_t successor = 0;      // lingering or retired by a rekey
  Moment since;                     // when the phase began
  ConnectionHandle connection;
  Lifetime lifetime{};
  Moment began{};     // of the lifetime: when the key was first in use
  Digest key_mark{};  // of a key of the configuration's
};

class InboundSas {
 public:
  struct Limits {
    std::size_t tombstones = 10'000;
    std::chrono::nanoseconds tombstone{};  // how long a tombstone stays
    std::chrono::nanoseconds linger{};     // how long the old SA of a rekey still accepts packets
  };

  // All references outlive this.
  InboundSas(SaStore& store, Reaper& reaper, LifeStories& stories, Lifetimes& lifetimes, KeyMemory& keys,
             const Limits& limits);

  // Errors are the store's: SPI reserved (0..255) or in use, table full.
  Expected<InboundRecord*> reserve(std::uint32_t spi, const ConnectionHandle& connection, Moment now);
  // larval -> active. On error the SA stays larval.
  Expected<void> install(InboundRecord& record, const SaParameters& parameters, Moment now);
  // active -> lingering.
  void supersede(InboundRecord& record, std::uint32_t successor, Moment now);
  // larval, active, lingering -> retired.
  void retire(InboundRecord& record, Reason reason, Moment now);
  // Any phase -> unpublished: the SPI is free again on return, the entry after the readers' grace.
  void unpublish(InboundRecord& record, Happening why, Moment now);
  // Any SA becomes another connection's.
  void hand_over(InboundRecord& record, const ConnectionHandle& connection);
  // For the reaper only.
  void release(std::uint32_t index);

  // Moves on what is due, at most `most` SAs, and says how many.
  std::size_t move_on(Moment now, std::size_t most);
  // Drops the oldest tombstones until `entries` are free or about to be.
  void make_room(std::size_t entries, Moment now);
  bool full() const { return used_ == capacity_; }

  // nullptr when the SPI is not in the SA table. Records stay where they are until released.
  InboundRecord* find(std::uint32_t spi) const;
  InboundRecord& at(std::uint32_t index) const { return *records_[index]; }
  const std::list<InboundRecord>& in(Phase phase) const { return phases_[static_cast<std::size_t>(phase)]; }

 private:
  using Records = std::list<InboundRecord>;
  void enter(InboundRecord& record, Phase phase, Moment now);
  void end_use(const InboundRecord& record);

  SaStore& store_;
  Reaper& reaper_;
  LifeStories& stories_;
  Lifetimes& lifetimes_;
  KeyMemory& keys_;
  Limits limits_;
  std::size_t capacity_;
  std::size_t used_ = 0;                     // store entries, those waiting for the grace included
  std::array<Records, phase_count> phases_;  // each oldest first
  std::vector<Records::iterator> records_;   // by store index
};

}  // namespace espgate::sa

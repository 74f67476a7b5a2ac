// The outbound SAs; the caller of the store's outbound writer side.
//
//          install            retire                     no policy names it      grace passed
//   (none) ───────► active ───────────► retired ───────────────────► unlinked ─────────────► (none)
//
// After a rekey a retired SA still encrypts for a worker that read the policy before it was switched, so
// no packet is lost; after a deletion it drops.
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "control/sa/connection.hpp"
#include "control/sa/key_memory.hpp"
#include "control/sa/lifetimes.hpp"
#include "control/sa/moment.hpp"
#include "control/sa/reaper.hpp"
#include "control/sa/spi_knowledge.hpp"

namespace espgate::sa {

enum class OutboundPhase : std::uint8_t { none, active, retired, unlinked };

struct OutboundRecord {
  OutboundPhase phase = OutboundPhase::none;
  Reason reason = Reason::deleted;  // retired
  std::uint32_t spi = 0;
  Moment since;  // when the phase began
  ConnectionHandle connection;
  Lifetime lifetime{};
  Moment began{};     // of the lifetime: when the key was first in use
  Digest key_mark{};  // of a key of the configuration's
};

class OutboundSas {
 public:
  // References outlive this.
  OutboundSas(SaStore& store, Reaper& reaper, Lifetimes& lifetimes, KeyMemory& keys);

  Expected<std::uint32_t> install(const SaParameters& parameters, const ConnectionHandle& connection,
                                  Moment now);
  void retire(std::uint32_t index, Reason reason, Moment now);
  // No policy names it any more. Frees it after the grace when it is retired, else does nothing.
  void unlink(std::uint32_t index);
  // For the reaper only.
  void release(std::uint32_t index);

  bool full() const { return used_ == records_.size(); }
  // The SA came to its hard lifetime. Policies go on naming it, so that it drops.
  void note_expired(std::uint32_t index, Moment now) { records_[index].since = now; }
  void mark_key(std::uint32_t index, const Digest& key) { records_[index].key_mark = key; }
  KeyUse use_of(std::uint32_t index) const;
  const std::vector<OutboundRecord>& records() const { return records_; }  // by store index
  // Their store indices, in that order: peers choose the SPIs, so several may have one.
  std::uint32_t first_with_spi(std::uint32_t spi) const;  // no_sa: none has it
  std::vector<std::uint32_t> with_spi(std::uint32_t spi) const;

 private:
  SaStore& store_;
  Reaper& reaper_;
  Lifetimes& lifetimes_;
  KeyMemory& keys_;
  std::size_t used_ = 0;
  std::vector<OutboundRecord> records_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> by_spi_;  // and index: many peers may choose one SPI
};

}  // namespace espgate::sa

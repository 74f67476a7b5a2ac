// The keys of the IKE SAs that ended last, so that recorded messages of a negotiation that failed, or of
// before a rekey, can still be read: only while the configuration allows keys to be exported. Strangers whose
// proof fails take no places of peers. One owner.
#pragma once

#include <cstdint>
#include <deque>

#include "control/ike/events.hpp"
#include "control/sa/moment.hpp"

namespace espgate::daemon {

class EndedIkeSas {
 public:
  static constexpr std::ptrdiff_t most = 64;  // of peers who proved who they are, and of others
  struct Entry {
    std::uint64_t number = 0;  // from 1 on, never used again
    ike::KeysEnded sa;
    Moment when;
  };

  // False wipes what there is, like the end of this object.
  void allow(bool allowed);
  bool is_allowed() const { return is_allowed_; }
  // Nothing unless it is allowed. Beyond `most` the oldest of the same kind is wiped.
  void add(const ike::KeysEnded& sa, Moment when);
  // The oldest of those behind that number; null: there is none. Until the next call of another kind.
  const Entry* next_after(std::uint64_t number) const;

 private:
  bool is_allowed_ = false;
  std::uint64_t last_ = 0;
  std::deque<Entry> entries_;  // oldest first
};

}  // namespace espgate::daemon

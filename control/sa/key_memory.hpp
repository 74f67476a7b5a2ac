// What was used of keys of the configuration whose SAs are gone. A manual key comes back when its SA was
// deleted by hand and the file is reloaded, or leaves the file and enters it again: the lifetime goes on
// then, and so do the sequence numbers, or whoever recorded packets could play them back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <list>
#include <optional>
#include <unordered_map>

#include "control/sa/fingerprint.hpp"
#include "control/sa/moment.hpp"
#include "datapath/sa/lifetime.hpp"

namespace espgate::sa {

struct KeyUse {
  LifetimeUsed used;           // but for the seconds, which go on: see `began`
  Moment began;                // when the key was first in use
  std::uint64_t sequence = 0;  // the highest that was sent or seen

  LifetimeUsed until(Moment now) const;
};

// Of the `most` keys that were remembered last; a restart forgets them all.
class KeyMemory {
 public:
  explicit KeyMemory(std::size_t most) : most_(most) { uses_.reserve(most + 1); }

  // All zero is no key of the configuration's, and not remembered.
  void remember(const Digest& key, const KeyUse& use);
  std::optional<KeyUse> recall(const Digest& key) const;
  std::size_t size() const { return uses_.size(); }

 private:
  struct Hash {
    std::size_t operator()(const Digest& key) const noexcept {
      std::size_t value;
      std::memcpy(&value, key.data(), sizeof value);
      return value;
    }
  };
  using Order = std::list<Digest>;
  struct Entry {
    KeyUse use;
    Order::iterator place;
  };
  std::size_t most_;
  std::unordered_map<Digest, Entry, Hash> uses_;
  Order order_;  // the least lately remembered first
};

}  // namespace espgate::sa

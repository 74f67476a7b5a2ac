// Store entries that were unlinked and wait until no worker can still hold them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

#include "control/sa/surroundings.hpp"

namespace espgate::sa {

enum class Direction : std::uint8_t { inbound, outbound };

class Reaper {
 public:
  using Release = std::function<void(Direction, std::uint32_t index)>;

  // `grace` outlives the reaper. `release` returns the entry to the store.
  Reaper(ReaderGrace& grace, Release release) : grace_(grace), release_(std::move(release)) {}

  // The entry was unlinked just now.
  void add(Direction direction, std::uint32_t index);
  // Releases what may be released, at most `most` entries, and says how many that were.
  std::size_t collect(std::size_t most);
  std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Entry {
    std::uint64_t token;
    std::uint32_t index;
    Direction direction;
  };
  ReaderGrace& grace_;
  Release release_;
  std::deque<Entry> waiting_;
};

}  // namespace espgate::sa

#include "control/sa/reaper.hpp"

namespace espgate::sa {

void Reaper::add(Direction direction, std::uint32_t index) {
  waiting_.push_back({grace_.start(), index, direction});
}

std::size_t Reaper::collect(std::size_t most) {
  std::size_t released = 0;
  while (released < most && !waiting_.empty() && grace_.passed(waiting_.front().token)) {
    const auto entry = waiting_.front();
    waiting_.pop_front();
    release_(entry.direction, entry.index);
    ++released;
  }
  return released;
}

}  // namespace espgate::sa

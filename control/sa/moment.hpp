// A point in time as the event loop hands it to control code, which never looks at a clock itself.
#pragma once

#include <chrono>

namespace espgate {

using WallTime = std::chrono::system_clock::time_point;

struct Moment {
  std::chrono::nanoseconds steady{};  // for intervals: never jumps
  WallTime wall{};                    // for people
};

}  // namespace espgate

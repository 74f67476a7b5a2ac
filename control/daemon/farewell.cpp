#include "control/daemon/farewell.hpp"

#include <utility>

#include "control/daemon/services.hpp"

namespace espgate::daemon {

void Farewell::say(IkeService& ike, EventLoop& loop) {
  using namespace std::chrono_literals;
  constexpr auto patience = 1s;
  if (std::exchange(is_said_, true)) return loop.stop();
  const auto look = [&ike, &loop, is_told = false, by = EventLoop::Clock::now() + patience]() mutable {
    if (!ike.must_wait() && !std::exchange(is_told, true)) ike.stop(now());
    if ((is_told && ike.is_quiet()) || EventLoop::Clock::now() >= by) loop.stop();
  };
  loop.every("farewell", 5ms, look);
}

}  // namespace espgate::daemon

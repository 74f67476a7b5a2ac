#include "control/daemon/farewell.hpp"

#include <utility>

#include "control/daemon/services.hpp"

namespace espgate::daemon {

void Farewell::say(IkeService& ike, EventLoop& loop) {
  using namespace std::chrono_literals;
  constexpr auto patience = 1s;
  if (std::exchange(is_said_, true)) return loop.stop();
  ike.stop(now());
  if (ike.is_quiet()) return loop.stop();
  loop.every(5ms, [&ike, &loop, by = EventLoop::Clock::now() + patience] {
    if (ike.is_quiet() || EventLoop::Clock::now() >= by) loop.stop();
  });
}

}  // namespace espgate::daemon

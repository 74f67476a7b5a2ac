// The control core's event loop: file descriptors, timers, and pollers for what has no descriptor (the
// rings from the workers, which make no system calls to wake us).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>

#include "datapath/base/expected.hpp"

namespace espgate::daemon {

// One thread. Callbacks may add and remove callbacks, their own as well. What a callback throws comes out of
// run(), which may be called again.
class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls `readable` while `fd` has something to read, has failed or was hung up. The descriptor stays its
  // owner's, who unwatches before closing it.
  void watch(int fd, std::function<void()> readable);
  void unwatch(int fd);
  // Calls `callback` about every `period`; late rather than twice. Timers due at the same time run in the
  // order in which they were added.
  void every(Clock::duration period, std::function<void()> callback);
  // Called each round; says how much it did. While pollers have work the loop does not sleep; without, it
  // sleeps a millisecond at most, which bounds the delay of a punted packet.
  void poll(std::function<unsigned()> poller);

  void run();  // until stop()
  void stop() { running_ = false; }

 private:
  struct Watcher {
    std::uint32_t generation;  // tells a descriptor from a closed one that had its number
    std::shared_ptr<const std::function<void()>> readable;  // shared with the call that is under way
  };
  struct Timer {
    Clock::duration period;
    Clock::time_point due;
    std::function<void()> callback;
  };

  unsigned run_pollers();
  void run_timers();
  void wait(int timeout_ms);

  int epoll_;
  bool running_ = true;
  std::uint32_t generation_ = 0;
  std::unordered_map<int, Watcher> watched_;
  std::deque<Timer> timers_;  // what is added does not move what runs
  std::deque<std::function<unsigned()>> pollers_;
};

}  // namespace espgate::daemon

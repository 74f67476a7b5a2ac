// The control core's event loop: file descriptors, timers, and pollers for what has no descriptor (the
// rings from the workers, which make no system calls to wake us).
#pragma once

#include <chrono>
#include <functional>
#include <unordered_map>
#include <vector>

#include "datapath/base/expected.hpp"

namespace espgate::daemon {

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls `readable` while `fd` has something to read. The descriptor stays its owner's.
  void watch(int fd, std::function<void()> readable);
  void unwatch(int fd);
  // Calls `callback` about every `period`; late rather than twice.
  void every(Clock::duration period, std::function<void()> callback);
  // Called each round; says how much it did. While pollers have work the loop does not sleep; without, it
  // sleeps a millisecond at most, which bounds the delay of a punted packet.
  void poll(std::function<unsigned()> poller);

  void run();  // until stop()
  void stop() { running_ = false; }

 private:
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
  std::unordered_map<int, std::function<void()>> watched_;
  std::vector<Timer> timers_;
  std::vector<std::function<unsigned()>> pollers_;
};

}  // namespace espgate::daemon

// The control core's event loop: file descriptors, timers, and pollers for what has no descriptor (the
// rings from the workers, which make no system calls to wake us).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "control/daemon/loop_times.hpp"
#include "datapath/base/expected.hpp"

namespace espgate::daemon {

// One thread. Callbacks may add and remove callbacks, their own as well. What a callback throws comes out of
// run(), which may be called again. Each has a name, a literal, for whoever asks what took long.
class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls `readable` while `fd` has something to read, has failed or was hung up. The descriptor stays its
  // owner's, who unwatches before closing it.
  void watch(std::string_view name, int fd, std::function<void()> readable);
  void unwatch(int fd);
  // Calls `callback` about every `period`; late rather than twice. Of those that are due one runs in a round,
  // the one that is due the longest.
  void every(std::string_view name, Clock::duration period, std::function<void()> callback);
  // Does a piece of work, or a few small ones, and says how many. Called each round, and again in it while
  // there are any and it had less than its time slice; when all of them took long, the rest of the pollers
  // comes first in the next round. While pollers have work the loop does not sleep; without, it sleeps a
  // millisecond at most, which bounds the delay of a punted packet.
  void poll(std::string_view name, std::function<unsigned()> poller);

  void run();  // until stop()
  void stop() { running_ = false; }

  // Of the rounds that had something to do, since the loop was made.
  const LoopTimes& times() const { return times_; }

 private:
  struct Watcher {
    std::uint32_t generation;  // tells a descriptor from a closed one that had its number
    std::shared_ptr<const std::function<void()>> readable;  // shared with the call that is under way
    std::size_t task;                                       // of times_
  };
  struct Timer {
    Clock::duration period;
    Clock::time_point due;
    std::function<void()> callback;
    std::size_t task;
  };
  struct Poller {
    std::function<unsigned()> callback;
    std::size_t task;
  };

  Timer* due_timer(Clock::time_point now);  // the one that is due the longest; null: none is due
  // Each says how many callbacks had something to do.
  unsigned run_pollers();
  unsigned run_timer();
  unsigned wait(int timeout_ms);
  void begin_round();

  int epoll_;
  bool running_ = true;
  Clock::time_point round_began_{};
  std::chrono::nanoseconds worked_before_round_{};
  std::uint32_t generation_ = 0;
  std::unordered_map<int, Watcher> watched_;
  std::deque<Timer> timers_;  // what is added does not move what runs
  std::deque<Poller> pollers_;
  std::size_t next_poller_ = 0;
  LoopTimes times_;
};

}  // namespace espgate::daemon

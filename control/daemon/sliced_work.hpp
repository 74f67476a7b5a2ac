// Long work on what belongs to the control thread, done in slices between the event loop's other work. It
// runs on a thread of its own, but only while the loop waits for it: of the two one runs at a time, and so it
// may touch what the loop may touch.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <semaphore>
#include <thread>

#include "control/daemon/event_loop.hpp"

namespace espgate::daemon {

// One piece of work at a time. Control thread; the loop outlives it.
class SlicedWork {
 public:
  using Clock = std::chrono::steady_clock;
  // To be called often by the work. Returns at once, or after the loop has had its turn.
  using Pause = std::function<void()>;

  SlicedWork(EventLoop& loop, Clock::duration slice);
  // Work under way goes on to its end, without `done`.
  ~SlicedWork();
  SlicedWork(const SlicedWork&) = delete;
  SlicedWork& operator=(const SlicedWork&) = delete;

  bool running() const { return running_; }
  // The loop calls `done` when `work` has returned; what that throws comes out of the loop. What the function
  // holds is freed beside the loop. Not while other work is under way.
  void start(std::function<void(const Pause&)> work, std::function<void()> done);

 private:
  unsigned give_turn();
  void pause();

  Clock::duration slice_;
  bool running_ = false;
  std::binary_semaphore work_turn_{0};
  std::binary_semaphore loop_turn_{0};
  // Each is of whose turn it is.
  Clock::time_point slice_end_;
  bool finished_ = false;
  std::exception_ptr failure_;
  std::function<void()> done_;
  std::jthread thread_;  // joined when it is needed again
};

}  // namespace espgate::daemon

#include "control/daemon/sliced_work.hpp"

#include <utility>

namespace espgate::daemon {

SlicedWork::SlicedWork(EventLoop& loop, Clock::duration slice) : slice_(slice) {
  loop.poll("reload", [this] { return give_turn(); });
}

SlicedWork::~SlicedWork() {
  if (!running_) return;
  slice_end_ = Clock::time_point::max();
  work_turn_.release();
}

void SlicedWork::start(std::function<void(const Pause&)> work, std::function<void()> done) {
  running_ = true;
  done_ = std::move(done);
  thread_ = {};
  finished_ = false;
  thread_ = std::jthread([this, work = std::move(work)] {
    work_turn_.acquire();
    try {
      work([this] { pause(); });
    } catch (...) {
      failure_ = std::current_exception();
    }
    finished_ = true;
    loop_turn_.release();
  });
}

// A round of the loop: what waited meanwhile has been seen to.
unsigned SlicedWork::give_turn() {
  if (!running_) return 0;
  slice_end_ = Clock::now() + slice_;
  work_turn_.release();
  loop_turn_.acquire();
  if (!finished_) return 1;
  running_ = false;
  const auto done = std::exchange(done_, {});
  if (const auto failure = std::exchange(failure_, nullptr)) std::rethrow_exception(failure);
  done();
  return 1;
}

void SlicedWork::pause() {
  if (Clock::now() < slice_end_) return;
  loop_turn_.release();
  work_turn_.acquire();
}

}  // namespace espgate::daemon

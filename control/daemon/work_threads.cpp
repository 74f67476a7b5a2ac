#include "control/daemon/work_threads.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <exception>
#include <system_error>

#include "control/daemon/time_slice.hpp"

namespace espgate::daemon {
namespace {

// A thread has the lock for less than this takes, unless it was interrupted.
constexpr unsigned lock_attempts = 100;

std::unique_lock<std::mutex> lock_soon(std::mutex& mutex) {
  std::unique_lock lock(mutex, std::try_to_lock);
  for (unsigned i = 1; i < lock_attempts && !lock; ++i) (void)lock.try_lock();
  return lock;
}

}  // namespace

WorkThreads::WorkThreads(unsigned threads, std::size_t most_waiting, const std::function<void()>& begin)
    : most_waiting_(most_waiting), finished_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  assert(threads > 0 && most_waiting > 0);
  if (finished_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  outcomes_.reserve(line_count * most_waiting);
  try {
    for (unsigned i = 0; i < threads; ++i)
      threads_.emplace_back([this, begin](const std::stop_token& stop) {
        if (begin) begin();
        run(stop);
      });
  } catch (...) {
    threads_.clear();
    close(finished_);
    throw;
  }
}

WorkThreads::~WorkThreads() {
  threads_.clear();
  close(finished_);
}

std::optional<WorkThreads::Ticket> WorkThreads::submit(std::size_t line, std::function<void()> work,
                                                       std::function<void(bool)> done) {
  auto& waiting = waiting_.at(line);
  if (waiting == most_waiting_) return {};
  const auto ticket = ++last_ticket_;
  const auto is_wanted = std::make_shared<std::atomic<bool>>(true);
  outcomes_.emplace(ticket, Outcome{std::move(done), is_wanted});
  pending_.emplace_back(line, Job{ticket, std::move(work), is_wanted});
  ++waiting;
  hand_over();
  return ticket;
}

void WorkThreads::hand_over() {
  if (pending_.empty()) return;
  {
    const auto lock = lock_soon(mutex_);
    if (!lock) return;
    for (auto& [line, job] : pending_) lines_[line].push_back(std::move(job));
  }
  pending_.clear();
  work_waits_.notify_all();
}

void WorkThreads::cancel(Ticket ticket) {
  const auto found = outcomes_.find(ticket);
  if (found == outcomes_.end()) return;
  *found->second.is_wanted = false;
  outcomes_.erase(found);
}

unsigned WorkThreads::deliver() {
  hand_over();
  if (const auto lock = lock_soon(mutex_)) {  // without, the descriptor stays readable
    eventfd_t count = 0;
    eventfd_read(finished_, &count);
    undelivered_.insert(undelivered_.end(), results_.begin(), results_.end());
    results_.clear();
  }
  unsigned delivered = 0;
  for (const TimeSlice slice; !undelivered_.empty();) {
    const auto [ticket, good] = undelivered_.front();
    undelivered_.pop_front();
    if (auto entry = outcomes_.extract(ticket); !entry.empty()) {  // it may cancel others, or itself
      entry.mapped().done(good);
      ++delivered;
    }
    if (slice.is_over()) break;
  }
  if (!undelivered_.empty()) eventfd_write(finished_, 1);
  return delivered;
}

void WorkThreads::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto next_line = [this] {
    return std::ranges::find_if(lines_, [](const auto& line) { return !line.empty(); });
  };
  while (work_waits_.wait(lock, stop, [&] { return next_line() != lines_.end(); }) &&
         !stop.stop_requested()) {
    const auto line = next_line();
    auto job = std::move(line->front());
    line->pop_front();
    --waiting_[static_cast<std::size_t>(line - lines_.begin())];
    lock.unlock();
    bool good = true;
    try {
      if (*job.is_wanted) job.work();
    } catch (const std::exception&) {
      good = false;
    }
    job.work = nullptr;  // before `done` is called: what they share is then the control thread's alone
    lock.lock();
    results_.push_back({job.ticket, good});
    // Not with the lock: on a shared CPU the control thread takes over at once, and would find it taken.
    lock.unlock();
    eventfd_write(finished_, 1);
    lock.lock();
  }
}

}  // namespace espgate::daemon

// Threads for what takes longer than the control loop has: key exchanges and signatures, the disk, the start
// of a program.
//
//   control thread             a thread of the pool
//   submit(work, done) ------> work()
//   descriptor() readable <---
//   deliver(): done(true)
//
// Work waits in lines, each with a limit, and what waits in one goes before all of the next: so that, with
// IKE, neither a flood of newcomers nor a start delays a rekey. A full line refuses.
//
// The control thread never waits for a lock: the threads run when it leaves them time, and one of them may
// have been interrupted with the lock in its hand.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace espgate::daemon {

// All calls on one thread, the control's. Only `work` runs elsewhere: it shares nothing that the control
// thread writes to.
class WorkThreads {
 public:
  using Ticket = std::uint64_t;
  static constexpr std::size_t line_count = 3;

  // `most_waiting`: in each line, those under way not counted. Both are positive. Each thread calls `begin`
  // first. Throws std::system_error when there is no thread or no descriptor to be had.
  WorkThreads(unsigned threads, std::size_t most_waiting, const std::function<void()>& begin = {});
  // Waits for the work under way, and drops the rest: no `done` is called any more.
  ~WorkThreads();
  WorkThreads(const WorkThreads&) = delete;
  WorkThreads& operator=(const WorkThreads&) = delete;

  // `done` is called in deliver(), with false when `work` threw, as it does for want of memory. What `work`
  // makes is kept by what the two share. None: the line, of line_count, is full, and neither is called.
  std::optional<Ticket> submit(std::size_t line, std::function<void()> work, std::function<void(bool)> done);
  // Its `done` will not be called. Work that waits is not begun, and keeps its room until a thread comes to
  // it; work under way is not waited for. Nothing happens when it was delivered.
  void cancel(Ticket ticket);

  // Gives the threads what they were busy to take at `submit`. To be called every millisecond or so.
  void hand_over();
  // Readable while results wait.
  int descriptor() const { return finished_; }
  // Calls `done` of what is finished, in the order in which it finished; says how many. A `done` may submit
  // and cancel. As many as there is time for: while there are more the descriptor stays readable.
  unsigned deliver();
  // How many wait for a thread.
  std::size_t waiting(std::size_t line) const { return waiting_[line]; }

 private:
  using Wanted = std::shared_ptr<std::atomic<bool>>;  // until it is cancelled
  struct Job {
    Ticket ticket;
    std::function<void()> work;
    Wanted is_wanted;
  };
  struct Outcome {
    std::function<void(bool)> done;
    Wanted is_wanted;
  };
  struct Result {
    Ticket ticket;
    bool good;
  };

  void run(const std::stop_token& stop);

  const std::size_t most_waiting_;
  int finished_;  // eventfd
  Ticket last_ticket_ = 0;
  std::unordered_map<Ticket, Outcome> outcomes_;                // the control thread's alone
  std::vector<std::pair<std::size_t, Job>> pending_;            // as well: not yet in a line
  std::deque<Result> undelivered_;                              // as well: not yet delivered
  std::array<std::atomic<std::size_t>, line_count> waiting_{};  // in line, and pending

  std::mutex mutex_;  // of the two below
  std::array<std::deque<Job>, line_count> lines_;
  std::deque<Result> results_;
  std::condition_variable_any work_waits_;
  std::vector<std::jthread> threads_;  // last: they end before what they use
};

}  // namespace espgate::daemon

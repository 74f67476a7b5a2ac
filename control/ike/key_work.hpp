// Threads for what public keys cost: key exchanges and signatures take up to milliseconds, which the control
// loop does not have.
//
//   control thread             a thread of the pool
//   submit(work, done) ------> work()
//   descriptor() readable <---
//   deliver(): done(true)
//
// Three classes wait in lines of their own, each with a limit: what SAs need that are up goes before what we
// begin, and that before what newcomers ask for, so that neither a flood of newcomers nor a start delays a
// rekey. A full line refuses, and who asked drops the request: its peer sends it again.
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
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/ike/urgency.hpp"

namespace espgate::ike {

// All calls on one thread, the control's. Only `work` runs elsewhere: it shares nothing that the control
// thread writes to.
class KeyWork {
 public:
  using Ticket = std::uint64_t;

  // `most_waiting`: of each class, those under way not counted. Both are positive. Each thread calls `begin`
  // first. Throws std::system_error when there is no thread or no descriptor to be had.
  KeyWork(unsigned threads, std::size_t most_waiting, const std::function<void()>& begin = {});
  // Waits for the work under way, and drops the rest: no `done` is called any more.
  ~KeyWork();
  KeyWork(const KeyWork&) = delete;
  KeyWork& operator=(const KeyWork&) = delete;

  // `done` is called in deliver(), with false when `work` threw, as it does for want of memory. What `work`
  // makes is kept by what the two share. None: the line is full, and neither is called.
  std::optional<Ticket> submit(Urgency urgency, std::function<void()> work, std::function<void(bool)> done);
  // Its `done` will not be called. Work under way is not waited for. Nothing happens when it was delivered.
  void cancel(Ticket ticket);

  // Gives the threads what they were busy to take at `submit`. To be called every millisecond or so.
  void hand_over();
  // Readable while results wait.
  int descriptor() const { return finished_; }
  // Calls `done` of what is finished, in the order in which it finished; says how many. A `done` may submit
  // and cancel. A bounded number: while there are more the descriptor stays readable.
  unsigned deliver();
  // How many wait for a thread.
  std::size_t waiting(Urgency urgency) const { return waiting_[static_cast<std::size_t>(urgency)]; }

 private:
  struct Job {
    Ticket ticket;
    std::function<void()> work;
  };
  struct Result {
    Ticket ticket;
    bool good;
  };

  void run(const std::stop_token& stop);

  const std::size_t most_waiting_;
  int finished_;  // eventfd
  Ticket last_ticket_ = 0;
  std::unordered_map<Ticket, std::function<void(bool)>> done_;     // the control thread's alone
  std::vector<std::pair<Urgency, Job>> pending_;                   // as well: not yet in a line
  std::array<std::atomic<std::size_t>, urgency_count> waiting_{};  // in line, and pending

  mutable std::mutex mutex_;  // of the two below
  std::array<std::deque<Job>, urgency_count> lines_;
  std::deque<Result> results_;
  std::condition_variable_any work_waits_;
  std::vector<std::jthread> threads_;  // last: they end before what they use
};

}  // namespace espgate::ike

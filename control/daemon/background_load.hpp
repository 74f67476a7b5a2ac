// Reads a configuration file on a thread of its own: a hundred thousand SAs take seconds, in which the event
// loop has other things to do.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "control/config/load.hpp"
#include "control/daemon/event_loop.hpp"
#include "control/daemon/give_way.hpp"

namespace espgate::daemon {

// One file at a time. Control thread; the loop outlives it.
class BackgroundLoad {
 public:
  using Done = std::function<void(config::LoadResult)>;

  explicit BackgroundLoad(EventLoop& loop, Cpus spare = {});
  // Tells a reading under way to give up, and waits until it has.
  ~BackgroundLoad();
  BackgroundLoad(const BackgroundLoad&) = delete;
  BackgroundLoad& operator=(const BackgroundLoad&) = delete;

  bool running() const { return thread_.joinable(); }
  // The loop calls `done` when the file has been read. Not while another one is running.
  void start(const std::string& file, Done done);

 private:
  void read(const std::stop_token& stop, const std::string& file) noexcept;
  void finish();

  EventLoop& loop_;
  Cpus spare_;
  int finished_;               // eventfd, written by the thread
  config::LoadResult result_;  // the thread's while it runs
  Done done_;
  std::jthread thread_;
};

}  // namespace espgate::daemon

// Runs the operator's program, one at a time and so many a minute, and logs how it ended and what it said.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "control/daemon/event_loop.hpp"
#include "control/daemon/hook_process.hpp"
#include "control/daemon/work_threads.hpp"
#include "control/sa/moment.hpp"
#include "control/sa/surroundings.hpp"

namespace espgate::daemon {

// Control thread; what takes long runs in `work`, which outlives it, as the loop does.
class HookRunner {
 public:
  static constexpr std::uint32_t most_a_minute = 10;
  static constexpr std::size_t most_output_bytes = 2'048;           // that are kept
  static constexpr std::size_t most_dropped_bytes_a_tick = 65'536;  // behind them

  HookRunner(EventLoop& loop, WorkThreads& work, sa::Log log)
      : loop_(loop), work_(work), log_(std::move(log)) {}
  HookRunner(const HookRunner&) = delete;
  HookRunner& operator=(const HookRunner&) = delete;
  // Ends what runs.
  ~HookRunner();

  // Whether another may start now, of `most` a minute.
  bool has_room(std::uint32_t most, Moment now);
  // Only if it has room. `about`: for the log.
  void start(HookCommand command, std::string about, Moment now);
  // Ten times a second or so: takes what it says beyond what is kept, so that it can go on and the loop is
  // not woken for that; sees to one that timeout(1) did not end.
  void tick(Moment now);
  // Ends what runs, with its process group, and starts no other. Waits for nothing.
  void stop();

 private:
  void started(std::optional<Expected<HookProcess>> result);
  std::ptrdiff_t hear();
  void on_output();
  void drop_output();
  void on_end();
  void let_go();

  EventLoop& loop_;
  WorkThreads& work_;
  sa::Log log_;
  bool is_starting_ = false;
  std::optional<HookProcess> process_;
  bool is_stopped_ = false;
  // Of its output: nothing is left, the loop watches it, or what is too much is dropped at each tick.
  enum class Output : std::uint8_t { over, watched, dropped };
  Output hearing_ = Output::over;
  std::string about_;
  std::string output_;
  std::chrono::nanoseconds began_{};
  std::chrono::nanoseconds minute_ = std::chrono::nanoseconds::min() / 2;  // began then
  std::uint32_t in_minute_ = 0;
};

}  // namespace espgate::daemon

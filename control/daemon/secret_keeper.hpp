// Has the secrets of the tokens (RFC 6290) in their file renewed while the gateway runs, by a thread of its
// own: a write that is to outlive a crash of the machine waits for the disk for milliseconds. Control thread.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "control/daemon/event_loop.hpp"
#include "control/daemon/give_way.hpp"
#include "control/daemon/work_threads.hpp"
#include "control/recovery/token_secrets.hpp"
#include "control/sa/moment.hpp"
#include "control/sa/surroundings.hpp"
#include "datapath/base/secret.hpp"

namespace espgate::daemon {

class SecretKeeper {
 public:
  using Use = std::function<void(std::vector<Secret>)>;
  static constexpr std::chrono::hours every{1};  // and no more of what was given out is forgotten by a crash

  // `folder` is this process's alone; `loop` outlives it. `use` is called with the newest first; what goes
  // wrong is logged, and what was used stays in use.
  SecretKeeper(EventLoop& loop, std::string folder, Use use, sa::Log log, Cpus spare_cpus);
  ~SecretKeeper();

  // For the first time; waits for the disk.
  void start(Moment now);
  // Once a second or so.
  void tick(Moment now);

 private:
  using Result = Expected<recovery::TokenSecrets>;
  void take(Result result, Moment now);

  EventLoop& loop_;
  const std::string folder_;
  Use use_;
  sa::Log log_;
  std::chrono::nanoseconds counted_to_{};  // what was given out until then is in the file
  std::chrono::nanoseconds next_{};
  bool is_working_ = false;
  WorkThreads work_;
};

}  // namespace espgate::daemon

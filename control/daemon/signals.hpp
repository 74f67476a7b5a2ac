// The signals that tell the daemon something, as a descriptor.
#pragma once

#include <utility>

#include "datapath/base/expected.hpp"

namespace espgate::daemon {

class Signals {
 public:
  // From here on SIGINT, SIGTERM and SIGHUP no longer end the process, and no thread made later gets them.
  // SIGPIPE is ignored. Errors: no descriptor left.
  Expected<void> open();
  ~Signals();

  int fd() const { return fd_; }  // readable: call take()
  // Takes note of what has come. Never blocks.
  void take();
  // SIGINT or SIGTERM has come: what strsignal calls it; else nullptr.
  const char* stop() const { return stop_; }
  // SIGHUP has come since the last call.
  bool take_reload() { return std::exchange(reload_, false); }

 private:
  int fd_ = -1;
  const char* stop_ = nullptr;
  bool reload_ = false;
};

}  // namespace espgate::daemon

#include "control/ctl/signals.hpp"

#include <sys/signalfd.h>

#include <csignal>

namespace espgate::ctl {

UniqueFd catch_signals() {
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  sigprocmask(SIG_BLOCK, &ending, nullptr);
  return UniqueFd(signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace espgate::ctl

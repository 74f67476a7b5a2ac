#include "control/daemon/signals.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

namespace espgate::daemon {

Expected<void> Signals::open() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd_ < 0)
    return Error{std::string("cannot take signals: ") + std::strerror(errno),
                 "raise the limit on open files (`ulimit -n`)"};
  return {};
}

Signals::~Signals() {
  if (fd_ >= 0) close(fd_);
}

void Signals::take() {
  signalfd_siginfo info;
  while (read(fd_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGHUP)
      reload_ = true;
    else
      stop_ = strsignal(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace espgate::daemon

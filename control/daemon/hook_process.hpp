// An operator's program that is told of something, run as somebody who can do nothing: its own user, no other
// groups, no way to more rights, no descriptors of ours but its standard ones, cwd /, no environment but what
// is given. It goes by `setpriv` and `timeout`, which end it with all that it started in its process group
// when its time is over, also if we are gone by then.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "datapath/base/expected.hpp"
#include "datapath/base/unique_fd.hpp"

namespace espgate::daemon {

struct HookCommand {
  std::string program;  // absolute path
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::string> environment;  // "NAME=value", beside PATH
  std::string input;                     // what it reads from standard input; cut where a pipe holds no more
};

class HookProcess {
 public:
  static constexpr std::chrono::seconds timeout{10};    // then SIGTERM
  static constexpr std::chrono::seconds kill_after{2};  // behind that, SIGKILL

  // Takes milliseconds: not for the control loop. Errors: no process or descriptor is to be had. That the
  // program cannot be run is told by its output and status.
  static Expected<HookProcess> start(const HookCommand& command);
  HookProcess(HookProcess&& other) noexcept;
  HookProcess& operator=(HookProcess&&) = delete;
  // Ends it if it runs.
  ~HookProcess();

  int ended() const { return ended_.get(); }    // readable once it has ended
  int output() const { return output_.get(); }  // what it writes, to either; does not block
  void kill() const;
  // Once it has ended: how, "ended with status 0". Ends what is left of its process group.
  struct End {
    bool good;
    std::string text;
  };
  End reap();

 private:
  HookProcess(pid_t pid, UniqueFd output);

  pid_t pid_;  // of the process group as well; -1: reaped
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  UniqueFd ended_;
  UniqueFd output_;
};

}  // namespace espgate::daemon

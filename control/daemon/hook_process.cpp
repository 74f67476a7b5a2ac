#include "control/daemon/hook_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace espgate::daemon {
namespace {

struct Pipe {
  UniqueFd out, in;
};

Expected<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) == 0) return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  return Error{fmt::format("cannot make a pipe: {}", std::generic_category().message(errno)),
               "raise the limit on open files"};
}

// Its standard descriptors, no others, in /.
class Actions {
 public:
  Actions(int input, int output) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    posix_spawn_file_actions_addchdir_np(&actions_, "/");
  }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  ~Actions() { posix_spawn_file_actions_destroy(&actions_); }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

// A process group of its own, and signals as programs expect them.
class Attributes {
 public:
  Attributes() {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { posix_spawnattr_destroy(&attributes_); }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

// glibc 2.36 declares it for C only.
UniqueFd open_pid(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Expected<HookProcess> HookProcess::start(const HookCommand& command) {
  auto input = make_pipe();
  if (!input) return input.error();
  auto output = make_pipe();
  if (!output) return output.error();
  std::vector<std::string> arguments{"/usr/bin/setpriv",
                                     fmt::format("--reuid={}", command.uid),
                                     fmt::format("--regid={}", command.gid),
                                     "--clear-groups",
                                     "--inh-caps=-all",
                                     "--no-new-privs",
                                     "/usr/bin/timeout",
                                     fmt::format("--kill-after={}", kill_after.count()),
                                     fmt::format("{}", timeout.count()),
                                     command.program};
  auto environment = command.environment;
  environment.emplace_back("PATH=/usr/local/bin:/usr/bin:/bin");
  // While both ends are ours, so that it can neither wait nor raise SIGPIPE.
  fcntl(input->in.get(), F_SETFL, O_NONBLOCK);
  [[maybe_unused]] const auto given = write(input->in.get(), command.input.data(), command.input.size());
  const Actions actions(input->out.get(), output->in.get());
  const Attributes attributes;
  pid_t pid = -1;
  const int problem = posix_spawn(&pid, arguments[0].c_str(), actions.get(), attributes.get(),
                                  pointers_to(arguments).data(), pointers_to(environment).data());
  if (problem != 0)
    return Error{fmt::format("cannot run {}: {}", arguments[0], std::generic_category().message(problem)),
                 "install the package util-linux, and see that there is memory"};
  fcntl(output->out.get(), F_SETFL, O_NONBLOCK);
  HookProcess process(pid, std::move(output->out));
  if (!process.ended_)
    return Error{"no descriptor is left to wait for a program", "raise the limit on open files"};
  return process;
}

HookProcess::HookProcess(pid_t pid, UniqueFd output)
    : pid_(pid), ended_(open_pid(pid)), output_(std::move(output)) {}

HookProcess::HookProcess(HookProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      began_(other.began_),
      ended_(std::move(other.ended_)),
      output_(std::move(other.output_)) {}

HookProcess::~HookProcess() {
  if (pid_ < 0) return;
  kill();
  reap();
}

void HookProcess::kill() const {
  ::kill(-pid_, SIGKILL);
}

HookProcess::End HookProcess::reap() {
  siginfo_t how{};
  int result = 0;
  // Left as it is at first: while it is there, nobody else's process group has its number.
  do result = waitid(P_PID, static_cast<id_t>(pid_), &how, WEXITED | WNOWAIT);
  while (result != 0 && errno == EINTR);
  kill();
  waitid(P_PID, static_cast<id_t>(pid_), &how, WEXITED);
  pid_ = -1;
  // Of one that it has to kill, timeout(1) dies, too.
  if (std::chrono::steady_clock::now() - began_ >= timeout)
    return {false, fmt::format("was ended after {} s, its time", timeout.count())};
  if (how.si_code != CLD_EXITED) return {false, fmt::format("was ended by signal {}", how.si_status)};
  return {how.si_status == 0, fmt::format("ended with status {}", how.si_status)};
}

}  // namespace espgate::daemon

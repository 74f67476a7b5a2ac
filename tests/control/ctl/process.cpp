#include "tests/control/ctl/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <stdexcept>

namespace espgate::test {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> all;
  for (const auto& word : words) all.push_back(const_cast<char*>(word.c_str()));
  all.push_back(nullptr);
  return all;
}

// False at the end of file.
bool append(int fd, std::string& text) {
  char buffer[65'536];
  const ssize_t got = read(fd, buffer, sizeof buffer);
  if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

}  // namespace

Process::Process(const std::vector<std::string>& words, const std::vector<std::string>& environment) {
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  const auto arguments = pointers(words);
  const auto variables = pointers(environment);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    execve(arguments[0], arguments.data(), variables.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Process::~Process() {
  close_output();
  if (err_ >= 0) close(err_);
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Process::read_some(int timeout_ms) {
  pollfd watched[] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  if (poll(watched, 2, timeout_ms) <= 0) return false;
  if (out_ >= 0 && watched[0].revents != 0 && !append(out_, outcome_.out)) close_output();
  if (err_ >= 0 && watched[1].revents != 0 && !append(err_, outcome_.err)) {
    close(err_);
    err_ = -1;
  }
  return true;
}

bool Process::prints(const std::string& text) {
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  while (outcome_.out.find(text) == std::string::npos) {
    if (out_ < 0 || Clock::now() > deadline) return false;
    read_some(100);
  }
  return true;
}

void Process::close_output() {
  if (out_ >= 0) close(out_);
  out_ = -1;
}

void Process::signal(int number) const {
  kill(pid_, number);
}

Outcome Process::finish() {
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while ((out_ >= 0 || err_ >= 0) && Clock::now() < deadline) read_some(100);
  if (Clock::now() >= deadline) kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  outcome_.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome_;
}

Outcome run(const std::vector<std::string>& words, const std::vector<std::string>& environment) {
  return Process(words, environment).finish();
}

}  // namespace espgate::test

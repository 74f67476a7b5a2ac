#include "control/daemon/event_loop.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <system_error>

namespace espgate::daemon {
namespace {

// Rounds without work before the loop sleeps: the answer to a packet often comes right behind it.
constexpr unsigned rounds_before_sleep = 64;

// Of this thread, since it began.
std::chrono::nanoseconds cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

EventLoop::~EventLoop() {
  close(epoll_);
}

void EventLoop::watch(std::string_view name, int fd, std::function<void()> readable) {
  const auto generation = ++generation_;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  watched_[fd] = {generation, std::make_shared<const std::function<void()>>(std::move(readable)), name};
}

void EventLoop::unwatch(int fd) {
  if (watched_.erase(fd) != 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::every(std::string_view name, Clock::duration period, std::function<void()> callback) {
  timers_.push_back({period, Clock::now() + period, std::move(callback), name});
}

void EventLoop::poll(std::string_view name, std::function<unsigned()> poller) {
  pollers_.push_back({std::move(poller), name});
}

void EventLoop::note(std::string_view name, Clock::time_point began) {
  times_.add_callback(name, Clock::now() - began);
}

void EventLoop::begin_round() {
  round_began_ = Clock::now();
  worked_before_round_ = cpu_time();
}

unsigned EventLoop::run_pollers() {
  unsigned work = 0;
  for (std::size_t i = 0; i < pollers_.size(); ++i) {
    const auto began = Clock::now();
    work += pollers_[i].callback();
    note(pollers_[i].name, began);
  }
  return work;
}

unsigned EventLoop::run_timers() {
  const auto now = Clock::now();
  unsigned ran = 0;
  for (std::size_t i = 0; i < timers_.size(); ++i) {
    auto& timer = timers_[i];
    if (now < timer.due) continue;
    timer.due = now + timer.period;
    const auto began = Clock::now();
    timer.callback();
    note(timer.name, began);
    ++ran;
  }
  return ran;
}

unsigned EventLoop::wait(int timeout_ms) {
  std::array<epoll_event, 32> events;
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
  begin_round();
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    const auto watcher = watched_.find(static_cast<int>(data & 0xffff'ffff));
    // An earlier callback may have unwatched it, or watched another descriptor with its number.
    if (watcher == watched_.end() || watcher->second.generation != data >> 32) continue;
    const auto readable = watcher->second.readable;
    const auto name = watcher->second.name;
    const auto began = Clock::now();
    (*readable)();
    note(name, began);
  }
  return static_cast<unsigned>(std::max(count, 0));
}

void EventLoop::run() {
  unsigned idle_rounds = 0;
  unsigned work = 0;
  begin_round();
  while (running_) {
    const unsigned polled = run_pollers();
    idle_rounds = polled != 0 ? 0 : idle_rounds + 1;
    if (work + polled != 0) times_.add_round(Clock::now() - round_began_, cpu_time() - worked_before_round_);
    work = wait(idle_rounds > rounds_before_sleep ? 1 : 0);
    work += run_timers();
  }
}

}  // namespace espgate::daemon

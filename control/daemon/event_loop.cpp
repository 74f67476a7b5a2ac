#include "control/daemon/event_loop.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <system_error>

namespace espgate::daemon {
namespace {

// Rounds without work before the loop sleeps: the answer to a packet often comes right behind it.
constexpr unsigned rounds_before_sleep = 64;

}  // namespace

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

EventLoop::~EventLoop() {
  close(epoll_);
}

void EventLoop::watch(int fd, std::function<void()> readable) {
  const auto generation = ++generation_;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  watched_[fd] = {generation, std::make_shared<const std::function<void()>>(std::move(readable))};
}

void EventLoop::unwatch(int fd) {
  if (watched_.erase(fd) != 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::every(Clock::duration period, std::function<void()> callback) {
  timers_.push_back({period, Clock::now() + period, std::move(callback)});
}

void EventLoop::poll(std::function<unsigned()> poller) {
  pollers_.push_back(std::move(poller));
}

unsigned EventLoop::run_pollers() {
  unsigned work = 0;
  for (std::size_t i = 0; i < pollers_.size(); ++i) work += pollers_[i]();
  return work;
}

void EventLoop::run_timers() {
  const auto now = Clock::now();
  for (std::size_t i = 0; i < timers_.size(); ++i) {
    auto& timer = timers_[i];
    if (now < timer.due) continue;
    timer.due = now + timer.period;
    timer.callback();
  }
}

void EventLoop::wait(int timeout_ms) {
  std::array<epoll_event, 32> events;
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    const auto watcher = watched_.find(static_cast<int>(data & 0xffff'ffff));
    // An earlier callback may have unwatched it, or watched another descriptor with its number.
    if (watcher == watched_.end() || watcher->second.generation != data >> 32) continue;
    const auto readable = watcher->second.readable;
    (*readable)();
  }
}

void EventLoop::run() {
  unsigned idle_rounds = 0;
  while (running_) {
    idle_rounds = run_pollers() != 0 ? 0 : idle_rounds + 1;
    wait(idle_rounds > rounds_before_sleep ? 1 : 0);
    run_timers();
  }
}

}  // namespace espgate::daemon

#include "control/daemon/event_loop.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <system_error>
#include <utility>

#include "control/daemon/time_slice.hpp"

namespace espgate::daemon {
namespace {

// Rounds without work before the loop sleeps: the answer to a packet often comes right behind it.
constexpr unsigned rounds_before_sleep = 64;
// In a round; with a slice, and a timer, it is below a millisecond then.
constexpr std::chrono::microseconds pollers_begin_within{500};
// The kernel goes through those that are readable in turn.
constexpr std::size_t descriptors_a_round = 4;

unsigned run_poller(const std::function<unsigned()>& poller) {
  unsigned work = 0;
  for (const TimeSlice slice;;) {
    const unsigned done = poller();
    work += done;
    if (done == 0 || slice.is_over()) return work;
  }
}

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
  watched_[fd] = {generation, std::make_shared<const std::function<void()>>(std::move(readable)),
                  times_.task(name)};
}

void EventLoop::unwatch(int fd) {
  if (watched_.erase(fd) != 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::every(std::string_view name, Clock::duration period, std::function<void()> callback) {
  timers_.push_back({period, Clock::now() + period, std::move(callback), times_.task(name)});
}

void EventLoop::poll(std::string_view name, std::function<unsigned()> poller) {
  pollers_.push_back({std::move(poller), times_.task(name)});
}

void EventLoop::begin_round() {
  times_.begin_round();
  round_began_ = Clock::now();
  worked_before_round_ = cpu_time();
}

unsigned EventLoop::run_pollers() {
  unsigned work = 0;
  auto began = Clock::now();
  for (auto left = pollers_.size(); left > 0 && began - round_began_ < pollers_begin_within; --left) {
    auto& poller = pollers_[next_poller_++ % pollers_.size()];
    const auto done = run_poller(poller.callback);
    const auto ended = Clock::now();
    if (done != 0) times_.add_call(poller.task, ended - began);
    began = ended;
    work += done;
  }
  return work;
}

EventLoop::Timer* EventLoop::due_timer(Clock::time_point now) {
  const auto next = std::ranges::min_element(timers_, {}, &Timer::due);
  return next == timers_.end() || now < next->due ? nullptr : &*next;
}

unsigned EventLoop::run_timer() {
  const auto began = Clock::now();
  auto* timer = due_timer(began);
  if (timer == nullptr) return 0;
  timer->due = began + timer->period;
  const auto task = timer->task;
  timer->callback();
  times_.add_call(task, Clock::now() - began);
  return 1;
}

unsigned EventLoop::wait(int timeout_ms) {
  std::array<epoll_event, descriptors_a_round> events;
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
  begin_round();
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    const auto watcher = watched_.find(static_cast<int>(data & 0xffff'ffff));
    // An earlier callback may have unwatched it, or watched another descriptor with its number.
    if (watcher == watched_.end() || watcher->second.generation != data >> 32) continue;
    const auto readable = watcher->second.readable;
    const auto task = watcher->second.task;
    const auto began = Clock::now();
    (*readable)();
    times_.add_call(task, Clock::now() - began);
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
    const bool sleeps = idle_rounds > rounds_before_sleep && due_timer(Clock::now()) == nullptr;
    work = wait(sleeps ? 1 : 0);
    work += run_timer();
  }
}

}  // namespace espgate::daemon

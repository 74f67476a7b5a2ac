#include "control/daemon/event_loop.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

namespace espgate::test {
namespace {

using namespace std::chrono_literals;
using daemon::EventLoop;

// An eventfd, readable from the start if so wanted.
class Event {
 public:
  explicit Event(bool ready) : fd_(eventfd(ready ? 1 : 0, EFD_NONBLOCK | EFD_CLOEXEC)) { REQUIRE(fd_ >= 0); }
  ~Event() { close(fd_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  int fd() const { return fd_; }
  void set() { eventfd_write(fd_, 1); }
  void clear() {
    eventfd_t value = 0;
    eventfd_read(fd_, &value);
  }

 private:
  int fd_;
};

void run_for(EventLoop& loop, EventLoop::Clock::duration time) {
  const auto end = EventLoop::Clock::now() + time;
  loop.poll("test", [&loop, end] {
    if (EventLoop::Clock::now() >= end) loop.stop();
    return 0u;
  });
  loop.run();
}

TEST_CASE("Of timers that are due the one that is due the longest runs first, one in a round") {
  EventLoop loop;
  std::vector<int> order;
  loop.poll("test", [&] { return order.push_back(0), 0u; });
  loop.every("test", 20ms, [&] { order.push_back(1); });
  loop.every("test", 10ms, [&] { order.push_back(2); });
  loop.every("test", 20ms, [&] {
    order.push_back(3);
    loop.stop();
  });
  std::this_thread::sleep_for(25ms);
  loop.run();
  CHECK(order == std::vector{0, 2, 0, 1, 0, 3});
}

TEST_CASE("A poller that always has work goes on for its time slice, and keeps nobody waiting for longer") {
  EventLoop loop;
  unsigned pieces = 0, rounds = 0;
  loop.poll("endless", [&] { return ++pieces; });
  loop.poll("others", [&] { return ++rounds, 0u; });
  run_for(loop, 50ms);
  CHECK(rounds > 10);  // a slice is a tenth of a millisecond
  CHECK(pieces > 2 * rounds);
}

TEST_CASE("When all pollers take long a round ends, and the next goes on behind the last one") {
  EventLoop loop;
  constexpr std::size_t count = 20;
  std::vector<int> calls(count);
  for (std::size_t i = 0; i < count; ++i)
    loop.poll("test", [&, i] {
      ++calls[i];
      std::this_thread::sleep_for(200us);
      return 1u;
    });
  run_for(loop, 100ms);
  const auto [least, most] = std::ranges::minmax(calls);
  CHECK(least > 0);
  CHECK(most <= least + 1);
  CHECK(loop.times().lasted().count() > static_cast<unsigned>(most));
}

TEST_CASE("Of many descriptors that are readable all have their turn") {
  EventLoop loop;
  constexpr std::size_t count = 40;
  std::vector<std::unique_ptr<Event>> events;
  std::vector<int> calls(count);
  for (std::size_t i = 0; i < count; ++i) {
    events.push_back(std::make_unique<Event>(true));
    loop.watch("test", events.back()->fd(), [&calls, i] { ++calls[i]; });  // stays readable
  }
  run_for(loop, 20ms);
  const auto [least, most] = std::ranges::minmax(calls);
  CHECK(least > 0);
  CHECK(most <= least + 1);
}

TEST_CASE("A timer that was held up runs once, not once for each period it missed") {
  EventLoop loop;
  int runs = 0;
  loop.every("test", 5ms, [&] {
    if (++runs == 1) std::this_thread::sleep_for(60ms);
    if (runs == 2) loop.stop();
  });
  const auto begun = EventLoop::Clock::now();
  loop.run();
  CHECK(runs == 2);
  CHECK(EventLoop::Clock::now() - begun >= 65ms);
}

TEST_CASE("A callback adds timers, pollers and descriptors, many at once") {
  EventLoop loop;
  std::vector<std::unique_ptr<Event>> events;
  int timers = 0, pollers = 0, readable = 0;
  bool added = false;
  loop.every("test", 1ms, [&] {
    if (std::exchange(added, true)) return;
    for (int i = 0; i < 100; ++i) {
      loop.every("test", 1ms, [&] { ++timers; });
      loop.poll("test", [&] {
        ++pollers;
        return 0u;
      });
      events.push_back(std::make_unique<Event>(true));
      loop.watch("test", events.back()->fd(), [&, event = events.back().get()] {
        ++readable;
        event->clear();
      });
    }
  });
  run_for(loop, 50ms);
  CHECK(timers >= 100);
  CHECK(pollers >= 100);
  CHECK(readable == 100);
}

TEST_CASE("A callback unwatches its own descriptor and is not called again") {
  EventLoop loop;
  Event event(true);
  int calls = 0;
  const std::vector<int> kept(1'000, 7);  // freed with the callback: a use after that would show
  loop.watch("test", event.fd(), [&, kept] {
    ++calls;
    loop.unwatch(event.fd());
    CHECK(kept.size() == 1'000);
    CHECK(kept.back() == 7);
  });
  run_for(loop, 10ms);
  CHECK(calls == 1);
}

TEST_CASE("A descriptor that an earlier callback unwatched is not called in the same round") {
  EventLoop loop;
  Event a(true), b(true);
  int calls = 0;
  loop.watch("test", a.fd(), [&] {
    ++calls;
    loop.unwatch(b.fd());
    a.clear();
  });
  loop.watch("test", b.fd(), [&] {
    ++calls;
    loop.unwatch(a.fd());
    b.clear();
  });
  run_for(loop, 10ms);
  CHECK(calls == 1);
}

TEST_CASE("A descriptor with the number of one that was ready and is closed is not taken for it") {
  EventLoop loop;
  Event a(true), b(true);
  const Event never(false);
  int mistaken = 0, calls = 0;
  // Whichever comes first puts one that is not ready in the place of the other.
  const auto replace = [&](Event& other) {
    return [&] {
      if (++calls > 1) return;
      loop.unwatch(other.fd());
      REQUIRE(dup2(never.fd(), other.fd()) == other.fd());
      loop.watch("test", other.fd(), [&] { ++mistaken; });
    };
  };
  loop.watch("test", a.fd(), replace(b));
  loop.watch("test", b.fd(), replace(a));
  run_for(loop, 10ms);
  CHECK(calls >= 1);
  CHECK(mistaken == 0);
}

TEST_CASE("What a callback throws comes out of run, and the loop goes on when it is run again") {
  EventLoop loop;
  Event event(true);
  int timers = 0;
  loop.watch("test", event.fd(), [&] {
    event.clear();
    throw std::runtime_error("thrown by a callback");
  });
  loop.every("test", 1ms, [&] { ++timers; });
  CHECK_THROWS_WITH(run_for(loop, 10s), "thrown by a callback");
  event.set();
  CHECK_THROWS_WITH(loop.run(), "thrown by a callback");
  loop.unwatch(event.fd());
  run_for(loop, 20ms);
  CHECK(timers > 0);
}

TEST_CASE("A loop that was stopped before it ran does not run") {
  EventLoop loop;
  int polls = 0;
  loop.poll("test", [&] { return static_cast<unsigned>(++polls); });
  loop.stop();
  loop.run();
  CHECK(polls == 0);
}

TEST_CASE("Without work the loop sleeps") {
  EventLoop loop;
  timespec before{}, after{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  run_for(loop, 200ms);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  const auto used_ms = (after.tv_sec - before.tv_sec) * 1'000 + (after.tv_nsec - before.tv_nsec) / 1'000'000;
  CHECK(used_ms < 100);
}

}  // namespace
}  // namespace espgate::test

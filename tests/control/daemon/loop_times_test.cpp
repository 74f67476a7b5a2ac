#include "control/daemon/loop_times.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <ctime>
#include <thread>

#include "control/daemon/event_loop.hpp"

namespace espgate::test {
namespace {

using namespace std::chrono_literals;
using daemon::Durations;
using daemon::EventLoop;

TEST_CASE("Bins follow each other without a gap, each a quarter of its beginning wide at most") {
  for (std::size_t bin = 0; bin < Durations::bin_count; ++bin) {
    const auto from = Durations::bin_from_us(bin), to = Durations::bin_from_us(bin + 1);
    CHECK(to > from);
    if (bin >= 4) CHECK(4 * (to - from) <= from);
    Durations times;
    times.add(std::chrono::microseconds(from));
    times.add(std::chrono::microseconds(to - 1));
    CHECK(times.bins()[bin] == 2);
  }
  Durations times;
  times.add(24h);
  CHECK(times.bins().back() == 1);
}

TEST_CASE("Quantiles are the ends of the bins that they are in") {
  Durations times;
  CHECK(times.quantile_us(0.99) == 0);
  for (int i = 0; i < 98; ++i) times.add(10us);
  times.add(500us);
  times.add(3ms);
  CHECK(times.quantile_us(0.5) == 12);
  CHECK(times.quantile_us(0.98) == 12);
  CHECK(times.quantile_us(0.99) == 512);
  CHECK(times.quantile_us(1) == 3'072);
  CHECK(times.longest() == 3ms);
  CHECK(times.count() == 100);
}

TEST_CASE("A loop knows its longest round, and what took it longest; rounds without work do not count") {
  EventLoop loop;
  int runs = 0;
  loop.every("short", 1ms, [&] { ++runs; });
  loop.every("long", 20ms, [&] {
    std::this_thread::sleep_for(15ms);
    loop.stop();
  });
  unsigned turns = 0;
  loop.poll("idle", [&] { return ++turns, 0u; });
  loop.run();
  // The round that a callback stops the loop in is not over.
  const auto longest = std::ranges::max(loop.times().tasks(), {}, &daemon::TaskTimes::longest);
  CHECK(longest.name == "long");
  CHECK(longest.longest >= 15ms);
  const auto rounds = loop.times().lasted().count();
  CHECK(rounds <= static_cast<unsigned>(runs));
  CHECK(rounds < turns);
  const auto& tasks = loop.times().tasks();
  REQUIRE(tasks.size() == 3);
  CHECK(tasks[0].calls == static_cast<unsigned>(runs));
  CHECK(tasks[2].calls == 0);  // it never had anything to do
  CHECK(loop.times().worked().count() == rounds);
}

TEST_CASE("What a round waits for is not its work") {
  EventLoop loop;
  int runs = 0;
  loop.every("waits", 1ms, [&] {
    if (++runs > 5) return loop.stop();
    std::this_thread::sleep_for(20ms);
  });
  loop.run();
  CHECK(loop.times().lasted().longest() >= 20ms);
  CHECK(loop.times().worked().longest() < 15ms);

  EventLoop busy;
  runs = 0;
  busy.every("works", 1ms, [&] {
    if (++runs > 5) return busy.stop();
    timespec time{};
    const auto used = [&] {
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    const auto until = used() + 20ms;
    while (used() < until) continue;
  });
  busy.run();
  CHECK(busy.times().worked().longest() >= 20ms);
  CHECK(busy.times().tasks().at(0).long_rounds == 5);
  CHECK(loop.times().tasks().at(0).long_rounds == 0);
}

TEST_CASE("A long round is of the longest call in it, not of one before") {
  daemon::LoopTimes times;
  const auto idle = times.task("idle"), busy = times.task("busy"), other = times.task("other");
  times.begin_round();
  times.add_call(idle, 50ms);
  times.begin_round();
  times.add_call(busy, 2ms);
  times.add_call(other, 1ms);
  times.add_round(3ms, 3ms);
  CHECK(times.tasks()[idle].long_rounds == 0);
  CHECK(times.tasks()[busy].long_rounds == 1);
  CHECK(times.tasks()[other].long_rounds == 0);
}

}  // namespace
}  // namespace espgate::test

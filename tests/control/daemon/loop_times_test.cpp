#include "control/daemon/loop_times.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "control/daemon/event_loop.hpp"

namespace espgate::test {
namespace {

using namespace std::chrono_literals;
using daemon::EventLoop;
using daemon::LoopTimes;

TEST_CASE("Bins follow each other without a gap, each a quarter of its beginning wide at most") {
  for (std::size_t bin = 0; bin < LoopTimes::bin_count; ++bin) {
    const auto from = LoopTimes::bin_from_us(bin), to = LoopTimes::bin_from_us(bin + 1);
    CHECK(to > from);
    if (bin >= 4) CHECK(4 * (to - from) <= from);
    LoopTimes times;
    times.add_round(std::chrono::microseconds(from));
    times.add_round(std::chrono::microseconds(to - 1));
    CHECK(times.bins()[bin] == 2);
  }
  LoopTimes times;
  times.add_round(24h);
  CHECK(times.bins().back() == 1);
}

TEST_CASE("Quantiles are the ends of the bins that they are in") {
  LoopTimes times;
  CHECK(times.quantile_us(0.99) == 0);
  for (int i = 0; i < 98; ++i) times.add_round(10us);
  times.add_round(500us);
  times.add_round(3ms);
  CHECK(times.quantile_us(0.5) == 12);
  CHECK(times.quantile_us(0.98) == 12);
  CHECK(times.quantile_us(0.99) == 512);
  CHECK(times.quantile_us(1) == 3'072);
  CHECK(times.longest() == 3ms);
  CHECK(times.rounds() == 100);
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
  CHECK(loop.times().longest_callback_name() == "long");
  CHECK(loop.times().longest_callback() >= 15ms);
  CHECK(loop.times().rounds() <= static_cast<unsigned>(runs));
  CHECK(loop.times().rounds() < turns);
}

}  // namespace
}  // namespace espgate::test

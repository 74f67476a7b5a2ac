#include "control/daemon/sliced_work.hpp"

#include <catch2/catch.hpp>
#include <stdexcept>

namespace espgate::test {
namespace {

using namespace std::chrono_literals;
using daemon::EventLoop;
using daemon::SlicedWork;

TEST_CASE("Long work is done in slices, and the loop has its turn in between") {
  EventLoop loop;
  SlicedWork work(loop, 1ms);
  unsigned turns = 0, steps = 0;  // without a lock: one of the two runs at a time
  bool working = false, done = false;
  loop.poll("test", [&] {
    CHECK_FALSE(working);
    turns += steps != 0;
    return 0u;
  });
  work.start(
      [&](const SlicedWork::Pause& pause) {
        // However long the machine takes for a step or a turn.
        const auto end = SlicedWork::Clock::now() + 20s;
        while ((turns < 5 || steps <= turns) && SlicedWork::Clock::now() < end) {
          working = true;
          ++steps;
          working = false;
          pause();
        }
      },
      [&] {
        done = true;
        CHECK_FALSE(work.running());
        loop.stop();
      });
  CHECK(work.running());
  CHECK(steps == 0);
  loop.run();
  CHECK(done);
  CHECK(turns >= 5);
  CHECK(steps > turns);
}

TEST_CASE("What work throws comes out of the loop, and other work may follow") {
  EventLoop loop;
  SlicedWork work(loop, 1ms);
  work.start([](const SlicedWork::Pause&) { throw std::runtime_error("no memory"); }, [] { FAIL("done"); });
  CHECK_THROWS_WITH(loop.run(), "no memory");
  bool done = false;
  work.start([](const SlicedWork::Pause& pause) { pause(); },
             [&] {
               done = true;
               loop.stop();
             });
  loop.run();
  CHECK(done);
}

TEST_CASE("Work under way is brought to its end before it goes") {
  EventLoop loop;
  bool ended = false;
  {
    SlicedWork work(loop, 0ms);
    unsigned turns = 0;
    loop.poll("test", [&] {
      if (++turns == 3) loop.stop();
      return 1u;
    });
    work.start(
        [&](const SlicedWork::Pause& pause) {
          for (int i = 0; i < 1'000; ++i) pause();
          ended = true;
        },
        [] { FAIL("done"); });
    loop.run();
    CHECK_FALSE(ended);
  }
  CHECK(ended);
}

}  // namespace
}  // namespace espgate::test

#include "control/recovery/recent_count.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <random>

using namespace espgate::recovery;
using namespace std::chrono_literals;

TEST_CASE("what is older than two minutes is never counted, and what is younger than 110 s always") {
  std::mt19937 random(7);
  RecentCount count;
  std::deque<RecentCount::Time> all;
  const auto within = [&](RecentCount::Time now, RecentCount::Time age) {
    return static_cast<std::uint64_t>(
        std::ranges::count_if(all, [&](const auto& when) { return now - when <= age; }));
  };
  RecentCount::Time now{};
  for (int i = 0; i < 5'000; ++i) {
    // Mostly a few seconds, at times minutes.
    now += std::chrono::milliseconds(random() % (random() % 50 == 0 ? 400'000 : 4'000));
    if (random() % 3 != 0) count.add(now), all.push_back(now);
    const auto value = count.value(now);
    REQUIRE(value <= within(now, RecentCount::window));
    REQUIRE(value >= within(now, RecentCount::window - 10s - 1ns));
  }
}

TEST_CASE("a count is empty before the first and long after the last") {
  RecentCount count;
  CHECK(count.value(0s) == 0);
  CHECK(count.value(1h) == 0);
  count.add(1h);
  count.add(1h);
  CHECK(count.value(1h) == 2);
  CHECK(count.value(1h + 100s) == 2);
  CHECK(count.value(1h + 2min) == 0);
  CHECK(count.value(100h) == 0);
}

#include "control/daemon/history.hpp"

#include <catch2/catch.hpp>

#include "control/daemon/thresholds.hpp"

using namespace espgate;
using namespace espgate::daemon;
using namespace std::chrono_literals;

namespace {

constexpr auto reason = Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION;

// A gateway whose clock the test turns.
struct Clock {
  void second(std::uint64_t drops, std::chrono::nanoseconds lasts = 1s) {
    now += lasts;
    sample.verdicts[index_of(reason)] += drops;
    sample.ports.rx_packets += 10;
    sample.ports.rx_bytes += 1'000;
    history.add(now, sample);
  }
  std::uint64_t in(std::chrono::nanoseconds window) const {
    return history.growth(window).by.verdicts[index_of(reason)];
  }
  History history;
  CounterSample sample;
  std::chrono::nanoseconds now = 1h;
};

}  // namespace

TEST_CASE("growth is what came in the window, and no more than there was at the start") {
  Clock clock;
  CHECK(clock.history.growth(60s).covered == 0s);
  clock.second(5);  // before the first sample: unknown when
  CHECK(clock.in(60s) == 0);
  clock.second(7);
  CHECK(clock.in(60s) == 7);
  CHECK(clock.history.growth(60s).covered == 1s);
  for (int i = 0; i < 59; ++i) clock.second(1);
  CHECK(clock.in(60s) == 66);
  CHECK(clock.history.growth(60s).covered == 60s);
  clock.second(1);
  CHECK(clock.in(60s) == 60);  // the seven are more than a minute old
  CHECK(clock.in(300s) == 67);
  CHECK(clock.history.growth(60s).by.ports.rx_bytes == 60'000);
}

TEST_CASE("the half hour stays exact when the ring has gone round many times") {
  Clock clock;
  for (int i = 0; i < 10'000; ++i) clock.second(static_cast<std::uint64_t>(i % 7));
  std::uint64_t minute = 0, half_hour = 0;
  for (int i = 10'000 - 1'800; i < 10'000; ++i) half_hour += static_cast<std::uint64_t>(i % 7);
  for (int i = 10'000 - 60; i < 10'000; ++i) minute += static_cast<std::uint64_t>(i % 7);
  CHECK(clock.in(60s) == minute);
  CHECK(clock.in(30min) == half_hour);
  CHECK(clock.history.growth(30min).covered == 30min);
}

TEST_CASE("late samples lengthen the seconds, not the window") {
  Clock clock;
  for (int i = 0; i < 100; ++i) clock.second(1, 3s);
  CHECK(clock.in(60s) == 20);
  for (int i = 0; i < 200; ++i) clock.second(1, 1001ms);
  CHECK(clock.in(60s) == 60);
  clock.second(1, 10min);  // the control core was stopped
  CHECK(clock.in(60s) == 1);
  CHECK(clock.history.growth(60s).covered == 10min);
}

TEST_CASE("a threshold warns once when it is crossed and once when drops are below half of it") {
  std::vector<config::Threshold> configured{{"MAC", 62, {reason}, 60, 1, 0}};
  Thresholds thresholds(configured);
  Clock clock;
  std::vector<std::string> told;
  const auto run = [&](int seconds, std::uint64_t drops) {
    for (int i = 0; i < seconds; ++i) {
      clock.second(drops);
      thresholds.check(
          clock.history, {clock.now, {}}, [&](const auto& threshold, bool crossed, std::uint64_t n) {
            told.push_back(threshold.name + (crossed ? " crossed " : " cleared ") + std::to_string(n));
          });
    }
  };
  clock.second(0);
  run(59, 1);
  CHECK(told.empty());
  CHECK_FALSE(thresholds.states(clock.history)[0].crossed);
  run(1, 1);
  CHECK(told == std::vector<std::string>{"MAC crossed 60"});
  CHECK(thresholds.states(clock.history)[0].crossed);
  for (int i = 0; i < 20; ++i) {  // swings around the threshold
    run(3, 0);
    run(3, 2);
  }
  CHECK(told.size() == 1);
  run(60, 0);
  CHECK(told == std::vector<std::string>{"MAC crossed 60", "MAC cleared 28"});
  CHECK(thresholds.states(clock.history)[0].last_minute == 0);
  run(1, 60);
  CHECK(told.size() == 3);

  configured.clear();  // a reload
  run(1, 100);
  CHECK(thresholds.states(clock.history).empty());
  configured.push_back({"MAC", 62, {reason}, 60, 1, 0});
  run(1, 0);
  CHECK(told.back() == "MAC crossed 160");
}

TEST_CASE("a group's threshold counts all its reasons") {
  const std::vector<config::Threshold> configured{
      {"IpsecInput", std::nullopt, {reason, Verdict::IN_ESP_RUNT}, 3, 1, 0}};
  Thresholds thresholds(configured);
  Clock clock;
  clock.second(0);
  clock.sample.verdicts[index_of(Verdict::IN_ESP_RUNT)] += 1;
  clock.sample.verdicts[index_of(Verdict::IN_SPI_RESERVED)] += 9;
  clock.second(2);
  CHECK(thresholds.states(clock.history)[0].last_minute == 3);
}

#include <algorithm>
#include <catch2/catch.hpp>
#include <ctime>
#include <iostream>
#include <map>
#include <utility>

#include "tests/control/sa/surroundings.hpp"
#include "tests/sanitized.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;

namespace {

// Of this process, so that a busy machine does not count.
double cpu_s() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// A key of its own, as each SA of a configuration has.
config::Secret own_key(std::uint8_t first, std::uint32_t number) {
  std::vector<std::uint8_t> keymat(20, first);
  std::memcpy(&keymat[4], &number, sizeof number);
  return config::Secret(std::move(keymat));
}

// What the life of so many connections costs, in CPU seconds by step. `longest`: at a stretch, between two
// questions whether to stop, after the start, which keeps nobody waiting.
std::map<std::string, double> cost_of_life(unsigned connections, double& longest) {
  std::map<std::string, double> cost;
  config::Limits limits;
  limits.inbound_sas = limits.outbound_sas = connections;
  Surroundings s(store_limits(limits, 2),
                 {limits.tombstones, std::chrono::seconds(300), std::chrono::seconds(30)});
  s.configuration.connections.reserve(connections);
  for (unsigned i = 0; i < connections; ++i) {
    auto& added = s.configuration.connections.emplace_back(connection(i));
    added.inbound->spi = 0x100'000 + i;
    added.outbound->spi = 0x200'000 + i;
    added.outbound->keymat = own_key(1, i);
  }
  const auto timed = [&](const char* what) {
    const auto begin = cpu_s();
    double last = begin;
    const auto stretch = [&] {
      const auto now = cpu_s();
      longest = std::max(longest, now - std::exchange(last, now));
      return false;
    };
    const auto result = s.manager.configure(s.configuration, s.now, stretch);
    stretch();
    if (cost.empty()) longest = 0;
    cost[what] = cpu_s() - begin;
    CHECK(result.problems.empty());
    return result;
  };
  CHECK(timed("start").added == connections);
  CHECK(s.store->table().size() == connections);
  CHECK(timed("reload unchanged").unchanged == connections);

  // Nearly everything has to wait for its turn: tombstones and spare entries are far fewer.
  for (auto& changed : s.configuration.connections) {
    changed.inbound->spi += 0x300'000;
    changed.outbound->keymat = own_key(2, changed.outbound->spi);
  }
  CHECK(timed("rekey").changed == connections);
  const auto begin = cpu_s();
  int ticks = 0;
  while (s.store->outbound(s.sink.table.rbegin()->second.outbound_sa()).key[0] != std::byte{2} &&
         ticks < 100'000) {
    s.grace.pass();
    s.advance(std::chrono::milliseconds(100));
    ++ticks;
  }
  cost["the rest of the rekey"] = cpu_s() - begin;
  CHECK(s.count(Direction::inbound, "active") == connections);
  CHECK(s.lines.empty());

  s.configuration.connections.clear();
  CHECK(timed("leave").removed == connections);
  CHECK(s.sink.table.empty());
  return cost;
}

}  // namespace

// Against a fifth of them, since how long they take is the machine's and the build's: a cost that grows with
// their square is 25 times as high, and one in proportion 5 times.
TEST_CASE("100,000 connections start, reload unchanged, rekey and leave in linear time") {
  double longest_of_fifth = 0, longest = 0;
  auto fifth = cost_of_life(testing::many(20'000u), longest_of_fifth);
  for (const auto& [step, whole] : cost_of_life(testing::many(100'000u), longest)) {
    std::cout << step << ": " << whole << " s, " << fifth[step] << " s for a fifth\n";
    CHECK(whole < 15 * std::max(fifth[step], 0.02));  // less cannot be told from noise
  }
  std::cout << "at a stretch: " << longest_of_fifth * 1'000 << " ms, " << longest * 1'000 << " ms\n";
  CHECK(longest < 0.1);  // a step over all of them at once would take longer in a slow build
}

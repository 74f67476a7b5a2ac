// What is repaired, how often, and what a flood can make us do.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <random>

#include "control/recovery/repair_budget.hpp"
#include "tests/control/recovery/knowledge.hpp"

using namespace espgate;
using namespace espgate::recovery;
using namespace espgate::recovery::test;
using namespace std::chrono_literals;
using Catch::Contains;
using Standing = sa::SpiFacts::Standing;

namespace {

net::Address address(const char* text) {
  return net::parse_address(text).value();
}

struct World {
  explicit World(const InvalidSpiHandler::Options& options = {})
      : handler(
            options, knowledge, repairer,
            [this](sa::Severity, std::string_view line) { lines.emplace_back(line); },
            [this] { return static_cast<std::uint32_t>(random()); }) {
    knowledge.peers[address("192.0.2.2")] = "branch";
  }
  void packet(std::uint32_t spi, const char* source = "192.0.2.2") {
    handler.handle(miss(source, "192.0.2.1", spi), "outside", now);
  }
  void knows(std::uint32_t spi, Standing standing, sa::Reason reason = sa::Reason::deleted) {
    knowledge.spis[spi] = {standing, reason, 0, now, "branch"};
  }
  const Flow& flow(std::uint32_t spi) {
    flow_ = handler.flows_of(spi).at(0).flow;
    return flow_;
  }

  std::mt19937 random{1};
  FakeKnowledge knowledge;
  FakeRepairer repairer;
  std::vector<std::string> lines;
  InvalidSpiHandler handler;
  Moment now{1h, {}};
  Flow flow_;
};

}  // namespace

TEST_CASE("a packet of before a restart, and one never issued to a peer of ours, are repaired at once") {
  World world;
  world.repairer.answer = Repair::begun;
  SECTION("before the restart") {
    world.knows(1000, Standing::before_restart);
  }
  SECTION("never issued") {}
  world.packet(1000);
  REQUIRE(world.repairer.asked.size() == 1);
  CHECK(world.repairer.asked[0].connection == "branch");
  CHECK(world.repairer.asked[0].peer == "192.0.2.2");
  CHECK(world.repairer.asked[0].spi == 1000);
  CHECK(world.flow(1000).repair == Repair::begun);
  REQUIRE(world.lines.size() == 1);
  // What was done stands where else it says what to do.
  CHECK(world.lines[0].ends_with("; an IKE SA with the peer was begun"));
  CHECK(world.handler.repairs()[static_cast<std::size_t>(Repair::begun)] == 1);
}

TEST_CASE("what is larval, of a stranger, or was retired a moment ago is left alone") {
  World world;
  world.knows(1000, Standing::larval);
  world.knows(1001, Standing::active);
  for (const auto reason : {sa::Reason::deleted, sa::Reason::expired, sa::Reason::rekeyed})
    world.knows(1002 + static_cast<std::uint32_t>(reason), Standing::retired, reason);
  for (std::uint32_t spi = 1000; spi < 1005; ++spi) world.packet(spi);
  world.packet(1006, "203.0.113.9");
  CHECK(world.repairer.asked.empty());
  CHECK(world.flow(1002).repair == Repair::none);
  world.now.steady += 1s;
  for (std::uint32_t spi = 1000; spi < 1002; ++spi) world.packet(spi);
  CHECK(world.repairer.asked.empty());
  world.packet(1003);
  CHECK(world.repairer.asked.size() == 1);
}

TEST_CASE("for one peer it is tried ever less often, and at once again after a quiet time") {
  World world;
  world.repairer.answer = Repair::told;
  std::vector<long> tried;
  for (int second = 0; second < 200; ++second) {
    for (int i = 0; i < 3; ++i) world.packet(static_cast<std::uint32_t>(1000 + i));
    if (world.repairer.asked.size() > tried.size()) tried.push_back(second);
    world.now.steady += 1s;
  }
  CHECK(tried == std::vector<long>{0, 1, 3, 7, 15, 31, 63, 127, 191});
  CHECK(world.flow(1000).repair == Repair::told);  // not "limited", which is no news
  CHECK(world.handler.repairs()[static_cast<std::size_t>(Repair::limited)] == 600 - 9);
  world.now.steady += 200s;
  world.packet(1000);
  world.now.steady += 1s;
  world.packet(1000);
  CHECK(world.repairer.asked.size() == 11);
}

TEST_CASE("what cannot be repaired is called that although it is too early to try again") {
  World world;
  world.repairer.answer = Repair::no_ike;
  world.packet(1000);
  world.packet(1001);
  CHECK(world.repairer.asked.size() == 1);
  CHECK(world.flow(1001).repair == Repair::no_ike);
}

TEST_CASE(
    "all peers together are repaired so many times a second, and their number takes no room without end") {
  RepairBudget budget(5, 8);
  unsigned taken = 0;
  for (std::uint32_t i = 0; i < 100; ++i) taken += budget.take(fmt::format("a{}", i), 10s);
  CHECK(taken == 5);
  for (std::uint32_t i = 0; i < 100; ++i) taken += budget.take(fmt::format("b{}", i), 11s);
  CHECK(taken == 8);
  CHECK(budget.size() == 8);
  // Those that were quiet for long make room.
  for (std::uint32_t i = 0; i < 100; ++i) taken += budget.take(fmt::format("c{}", i), 200s);
  CHECK(taken == 13);
  CHECK(budget.size() == 5);
}

TEST_CASE("a flood has two lines, starts nothing, and hides no packet of before a restart") {
  World world;
  world.knows(77, Standing::before_restart);
  const auto until = world.now.steady + 10s;
  std::uint32_t spi = 100'000;
  for (; world.now.steady < until; world.now.steady += 100us) world.packet(spi++);
  const auto asked = world.repairer.asked.size();
  CHECK(asked <= 2);  // before it was known as a flood
  CHECK(world.flow(spi - 1).kind == Class::flood);
  const auto lines = world.lines.size();
  CHECK(lines <= 12);
  CHECK(std::ranges::count_if(world.lines, [](const auto& line) {
          return line.starts_with("invalid SPI: a flood: more than 200 new flows a second");
        }) == 1);
  world.now.steady += 20s;
  world.packet(77);
  CHECK(world.repairer.asked.size() == asked + 1);
  CHECK(world.repairer.asked.back().spi == 77);
  for (int i = 0; i < 3; ++i, world.now.steady += 1s) world.handler.tick(world.now);
  CHECK(std::ranges::count_if(world.lines, [](const auto& line) {
          return line.starts_with("invalid SPI: the flood is over after");
        }) == 1);
  world.packet(5'000'000);
  CHECK(world.flow(5'000'000).kind == Class::never_issued);
  // One that began in the flood, and goes on, is a peer in trouble.
  world.now.steady += 100s;
  const auto before = world.repairer.asked.size();
  world.packet(spi - 1);
  CHECK(world.flow(spi - 1).kind == Class::never_issued);
  CHECK(world.repairer.asked.size() == before + 1);
}

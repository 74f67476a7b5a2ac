// What is repaired, how often, and what a flood can make us do.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <random>
#include <set>

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
    flow_ = flows_of(handler, spi).at(0);
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

TEST_CASE("for an SPI that was ours it is tried every eight seconds at least") {
  World world;
  world.knows(1000, Standing::retired);
  world.repairer.answer = Repair::told;
  std::vector<long> tried;
  world.now.steady += 1s;
  for (int second = 0; second < 40; ++second) {
    world.packet(1000);
    if (world.repairer.asked.size() > tried.size()) tried.push_back(second);
    world.now.steady += 1s;
  }
  CHECK(tried == std::vector<long>{0, 1, 3, 7, 15, 23, 31, 39});
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
  RepairBudget budget(8, 8, 64s);
  const auto repair = [&](char group, RepairBudget::Time now) {
    unsigned done = 0;
    for (std::uint32_t i = 0; i < 100; ++i)
      if (const auto what = fmt::format("{}{}", group, i); budget.may_try(what, now)) {
        budget.note(what, Repair::told, now);
        ++done;
      }
    return done;
  };
  CHECK(repair('a', 10s) == 2);  // a quarter of a second's at once
  unsigned done = 2;
  for (auto now = 10s + 1ms; now < 11s; now += 1ms) done += repair('b', now);
  CHECK(done == 8);  // there is no room for the waits of more
  CHECK(budget.size() == 8);
  // Those that were quiet for long make room.
  CHECK(repair('c', 200s) == 2);
  CHECK(budget.size() == 2);
}

TEST_CASE("what could not be sent takes nothing of what others may have, and waits for nothing") {
  World world;
  world.repairer.answer = Repair::token;
  world.repairer.tokens.emplace(4, 1);  // to one address
  constexpr std::uint32_t peers =
      300;  // behind one NAT, after a crash of ours; each sends on until it is told
  for (std::uint32_t spi = 1'000; spi < 1'000 + peers; ++spi) world.knows(spi, Standing::before_restart);
  std::set<std::uint32_t> told;
  const auto began = world.now.steady;
  for (; told.size() < peers && world.now.steady < began + 200s; world.now.steady += 50ms)
    for (std::uint32_t spi = 1'000; spi < 1'000 + peers; ++spi) {
      if (told.contains(spi)) continue;
      world.packet(spi);
      if (world.flow(spi).repair == Repair::token) told.insert(spi);
    }
  CHECK(told.size() == peers);
  CHECK(world.now.steady - began < 80s);  // 75 s at 4 a second
}

TEST_CASE("who cannot be told takes nothing of the repairs of those who can") {
  World world;
  world.repairer.answer = Repair::only_peer;
  for (std::uint32_t spi = 1'000; spi < 2'000; ++spi) {
    world.knows(spi, Standing::before_restart);
    world.packet(spi);
  }
  CHECK(world.repairer.asked.size() == 1'000);
  for (std::uint32_t spi = 1'000; spi < 2'000; ++spi) world.packet(spi);
  CHECK(world.repairer.asked.size() == 1'000);  // it is tried again after a second
  world.repairer.answer = Repair::told;
  world.knows(2'000, Standing::before_restart);
  world.packet(2'000);
  CHECK(world.flow(2'000).repair == Repair::told);
}

TEST_CASE("who sends a peer's old SPI from elsewhere delays nothing of that peer's, and is one to all") {
  World world;
  world.repairer.answer = Repair::told;
  world.knows(1'000, Standing::before_restart);
  const bool by_journal = GENERATE(false, true);
  const auto* peer = by_journal ? "198.51.100.7" : "192.0.2.2";
  if (by_journal) world.knowledge.spis[1'000].peer = address(peer);
  for (int second = 0; second < 3; ++second, world.now.steady += 1s)
    for (int i = 1; i < 200; ++i) world.packet(1'000, fmt::format("203.0.113.{}", i).c_str());
  const auto elsewhere = world.repairer.asked.size();
  CHECK(elsewhere == 2);  // at once, and after a second
  world.packet(1'000, peer);
  REQUIRE(world.repairer.asked.size() == elsewhere + 1);
  CHECK(world.repairer.asked.back().peer == peer);
  world.packet(1'000, peer);
  CHECK(world.repairer.asked.size() == elsewhere + 1);
}

TEST_CASE("a peer that does not follow a rekey has its line with what was done about it") {
  World world;
  world.repairer.answer = Repair::told;
  world.knows(1'000, Standing::retired, sa::Reason::rekeyed);
  world.packet(1'000);
  world.now.steady += 999ms;
  world.packet(1'000);
  CHECK(world.lines.empty());
  CHECK(world.repairer.asked.empty());
  world.now.steady += 1ms;
  world.packet(1'000);
  CHECK(world.repairer.asked.size() == 1);
  REQUIRE(world.lines.size() == 1);
  CHECK_THAT(world.lines[0], Contains("espgate: just rekeyed") && Contains("; the peer was told"));
}

TEST_CASE("made up SPIs in a peer's name take no line from an SPI that was ours") {
  World world;
  world.knows(1'000, Standing::before_restart);
  for (std::uint32_t spi = 10'000; spi < 10'150; ++spi) world.packet(spi);
  CHECK(world.lines.size() == 10);
  world.packet(1'000);
  REQUIRE(world.lines.size() == 11);
  CHECK_THAT(world.lines.back(), Contains("espgate: before restart"));
}

TEST_CASE("made up SPIs in a peer's name, too few for a flood, push out no flow of an SPI that was ours") {
  InvalidSpiHandler::Options options;
  options.flows = 64;
  World world(options);
  for (std::uint32_t spi = 1'000; spi < 1'010; ++spi) {
    world.knows(spi, Standing::before_restart);
    world.packet(spi);
  }
  for (std::uint32_t spi = 10'000; spi < 15'000; ++spi, world.now.steady += 10ms) world.packet(spi);
  for (std::uint32_t spi = 1'000; spi < 1'010; ++spi) CHECK(flows_of(world.handler, spi).size() == 1);
  CHECK(flows_of(world.handler, 14'999).size() == 1);
  CHECK(flows_of(world.handler, 10'000).empty());
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

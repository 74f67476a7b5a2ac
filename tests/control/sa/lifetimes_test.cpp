#include "control/sa/lifetimes.hpp"

#include <catch2/catch.hpp>

#include "tests/control/sa/surroundings.hpp"
#include "tests/sanitized.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;
using namespace std::chrono_literals;

namespace {

struct Limited : Surroundings {
  explicit Limited(const Lifetime& lifetime) {
    configuration.connections = {connection(1)};
    configuration.connections[0].lifetime = lifetime;
    REQUIRE(configure().problems.empty());
    news.clear();
  }
  std::uint32_t in() const { return store->find(0x1001); }
  std::uint32_t out() { return sink.table[network1].outbound_sa(); }
  State outbound_state() { return store->outbound(out()).state.load(); }
  // As a worker does at a limit in packets or bytes.
  void worker_expires(Direction direction) {
    const bool inbound = direction == Direction::inbound;
    const auto index = inbound ? in() : out();
    (void)expire(inbound ? store->inbound(index).state : store->outbound(index).state);
    auto& allowance = inbound ? store->inbound_allowance(index) : store->outbound_allowance(index);
    REQUIRE(allowance.first_at(LifetimeStage::hard));
    manager.lifetime_reached({index, inbound ? 0x1001u : 0x2001u, inbound, LifetimeStage::hard, {}}, now);
  }
  std::string state(Direction direction) {
    for (const auto& sa : sas())
      if (sa.direction == direction) return std::string(sa.state);
    return "gone";
  }
};

}  // namespace

TEST_CASE("of 100,000 SAs each comes to both ends once, when it should, and what is forgotten to none") {
  const auto many = testing::many(100'000u);
  const auto name = [](std::uint32_t number) { return SaName{Direction::inbound, number, 0x1000 + number}; };
  const Lifetime lifetime{.soft_seconds = 60, .hard_seconds = 90};
  // In an order that has nothing to do with when they began.
  const auto began = [&](std::uint32_t number) {
    return Moment{std::chrono::milliseconds(std::uint64_t{number} * 7'919 % many), {}};
  };
  Lifetimes lifetimes;
  for (std::uint32_t i = 0; i < many; ++i) lifetimes.watch(name(i), lifetime, began(i));
  for (std::uint32_t i = 0; i < many; i += 4) lifetimes.forget(name(i), lifetime, began(i));
  std::vector<unsigned> stages(many);
  std::size_t taken = 0, wrong = 0;
  for (Moment now{0ms, {}}; lifetimes.size() != 0; now.steady += 1ms) {
    while (const auto due = lifetimes.take_due(now)) {
      const auto number = due->sa.index;
      const bool is_hard = due->stage == LifetimeStage::hard;
      wrong += now.steady != began(number).steady + (is_hard ? 90s : 60s);  // neither early nor late
      wrong += number % 4 == 0 || due->sa != name(number) || stages[number]++ != (is_hard ? 1u : 0u);
      ++taken;
    }
  }
  CHECK(wrong == 0);
  CHECK(taken == 2 * (many - many / 4));
}

TEST_CASE("seconds: first the soft end is told, then the SA expires, each once") {
  Limited s({.soft_seconds = 60, .hard_seconds = 90});
  s.advance(59s);
  CHECK(s.news.empty());
  s.advance(1s);
  CHECK(s.news == std::vector<std::string>{"in 1001 soft c1", "out 2001 soft c1"});
  CHECK(s.inbound_state(0x1001) == State::active);
  s.advance(29s);
  CHECK(s.news.size() == 2);
  s.advance(1s);
  CHECK(s.inbound_state(0x1001) == State::expired);
  CHECK(s.outbound_state() == State::expired);
  CHECK(s.news.size() == 4);
  CHECK(s.state(Direction::inbound) == "expired");
  CHECK(s.state(Direction::outbound) == "expired");
  s.advance(3'600s);
  CHECK(s.news.size() == 4);
  CHECK(s.manager.about(0x1001).standing == SpiFacts::Standing::retired);
  CHECK(s.manager.about(0x1001).reason == Reason::expired);
  CHECK(s.outbound_spi(network1) == 0x2001);  // policies go on naming it: nothing leaves in clear
}

TEST_CASE("an expired SA of the configuration outlives reloads, and another key replaces it") {
  Limited s({.hard_packets = 10});
  s.worker_expires(Direction::inbound);
  s.worker_expires(Direction::outbound);
  CHECK(s.news == std::vector<std::string>{"in 1001 hard c1", "out 2001 hard c1"});
  CHECK(s.configure().unchanged == 1);
  CHECK(s.state(Direction::inbound) == "expired");
  CHECK(s.outbound_state() == State::expired);

  s.configuration.connections[0].inbound = manual(0x1001, 8);
  s.configuration.connections[0].outbound = manual(0x2001, 9);
  CHECK(s.configure().changed == 1);
  CHECK(s.inbound_state(0x1001) == State::active);
  CHECK(s.outbound_state() == State::active);
  CHECK(s.store->inbound_allowance(s.in()).packets == 0);
}

TEST_CASE("what was used under a key counts when its SA is installed anew with it") {
  Limited s({.hard_packets = 100, .hard_bytes = 10'000, .hard_seconds = 90});
  const auto before = s.out();
  s.store->inbound_allowance(s.in()).packets = 60;
  s.store->outbound_allowance(before).packets = 70;
  s.store->outbound_allowance(before).bytes = 7'000;
  s.advance(50s);
  s.configuration.connections[0].replay_window_packets = 128;
  s.configuration.connections[0].outer.hop_limit = 7;
  CHECK(s.configure().changed == 1);
  REQUIRE(s.out() != before);
  CHECK(s.store->inbound_allowance(s.in()).packets == 60);
  CHECK(s.store->outbound_allowance(s.out()).packets == 70);
  CHECK(s.store->outbound_allowance(s.out()).bytes == 7'000);
  s.grace.pass();
  s.advance(39s);
  CHECK(s.news.empty());
  s.advance(1s);  // 90 s after the key came into use
  CHECK(s.news.size() == 2);
}

TEST_CASE("a manual key that comes back goes on with its lifetime and its sequence numbers") {
  Limited s({.hard_packets = 100, .hard_seconds = 90});
  s.store->inbound_allowance(s.in()).packets = 60;
  s.store->inbound(s.in()).top = 5'000;
  s.store->outbound_allowance(s.out()).packets = 70;
  s.store->outbound(s.out()).sequence = 6'000;
  s.advance(50s);
  const auto configuration = s.configuration;
  SECTION("deleted by hand, and reloaded") {
    REQUIRE(s.manager.retire_inbound(0x1001, Reason::deleted, s.now));
    REQUIRE(s.manager.retire_outbound("c1", Reason::deleted, s.now));
  }
  SECTION("out of the file, and in again") {
    s.configuration.connections.clear();
    REQUIRE(s.configure().removed == 1);
  }
  SECTION("other keys for a while") {
    s.configuration.connections[0].inbound = manual(0x1001, 8);
    s.configuration.connections[0].outbound = manual(0x2001, 9);
    REQUIRE(s.configure().changed == 1);
    CHECK(s.store->inbound_allowance(s.in()).packets == 0);
    CHECK(s.store->outbound(s.out()).sequence == 0);
  }
  s.grace.pass();
  s.advance(10s);
  s.configuration = configuration;
  s.configure();
  CHECK(s.store->inbound_allowance(s.in()).packets == 60);
  CHECK(s.store->inbound(s.in()).top == 5'000 + s.store->inbound(s.in()).window_packets);
  CHECK(s.store->outbound_allowance(s.out()).packets == 70);
  CHECK(s.store->outbound(s.out()).sequence > 6'000);
  s.advance(29s);
  CHECK(s.inbound_state(0x1001) == State::active);
  s.advance(1s);  // 90 s after the key came into use
  CHECK(s.inbound_state(0x1001) == State::expired);
  CHECK(s.outbound_state() == State::expired);
}

TEST_CASE("as many keys are remembered as tombstones, the last ones") {
  KeyMemory keys(2);
  const auto digest = [](std::uint8_t byte) {
    Digest result{};
    result[0] = byte;
    return result;
  };
  keys.remember(Digest{}, {});
  CHECK(keys.size() == 0);
  for (std::uint8_t i = 1; i < 4; ++i)
    keys.remember(digest(i), {.used = {i, 0, 0}, .began = {}, .sequence = i});
  keys.remember(digest(3), {.used = {}, .began = {}, .sequence = 30});
  CHECK(keys.size() == 2);
  CHECK_FALSE(keys.recall(digest(1)));
  CHECK(keys.recall(digest(2))->used.packets == 2);
  CHECK(keys.recall(digest(3))->sequence == 30);
  keys.remember(digest(2), {.used = {7, 0, 0}, .began = {}, .sequence = 20});
  keys.remember(digest(4), {});  // 3 is what has not come back for longest
  CHECK_FALSE(keys.recall(digest(3)));
  CHECK(keys.recall(digest(2))->used.packets == 7);
}

TEST_CASE("ends in seconds of SAs that are gone are not waited for") {
  Limited s({.soft_seconds = 60, .hard_seconds = 90});
  CHECK(s.manager.lifetimes_watched() == 4);
  REQUIRE(s.manager.retire_inbound(0x1001, Reason::deleted, s.now));
  CHECK(s.manager.lifetimes_watched() == 2);
  s.configuration.connections[0].outbound = manual(0x2001, 9);
  s.configuration.connections[0].inbound.reset();
  REQUIRE(s.configure().problems.empty());
  CHECK(s.manager.lifetimes_watched() == 2);
  s.configuration.connections.clear();
  REQUIRE(s.configure().removed == 1);
  CHECK(s.manager.lifetimes_watched() == 0);
}

TEST_CASE("of many SAs that end together one is expired at a time") {
  Surroundings s({2'100, 1'100, 1});
  for (unsigned i = 0; i < 1'000; ++i) {
    s.configuration.connections.push_back(connection(i));
    s.configuration.connections.back().outbound->spi = 0x20'000 + i;
    s.configuration.connections.back().lifetime.hard_seconds = 60;
  }
  REQUIRE(s.configure().problems.empty());
  s.now.steady += 60s;
  s.manager.tick(s.now);
  CHECK(s.news.empty());
  for (std::size_t told = 0; s.manager.move_on(s.now) != 0; told = s.news.size())
    CHECK(s.news.size() <= told + 1);
  CHECK(s.news.size() == 2'000);
  CHECK(s.count(Direction::outbound, "expired") == 1'000);
}

TEST_CASE("a negotiated SA that expires is retired, and its traffic stays protected by policy") {
  Limited s({});
  SaParameters fresh;
  fresh.keymat.assign(20, 7);
  fresh.local = address("192.0.2.1");
  fresh.remote = address("198.51.100.1");
  fresh.selectors = {net::between(prefix("10.1.0.0/16"), network1)};
  fresh.lifetime = {.hard_seconds = 90};
  fresh.spi = 0x3001;
  auto outbound = fresh;
  outbound.spi = 0x4001;
  REQUIRE(s.manager.replace("c1", fresh, outbound, s.now));
  s.advance(90s);
  CHECK(s.news == std::vector<std::string>{"in 3001 hard c1", "out 4001 hard c1"});
  CHECK(s.manager.about(0x3001).standing == SpiFacts::Standing::retired);
  CHECK(s.manager.about(0x3001).reason == Reason::expired);
  CHECK(s.inbound_state(0x3001) == State::expired);  // dropped by that name for as long as it is remembered
  CHECK(s.sink.table[network1] == policy::Decision::protect_without_sa());
}

TEST_CASE("records of SAs that are gone meanwhile, and of stages known already, are not told") {
  Limited s({.hard_packets = 10, .soft_seconds = 60});
  s.manager.lifetime_reached({s.in(), 0x7777, true, LifetimeStage::soft, {}}, s.now);
  s.manager.lifetime_reached({s.out(), 0x7777, false, LifetimeStage::soft, {}}, s.now);
  CHECK(s.news.empty());
  REQUIRE(s.store->inbound_allowance(s.in()).first_at(LifetimeStage::soft));  // a worker has told
  s.configuration.connections[0].outbound.reset();
  REQUIRE(s.configure().problems.empty());
  s.grace.pass();
  s.advance(60s);
  CHECK(s.news.empty());
}

TEST_CASE("the workers' deadline in seconds is set from the TSC, as far as it is known") {
  FakeEngine engine;
  SaParameters parameters;
  parameters.keymat.assign(20, 7);
  parameters.local = address("192.0.2.1");
  parameters.remote = address("198.51.100.1");
  parameters.spi = 0x2001;
  parameters.lifetime.hard_seconds = 100;
  parameters.used.seconds = 40;
  constexpr std::uint64_t hz = 2'000'000'000;
  auto store = SaStore::create({4, 4, 1, hz}, engine, *std::pmr::new_delete_resource()).value();
  const auto before = __builtin_ia32_rdtsc();
  const auto index = *store->install_outbound(parameters);
  const auto deadline = store->outbound_allowance(index).hard_tsc;
  CHECK(deadline >= before + 60 * hz);
  CHECK(deadline <= __builtin_ia32_rdtsc() + 60 * hz);
  auto untimed = SaStore::create({4, 4, 1}, engine, *std::pmr::new_delete_resource()).value();
  CHECK(untimed->outbound_allowance(*untimed->install_outbound(parameters)).hard_tsc == Allowance::unlimited);
}

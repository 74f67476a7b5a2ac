#include "control/sa/sa_manager.hpp"

#include <catch2/catch.hpp>

#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;
using namespace std::chrono_literals;

namespace {

SaParameters parameters(std::uint32_t spi) {
  SaParameters result;
  result.spi = spi;
  result.keymat.assign(20, 7);
  result.local = address("192.0.2.1");
  result.remote = address("198.51.100.1");
  result.selectors = {net::between(prefix("10.1.0.0/16"), prefix("20.0.1.0/24"))};
  return result;
}

std::vector<Happening> story(const SaManager& manager, std::uint32_t spi) {
  std::vector<Happening> result;
  for (const auto& event : manager.report(spi).events) result.push_back(event.what);
  return result;
}

const auto network = prefix("20.0.1.0/24");

}  // namespace

TEST_CASE("a reserved SPI is larval until its SA is installed") {
  Surroundings s;
  s.configuration.connections = {connection(1)};
  REQUIRE(s.configure().problems.empty());
  const auto spi = *s.manager.allocate_spi();
  CHECK(spi >= 256);
  REQUIRE(s.manager.reserve("c1", spi, s.now));
  CHECK(s.inbound_state(spi) == State::larval);
  CHECK(s.manager.about(spi).standing == SpiFacts::Standing::larval);
  CHECK(s.manager.about(spi).connection == "c1");
  CHECK_FALSE(s.manager.reserve("c1", spi, s.now));
  CHECK_FALSE(s.manager.reserve("c1", 255, s.now));
  CHECK_FALSE(s.manager.reserve("nobody", 5000, s.now));
  CHECK_FALSE(s.manager.install_inbound(parameters(spi + 1), s.now));

  REQUIRE(s.manager.install_inbound(parameters(spi), s.now));
  CHECK(s.inbound_state(spi) == State::active);
  CHECK(s.inbound_state(0x1001) == State::active);  // the one before lingers
  CHECK(s.manager.report(0x1001).sas[0].state == "lingering");
  CHECK(s.manager.report(0x1001).sas[0].successor == spi);
}

TEST_CASE("SPIs are never reserved ones, ones in use or ones that ended lately") {
  Surroundings s;
  s.configuration.connections = {connection(1)};
  REQUIRE(s.configure().problems.empty());
  std::vector<std::uint32_t> draws{0x1001, 300, 255, 0};
  SaManager manager({*s.store, s.sink, s.grace,
                     [&] {
                       const auto draw = draws.back();
                       if (draws.size() > 1) draws.pop_back();
                       return draw;
                     },
                     [](Severity, std::string_view) {}},
                    {});
  CHECK(*manager.allocate_spi() == 300);  // 0 and 255 were skipped
  CHECK_FALSE(Surroundings{}.manager.allocate_spi().value() < 256);

  REQUIRE(s.manager.retire_inbound(0x1001, Reason::deleted, s.now));
  s.advance(301s);
  CHECK(s.store->find(0x1001) == no_sa);
  SaManager::Parts parts{*s.store, s.sink, s.grace, [] { return 0u; }, [](Severity, std::string_view) {}};
  CHECK_FALSE(SaManager(parts, {}).allocate_spi());  // a broken source is an error, not a loop
}

TEST_CASE("a rekey installs inbound first, switches outbound, frees and entombs the old ones in time") {
  Surroundings s;
  s.configuration.connections = {connection(1)};
  REQUIRE(s.configure().problems.empty());
  const auto old_outbound = s.sink.table[network].outbound_sa();
  s.sink.changed = [&] {  // the moment policy changes, the new inbound SA accepts and both old ones work
    CHECK(s.inbound_state(0x1001) == State::active);
    CHECK(s.inbound_state(0x3001) == State::active);
    CHECK(s.store->outbound(old_outbound).state.load() == State::active);
  };
  REQUIRE(s.manager.replace("c1", parameters(0x3001), parameters(0x4001), s.now));
  CHECK(s.outbound_spi(network) == 0x4001);
  CHECK(s.inbound_state(0x1001) == State::active);

  s.advance(1s);  // the readers have not been quiet: a worker may still encrypt under the old SA
  CHECK(s.store->outbound(old_outbound).state.load() == State::active);
  CHECK(s.store->outbound(old_outbound).spi == 0x2001);
  s.grace.pass();
  s.advance(1s);
  CHECK(s.store->outbound(old_outbound).spi == 0);

  s.advance(27s);
  CHECK(s.manager.about(0x1001).standing == SpiFacts::Standing::active);
  s.advance(1s);
  CHECK(s.inbound_state(0x1001) == State::retired);
  CHECK(s.manager.about(0x1001).standing == SpiFacts::Standing::retired);
  CHECK(s.manager.about(0x1001).reason == Reason::rekeyed);
  CHECK(s.manager.about(0x1001).successor == 0x3001);

  s.advance(299s);
  CHECK(s.inbound_state(0x1001) == State::retired);
  s.advance(1s);
  CHECK(s.store->find(0x1001) == no_sa);
  CHECK(s.manager.waiting_for_readers() == 1);
  s.grace.pass();
  s.advance(1ms);
  CHECK(s.manager.waiting_for_readers() == 0);
  // The table has forgotten it, its story has not.
  CHECK(s.manager.about(0x1001).standing == SpiFacts::Standing::retired);
  CHECK(s.manager.about(0x1001).reason == Reason::rekeyed);
  CHECK(story(s.manager, 0x1001) == std::vector{Happening::reserved, Happening::installed, Happening::rekeyed,
                                                Happening::retired_rekeyed, Happening::tombstone_expired});
}

TEST_CASE("a rekey that fails leaves the connection as it was") {
  Surroundings s;
  s.configuration.connections = {connection(1), connection(2)};
  REQUIRE(s.configure().problems.empty());
  const auto unharmed = [&] {
    CHECK(s.outbound_spi(network) == 0x2001);
    CHECK(s.manager.report(0x1001).sas.at(0).state == "active");
    CHECK(s.store->find(0x3001) == no_sa);
    CHECK(s.count(Direction::inbound, "active") == 2);
    CHECK(s.count(Direction::outbound, "active") == 2);
  };
  SECTION("inbound parameters are bad") {
    auto bad = parameters(0x3001);
    bad.keymat.pop_back();
    CHECK_FALSE(s.manager.replace("c1", bad, parameters(0x4001), s.now));
    unharmed();
  }
  SECTION("outbound parameters are bad") {
    auto bad = parameters(0x4001);
    bad.keymat.pop_back();
    CHECK_FALSE(s.manager.replace("c1", parameters(0x3001), bad, s.now));
    unharmed();
  }
  SECTION("the SPI is another connection's") {
    CHECK_FALSE(s.manager.replace("c1", parameters(0x1002), parameters(0x4001), s.now));
    CHECK(s.manager.about(0x1002).connection == "c2");
    unharmed();
  }
}

TEST_CASE("a connection without outbound SA still demands protection") {
  Surroundings s;
  s.configuration.connections = {connection(1)};
  REQUIRE(s.configure().problems.empty());
  REQUIRE(s.manager.install_outbound("c1", parameters(0x3001), s.now));
  const auto index = s.sink.table[network].outbound_sa();
  REQUIRE(s.manager.retire_outbound("c1", Reason::expired, s.now));
  CHECK(s.sink.table[network].value == policy::Decision::protect_without_sa().value);
  CHECK(s.store->outbound(index).state.load() == State::retired);
  CHECK_FALSE(s.manager.retire_outbound("c1", Reason::expired, s.now));
  REQUIRE(s.manager.install_outbound("c1", parameters(0x4001), s.now));
  CHECK(s.outbound_spi(network) == 0x4001);
}

TEST_CASE("policies go on naming a deleted SA with manual keys, until a reload brings it back") {
  Surroundings s;
  s.configuration.connections = {connection(1)};
  REQUIRE(s.configure().problems.empty());
  const auto deleted = s.sink.table[network].outbound_sa();
  REQUIRE(s.manager.retire_outbound("c1", Reason::deleted, s.now));
  s.grace.pass();
  s.advance(1s);
  CHECK(s.sink.table[network].value == policy::Decision::protect(deleted).value);
  CHECK(s.store->outbound(deleted).state.load() == State::retired);
  REQUIRE(s.configure().problems.empty());
  CHECK(s.outbound_spi(network) == 0x2001);
  CHECK(s.store->outbound(s.sink.table[network].outbound_sa()).state.load() == State::active);
}

TEST_CASE("an SPI can be reserved for no connection, and given back") {
  Surroundings s;
  REQUIRE(s.manager.reserve("", 0x3001, s.now));
  CHECK(s.manager.about(0x3001).standing == SpiFacts::Standing::larval);
  CHECK(s.manager.about(0x3001).connection.empty());
  REQUIRE(s.configure().problems.empty());
  CHECK(s.manager.about(0x3001).standing == SpiFacts::Standing::larval);
  REQUIRE(s.manager.retire_inbound(0x3001, Reason::deleted, s.now));
  CHECK(s.manager.about(0x3001).standing == SpiFacts::Standing::retired);
}

TEST_CASE("a rekey asks nothing of the policy table but to change decisions") {
  Surroundings s;
  auto many = connection(1);
  for (unsigned i = 2; i < 12; ++i) many.remote_networks.push_back(connection(i).remote_networks[0]);
  s.configuration.connections = {many};
  REQUIRE(s.configure().problems.empty());
  const auto rules = s.sink.next;
  s.sink.refuse = [](const net::Prefix&) { return true; };
  REQUIRE(s.manager.replace("c1", parameters(0x3001), parameters(0x4001), s.now));
  CHECK(s.sink.next == rules);
  CHECK(s.sink.rules.size() == 11);
  for (const auto& remote : many.remote_networks) CHECK(s.outbound_spi(remote) == 0x4001);
}

TEST_CASE("tombstones are bounded in number, the oldest goes first") {
  Surroundings s({64, 32, 1}, {3, 300s, 30s});
  for (unsigned i = 1; i <= 5; ++i) s.configuration.connections.push_back(connection(i));
  REQUIRE(s.configure().problems.empty());
  for (unsigned i = 1; i <= 5; ++i) {
    REQUIRE(s.manager.retire_inbound(0x1000 + i, Reason::deleted, s.now));
    s.advance(1s);
  }
  CHECK(s.count(Direction::inbound, "retired") == 3);
  CHECK(s.store->find(0x1001) == no_sa);
  CHECK(s.store->find(0x1002) == no_sa);
  CHECK(s.inbound_state(0x1003) == State::retired);
  CHECK(story(s.manager, 0x1001).back() == Happening::tombstone_dropped);
  CHECK_FALSE(s.manager.retire_inbound(0x1003, Reason::deleted, s.now));
}

TEST_CASE("what an SA carried is added to its connection when it is gone, and never counted twice") {
  Surroundings s;
  s.configuration.connections = {connection(1)};
  REQUIRE(s.configure().problems.empty());
  const auto inbound = s.store->find(0x1001);
  const auto outbound = s.sink.table[network].outbound_sa();
  s.store->inbound_usage(0, inbound).packets = 10;
  s.store->inbound_usage(1, inbound).packets = 5;
  s.store->inbound_usage(1, inbound).bytes = 700;
  for (int i = 0; i < 3; ++i)
    s.store->inbound_faults(inbound).count(Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL);
  s.store->inbound_usage(1, inbound).last_tsc = 44;
  s.store->outbound_usage(0, outbound).packets = 4;
  const auto check = [&] {
    const auto report = s.manager.connection_report("c1");
    REQUIRE(report);
    CHECK(report->inbound.packets == 15);
    CHECK(report->inbound.bytes == 700);
    CHECK(report->inbound.of(Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL) == 3);
    CHECK(report->inbound.faults.size() == 1);
    CHECK(report->inbound.last_tsc == 44);
    CHECK(report->outbound.packets == 4);
  };
  check();
  REQUIRE(s.manager.replace("c1", parameters(0x3001), parameters(0x4001), s.now));
  check();
  s.advance(31s);
  check();
  s.advance(301s);
  check();
  s.grace.pass();
  s.advance(1s);
  check();
  CHECK(s.manager.connection_report("c1")->inbound_spi == 0x3001);
  CHECK(s.manager.connection_report("c1")->outbound_spi == 0x4001);
}

TEST_CASE("stories end with the SPIs that came after") {
  LifeStories stories(2, 8);
  const auto owner = std::make_shared<Connection>();
  for (std::uint32_t spi : {1000u, 1001u, 1002u}) {
    stories.begin(spi, owner, {});
    stories.end(spi);
  }
  CHECK_FALSE(stories.find(1000));
  CHECK(stories.find(1001));
  stories.begin(1001, owner, {});  // in use again: not forgotten when its old end falls out of the queue
  for (std::uint32_t spi : {1003u, 1004u, 1005u}) {
    stories.begin(spi, owner, {});
    stories.end(spi);
  }
  REQUIRE(stories.find(1001));
  CHECK(stories.size() == 3);
  for (int i = 0; i < 100; ++i) stories.note(1001, {{}, Happening::installed});
  CHECK(stories.find(1001)->events.size() == LifeStories::events_max);
}

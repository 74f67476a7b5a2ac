#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;
using namespace std::chrono_literals;
using Catch::Contains;

TEST_CASE_METHOD(Started, "a start installs all SAs and policies") {
  for (std::uint32_t i = 1; i <= 3; ++i) CHECK(inbound_state(0x1000 + i) == State::active);
  CHECK(outbound_spi(network1) == 0x2001);
  CHECK(sink.table.size() == 5);
  CHECK(sink.table[prefix("10.1.0.0/16")].value == policy::Decision::bypass().value);
  CHECK(sink.table[prefix("10.9.0.0/16")].value == policy::Decision::discard().value);
  const auto& entry = store->inbound(store->find(0x1001));
  CHECK(entry.window_packets == 1024);
  CHECK(entry.selector_count == 1);
  CHECK(manager.connection_of_peer(connection(2).remote) == "c2");
  CHECK(manager.connection_of_peer(address("203.0.113.9")).empty());
}

TEST_CASE_METHOD(Started, "a reload of the same leaves every SA untouched") {
  const auto index = store->find(0x1001);
  store->inbound(index).top = 77;
  c(1).line = 999;
  sink.changed = [] { FAIL("a policy was touched"); };
  const auto result = configure();
  CHECK(result.unchanged == 3);
  CHECK(result.added + result.changed + result.removed == 0);
  CHECK(store->find(0x1001) == index);
  CHECK(store->inbound(index).top == 77);
  CHECK(grace.started == 0);
}

TEST_CASE_METHOD(Started, "new SPIs and keys are a rekey") {
  c(1).inbound = manual(0x3001, 9);
  c(1).outbound = manual(0x4001, 9);
  const auto result = configure();
  CHECK(result.changed == 1);
  CHECK(result.unchanged == 2);
  CHECK(manager.report(0x1001).sas.at(0).state == "lingering");
  CHECK(inbound_state(0x3001) == State::active);
  CHECK(outbound_spi(network1) == 0x4001);
  advance(30s);
  CHECK(manager.about(0x1001).reason == Reason::rekeyed);
  CHECK(manager.about(0x1001).successor == 0x3001);
}

TEST_CASE_METHOD(Started, "a new key under the same SPI replaces the SA at once") {
  const auto before = store->find(0x1001);
  c(1).inbound = manual(0x1001, 9);
  CHECK(configure().changed == 1);
  CHECK(store->find(0x1001) != before);
  CHECK(inbound_state(0x1001) == State::active);
  CHECK(store->inbound(store->find(0x1001)).top == 0);
  CHECK(manager.waiting_for_readers() == 1);
  CHECK(count(Direction::inbound, "active") == 3);
  CHECK(count(Direction::inbound, "retired") == 0);
}

TEST_CASE_METHOD(Started, "a bad new key under the same SPI leaves the old SA in place") {
  const auto before = store->find(0x1001);
  c(1).inbound->keymat = config::Secret({1, 2, 3});
  CHECK(configure().problems.size() == 1);
  CHECK(store->find(0x1001) == before);
  CHECK(inbound_state(0x1001) == State::active);
}

TEST_CASE_METHOD(Started, "networks of different families make no pair") {
  c(1).local_networks = {prefix("10.1.0.0/16"), prefix("2001:db8:1::/48")};
  c(1).remote_networks = {network1, prefix("2001:db8:2::/48")};
  CHECK(configure().problems.empty());
  CHECK(store->inbound(store->find(0x1001)).selector_count == 2);
  CHECK(outbound_spi(prefix("2001:db8:2::/48")) == 0x2001);
}

TEST_CASE_METHOD(Started, "an SA that keeps SPI and key keeps its sequence number space") {
  store->inbound(store->find(0x1001)).top = 5'000;
  const auto old = sink.table[network1].outbound_sa();
  store->outbound(old).sequence = 9'000;
  c(1).remote = address("203.0.113.7");
  CHECK(configure().changed == 1);
  auto& inbound = store->inbound(store->find(0x1001));
  ReplayWindow window(inbound.top, inbound.cells, inbound.window_packets, inbound.cell_mask);
  CHECK(window.check(5'000) != Replay::fresh);
  CHECK(window.check(4'000) != Replay::fresh);
  CHECK(window.check(5'001) == Replay::fresh);
  CHECK(window.commit(5'001) == Replay::fresh);
  CHECK(window.check(5'001) == Replay::duplicate);

  const auto index = sink.table[network1].outbound_sa();
  CHECK(index != old);
  const auto& outbound = store->outbound(index);
  CHECK(outbound.sequence > 9'000);
  CHECK(store->outbound(old).sequence_limit < outbound.sequence);
  CHECK(outbound.iv_base + outbound.sequence >
        store->outbound(old).iv_base + store->outbound(old).sequence_limit);
  CHECK(manager.connection_of_peer(address("203.0.113.7")) == "c1");

  SECTION("and ends where it would have ended") {
    auto& entry = store->outbound(index);
    entry.iv_base -= 0xffff'fff0 - entry.sequence;  // IVs stay where they are: nothing sent that many
    entry.sequence = 0xffff'fff0;
    store->inbound(store->find(0x1001)).top = 0xffff'fff0;
    c(1).remote = address("203.0.113.8");
    CHECK(configure().changed == 1);
    CHECK(store->outbound(sink.table[network1].outbound_sa()).sequence == 0xffff'ffff);
    CHECK(store->inbound(store->find(0x1001)).top == 0xffff'ffff);
  }
}

TEST_CASE_METHOD(Started, "a connection that leaves is deleted with its policies") {
  configuration.connections.erase(configuration.connections.begin());
  const auto result = configure();
  CHECK(result.removed == 1);
  CHECK(result.unchanged == 2);
  CHECK(inbound_state(0x1001) == State::retired);
  CHECK(manager.about(0x1001).reason == Reason::deleted);
  CHECK(manager.about(0x1001).connection == "c1");
  CHECK_FALSE(sink.table.contains(network1));
  CHECK(manager.connection_of_peer(connection(1).remote).empty());
  CHECK_FALSE(manager.connection_report("c1"));
  CHECK(manager.connection_report("c2"));
  CHECK_FALSE(manager.reserve("c1", 5000, now));
  settle();
  CHECK(store->table().size() == 2);
}

TEST_CASE_METHOD(Started, "an SA that leaves its connection is deleted, its policy stays protecting") {
  c(1).outbound.reset();
  c(2).inbound.reset();
  CHECK(configure().changed == 2);
  CHECK(sink.table[network1].value == policy::Decision::protect_without_sa().value);
  CHECK(manager.about(0x1002).reason == Reason::deleted);
  CHECK(manager.about(0x1002).standing == SpiFacts::Standing::retired);
  CHECK(inbound_state(0x1001) == State::active);
  CHECK(outbound_spi(network2) == 0x2002);
  CHECK(configure().unchanged == 3);
}

TEST_CASE_METHOD(Started, "going back to an SPI that is a tombstone or lingers works at once") {
  const auto first = configuration;
  c(1).inbound = manual(0x3001, 9);
  REQUIRE(configure().problems.empty());
  SECTION("lingering") {}
  SECTION("tombstone") {
    advance(31s);
  }
  configuration = first;
  CHECK(configure().problems.empty());
  CHECK(inbound_state(0x1001) == State::active);
  CHECK(manager.report(0x3001).sas.at(0).state == "lingering");
}

TEST_CASE_METHOD(Started, "an SPI and a network go over to another connection in one reload") {
  SECTION("renamed") {
    c(1).name = "renamed";
    const auto result = configure();
    CHECK(result.problems.empty());
    CHECK(result.added == 1);
    CHECK(result.removed == 1);
    CHECK(manager.about(0x1001).connection == "renamed");
    CHECK(outbound_spi(network1) == 0x2001);
  }
  SECTION("swapped") {
    std::swap(c(1).inbound->spi, c(2).inbound->spi);
    std::swap(c(1).remote_networks, c(2).remote_networks);
    sink.changed = [&] {
      CHECK(sink.table.at(network1).demands_protection());
      CHECK(sink.table.at(network2).demands_protection());
    };
    CHECK(configure().problems.empty());
    CHECK(manager.about(0x1001).connection == "c2");
    CHECK(manager.about(0x1002).connection == "c1");
    CHECK(outbound_spi(network1) == 0x2002);
    CHECK(outbound_spi(network2) == 0x2001);
    sink.changed = {};
  }
  settle();
  CHECK(count(Direction::inbound, "active") == 3);
  CHECK(count(Direction::outbound, "active") == 3);
  CHECK(sas().size() == 6);
}

TEST_CASE_METHOD(Started, "networks come and go and the outbound SA keeps its SPI") {
  c(1).remote_networks = {prefix("20.0.1.0/25"), prefix("2001:db8::/32")};
  CHECK(configure().changed == 1);
  CHECK(outbound_spi(prefix("20.0.1.0/25")) == 0x2001);
  CHECK_FALSE(sink.table.contains(network1));
  settle();
  CHECK(outbound_spi(prefix("20.0.1.0/25")) == 0x2001);
}

TEST_CASE_METHOD(Started, "protection is in place before a bypass opens, in both orders of a reload") {
  // 20.0.1.0/24 becomes a bypass; the half that stays protected must never be seen unprotected.
  c(1).remote_networks = {prefix("20.0.1.0/25")};
  configuration.policies.push_back(policy_to(network1, config::PolicyAction::bypass, 9));
  sink.changed = [&] {
    if (sink.table.at(network1).demands_protection()) return;
    CHECK(sink.table.at(prefix("20.0.1.0/25")).demands_protection());
  };
  CHECK(configure().problems.empty());
  CHECK(sink.table[network1].value == policy::Decision::bypass().value);
  settle();
  CHECK(outbound_spi(prefix("20.0.1.0/25")) == 0x2001);
}

TEST_CASE_METHOD(Started, "one connection's failure stops no other, and says where it is") {
  configuration.connections.push_back(connection(4));
  configuration.connections.push_back(connection(5));
  auto& bad = configuration.connections[3];
  ConfigureResult result;
  std::string expected;
  SECTION("key of the wrong length") {
    bad.inbound->keymat = config::Secret({1, 2, 3});
    result = configure();
    CHECK(sink.table.contains(prefix("20.0.4.0/24")));
    CHECK(store->find(0x1004) == no_sa);
  }
  SECTION("SPI in use") {
    bad.inbound->spi = 0x1001;
    expected = "belongs to connection c1 (line 101)";
    result = configure();
    CHECK(manager.about(0x1001).connection == "c1");
  }
  SECTION("reserved SPI") {
    bad.inbound->spi = 17;
    result = configure();
  }
  SECTION("network of another") {
    bad.remote_networks = {network1};
    expected = "20.0.1.0/24 belongs to connection c1 (line 101)";
    result = configure();
    CHECK(outbound_spi(network1) == 0x2001);
  }
  SECTION("name of another") {
    bad.name = "c1";
    expected = "line 101";
    result = configure();
  }
  SECTION("policy table full") {
    sink.refuse = [](const net::Prefix& p) { return p == prefix("20.0.4.0/24"); };
    result = configure();
    CHECK(store->find(0x1004) == no_sa);
  }
  REQUIRE(result.problems.size() == 1);
  CHECK_THAT(result.problems[0].text(), Contains("espgate.conf:104: connection " + bad.name + ": "));
  CHECK_THAT(result.problems[0].text(), Contains(expected));
  CHECK(inbound_state(0x1005) == State::active);
  CHECK(outbound_spi(prefix("20.0.5.0/24")) == 0x2005);
  CHECK(outbound_spi(network1) == 0x2001);
}

TEST_CASE_METHOD(Started, "negotiated SAs survive a reload") {
  c(1).inbound.reset();
  c(1).outbound.reset();
  REQUIRE(configure().problems.empty());
  SaParameters parameters;
  parameters.spi = 0x5001;
  parameters.keymat.assign(20, 7);
  parameters.local = address("192.0.2.1");
  parameters.remote = address("198.51.100.1");
  parameters.selectors = {net::between(prefix("10.1.0.0/16"), network1)};
  auto outbound = parameters;
  outbound.spi = 0x6001;
  REQUIRE(manager.replace("c1", parameters, outbound, now));
  CHECK(configure().unchanged == 3);
  CHECK(inbound_state(0x5001) == State::active);
  CHECK(outbound_spi(network1) == 0x6001);
}

TEST_CASE("a reload that rekeys more than there is room for goes on as the readers' grace passes") {
  Surroundings s({10, 9, 1}, {4, 300s, 30s});
  for (unsigned i = 1; i <= 8; ++i) s.configuration.connections.push_back(connection(i));
  REQUIRE(s.configure().problems.empty());
  for (unsigned i = 1; i <= 8; ++i) {
    s.configuration.connections[i - 1].inbound = manual(0x3000 + i, 9);
    s.configuration.connections[i - 1].outbound = manual(0x4000 + i, 9);
  }
  const auto result = s.configure();
  CHECK(result.problems.empty());
  CHECK(result.deferred > 0);
  for (int i = 0; i < 40; ++i) {
    s.grace.pass();
    s.advance(10s);
    for (const auto& [network, decision] : s.sink.table) CHECK(decision.is_protect());
  }
  CHECK(s.lines.empty());
  for (unsigned i = 1; i <= 8; ++i) {
    CHECK(s.inbound_state(0x3000 + i) == State::active);
    CHECK(s.outbound_spi(connection(i).remote_networks[0]) == 0x4000 + i);
  }
}

TEST_CASE("more connections than there is room for are problems, once nothing can make room") {
  Surroundings s({4, 4, 1});
  for (unsigned i = 1; i <= 6; ++i) s.configuration.connections.push_back(connection(i));
  const auto result = s.configure();
  CHECK(result.deferred == 0);
  REQUIRE(result.problems.size() == 2);
  CHECK_THAT(result.problems[0].text(), Contains("connection c5") && Contains("limits.inbound-sas"));
  // Their traffic does not leave in clear.
  CHECK(s.sink.table[connection(6).remote_networks[0]].value == policy::Decision::protect_without_sa().value);
}

TEST_CASE("fingerprints differ in every parameter") {
  SaParameters base;
  base.spi = 1000;
  base.keymat.assign(20, 1);
  base.local = address("192.0.2.1");
  base.remote = address("192.0.2.2");
  base.selectors = {net::between(prefix("10.1.0.0/16"), network1)};
  CHECK(fingerprint(base) == fingerprint(base));
  const std::vector<std::function<void(SaParameters&)>> sequence_space{
      [](auto& p) { p.spi++; }, [](auto& p) { p.keymat[19]++; }, [](auto& p) { p.extended_sequence = true; },
      [](auto& p) { p.suite = crypto::SuiteId::aes_gcm_16_256; }};
  const std::vector<std::function<void(SaParameters&)>> others{
      [](auto& p) { p.local.bytes[0]++; },
      [](auto& p) { p.remote.family = net::Family::v6; },
      [](auto& p) { p.encapsulation = Encapsulation::udp; },
      [](auto& p) { p.local_port++; },
      [](auto& p) { p.remote_port++; },
      [](auto& p) { p.window_packets = 64; },
      [](auto& p) { p.selectors[0].local_ports.last--; },
      [](auto& p) { p.selectors.push_back(p.selectors[0]); },
      [](auto& p) { p.selectors.assign(300, p.selectors[0]); }};
  for (const auto& change : sequence_space) {
    auto changed = base;
    change(changed);
    CHECK(fingerprint(changed).key != fingerprint(base).key);
  }
  for (const auto& change : others) {
    auto changed = base;
    change(changed);
    CHECK(fingerprint(changed).key == fingerprint(base).key);
    CHECK_FALSE(fingerprint(changed) == fingerprint(base));
  }
}

TEST_CASE("a configuration with very many connections can be broken off") {
  Surroundings many({3'000, 3'000, 1});
  for (unsigned i = 1; i <= 2'000; ++i) many.configuration.connections.push_back(connection(i));
  int questions = 0;
  const auto result = many.manager.configure(many.configuration, many.now, [&] {
    ++questions;
    return many.count(Direction::inbound, "active") > 100;
  });
  CHECK(result.stopped);
  CHECK(questions > 2);
  CHECK(result.added > 100);
  CHECK(result.added < 1'000);
  CHECK(many.count(Direction::inbound, "active") == result.added);
  CHECK_FALSE(many.configure().stopped);
  CHECK(many.count(Direction::inbound, "active") == 2'000);
}

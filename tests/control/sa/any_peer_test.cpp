// Connections with peers at any address: each peer has policies and SAs of its own, in front of what catches
// all.
#include <catch2/catch.hpp>

#include "control/sa/sa_manager.hpp"
#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;

namespace {

const auto everywhere = prefix("20.0.0.0/8");

SaParameters parameters_of(std::uint32_t spi, const net::Address& remote) {
  SaParameters result;
  result.spi = spi;
  result.suite = crypto::SuiteId::aes_gcm_16_128;
  result.keymat = std::vector<std::uint8_t>(20, static_cast<std::uint8_t>(spi));
  result.local = address("192.0.2.1");
  result.remote = remote;
  result.selectors = {net::between(prefix("10.1.0.0/16"), everywhere)};
  return result;
}

// In the file, one with peers at any address, and behind it one with a peer at a fixed one.
struct Road : Surroundings {
  Road() {
    auto road = connection(9);
    road.name = "road";
    road.remote = {};
    road.any_peer = true;
    road.remote_networks = {everywhere};
    road.inbound.reset();
    road.outbound.reset();
    configuration.connections = {road, connection(1)};
    REQUIRE(configure().problems.empty());
  }
  // What the IKE service does for a peer that has one network.
  Expected<void> come(const std::string& name, unsigned number, const net::Prefix& network) {
    auto wanted = configuration.connections[0];
    wanted.name = name;
    wanted.any_peer = false;
    wanted.remote = net::Address::v4(0xc6336400 + number);
    wanted.local_networks.clear();
    wanted.remote_networks.clear();
    wanted.selectors = {net::between(prefix("10.1.0.0/16"), network)};
    if (auto added = manager.add_peer("road", wanted, now); !added) return added;
    const auto spi = 0x5000 + number;
    REQUIRE(manager.reserve("road", spi, now));
    REQUIRE(manager.hand_over(spi, name));
    REQUIRE(manager.install_inbound(parameters_of(spi, wanted.remote), now, Predecessor::stays));
    REQUIRE(manager.install_outbound(name, parameters_of(0x6000 + number, wanted.remote), now));
    return {};
  }
};

const auto first = prefix("20.0.10.0/24"), second = prefix("20.0.11.0/24");

}  // namespace

TEST_CASE_METHOD(Road, "each peer has its own SA, in front of the policy that catches all") {
  CHECK(sink.table.at(everywhere) == policy::Decision::protect_without_sa());
  REQUIRE(come("road#1", 10, first));
  REQUIRE(come("road#2", 11, second));
  CHECK(outbound_spi(first) == 0x600a);
  CHECK(outbound_spi(second) == 0x600b);
  CHECK(sink.table.at(everywhere) == policy::Decision::protect_without_sa());
  std::uint64_t catching = 0, last = 0;
  for (const auto& [number, rule] : sink.rules) {
    auto& highest = rule.selector.remote.cover() == everywhere ? catching : last;
    highest = std::max(highest, rule.order);
  }
  CHECK(catching > last);
  CHECK(manager.current_sas("road#1").inbound);
  CHECK_FALSE(manager.current_sas("road").inbound);
  CHECK(manager.connection_of_peer(address("198.51.100.10")) == "road#1");
}

TEST_CASE_METHOD(Road, "a peer may have all that its connection has") {
  REQUIRE(come("road#1", 10, everywhere));
  CHECK(outbound_spi(everywhere) == 0x600a);
  manager.remove_peer("road#1", now);
  CHECK(sink.table.at(everywhere) == policy::Decision::protect_without_sa());
}

TEST_CASE_METHOD(Road, "a peer that goes leaves nothing, and its traffic is dropped again") {
  REQUIRE(come("road#1", 10, first));
  REQUIRE(manager.retire_inbound(0x500a, Reason::deleted, now));
  REQUIRE(manager.retire_outbound("road#1", Reason::deleted, now));
  manager.remove_peer("road#1", now);
  CHECK_FALSE(sink.table.contains(first));
  CHECK(sink.table.at(everywhere) == policy::Decision::protect_without_sa());
  CHECK(manager.connection_of_peer(address("198.51.100.10")).empty());
  CHECK_FALSE(manager.install_outbound("road#1", parameters_of(0x7000, address("198.51.100.10")), now));
  settle();
  CHECK(count(Direction::outbound, "active") == 1);
  CHECK(come("road#1", 12, first));
}

TEST_CASE_METHOD(Road, "a peer's SAs are listed with it, and when it went until they are gone") {
  REQUIRE(come("road#1", 10, first));
  std::vector<std::uint32_t> spis;
  const auto add = [&](const SaReport& sa) { spis.push_back(sa.spi); };
  manager.visit("road", add);
  CHECK(spis.empty());  // it was reserved for that one
  manager.visit("road#1", add);
  CHECK(spis == std::vector<std::uint32_t>{0x500a, 0x600a});
  manager.remove_peer("road#1", now);
  spis.clear();
  std::uint64_t place = 0;
  REQUIRE(manager.visit_former(place, add));
  CHECK(spis.front() == 0x500a);
  CHECK_FALSE(manager.visit_former(place, add));
  CHECK(count(Direction::inbound, "active") == 2);
}

TEST_CASE_METHOD(Road, "a peer behind a NAT has keepalives while it is there") {
  configuration.connections[0].encapsulation = config::Encapsulation::udp;
  configuration.connections[0].nat_keepalive_s = 20;
  REQUIRE(come("road#1", 10, first));
  auto behind_nat = parameters_of(0x7000, address("198.51.100.10"));
  behind_nat.encapsulation = Encapsulation::udp;
  behind_nat.local_port = behind_nat.remote_port = 4'500;
  REQUIRE(manager.install_outbound("road#1", behind_nat, now));
  std::vector<std::uint32_t> sent;
  const auto visit = [&] {
    advance(std::chrono::seconds(20));
    manager.visit_silent(now, [&](const OutboundSa& sa) { sent.push_back(sa.spi); });
  };
  visit();
  CHECK(sent == std::vector<std::uint32_t>{0x7000});
  manager.remove_peer("road#1", now);
  visit();
  CHECK(sent.size() == 1);
}

TEST_CASE_METHOD(Road, "no peer comes while connections are put in force") {
  unsigned questions = 0;
  manager.configure(configuration, now, [&] {
    ++questions;
    CHECK(manager.configuring());
    CHECK_FALSE(come("road#1", 10, first));
    return false;
  });
  CHECK(questions > 0);
  CHECK_FALSE(manager.connection_report("road#1"));
  CHECK(come("road#1", 10, first));
}

TEST_CASE_METHOD(Road, "what another connection protects is no peer's, and nothing is left of the attempt") {
  CHECK_FALSE(come("road#1", 10, connection(1).remote_networks[0]));
  CHECK(outbound_spi(connection(1).remote_networks[0]) == 0x2001);
  CHECK_FALSE(manager.connection_report("road#1"));
}

TEST_CASE_METHOD(Road, "a reload keeps the peers of a connection that stays, and no others") {
  for (unsigned i = 1; i <= 12; ++i)
    REQUIRE(
        come(fmt::format("road#{}", i), 10 + i, net::masked(net::Address::v4(0x14001000 + (i << 8)), 24)));
  const auto numbers = [&] {
    std::vector<std::uint32_t> all;
    for (const auto& [number, rule] : sink.rules) all.push_back(number);
    return all;
  };
  const auto before = numbers();
  const auto result = configure();
  CHECK(result.problems.empty());
  CHECK(result.unchanged == 2);
  CHECK(numbers() == before);  // none was moved
  CHECK(manager.current_sas("road#7").outbound);
  configuration.connections.erase(configuration.connections.begin());
  CHECK(configure().problems.empty());
  CHECK(sink.rules.size() == 1);
  CHECK_FALSE(manager.current_sas("road#7").outbound);
  settle();
  CHECK(count(Direction::inbound, "active") == 1);
}

// SAs that somebody negotiates: when each of a rekey's four comes and goes is the negotiator's to say.
#include <catch2/catch.hpp>

#include "control/config/ike_settings.hpp"
#include "control/sa/sa_manager.hpp"
#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;
using namespace std::chrono_literals;

namespace {

// c1 negotiates: its SAs are not in the configuration.
struct Negotiated : Surroundings {
  Negotiated() {
    auto wanted = connection(1);
    wanted.inbound.reset();
    wanted.outbound.reset();
    wanted.ike = std::make_shared<const config::IkeSettings>();
    configuration.connections = {wanted};
    REQUIRE(configure().problems.empty());
  }
  SaParameters parameters(std::uint32_t spi) const {
    SaParameters result;
    result.spi = spi;
    result.keymat.assign(20, static_cast<std::uint8_t>(spi));
    result.local = address("192.0.2.1");
    result.remote = address("198.51.100.1");
    result.selectors = {net::between(prefix("10.1.0.0/16"), network1)};
    return result;
  }
  void install(std::uint32_t inbound, std::uint32_t outbound) {
    REQUIRE(manager.reserve("c1", inbound, now));
    REQUIRE(manager.install_inbound(parameters(inbound), now, Predecessor::stays));
    REQUIRE(manager.install_outbound("c1", parameters(outbound), now));
  }
  std::string state_of(std::uint32_t inbound) {
    for (const auto& report : manager.report(inbound).sas)
      if (report.direction == Direction::inbound) return std::string(report.state);
    return "gone";
  }
  std::uint32_t current_inbound() { return manager.connection_report("c1").value().inbound_spi; }
};

}  // namespace

TEST_CASE_METHOD(Negotiated, "the SAs of a rekey have one owner, those that come after a deletion another") {
  const auto owners = [&](std::uint32_t inbound) {
    return std::pair(store->inbound_owner(store->find(inbound)),
                     store->outbound_owner(sink.table.at(network1).outbound_sa()));
  };
  install(0x1100, 0x2100);
  const auto first = owners(0x1100);
  install(0x1101, 0x2101);
  CHECK(owners(0x1101) == first);
  for (const std::uint32_t spi : {0x1100u, 0x1101u})
    REQUIRE(manager.retire_inbound(spi, Reason::deleted, now));
  REQUIRE(manager.retire_outbound("c1", Reason::deleted, now));
  install(0x1102, 0x2102);
  CHECK(owners(0x1102).first != first.first);
  CHECK(owners(0x1102).second != first.second);
}

TEST_CASE_METHOD(Negotiated, "one inbound SA stays beside the next, until it is superseded") {
  install(0x1100, 0x2100);
  CHECK(manager.current_sas("c1").inbound);
  CHECK(manager.current_outbound_spi("c1") == 0x2100);
  install(0x1101, 0x2101);
  CHECK(state_of(0x1100) == "active");
  CHECK(current_inbound() == 0x1101);
  CHECK(manager.current_outbound_spi("c1") == 0x2101);
  CHECK(outbound_spi(network1) == 0x2101);

  REQUIRE(manager.supersede_inbound(0x1100, now));
  CHECK(state_of(0x1100) == "lingering");
  CHECK(manager.report(0x1100).sas.at(0).successor == 0x1101);
  CHECK(current_inbound() == 0x1101);
  advance(31s);
  CHECK(state_of(0x1100) == "retired");
  CHECK(manager.about(0x1100).reason == Reason::rekeyed);
  CHECK(inbound_state(0x1101) == State::active);
}

TEST_CASE_METHOD(Negotiated, "superseding the SA in use leaves the connection without one") {
  install(0x1100, 0x2100);
  REQUIRE(manager.supersede_inbound(0x1100, now));
  CHECK_FALSE(manager.current_sas("c1").inbound);
  CHECK(manager.report(0x1100).sas.at(0).successor == 0);
  CHECK(state_of(0x1100) == "lingering");
}

TEST_CASE_METHOD(Negotiated, "where two stay and the newer goes, the older is the connection's again") {
  install(0x1100, 0x2100);
  install(0x1101, 0x2101);
  install(0x1102, 0x2102);
  REQUIRE(manager.retire_inbound(0x1102, Reason::deleted, now));
  CHECK(current_inbound() == 0x1101);
  REQUIRE(manager.retire_inbound(0x1100, Reason::deleted, now));
  CHECK(current_inbound() == 0x1101);
  REQUIRE(manager.supersede_inbound(0x1101, now));
  CHECK_FALSE(manager.current_sas("c1").inbound);
}

TEST_CASE_METHOD(Negotiated, "only what is active can be superseded") {
  CHECK_FALSE(manager.supersede_inbound(0x1100, now));
  REQUIRE(manager.reserve("c1", 0x1100, now));
  CHECK_FALSE(manager.supersede_inbound(0x1100, now));  // larval
  REQUIRE(manager.install_inbound(parameters(0x1100), now, Predecessor::stays));
  REQUIRE(manager.supersede_inbound(0x1100, now));
  CHECK_FALSE(manager.supersede_inbound(0x1100, now));
  REQUIRE(manager.retire_inbound(0x1100, Reason::deleted, now));
  CHECK_FALSE(manager.supersede_inbound(0x1100, now));
}

TEST_CASE_METHOD(Negotiated, "without an outbound SA its traffic drops, and is never in clear") {
  install(0x1100, 0x2100);
  REQUIRE(manager.retire_outbound("c1", Reason::deleted, now));
  CHECK(manager.current_outbound_spi("c1") == 0);
  const auto decision = sink.table.at(network1);
  CHECK(decision == policy::Decision::protect_without_sa());
  CHECK_FALSE(manager.retire_outbound("c1", Reason::deleted, now));
}

TEST_CASE_METHOD(Negotiated,
                 "a reload leaves negotiated SAs alone, and takes them when their connection goes") {
  install(0x1100, 0x2100);
  for (const unsigned line : {100u, 200u}) {
    configuration.connections[0].line = line;
    const auto result = configure();
    CHECK(result.unchanged == 1);
    CHECK(inbound_state(0x1100) == State::active);
    CHECK(outbound_spi(network1) == 0x2100);
  }
  configuration.connections.clear();
  CHECK(configure().removed == 1);
  CHECK(state_of(0x1100) == "retired");
  CHECK(sink.rules.empty());
  CHECK(manager.current_outbound_spi("c1") == 0);
}

TEST_CASE_METHOD(Negotiated, "keepalives go where a NAT was found, whatever the file says of encapsulation") {
  std::vector<std::uint32_t> silent;
  const auto look = [&] {
    silent.clear();
    manager.visit_silent(now, [&](const OutboundSa& sa) { silent.push_back(sa.spi); });
    return silent;
  };
  install(0x1100, 0x2100);
  advance(60s);
  CHECK(look().empty());  // plain ESP
  auto encapsulated = parameters(0x2101);
  encapsulated.encapsulation = Encapsulation::udp;
  REQUIRE(manager.install_outbound("c1", encapsulated, now));
  advance(60s);
  CHECK(look() == std::vector<std::uint32_t>{0x2101});
}

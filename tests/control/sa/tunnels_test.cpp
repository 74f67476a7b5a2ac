// Tunnels name outbound SAs as policies do: they follow rekeys, fail closed, and keep no entry that is freed.
#include <catch2/catch.hpp>

#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;

namespace {

// Connection 1 is behind a tunnel, without policies; the others are as in Started.
struct Routed : Started {
  std::unique_ptr<SaStore> store2 =
      SaStore::create({64, 32, 2}, engine, *std::pmr::new_delete_resource()).value();
  FakeSink sink2;
  std::unique_ptr<tunnel::TunnelTable> table =
      tunnel::TunnelTable::create(4, 64, *std::pmr::new_delete_resource(), {}).value();
  SaManager routed{{*store2,
                    sink2,
                    grace,
                    [this] { return static_cast<std::uint32_t>(random()); },
                    [](Severity, std::string_view) {},
                    {},
                    table.get()},
                   default_options()};
  tunnel::Index tun0 = table->add().value();

  Routed() {
    c(1).by_route = true;
    routed.set_tunnels({{"c1", tun0}});
    REQUIRE(routed.configure(configuration, now).problems.empty());
  }
  policy::Decision decision() { return table->at(tun0).current(); }
  std::uint32_t spi() { return decision().is_protect() ? store2->outbound(decision().outbound_sa()).spi : 0; }
  void settle_routed() {
    for (int i = 0; i < 4; ++i) {
      now.steady += std::chrono::seconds(400);
      move_all(routed, now);
      grace.pass();
      move_all(routed, now);
    }
  }
};

}  // namespace

TEST_CASE_METHOD(Routed, "a tunnel takes its connection's SAs, and policy does not know them") {
  CHECK(spi() == 0x2001);
  CHECK_FALSE(sink2.table.contains(network1));
  CHECK(sink2.table.contains(network2));
  CHECK(table->of_inbound(store2->find(0x1001)) == tun0);
  CHECK(table->of_inbound(store2->find(0x1002)) == tunnel::no_tunnel);
}

TEST_CASE_METHOD(Routed,
                 "the networks of a tunnel's connection go with its outbound SA, where no policy has them") {
  const auto has_selectors = [&] { return store2->outbound(decision().outbound_sa()).selectors != nullptr; };
  CHECK(has_selectors());
  CHECK(store2->outbound(sink2.table.at(network2).outbound_sa()).selectors == nullptr);
  const auto before = store2->outbound(decision().outbound_sa()).sequence.load();
  c(1).local_networks = c(1).remote_networks = {prefix("0.0.0.0/0"), prefix("::/0")};
  REQUIRE(routed.configure(configuration, now).problems.empty());
  CHECK_FALSE(has_selectors());
  CHECK(spi() == 0x2001);
  CHECK(store2->outbound(decision().outbound_sa()).sequence.load() > before);
}

TEST_CASE_METHOD(Routed, "a rekey switches the tunnel, and the old SA is freed after the grace only") {
  c(1).outbound = manual(0x3001, 9);
  c(1).inbound = manual(0x4001, 8);
  REQUIRE(routed.configure(configuration, now).problems.empty());
  CHECK(spi() == 0x3001);
  CHECK(table->of_inbound(store2->find(0x4001)) == tun0);
  CHECK(table->of_inbound(store2->find(0x1001)) == tun0);  // lingering
  settle_routed();
  CHECK(routed.report(0x2001).sas.empty());
}

TEST_CASE_METHOD(Routed, "without an SA the tunnel drops; a deleted one is named until another comes") {
  REQUIRE(routed.retire_outbound("c1", Reason::deleted, now));
  settle_routed();
  CHECK(spi() == 0x2001);
  CHECK(store2->outbound(decision().outbound_sa()).state == State::retired);
  CHECK_FALSE(routed.current_sas("c1").outbound);
  c(1).outbound.reset();
  REQUIRE(routed.configure(configuration, now).problems.empty());
  CHECK(decision() == policy::Decision::protect_without_sa());
  settle_routed();
  CHECK(routed.report(0x2001).sas.empty());
}

TEST_CASE_METHOD(Routed, "an SA past its hard lifetime is none to carry a tunnel's traffic") {
  CHECK(routed.current_sas("c1").inbound);
  CHECK(routed.current_sas("c1").outbound);
  CHECK(expire(store2->outbound(decision().outbound_sa()).state));
  CHECK(routed.current_sas("c1").inbound);
  CHECK_FALSE(routed.current_sas("c1").outbound);
  CHECK(expire(store2->inbound(store2->find(0x1001)).state));
  CHECK_FALSE(routed.current_sas("c1").inbound);
}

TEST_CASE_METHOD(Routed,
                 "a connection that leaves its tunnel gets policies, and one that leaves altogether none") {
  routed.set_tunnels({});
  c(1).by_route = false;
  REQUIRE(routed.configure(configuration, now).problems.empty());
  CHECK(decision() == policy::Decision::protect_without_sa());
  CHECK(sink2.table.contains(network1));
  CHECK(table->of_inbound(store2->find(0x1001)) == tunnel::no_tunnel);
  routed.set_tunnels({{"c1", tun0}});
  CHECK(spi() == 0x2001);
  configuration.connections.erase(configuration.connections.begin());
  routed.set_tunnels({});
  REQUIRE(routed.configure(configuration, now).problems.empty());
  CHECK(decision() == policy::Decision::protect_without_sa());
  settle_routed();
  CHECK(routed.report(0x2001).sas.empty());
}

TEST_CASE_METHOD(Routed, "a tunnel that goes over to a connection yet to come drops until it is there") {
  routed.set_tunnels({{"c9", tun0}});
  CHECK(decision() == policy::Decision::protect_without_sa());
  configuration.connections.push_back(connection(9));
  configuration.connections.back().by_route = true;
  REQUIRE(routed.configure(configuration, now).problems.empty());
  CHECK(spi() == 0x2009);
}

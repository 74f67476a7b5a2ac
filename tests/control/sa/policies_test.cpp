// The order of policies, and how it follows the configuration.
#include <algorithm>
#include <catch2/catch.hpp>
#include <utility>

#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;

TEST_CASE_METHOD(Started,
                 "a policy on a connection's network comes behind it, unless its priority says otherwise") {
  configuration.policies.push_back(policy_to(network1, config::PolicyAction::bypass, 9));
  CHECK(configure().problems.empty());
  CHECK(outbound_spi(network1) == 0x2001);
  configuration.policies.back().priority = config::connection_priority - 1;
  CHECK(configure().problems.empty());
  CHECK(sink.table[network1] == policy::Decision::bypass());
}

TEST_CASE_METHOD(Started, "a reload touches only the policies that change, wherever they are in the order") {
  const auto order = [&] {
    std::vector<std::pair<std::uint64_t, std::string>> sorted;
    for (const auto& [number, rule] : sink.rules)
      sorted.emplace_back(rule.order, net::to_string(rule.selector.remote));
    std::ranges::sort(sorted);
    std::string text;
    for (const auto& [at, remote] : sorted) text += remote.substr(0, remote.find('/')) + " ";
    return text;
  };
  CHECK(order() == "20.0.1.0 20.0.2.0 20.0.3.0 10.1.0.0 10.9.0.0 ");
  auto touched = sink.next;
  const auto added = [&] { return sink.next - std::exchange(touched, sink.next); };

  configuration.connections.insert(configuration.connections.begin() + 1, {connection(5), connection(4)});
  REQUIRE(configure().problems.empty());
  CHECK(order() == "20.0.1.0 20.0.5.0 20.0.4.0 20.0.2.0 20.0.3.0 10.1.0.0 10.9.0.0 ");
  CHECK(added() == 2);
  CHECK(sink.settled == 0);

  std::rotate(configuration.connections.begin(), configuration.connections.end() - 1,
              configuration.connections.end());  // the last becomes the first
  REQUIRE(configure().problems.empty());
  CHECK(order() == "20.0.3.0 20.0.1.0 20.0.5.0 20.0.4.0 20.0.2.0 10.1.0.0 10.9.0.0 ");
  CHECK(added() == 1);
  CHECK(sink.settled == 1);  // between what came and what went

  configuration.policies[1].priority = 10;
  configuration.connections.erase(configuration.connections.begin() + 1);
  REQUIRE(configure().problems.empty());
  CHECK(order() == "10.9.0.0 20.0.3.0 20.0.5.0 20.0.4.0 20.0.2.0 10.1.0.0 ");
  CHECK(added() == 1);

  configuration.policies[0].action = config::PolicyAction::discard;
  REQUIRE(configure().problems.empty());
  CHECK(added() == 0);
  CHECK(sink.table[prefix("10.1.0.0/16")] == policy::Decision::discard());
}

TEST_CASE("there is always room between two policies, however often something comes in between") {
  Surroundings s({200, 100, 1});
  s.configuration.connections = {connection(1), connection(2)};
  REQUIRE(s.configure().problems.empty());
  for (unsigned i = 3; i < 90; ++i) {
    s.configuration.connections.insert(s.configuration.connections.begin() + 1, connection(i));
    REQUIRE(s.configure().problems.empty());
    std::map<std::uint64_t, net::Prefix> sorted;
    for (const auto& [number, rule] : s.sink.rules) sorted[rule.order] = rule.selector.remote.cover();
    REQUIRE(sorted.size() == i);
    auto at = sorted.begin();
    for (const auto& c : s.configuration.connections) REQUIRE((at++)->second == c.remote_networks[0]);
    REQUIRE(s.outbound_spi(connection(1).remote_networks[0]) == 0x2001);
  }
}

TEST_CASE_METHOD(Started, "a policy by hand is in force until the next reload") {
  const auto add = [&](const std::string& owner, const net::Prefix& to, std::uint16_t priority,
                       policy::Decision decision = policy::Decision::discard()) {
    return manager.add_policy({{owner, priority, net::between(prefix("10.1.0.0/16"), to)}, 0, ""}, decision);
  };
  const auto before = sink.rules.size();
  const auto network9 = prefix("20.0.9.0/24");
  SECTION("of the list, behind all others of its priority") {
    REQUIRE(add("", network1, 10));
    CHECK(sink.table[network1] == policy::Decision::discard());
    REQUIRE(add("", network2, config::connection_priority));
    CHECK(outbound_spi(network2) == 0x2002);
    CHECK(add("", network1, 20).error().what.find("has a policy already") != std::string::npos);
    CHECK(sink.rules.size() == before + 2);
    const auto result = configure();
    CHECK(result.policies.removed == 2);
    CHECK(result.policies.unchanged == 2);
    CHECK(result.unchanged == 3);
    CHECK(outbound_spi(network1) == 0x2001);
  }
  SECTION("of a connection, with its SA, and without one") {
    REQUIRE(add("c1", network9, 1'000));
    CHECK(outbound_spi(network9) == 0x2001);
    CHECK(add("c2", network9, 1'000).error().what.find("belongs to connection c1") != std::string::npos);
    CHECK(add("c1", network1, 1'000).error().what.find("belongs to connection c1") != std::string::npos);
    CHECK(add("nobody", network9, 1'000).error().what == "no connection is called nobody");
    c(1).outbound = manual(0x2001, 9);
    const auto old = sink.table[network9];
    auto connections = configuration.connections;
    REQUIRE(manager.retire_outbound("c1", Reason::deleted, now));
    REQUIRE(configure().policies.removed == 0);
    CHECK(outbound_spi(network1) == 0x2001);
    CHECK_FALSE(sink.table.contains(network9));
    REQUIRE(add("c1", network9, 1'000));
    CHECK(sink.table[network9] != old);
  }
  SECTION("one that cannot be put in leaves nothing behind") {
    sink.refuse = [](const net::Prefix&) { return true; };
    CHECK_FALSE(add("c1", network9, 1'000));
    CHECK_FALSE(add("", network9, 10));
    sink.refuse = nullptr;
    CHECK(add("", network9, 10));
    CHECK(add("c1", network9, 1'000));
  }
  SECTION("one goes, by hand too, and its SA is freed with the others") {
    const auto policy = add("c1", network9, 1'000);
    REQUIRE(policy);
    REQUIRE(manager.remove_policy(**policy));
    CHECK_FALSE(sink.table.contains(network9));
    CHECK(sink.settled == 1);  // what came before is found by everybody
    REQUIRE(
        manager.remove_policy(*manager.policies().find(true, net::between(prefix("10.1.0.0/16"), network1))));
    CHECK_FALSE(sink.table.contains(network1));
    CHECK(sink.settled == 1);
    REQUIRE(configure().changed == 1);
    CHECK(outbound_spi(network1) == 0x2001);
  }
  settle();
  configuration.connections.clear();
  configuration.policies.clear();
  REQUIRE(configure().problems.empty());
  CHECK(sink.rules.empty());
  settle();
  CHECK(sas().empty());
}

TEST_CASE_METHOD(Started,
                 "a connection's policies are its pairs of networks and its selectors, and so are its SA's") {
  c(1).local_networks = {prefix("10.1.0.0/16"), prefix("2001:db8:1::/48")};
  c(1).remote_networks = {network1, prefix("2001:db8:2::/48")};
  auto selector = net::between(prefix("10.7.0.0/16"), prefix("20.0.7.0/24"));
  selector.protocol = 6;
  selector.remote_ports = {443, 443};
  c(1).selectors = {selector};
  REQUIRE(configure().problems.empty());
  CHECK(outbound_spi(network1) == 0x2001);
  CHECK(outbound_spi(prefix("2001:db8:2::/48")) == 0x2001);
  CHECK(outbound_spi(prefix("20.0.7.0/24")) == 0x2001);
  CHECK(sink.rules.size() == 7);
  const auto& entry = store->inbound(store->find(0x1001));
  CHECK(entry.selector_count == 3);
  REQUIRE(entry.more != nullptr);
  CHECK(entry.more->prefixes.size() == 1);
  REQUIRE(entry.more->detailed.size() == 1);
  CHECK(entry.more->detailed[0].selector == selector);
}

TEST_CASE_METHOD(Started,
                 "what a refused policy protects or discards is dropped until it is in force or gone") {
  const auto network4 = prefix("20.0.4.0/24"), network5 = prefix("20.0.5.0/24");
  configuration.connections.insert(configuration.connections.begin(), connection(4));
  configuration.policies.push_back(policy_to(network5, config::PolicyAction::discard, 9));
  sink.refuse = [&](const net::Prefix& p) { return p == network4 || p == network5; };
  CHECK(configure().problems.size() == 2);
  REQUIRE(sink.standing_in.size() == 2);
  CHECK(sink.standing_in[0].selector == net::between(prefix("10.1.0.0/16"), network4));
  CHECK(sink.standing_in[0].decision == policy::Decision::protect_without_sa());
  CHECK(sink.standing_in[0].order < sink.rules.at(1).order);  // as in the file
  CHECK(sink.standing_in[1].decision == policy::Decision::discard());
  SECTION("in force") {
    sink.refuse = nullptr;
    CHECK(configure().problems.empty());
    CHECK(outbound_spi(network4) == 0x2004);
  }
  SECTION("gone") {
    configuration.connections.erase(configuration.connections.begin());
    configuration.policies.pop_back();
    CHECK(configure().problems.empty());
  }
  SECTION("turned to one that lets pass, which needs no stand-in") {
    configuration.connections.erase(configuration.connections.begin());
    configuration.policies.back().action = config::PolicyAction::bypass;
    CHECK(configure().problems.size() == 1);
  }
  CHECK(sink.standing_in.empty());
}

TEST_CASE_METHOD(Started, "an old policy goes only when what stands in for the new one is in force") {
  c(1).priority = 7;
  sink.refuse = [&](const net::Prefix& p) { return p == network1; };
  bool gone = false;
  sink.changed = [&] {
    if (std::exchange(gone, !sink.table.contains(network1)) || !gone) return;
    REQUIRE(sink.standing_in.size() == 1);
    CHECK(sink.standing_in[0].selector.remote == net::AddressRange::of(network1));
  };
  CHECK(configure().problems.size() == 1);
  CHECK(gone);
}

TEST_CASE_METHOD(Started, "of too many refused policies the rest counts as for everybody of its family") {
  sink.refuse = [](const net::Prefix&) { return true; };
  for (unsigned i = 10; i < 10 + 2 * policy::most_stand_ins; ++i)
    configuration.connections.push_back(connection(i));
  CHECK(configure().problems.size() == 2 * policy::most_stand_ins);
  REQUIRE(sink.standing_in.size() == policy::most_stand_ins - 1);
  const auto& last = sink.standing_in.back();
  CHECK(last.selector.local == net::AddressRange::everything(net::Family::v4));
  CHECK(last.selector.remote == net::AddressRange::everything(net::Family::v4));
  CHECK(std::ranges::is_sorted(sink.standing_in, {}, &policy::StandIn::order));
}

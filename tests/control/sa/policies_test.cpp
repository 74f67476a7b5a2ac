// The order of policies, and how it follows the configuration.
#include <algorithm>
#include <catch2/catch.hpp>

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

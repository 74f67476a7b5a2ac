// Addresses that a peer asks for (RFC 7296 3.15).
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "control/ike/assigned.hpp"
#include "tests/control/ike/hand_made_peer.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

using Kind = ConfigurationAttribute;

Connection giving(std::vector<std::string_view> addresses, std::vector<std::string_view> dns) {
  auto connection = connection_of_b();
  for (const auto each : addresses) connection.peer_addresses.push_back(*net::parse_prefix(each));
  for (const auto each : dns) connection.peer_dns.push_back(*net::parse_address(each));
  return connection;
}

// What comes back for a request of these kinds: "kind: bytes in hexadecimal", one behind the other.
std::string answer_to(Connection connection, std::vector<Kind> kinds,
                      ConfigurationType type = ConfigurationType::request) {
  HandMadePeer peer(std::move(connection));
  peer.greet();
  ConfigurationPayload request{type, {}};
  for (const auto kind : kinds) request.attributes.push_back({kind, {}});
  auto payloads = peer.proof_payloads();
  const auto answer = peer.ask(ExchangeType::ike_auth, payloads.add(request));
  REQUIRE(answer);
  CHECK(answer->payloads.security_association);
  if (!answer->payloads.configuration) return "none";
  CHECK(answer->payloads.configuration->type == ConfigurationType::reply);
  std::string text;
  for (const auto& attribute : answer->payloads.configuration->attributes) {
    text += fmt::format("{}:", static_cast<int>(attribute.type));
    for (const auto byte : attribute.value) text += fmt::format("{:02x}", byte);
    text += ' ';
  }
  return text;
}

}  // namespace

TEST_CASE("a peer gets the addresses and DNS servers of the kinds that it asks for") {
  const auto both = giving({"10.9.0.5", "2001:db8:9::5"}, {"10.2.0.53"});
  CHECK(answer_to(both, {Kind::internal_ip4_address, Kind::internal_ip4_dns}) == "1:0a090005 3:0a020035 ");
  CHECK(answer_to(both, {Kind::internal_ip6_address}) == "8:20010db800090000000000000000000580 ");
  CHECK(answer_to(both, {Kind::internal_ip4_address, Kind::internal_ip6_address, Kind::internal_ip6_dns}) ==
        "1:0a090005 8:20010db800090000000000000000000580 ");
}

TEST_CASE("who asks for nothing that we have hears nothing") {
  CHECK(answer_to(giving({}, {}), {Kind::internal_ip4_address}) == "none");
  CHECK(answer_to(giving({"10.9.0.5"}, {}), {Kind::internal_ip6_address}) == "none");
  CHECK(answer_to(giving({"10.9.0.5"}, {"10.2.0.53"}), {Kind::internal_ip4_dns}) == "none");
  CHECK(answer_to(giving({"10.9.0.5"}, {}), {Kind::internal_ip4_address}, ConfigurationType::set) == "none");
}

TEST_CASE("who asks gets addresses, and keeps them over new keys until the IKE SA ends") {
  auto of_a = connection_of_a();
  of_a.request_addresses = true;
  auto of_b = connection_of_b();
  of_b.peer_addresses = {*net::parse_prefix("10.1.7.7")};
  of_b.children[0].remote = {side("10.1.7.7")};
  Simulation world(1, handle(of_a), handle(of_b));
  REQUIRE(world.comes_up());
  const std::multiset<std::string> given{"10.1.7.7"};
  CHECK(world.a.assigned == given);
  CHECK(world.a.established().front()->assigned_addresses().size() == 1);
  CHECK(net::to_string(world.a.outbound().at("net").selectors[0].local) == "10.1.7.7/32");
  world.b.handle(Rekey{"b", ""});
  world.run_for(100s);
  CHECK(world.a.assigned == given);
  CHECK(world.a.established().front()->assigned_addresses().size() == 1);
  world.a.handle(Terminate{"a", ""});
  world.run_for(5s);
  CHECK(world.a.assigned.empty());
  CHECK(world.problem.empty());
}

TEST_CASE("addresses outside of our networks, of no host, or one too many are not taken") {
  auto ours = connection_of_a();  // its end is 192.0.2.1, the peer's 192.0.2.2
  ours.children[0].local = {side("0.0.0.0/0"), side("2001:db8:1::/48")};
  const auto taken_of = [&](const std::vector<std::string_view>& given) {
    std::vector<net::Address> addresses;
    for (const auto text : given) addresses.push_back(*net::parse_address(text));
    const auto result = assignable(addresses, ours);
    CHECK(result.taken.size() + result.refused.size() == given.size());
    std::string text;
    for (const auto& address : result.taken) text += net::to_string(address) + " ";
    return text;
  };
  CHECK(taken_of({"10.1.0.5", "2001:db8:1::5"}) == "10.1.0.5 2001:db8:1::5 ");
  CHECK(taken_of({"10.1.0.5", "10.1.0.6"}) == "10.1.0.5 ");
  CHECK(taken_of({"2001:db8:2::5"}).empty());
  for (const auto* bad :
       {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "192.0.2.2"})
    CHECK(taken_of({bad, "10.1.0.5"}) == "10.1.0.5 ");
  ours.children[0].local = {side("::/0")};
  CHECK(taken_of({"::", "::1", "ff02::1", "fd00::1"}) == "fd00::1 ");
  ours.children[0].local = {side("10.1.0.0/24")};
  CHECK(taken_of({"10.1.1.1"}).empty());
}

TEST_CASE("an address that is not in our networks does not become ours") {
  auto of_a = connection_of_a();
  of_a.request_addresses = true;
  auto of_b = connection_of_b();
  of_b.peer_addresses = {*net::parse_prefix("10.9.0.1")};
  Simulation world(1, handle(of_a), handle(of_b));
  REQUIRE(world.comes_up());
  CHECK(world.a.assigned.empty());
}

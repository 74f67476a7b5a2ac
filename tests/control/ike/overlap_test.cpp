// Children of one IKE SA whose networks overlap, and peers that ask for less, or more often, than is
// configured.
#include <algorithm>
#include <catch2/catch.hpp>

#include "datapath/net/bytes.hpp"
#include "tests/control/ike/hand_made_peer.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

struct Networks {
  std::string name, local, remote;
};

// Both sides' connections with these children, as a sees them.
std::pair<Connection, Connection> with_children(const std::vector<Networks>& children) {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  const auto first = of_a.children[0];
  of_a.children.clear();
  of_b.children.clear();
  for (const auto& each : children) {
    auto child = first;
    child.name = each.name;
    child.local = {side(each.local)};
    child.remote = {side(each.remote)};
    of_a.children.push_back(child);
    std::swap(child.local, child.remote);
    of_b.children.push_back(child);
  }
  return {of_a, of_b};
}

// What each side sends for a child comes in at the other for the same child.
void check_each_is_its_own(Simulation& world) {
  REQUIRE(world.run_until([&] { return world.is_well(); }, 30s));
  for (auto* node : {&world.a, &world.b}) {
    const auto& other = node == &world.a ? world.b : world.a;
    for (const auto& [name, sa] : node->outbound()) {
      CAPTURE(node->connection().name, name);
      REQUIRE(other.inbound().contains(sa.spi));
      CHECK(other.inbound().at(sa.spi).child == name);
    }
  }
}

PayloadWriter request_for(const HandMadePeer& peer, std::string_view remote, std::string_view local,
                          const std::array<std::uint8_t, 4>& spi) {
  PayloadWriter payloads;
  payloads.add(offer(peer.connection.children[0].algorithms, spi)).add_nonce(peer.nonce);
  return std::move(payloads.add_ts_initiator({{side(remote)}}).add_ts_responder({{side(local)}}));
}

std::array<std::uint8_t, 4> spi_bytes(std::uint32_t spi) {
  std::array<std::uint8_t, 4> bytes;
  net::store_be32(bytes, 0, spi);
  return bytes;
}

}  // namespace

TEST_CASE("two children with the same networks come up, each as itself") {
  const auto [of_a, of_b] =
      with_children({{"vti1", "0.0.0.0/0", "0.0.0.0/0"}, {"vti2", "0.0.0.0/0", "0.0.0.0/0"}});
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  check_each_is_its_own(world);
  // Rekeys keep to their own.
  for (const auto* name : {"vti2", "vti1"}) {
    world.a.handle(Rekey{"a", name});
    world.b.handle(Rekey{"b", name});
  }
  world.run_for(5s);
  check_each_is_its_own(world);
}

TEST_CASE("a network within another's: each child gets what it is for, whichever stands first") {
  const Networks wide{"wide", "10.0.0.0/8", "10.2.0.0/16"}, narrow{"narrow", "10.1.0.0/16", "10.2.0.0/16"};
  const bool wide_first = GENERATE(true, false);
  auto [of_a, of_b] = with_children({wide, narrow});
  if (!wide_first) std::ranges::reverse(of_a.children);
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  check_each_is_its_own(world);
}

TEST_CASE("what is asked for in part goes to the narrowest child that has all of it") {
  auto [of_a, of_b] =
      with_children({{"wide", "10.0.0.0/8", "10.2.0.0/16"}, {"narrow", "10.1.0.0/16", "10.2.0.0/16"}});
  of_a.children[1].local = {side("10.1.7.0/24")};
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", "narrow"});
  REQUIRE(world.run_until([&] { return !world.b.outbound().empty(); }, 5s));
  CHECK(world.b.outbound().begin()->first == "narrow");
}

TEST_CASE("which of two children that have their SA is meant is not guessed") {
  auto of_core = connection_of_b();
  of_core.children.push_back(of_core.children[0]);
  of_core.children[1].name = "twin";
  HandMadePeer peer(of_core);
  peer.connect();
  const auto create = ExchangeType::create_child_sa;
  CHECK(peer.ask(create, peer.child_payloads({}, 0x1002))->payloads.security_association);
  CHECK(peer.ask(create, peer.child_payloads({}, 0x1003))->has(NotifyType::no_additional_sas));
  CHECK(peer.only_sa()->children().size() == 2);
}

TEST_CASE("a second SA that covers less than the first does not take its traffic") {
  auto of_core = connection_of_b();  // local 10.2.0.0/16, remote 10.1.0.0/16
  HandMadePeer peer(of_core);
  peer.connect();
  peer.installed.clear();
  const auto spi = spi_bytes(0x1002);
  const auto create = ExchangeType::create_child_sa;
  const auto answer = peer.ask(create, request_for(peer, "10.1.0.0/16", "10.2.7.0/24", spi));
  REQUIRE(answer);
  CHECK(answer->has(NotifyType::no_additional_sas));
  CHECK(peer.installed.empty());
  // The same once more may be.
  CHECK(
      peer.ask(create, request_for(peer, "10.1.0.0/16", "10.2.0.0/16", spi))->payloads.security_association);
}

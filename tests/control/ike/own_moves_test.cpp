// We move: our address goes, or nothing comes back to it, and there is another one (MOBIKE, RFC 4555).
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_responder.hpp"
#include "tests/sanitized.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

const auto first = *net::parse_address("192.0.2.1");
const auto second = *net::parse_address("198.51.100.1");
const auto third = *net::parse_address("203.0.113.1");

Connection mobile(Connection connection = connection_of_a()) {
  connection.other_locals = {second, third};
  connection.start = StartAction::always;
  connection.liveness_after = 10s;
  return connection;
}

// With two children more.
Connection manifold(Connection connection) {
  for (const auto* name : {"voice", "storage"}) {
    connection.children.push_back(connection.children.front());
    connection.children.back().name = name;
    for (auto* sides : {&connection.children.back().local, &connection.children.back().remote})
      sides->front().protocol = static_cast<std::uint8_t>(connection.children.size());
  }
  return connection;
}

// b is reached from anywhere.
Connection open() {
  auto connection = connection_of_b();
  connection.remote.reset();
  connection.liveness_after = 0s;
  return connection;
}

struct Moving : Simulation {
  explicit Moving(unsigned seed = 1, const Connection& of_a = mobile(), const Connection& of_b = open())
      : Simulation(seed, handle(of_a), handle(of_b)) {
    has({first, second, third});
    passes = [this](const SendDatagram& datagram) {
      by_exchange[ExchangeType{datagram.bytes[18]}] += node_of(datagram) == &a;
      return !drops || !drops(datagram);
    };
  }
  Node* node_of(const SendDatagram& datagram) { return &node_at({datagram.from.address, 0}); }
  // a's addresses are these from here on.
  void has(std::vector<net::Address> usable) {
    for (const auto& address : {first, second, third})
      if (std::ranges::find(usable, address) == usable.end())
        gone.insert(address);
      else
        gone.erase(address);
    a.handle(LocalAddresses{"a", std::move(usable)});
  }
  bool is_up_from(const net::Address& address) {
    const auto sas = a.established();
    if (sas.size() != 1 || sas[0]->local().address != address || !a.outbound().contains("net")) return false;
    const auto& out = a.outbound().at("net");
    const auto& back = b.outbound();
    return out.local.address == address && b.inbound().contains(out.spi) && back.size() == 1 &&
           back.begin()->second.remote.address == address && a.inbound().contains(back.begin()->second.spi);
  }
  bool comes_up_from(const net::Address& address, Time longest = 10s) {
    return run_until([&] { return is_up_from(address); }, longest);
  }
  std::uint64_t lineage() { return a.established().at(0)->lineage().initiator_spi; }

  std::function<bool(const SendDatagram&)> drops;
  std::map<ExchangeType, int> by_exchange;  // a's messages
};

// A peer with MOBIKE that the test speaks for, and all is up.
struct MobileResponder : HandMadeResponder {
  explicit MobileResponder(bool nat = false) : HandMadeResponder(mobile()) {
    natted = nat;
    REQUIRE(answer_greeting());
    auto payloads = proof_payloads();
    answer(payloads.add(Notify{NotifyType::mobike_supported, {}}));
  }
  // The request that the core sent last.
  Answer asked() {
    REQUIRE(sent.size() == 1);
    return open_request(sent[0].bytes);
  }
  // It comes from here as the peer sees it.
  Actions answer_as_seen(const Answer& asked, const Endpoint& from) {
    PayloadWriter payloads;
    payloads.add(Notify{NotifyType::nat_detection_source_ip, nat_hash(spis, here)});
    payloads.add(Notify{NotifyType::nat_detection_destination_ip, nat_hash(spis, from)});
    return answer_request(asked.header, payloads);
  }
  // What the core asks when it has heard nothing for so long.
  Answer asked_after(Time silence) {
    now += silence;
    handle(TimerExpired{});
    return asked();
  }
};

}  // namespace

TEST_CASE("our address goes: the IKE SA stays, and its children have new SAs from the next one at once") {
  Moving world;
  REQUIRE(world.comes_up_from(first));
  const auto lineage = world.lineage();
  world.send_traffic_every(1ms);
  world.run_for(1s);
  world.has({second, third});
  const auto began = world.now();
  INFO(world.problem << world.state());
  REQUIRE(world.comes_up_from(second));
  // Two round trips of 10 ms: the peer is told, and makes the new SAs.
  CHECK(world.now() - began < 50ms);
  CHECK(world.lineage() == lineage);
  CHECK(world.by_exchange[ExchangeType::ike_auth] == 1);
  world.run_for(1s);
  const auto astray = world.a.astray + world.b.astray;
  world.run_for(30s);
  CHECK(world.a.astray + world.b.astray == astray);
  CHECK(world.b.established().size() == 1);
  CHECK(world.a.missed + world.b.missed + world.a.unsent + world.b.unsent == 0);
}

TEST_CASE("who moved makes the new SAs, and nobody a second one") {
  Moving world(1, manifold(mobile()), manifold(open()));
  REQUIRE(world.comes_up_from(first));
  REQUIRE(world.run_until([&] { return world.a.outbound().size() == 3; }, 10s));
  const auto before = world.a.installed;
  unsigned begun_by_b = 0;
  world.drops = [&](const SendDatagram& datagram) {
    begun_by_b += world.node_of(datagram) == &world.b && (datagram.bytes[19] & flag_response) == 0 &&
                  ExchangeType{datagram.bytes[18]} == ExchangeType::create_child_sa;
    return false;
  };
  world.has({second});
  world.run_for(20s);
  INFO(world.state());
  for (const auto& [child, sa] : world.a.outbound()) CHECK(sa.local.address == second);
  CHECK(world.a.installed - before == 3);
  CHECK(begun_by_b == 0);
  CHECK(world.problem.empty());
}

TEST_CASE("the preferred address is gone back to when it is back, and not for others") {
  Moving world;
  REQUIRE(world.comes_up_from(first));
  world.has({third});
  REQUIRE(world.comes_up_from(third));
  world.has({second, third});
  REQUIRE(world.comes_up_from(second));
  world.has({second});
  world.run_for(1s);
  CHECK(world.is_up_from(second));
  world.has({first, second});
  CHECK(world.comes_up_from(first));
  CHECK(world.by_exchange[ExchangeType::ike_auth] == 1);
}

TEST_CASE("what began elsewhere a moment before the preferred address came goes there once it is up") {
  auto of_b = open();
  of_b.follow_peer = GENERATE(true, false);
  Moving world(1, mobile(), of_b);
  world.has({second});
  REQUIRE(world.run_until([&] { return world.a.core().ike_sa_count() == 1; }, 1s));
  world.run_for(world.between(0ms, 20ms));
  world.has({first, second});
  CHECK(world.a.established().empty());
  CHECK(world.comes_up_from(first));
}

TEST_CASE("with no address left it waits for one") {
  Moving world;
  REQUIRE(world.comes_up_from(first));
  const auto lineage = world.lineage();
  world.has({});
  world.run_for(20s);
  world.has({second});
  CHECK(world.comes_up_from(second));
  CHECK(world.lineage() == lineage);
}

TEST_CASE("what is under way is repeated from the new address, and moves again meanwhile are told of") {
  Moving world;
  REQUIRE(world.comes_up_from(first));
  const auto lineage = world.lineage();
  world.a.handle(GENERATE(Rekey{"a", "net"}, Rekey{"a", ""}));
  world.run_for(3ms);
  world.has({second});
  world.run_for(3ms);
  world.has({third});
  CHECK(world.comes_up_from(third));
  CHECK(world.lineage() == lineage);
}

TEST_CASE("addresses that come and go do not hide for ever that the peer is gone") {
  auto flapping = mobile();
  flapping.retransmission.tries = 4;
  Moving world(1, flapping);
  REQUIRE(world.comes_up_from(first));
  world.drops = [](const auto&) { return true; };
  const auto is_up = [&] { return !world.a.established().empty(); };
  for (int i = 0; i < 60 && is_up(); ++i) {
    world.has({i % 2 == 0 ? second : first});
    world.run_for(2s);
  }
  CHECK_FALSE(is_up());
  CHECK_THAT(world.a.core().last_failure("a", world.now()), Catch::Contains("does not answer any more"));
}

TEST_CASE("nothing comes back to an address that is there: the next one is tried") {
  Moving world;
  REQUIRE(world.comes_up_from(first));
  const auto lineage = world.lineage();
  const auto lost = GENERATE(std::vector{first}, std::vector{first, second});
  world.drops = [&](const SendDatagram& datagram) {
    return std::ranges::any_of(
        lost, [&](const auto& each) { return datagram.from.address == each || datagram.to.address == each; });
  };
  REQUIRE(world.comes_up_from(lost.size() == 1 ? second : third, 60s));
  CHECK(world.lineage() == lineage);
  // It stays there as long as that goes well.
  world.drops = {};
  world.has({first, second, third});
  world.run_for(60s);
  CHECK_FALSE(world.is_up_from(first));
  CHECK(world.a.core().last_failure("a", world.now()).empty());
}

TEST_CASE("a peer that does no MOBIKE gets a new IKE SA, and the old one goes") {
  auto of_b = open();
  of_b.follow_peer = false;
  Moving world(1, mobile(), of_b);
  REQUIRE(world.comes_up_from(first));
  const auto lineage = world.lineage();
  world.has({second});
  INFO(world.state());
  REQUIRE(world.comes_up_from(second));
  CHECK(world.lineage() != lineage);
  world.run_for(60s);
  CHECK(world.is_up_from(second));
  CHECK(world.b.core().ike_sas_of("b").size() == 1);
}

TEST_CASE("an address that goes before all is up, or leads nowhere, is followed by the next") {
  Moving world;
  SECTION("it goes") {
    world.run_for(3ms);
    world.has({second});
  }
  SECTION("it leads nowhere") {
    world.drops = [&](const SendDatagram& datagram) { return datagram.from.address == first; };
  }
  CHECK(world.comes_up_from(second, 100s));
}

TEST_CASE("who has one address says nothing of MOBIKE, and stays in port 500") {
  auto of_core = connection_of_a();
  const bool has_others = GENERATE(false, true);
  if (has_others) of_core.other_locals = {second};
  HandMadeResponder peer(of_core);
  REQUIRE(peer.answer_greeting());
  CHECK(peer.request.has(NotifyType::mobike_supported) == has_others);
  CHECK(peer.there.port == (has_others ? 4500 : 500));
}

TEST_CASE(
    "a peer that does not take us where we are is told of each other address once, then all begins anew") {
  MobileResponder peer;
  const PayloadWriter refusal = PayloadWriter().add(Notify{NotifyType::unacceptable_addresses, {}});
  peer.handle(LocalAddresses{"a", {second, third, first}});
  for (const auto& address : {second, third, first}) {
    REQUIRE(peer.sent.size() == 1);
    CHECK(peer.sent[0].from.address == address);
    const auto told = peer.asked();
    CHECK(told.has(NotifyType::update_sa_addresses));
    CHECK(told.has(NotifyType::nat_detection_source_ip));
    CHECK(told.has(NotifyType::nat_detection_destination_ip));
    peer.answer_request(told.header, refusal);
    const auto line = "does not take us at " + net::to_string(address);
    CHECK(std::ranges::any_of(peer.lines, [&](const auto& each) { return each.find(line) != each.npos; }));
  }
  REQUIRE(peer.sent.size() == 1);
  CHECK(ExchangeType{peer.sent[0].bytes[18]} == ExchangeType::ike_sa_init);
  CHECK(peer.sent[0].from.address == second);
}

TEST_CASE("a peer that takes us at none but the address before keeps us there") {
  MobileResponder peer;
  peer.handle(LocalAddresses{"a", {second, first}});
  peer.answer_request(peer.asked().header,
                      PayloadWriter().add(Notify{NotifyType::unacceptable_addresses, {}}));
  const auto told = peer.asked();
  CHECK(peer.sent[0].from.address == first);
  peer.answer_as_seen(told, peer.there);
  CHECK(peer.sent.empty());
  CHECK(peer.only_sa()->local().address == first);
}

TEST_CASE("a NAT on the new way is found, and the new SAs are in UDP") {
  MobileResponder peer;
  CHECK_FALSE(peer.only_sa()->nat().any());
  peer.handle(LocalAddresses{"a", {second}});
  peer.answer_as_seen(peer.asked(), {third, 999});
  CHECK(peer.only_sa()->nat().we_are_behind);
  REQUIRE(peer.sent.size() == 1);
  CHECK(ExchangeType{peer.sent[0].bytes[18]} == ExchangeType::create_child_sa);
}

TEST_CASE("a NAT's mapping that has changed is found out by asking, and the peer told to take us there") {
  MobileResponder peer(true);
  // IKE_SA_INIT's was of another port, and IKE_AUTH's may be gone, whatever this one is: it is told, once.
  const auto port = GENERATE(std::uint16_t{4500}, std::uint16_t{999});
  const Endpoint mapped{third, port}, mapped_anew{third, 1001};
  auto asked = peer.asked_after(11s);
  CHECK(asked.has(NotifyType::nat_detection_source_ip));
  CHECK_FALSE(asked.has(NotifyType::update_sa_addresses));
  peer.answer_as_seen(asked, mapped);
  peer.answer_as_seen(peer.asked(), mapped);
  CHECK(peer.sent.empty());

  peer.answer_as_seen(peer.asked_after(11s), mapped);
  CHECK(peer.sent.empty());

  peer.answer_as_seen(peer.asked_after(11s), mapped_anew);
  asked = peer.asked();
  CHECK(asked.has(NotifyType::update_sa_addresses));
  CHECK(asked.has(NotifyType::nat_detection_source_ip));
  // The peer's SAs follow; ours have the same ends as before.
  peer.answer_as_seen(asked, mapped_anew);
  CHECK(peer.sent.empty());
}

TEST_CASE("a NAT that comes in between is found out by asking, and all gets into UDP") {
  MobileResponder peer;
  peer.answer_as_seen(peer.asked_after(11s), {third, 999});
  const auto told = peer.asked();
  CHECK(told.has(NotifyType::update_sa_addresses));
  peer.answer_as_seen(told, {third, 999});
  CHECK(peer.asked().header.exchange == ExchangeType::create_child_sa);
}

TEST_CASE("who is behind a NAT asks also while packets come, and who is not does not") {
  const bool nat = GENERATE(false, true);
  MobileResponder peer(nat);
  bool asked = false;
  for (int i = 0; i < 11; ++i) {
    peer.now += 1s;
    peer.handle(TrafficArrived{peer.only_sa()->children().at(0).inbound_spi});
    asked |= !peer.sent.empty();
    peer.handle(TimerExpired{});
    asked |= !peer.sent.empty();
  }
  CHECK(asked == nat);
}

TEST_CASE("whatever comes in between and gets lost, a mover is up again where it is") {
  const auto seeds = static_cast<int>(testing::many(300u));
  for (int seed = 0; seed < seeds; ++seed) {
    Moving world(static_cast<unsigned>(seed));
    world.faults = {0.1, 0.1, 1ms, 200ms, 0.02, 20ms};
    world.send_traffic_every(500ms);
    const std::vector<std::vector<net::Address>> places{
        {first, second, third}, {second}, {third, second}, {}};
    for (int i = 0; i < 12; ++i) {
      world.run_for(world.between(10ms, 8s));
      if (world.chance(0.3)) world.a.handle(Rekey{"a", world.chance(0.5) ? "net" : ""});
      if (world.chance(0.2))
        for (const auto* sa : world.b.core().ike_sas())
          if (sa->state() == IkeSa::State::established) {
            world.b.handle(Rekey{"b", world.chance(0.5) ? "net" : ""});
            break;
          }
      world.has(places[world.random() % places.size()]);
    }
    world.faults = {};
    world.has({third, second});
    const auto is_up = [&] { return world.is_up_from(second) || world.is_up_from(third); };
    world.run_for(200s);
    const bool is_well = world.run_until(is_up, 200s);
    INFO("seed " << seed << ": " << world.problem << '\n' << world.state());
    CHECK(is_well);
    REQUIRE(world.problem.empty());
  }
}

// Additional key exchanges in rekeys, by IKE_FOLLOWUP_KE (RFC 9370 2.2.4), between two real cores.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_peer.hpp"
#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

using Lists = std::vector<std::vector<std::uint16_t>>;

Connection with(Connection connection, const Lists& additional) {
  connection.algorithms.additional = additional;
  connection.children[0].algorithms.key_exchanges = {31};
  connection.children[0].algorithms.additional = additional;
  connection.liveness_after = 0s;
  return connection;
}

struct Pair : Simulation {
  explicit Pair(const Lists& lists, unsigned seed = 1)
      : Simulation(seed, handle(with(connection_of_a(), lists)), handle(with(connection_of_b(), lists))) {
    passes = [this](const SendDatagram& datagram) {
      followups += ExchangeType{datagram.bytes[18]} == ExchangeType::ike_followup_ke;
      return true;
    };
  }
  bool gets_new_child(Time longest) {
    const auto before = a.outbound().at("net").spi;
    return run_until([&] { return is_well() && a.outbound().at("net").spi != before; }, longest);
  }
  long followups = 0;  // messages
};

}  // namespace

TEST_CASE("a child's rekey has as many further exchanges as were agreed on, whoever begins") {
  const auto lists =
      GENERATE(Lists{{19}}, Lists{{32, 19}, {20}}, Lists{{14}, {19}, {20}, {21}, {32}, {15}, {16}});
  const bool by_a = GENERATE(false, true);
  Pair world(lists);
  REQUIRE(world.comes_up());
  world.send_traffic_every(20ms);
  CHECK(world.followups == 0);
  world.run_for(1s);
  (by_a ? world.a : world.b).handle(Rekey{by_a ? "a" : "b", "net"});
  world.run_for(3s);
  CHECK(world.followups == std::ssize(lists) * 2);
  CHECK(world.a.installed == 2);
  CHECK(world.is_well());
  CHECK(world.problem.empty());
  CHECK(world.a.missed + world.b.missed + world.a.unsent + world.b.unsent == 0);
}

TEST_CASE("an IKE SA's rekey has them, too, and what comes after has its keys from there") {
  const bool by_a = GENERATE(false, true);
  const Lists lists{{19}, {20}};
  Pair world(lists);
  REQUIRE(world.comes_up());
  world.send_traffic_every(20ms);
  const auto before = world.a.established().front()->spis().initiator;
  (by_a ? world.a : world.b).handle(Rekey{by_a ? "a" : "b", ""});
  world.run_for(3s);
  CHECK(world.followups == 4);
  REQUIRE(world.is_well());
  CHECK(world.a.established().front()->spis().initiator != before);
  world.a.handle(Rekey{"a", "net"});
  CHECK(world.gets_new_child(3s));
  CHECK(world.problem.empty());
  CHECK(world.a.missed + world.b.missed == 0);
}

TEST_CASE("a further child is made with them") {
  auto of_a = with(connection_of_a(), {{19}}), of_b = with(connection_of_b(), {{19}});
  of_a.childless = true;
  Simulation world(1, handle(of_a), handle(of_b));
  CHECK(world.comes_up());
  // IKE_SA_INIT, IKE_INTERMEDIATE, IKE_AUTH, CREATE_CHILD_SA, IKE_FOLLOWUP_KE.
  CHECK(world.datagrams == 10);
}

TEST_CASE("any message of them may be lost, or come twice") {
  const auto seed = static_cast<unsigned>(GENERATE(range(1, 30)));
  const Lists lists{{19}, {20}};
  auto of_a = with(connection_of_a(), lists), of_b = with(connection_of_b(), lists);
  // What too many losses end comes back.
  of_a.start = StartAction::always;
  of_a.liveness_after = of_b.liveness_after = 10s;
  Simulation world(seed, handle(of_a), handle(of_b));
  REQUIRE(world.run_until([&] { return world.is_well(); }, 10s));
  world.faults.loss = 0.2;
  world.faults.repeat = 0.2;
  world.faults.longest = 800ms;
  for (int i = 0; i < 5; ++i) {
    world.a.handle(Rekey{"a", "net"});
    world.b.handle(Rekey{"b", i % 2 == 0 ? "net" : ""});
    world.run_for(20s);
  }
  world.faults = {};
  world.run_for(300s);
  INFO(world.state());
  CHECK(world.is_well());
  CHECK(world.problem.empty());
}

TEST_CASE("who offers them is refused by who does not do them") {
  auto of_b = with(connection_of_b(), {{19}});
  of_b.children[0].algorithms.additional = {};
  Simulation world(1, handle(with(connection_of_a(), {{19}})), handle(of_b));
  REQUIRE(world.comes_up());
  const auto before = world.a.outbound().at("net").spi;
  world.a.handle(Rekey{"a", "net"});
  world.run_for(3s);
  CHECK(world.a.outbound().at("net").spi == before);
  CHECK(world.is_well());
}

namespace {

// A peer that begins a rekey with one further key exchange.
struct Beginner : HandMadePeer {
  Beginner()
      : HandMadePeer([] {
          auto of_core = connection_of_b();
          of_core.children[0].algorithms.key_exchanges = {31};
          of_core.children[0].algorithms.additional = {{19}};
          of_core.liveness_after = 0s;
          return of_core;
        }()) {
    connect();
  }
  std::optional<Answer> begin() {
    const auto* sa = only_sa();
    std::array<std::uint8_t, 4> ours{0, 0, 0x10, 0x01};
    std::array<std::uint8_t, 4> spi{0, 0, 0x10, 0x02};
    REQUIRE(sa->children().size() == 1);
    PayloadWriter payloads;
    payloads.add(rekey_of(ours))
        .add(offer(connection.children[0].algorithms, spi))
        .add_nonce(nonce)
        .add(KeyExchange{31, half.value()})
        .add_ts_initiator({connection.children[0].remote})
        .add_ts_responder({connection.children[0].local});
    return ask(ExchangeType::create_child_sa, payloads);
  }
  std::optional<Answer> follow(Bytes link, std::uint16_t method = 19) {
    const KeyExchangeHalf more(*find_key_exchange(method));
    return ask(ExchangeType::ike_followup_ke, PayloadWriter()
                                                  .add(KeyExchange{method, more.value()})
                                                  .add(Notify{NotifyType::additional_key_exchange, link}));
  }
};

}  // namespace

TEST_CASE("nothing is made before the last key exchange, and that one says no more") {
  Beginner peer;
  const auto answer = peer.begin();
  REQUIRE(answer);
  const auto* link = answer->payloads.notify(NotifyType::additional_key_exchange);
  REQUIRE(link != nullptr);
  CHECK(peer.only_sa()->children().size() == 1);
  const auto last = peer.follow(link->data);
  REQUIRE(last);
  CHECK(last->payloads.key_exchange);
  CHECK_FALSE(last->has(NotifyType::additional_key_exchange));
  CHECK(peer.only_sa()->children().size() == 2);
}

TEST_CASE("a key exchange that belongs to nothing is told so") {
  Beginner peer;
  const std::vector<std::uint8_t> nothing(16, 1);
  REQUIRE(peer.follow(nothing)->has(NotifyType::state_not_found));
  REQUIRE(peer.begin());
  CHECK(peer.follow(nothing)->has(NotifyType::state_not_found));
  CHECK(peer.only_sa()->children().size() == 1);
}

TEST_CASE("another method than the one agreed on ends it") {
  Beginner peer;
  const auto answer = peer.begin();
  REQUIRE(answer);
  const Nonce link(answer->payloads.notify(NotifyType::additional_key_exchange)->data.begin(),
                   answer->payloads.notify(NotifyType::additional_key_exchange)->data.end());
  CHECK(peer.follow(link, 20)->has(NotifyType::invalid_syntax));
  CHECK(peer.follow(link)->has(NotifyType::state_not_found));
}

TEST_CASE("who does not go on is waited for, and then the child is ours to replace") {
  Beginner peer;
  REQUIRE(peer.begin());
  peer.handle(Rekey{"b", "net"});
  CHECK(peer.sent.empty());
  peer.now += 25s;
  peer.handle(TimerExpired{});
  peer.handle(Rekey{"b", "net"});
  REQUIRE_FALSE(peer.sent.empty());
  CHECK(ExchangeType{peer.sent.back().bytes[18]} == ExchangeType::create_child_sa);
}

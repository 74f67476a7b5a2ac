// Additional key exchanges in IKE_INTERMEDIATE (RFC 9242, RFC 9370) between two real cores.
#include <catch2/catch.hpp>

#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

using Lists = std::vector<std::vector<std::uint16_t>>;

Connection with(Connection connection, Lists additional) {
  connection.algorithms.additional = std::move(additional);
  connection.children[0].algorithms.key_exchanges = {31};
  return connection;
}

ExchangeType exchange_of(const SendDatagram& datagram) {
  return ExchangeType{datagram.bytes[18]};
}

}  // namespace

TEST_CASE("each additional key exchange is an exchange of its own before IKE_AUTH") {
  const auto lists =
      GENERATE(Lists{{19}}, Lists{{32, 19}, {20}}, Lists{{14}, {19}, {20}, {21}, {32}, {15}, {16}});
  Simulation world(1, handle(with(connection_of_a(), lists)), handle(with(connection_of_b(), lists)));
  std::vector<ExchangeType> seen;
  world.passes = [&](const SendDatagram& datagram) {
    seen.push_back(exchange_of(datagram));
    return true;
  };
  REQUIRE(world.comes_up());
  CHECK(std::ranges::count(seen, ExchangeType::ike_intermediate) == std::ssize(lists) * 2);
  CHECK(seen[2] == ExchangeType::ike_intermediate);
  CHECK(seen.back() == ExchangeType::ike_auth);
}

TEST_CASE("any message of theirs may be lost, or come twice") {
  const auto seed = static_cast<unsigned>(GENERATE(range(1, 40)));
  const Lists lists{{19}, {20}};
  auto of_a = with(connection_of_a(), lists);
  of_a.start = StartAction::always;  // six losses of one message end an attempt
  Simulation world(seed, handle(of_a), handle(with(connection_of_b(), lists)));
  world.faults.loss = 0.3;
  world.faults.repeat = 0.2;
  world.faults.longest = 800ms;
  CHECK(world.comes_up(200s));
}

TEST_CASE("work for them that is refused is asked for again") {
  const Lists lists{{19}};
  Simulation world(1, handle(with(connection_of_a(), lists)), handle(with(connection_of_b(), lists)));
  unsigned refused = 0;
  world.works = [&](Node& node, const RunWork& work) {
    const auto all = node.core().ike_sas();
    if (&node != &world.b || all.empty() || all.front()->state() != IkeSa::State::keyed || refused++ > 0)
      return true;
    world.after(1ms, [&node, ticket = work.ticket] { node.handle(WorkFinished{ticket, false}); });
    return false;
  };
  CHECK(world.comes_up());
  CHECK(refused > 1);
}

TEST_CASE("who offers them is refused by who does not do them, and the other way round") {
  const bool ours = GENERATE(false, true);
  Simulation world(1, handle(with(connection_of_a(), ours ? Lists{{19}} : Lists{})),
                   handle(with(connection_of_b(), ours ? Lists{} : Lists{{19}})));
  CHECK_FALSE(world.comes_up());
  world.run_for(200s);
  CHECK_THAT(world.a.core().last_failure("a", world.now()), Catch::Contains("14"));
}

TEST_CASE("another key is found out after them, too") {
  auto other = with(connection_of_b(), {{19}});
  other.authenticator = shared_key("incorrect horse");
  Simulation world(1, handle(with(connection_of_a(), {{19}})), handle(other));
  CHECK_FALSE(world.comes_up());
  CHECK(world.a.installed + world.b.installed == 0);
}

TEST_CASE("long ones go in fragments, and what they gave is replaced like other keys") {
  auto of_a = with(connection_of_a(), {{16}}), of_b = with(connection_of_b(), {{16}});
  of_a.fragment_bytes = of_b.fragment_bytes = 300;
  of_a.ppk_use = of_b.ppk_use = PpkUse::required;
  of_a.ppks = of_b.ppks = {{{1}, Secret(std::vector<std::uint8_t>(32, 5))}};
  Simulation world(1, handle(of_a), handle(of_b));
  REQUIRE(world.comes_up());
  CHECK(world.datagrams > 8);
  world.send_traffic_every(100ms);
  world.b.handle(Rekey{"b", ""});
  world.run_for(3s);
  world.a.handle(Rekey{"a", "net"});
  world.run_for(3s);
  CHECK(world.is_well());
  CHECK(world.problem.empty());
  CHECK(world.a.missed + world.b.missed == 0);
}

TEST_CASE("ML-KEM-768 is one of them where OpenSSL has it, also when keys are replaced") {
  constexpr std::uint16_t ml_kem_768 = 36;
  if (find_key_exchange(ml_kem_768) == nullptr) {
    WARN("this OpenSSL has no ML-KEM, which takes 3.5");
    return;
  }
  const Lists lists{{ml_kem_768}};
  Simulation world(1, handle(with(connection_of_a(), lists)), handle(with(connection_of_b(), lists)));
  REQUIRE(world.comes_up());
  CHECK(world.a.established().at(0)->choice()->additional == std::vector{ml_kem_768});
  world.send_traffic_every(100ms);
  world.b.handle(Rekey{"b", ""});
  world.run_for(3s);
  CHECK(world.is_well());
  CHECK(world.a.established().at(0)->choice()->additional == std::vector{ml_kem_768});
  CHECK(world.a.missed + world.b.missed == 0);
}

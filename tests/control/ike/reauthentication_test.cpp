// Who both sides are is proved again, beside what is there.
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_peer.hpp"
#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

bool up(Simulation& world) {
  return world.run_until([&] { return world.is_well(); }, 10s);
}

}  // namespace

TEST_CASE("reauthentication makes the new IKE SA before the old one goes, and loses no packet") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.reauthenticate_after = 100s;
  of_a.rekey_after = 40s;
  auto second = of_a.children[0];
  second.name = "other";
  second.local = {side("10.3.0.0/16")};
  of_a.children.push_back(second);
  std::swap(second.local, second.remote);
  of_b.children.push_back(second);
  of_b.children[1].local = of_b.children[0].local;
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  const auto lineage = world.a.established()[0]->lineage().initiator_spi;
  world.send_traffic_every(20ms);
  world.run_for(85s);
  CHECK(world.a.established()[0]->lineage().initiator_spi == lineage);
  world.run_for(20s);
  INFO(world.problem << '\n' << world.state());
  CHECK(world.is_well());
  CHECK(world.a.established()[0]->lineage().initiator_spi != lineage);
  world.run_for(400s);
  CHECK(world.is_well());
  CHECK(world.a.missed + world.b.missed + world.a.unsent + world.b.unsent == 0);
}

TEST_CASE("who answered says when it wants proof again, and gets it in time (RFC 4478)") {
  auto of_b = connection_of_b();
  of_b.reauthenticate_after = 100s;
  Simulation world(1, handle(connection_of_a()), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  const auto lineage = [&] { return world.a.established().at(0)->lineage().initiator_spi; };
  const auto first = lineage();
  world.send_traffic_every(20ms);
  world.run_for(79s);
  CHECK(lineage() == first);
  // New keys are no proof.
  world.a.handle(Rekey{"a", ""});
  world.run_for(500ms);
  CHECK(lineage() == first);
  world.run_for(12s);
  INFO(world.problem << '\n' << world.state());
  CHECK(world.is_well());
  const auto second = lineage();
  CHECK(second != first);
  world.run_for(95s);
  CHECK(world.is_well());
  CHECK(lineage() != second);
  CHECK(world.a.missed + world.b.missed + world.a.unsent + world.b.unsent == 0);
}

TEST_CASE("a peer that was told when, and does not prove again who it is, loses its IKE SA") {
  auto of_core = connection_of_b();
  of_core.reauthenticate_after = 100s;
  of_core.liveness_after = 0s;
  HandMadePeer peer(of_core);
  peer.connect();
  const auto is_closed_after = [&](Time wait) {
    peer.now += wait;
    peer.handle(TimerExpired{});
    if (peer.sent.empty()) return false;
    const auto request = peer.open_request(peer.sent.back().bytes);
    return request.payloads.deletes.size() == 1 && request.payloads.deletes[0].protocol == ProtocolId::ike;
  };
  CHECK_FALSE(is_closed_after(100s));
  CHECK_FALSE(is_closed_after(29s));
  CHECK(is_closed_after(2s));
  CHECK_THAT(peer.lines.back(), Catch::Contains("did not prove again within 100 s who it is"));
}

TEST_CASE("what the peer makes of its IKE SA by rekeys lasts no longer") {
  auto of_b = connection_of_b();
  of_b.reauthenticate_after = 100s;
  of_b.start = StartAction::passive;
  auto of_a = connection_of_a();
  Simulation world(1, handle(of_a), handle(of_b));
  REQUIRE(world.comes_up());
  // Nothing that would begin anew reaches b.
  world.passes = [&](const SendDatagram& datagram) {
    return ExchangeType{datagram.bytes[18]} != ExchangeType::ike_sa_init;
  };
  world.run_for(60s);
  world.a.handle(Rekey{"a", ""});
  world.run_for(60s);
  CHECK(world.b.established().size() == 1);
  world.run_for(15s);
  INFO(world.state());
  CHECK(world.b.established().empty());
  CHECK_THAT(world.b.core().last_failure("b", world.now()),
             Catch::Equals("the peer did not prove again in time who it is"));
}

// How children end: by command while they are made, with their lifetime, for want of a place in the datapath;
// and what their peer does not take.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/hand_made_peer.hpp"
#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

bool up(Simulation& world, Time longest = 10s) {
  return world.run_until([&] { return world.is_well(); }, longest);
}

}  // namespace

TEST_CASE("a child that is terminated while IKE_AUTH makes it does not stay") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  for (auto* connection : {&of_a, &of_b}) {
    auto second = connection->children[0];
    second.name = "other";
    for (auto* sides : {&second.local, &second.remote})
      *sides = {side(sides == &second.local == (connection == &of_a) ? "10.3.0.0/16" : "10.4.0.0/16")};
    connection->children.push_back(second);
  }
  Simulation world(1, handle(of_a), handle(of_b));
  bool told = false;
  world.passes = [&](const SendDatagram& datagram) {
    if (ExchangeType{datagram.bytes[18]} == ExchangeType::ike_auth && !std::exchange(told, true))
      world.after(0ms, [&] { world.a.handle(Terminate{"a", "net"}); });
    return true;
  };
  world.a.handle(Initiate{"a", ""});
  world.run_for(10s);
  REQUIRE(told);
  CHECK(world.a.established().size() == 1);
  CHECK_FALSE(world.a.outbound().contains("net"));
  CHECK_FALSE(world.b.outbound().contains("net"));
  CHECK(world.is_well_for("other"));
}

TEST_CASE("by what an operator takes down nothing is sent from then on, though the peer does not answer") {
  HandMadePeer peer;
  peer.connect();
  REQUIRE(peer.installed_sas() == 2);
  const auto outbound = [&](std::size_t from) {
    std::string seen;
    for (auto action = peer.installed.begin() + static_cast<std::ptrdiff_t>(from);
         action != peer.installed.end(); ++action) {
      if (std::holds_alternative<InstallOutbound>(*action)) seen += "installed ";
      if (std::holds_alternative<RetireOutbound>(*action)) seen += "retired ";
    }
    return seen;
  };
  const std::string child = GENERATE("", "net");
  SECTION("with nothing under way") {
    const auto spi = peer.only_sa()->children()[0].inbound_spi;
    peer.handle(Terminate{"b", child});
    CHECK(outbound(2) == "retired ");
    REQUIRE(peer.sent.size() == 1);
    const auto message = peer.sent[0].bytes;
    const auto deletes = peer.open_request(message).payloads.deletes;
    REQUIRE(deletes.size() == 1);
    CHECK(deletes[0].spis == (child.empty() ? std::vector<std::uint32_t>{} : std::vector{spi}));
    // What the peer goes on sending tells that it has not heard.
    peer.now += 100ms;
    peer.handle(TrafficArrived{spi});
    REQUIRE(peer.sent.size() == 1);
    CHECK(peer.sent[0].bytes == message);
  }
  SECTION("while its IKE SA is rekeyed") {
    peer.handle(Rekey{"b", ""});
    REQUIRE(peer.sent.size() == 1);
    peer.handle(Terminate{"b", child});
    CHECK(outbound(2) == "retired ");
    CHECK(peer.sent.empty());
  }
  SECTION("while it is rekeyed itself") {
    peer.handle(Rekey{"b", "net"});
    REQUIRE(peer.sent.size() == 1);
    const auto rekey = peer.sent[0].bytes;
    peer.handle(Terminate{"b", child});
    CHECK(outbound(2) == "retired ");
    CHECK(peer.answer_rekey(rekey, 0x1002).size() == (child.empty() ? 0 : 2));
    CHECK(outbound(2) == "retired ");
  }
}

TEST_CASE("a child past its lifetime is sent on no more, though the peer does not answer the DELETE") {
  auto of_a = connection_of_a();
  of_a.children[0].rekey_after = 0s;
  of_a.children[0].expires_after = 100s;
  of_a.liveness_after = 0s;
  Simulation world(1, handle(of_a), handle(connection_of_b()));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  world.passes = [](const SendDatagram&) { return false; };
  world.run_for(99s);
  CHECK(world.a.outbound().size() == 1);
  world.run_for(2s);
  CHECK(world.a.outbound().empty());
  CHECK(world.a.established().size() == 1);
}

TEST_CASE("the datapath does not take a child: it is deleted at the peer, and tried again ever later") {
  const auto [is_shortage, kind] =
      GENERATE(table<bool, Failing>({{true, Failing::no_room}, {false, Failing::fault}}));
  auto of_a = connection_of_a();
  of_a.start = StartAction::always;
  Simulation world(1, handle(of_a), handle(connection_of_b()));
  REQUIRE(up(world));
  std::vector<Time> tried;
  std::size_t seen = 0;
  const auto until = world.now() + 100s;
  while (world.now() < until) {
    if (world.a.installed > seen) {
      seen = world.a.installed;
      tried.push_back(world.now());
      const auto spi = world.a.established()[0]->children().back().inbound_spi;
      world.a.handle(InstallFailed{spi, "it says no", is_shortage});
      CHECK(world.a.outbound().empty());
      REQUIRE(world.a.established()[0]->wanted().size() == 1);
      CHECK_THAT(world.a.established()[0]->child_failures().of("net"), Catch::Equals("it says no"));
      CHECK(world.a.established()[0]->child_failures().kind("net") == kind);
    }
    world.run_for(100ms);
  }
  CHECK(world.b.inbound().empty());
  REQUIRE(tried.size() > 3);
  CHECK(tried.size() < 7);
  for (std::size_t i = 2; i < tried.size(); ++i)
    CHECK(tried[i] - tried[i - 1] > (tried[i - 1] - tried[i - 2]) * 3 / 2);
}

TEST_CASE("a peer that takes no TFC padding gets none, whoever begins") {
  const bool by_a = GENERATE(false, true);
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  CHECK(world.a.outbound().at("net").tfc_padding);
  (by_a ? world.a : world.b).handle(Rekey{by_a ? "a" : "b", "net"});
  world.run_for(2s);
  CHECK(world.a.outbound().at("net").tfc_padding);
  HandMadePeer peer;
  peer.greet();
  auto payloads = peer.proof_payloads();
  REQUIRE(
      peer.ask(ExchangeType::ike_auth, payloads.add(Notify{NotifyType::esp_tfc_padding_not_supported, {}})));
  const auto installed = std::ranges::find_if(
      peer.installed, [](const Action& action) { return std::holds_alternative<InstallOutbound>(action); });
  REQUIRE(installed != peer.installed.end());
  CHECK_FALSE(std::get<InstallOutbound>(*installed).sa.tfc_padding);
}

TEST_CASE("what the peer says of a child whose answer is still under way is not lost") {
  HandMadePeer peer;
  peer.connect();
  peer.handle(Rekey{"b", "net"});
  REQUIRE(peer.sent.size() == 1);
  const auto request = peer.open_request(peer.sent[0].bytes);
  REQUIRE(request.payloads.security_association);
  const auto before = peer.installed_sas();
  const auto spi = spi_bytes_of(0x1002);
  // It makes it, and its answer is lost. A rekey of that child can wait.
  auto rekey = peer.child_payloads(PayloadWriter().add(HandMadePeer::rekey_of(spi)), 0x1003);
  CHECK(peer.ask(ExchangeType::create_child_sa, rekey)->has(NotifyType::temporary_failure));
  CHECK(peer.ask(ExchangeType::informational, PayloadWriter().add(Delete{ProtocolId::esp, {0x1002}})));
  const auto choice =
      choose(*request.payloads.security_association, peer.connection.children[0].algorithms, 0);
  REQUIRE(choice);
  PayloadWriter answer;
  answer.add(ike::answer(*choice, spi)).add_nonce(peer.nonce);
  peer.answer_request(request.header, answer.add_ts_initiator(*request.payloads.ts_initiator)
                                          .add_ts_responder(*request.payloads.ts_responder));
  CHECK(peer.installed_sas() == before);
  CHECK(peer.only_sa()->children().size() == 1);
  CHECK_THAT(peer.lines.back(), Catch::Contains("has deleted it already"));
}

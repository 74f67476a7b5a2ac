// Packets with an SPI of nobody's: who gets them tells the peer, and both sides have a child again in the
// time of a few messages.
#include <algorithm>
#include <catch2/catch.hpp>

#include "datapath/net/bytes.hpp"
#include "tests/control/ike/hand_made_peer.hpp"
#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr Time round_trip = 10ms;  // of the simulation's network

std::array<std::uint8_t, 4> four_bytes(std::uint32_t spi) {
  std::array<std::uint8_t, 4> bytes;
  net::store_be32(bytes, 0, spi);
  return bytes;
}

std::uint32_t only_outbound(const Node& node) {
  REQUIRE(node.outbound().size() == 1);
  return node.outbound().begin()->second.spi;
}

// What the core sent last is an INVALID_SPI with its DELETE.
void check_report(HandMadePeer& peer, std::uint32_t spi) {
  REQUIRE(peer.sent.size() == 1);
  const auto request = peer.open_request(peer.sent[0].bytes);
  CHECK(request.header.exchange == ExchangeType::informational);
  const auto* notify = request.payloads.notify(NotifyType::invalid_spi);
  REQUIRE(notify != nullptr);
  const auto bytes = four_bytes(spi);
  CHECK(std::ranges::equal(notify->data, bytes));
  CHECK(notify->protocol == ProtocolId::none);
  REQUIRE(request.payloads.deletes.size() == 1);
  CHECK(request.payloads.deletes[0].protocol == ProtocolId::esp);
  CHECK(request.payloads.deletes[0].spis == std::vector<std::uint32_t>{spi});
}

}  // namespace

TEST_CASE("with an IKE SA the peer is told INVALID_SPI and DELETE, and what is up stays") {
  HandMadePeer peer;
  peer.connect();
  REQUIRE(peer.core.reach("b") == IkeCore::Reach::established);
  peer.handle(InvalidSpi{"b", "net", {}, 0x8765'4321});
  check_report(peer, 0x8765'4321);
  REQUIRE(peer.only_sa()->children().size() == 1);
  peer.handle(InvalidSpi{"b", "net", {}, 0x8765'4322});
  CHECK(peer.sent.empty());  // one exchange at a time
}

TEST_CASE("what the peer did not hear of is sent again as soon as something of the peer's comes") {
  HandMadePeer peer;
  peer.connect();
  const auto spi = peer.only_sa()->children()[0].inbound_spi;
  const Event comes =
      GENERATE_COPY(Event(InvalidSpi{"b", "net", {}, 0x8765'4322}), Event(TrafficArrived{spi}));
  SECTION("that a child is deleted") {
    peer.handle(HardExpired{spi});
  }
  SECTION("that its child has no such SPI") {
    if (std::holds_alternative<TrafficArrived>(comes)) return;
    peer.handle(InvalidSpi{"b", "net", {}, 0x8765'4321});
  }
  REQUIRE(peer.sent.size() == 1);
  const auto request = peer.sent[0].bytes;
  const auto due = peer.core.deadline();
  peer.now += 99ms;
  peer.handle(comes);
  CHECK(peer.sent.empty());
  peer.now += 1ms;
  peer.handle(comes);
  REQUIRE(peer.sent.size() == 1);
  CHECK(peer.sent[0].bytes == request);
  CHECK(peer.core.deadline() == due);  // nobody keeps us from giving a peer up
  peer.now += 100ms;
  peer.handle(comes);
  CHECK(peer.sent.empty());
  peer.now = due;
  peer.expire();
  peer.now += 100ms;
  peer.handle(comes);
  REQUIRE(peer.sent.size() == 1);
  CHECK(peer.sent[0].bytes == request);
}

TEST_CASE("traffic on a child that stays hurries nothing") {
  HandMadePeer peer;
  peer.connect();
  peer.handle(Rekey{"b", "net"});
  REQUIRE(peer.sent.size() == 1);
  peer.now += 200ms;
  peer.handle(TrafficArrived{peer.only_sa()->children()[0].inbound_spi});
  CHECK(peer.sent.empty());
}

TEST_CASE("an SPI that is in use by now is not reported") {
  HandMadePeer peer;
  peer.connect();
  const auto spi = peer.only_sa()->children()[0].inbound_spi;
  peer.handle(InvalidSpi{"b", "net", {}, spi});
  CHECK(peer.sent.empty());
  peer.handle(InvalidSpi{"nobody", "", {}, 0x1234});
  CHECK(peer.sent.empty());
  CHECK(peer.core.reach("nobody") == IkeCore::Reach::impossible);
}

TEST_CASE("a peer that does not know an SPI of ours any more: its child is replaced at once") {
  HandMadePeer peer;
  peer.connect();
  peer.now += 60s;
  const auto was = peer.only_sa()->children()[0].inbound_spi;
  const auto bytes = four_bytes(HandMadePeer::first_spi);
  SECTION("it says no more than that") {
    REQUIRE(
        peer.ask(ExchangeType::informational, PayloadWriter().add(Notify{NotifyType::invalid_spi, bytes})));
  }
  SECTION("it says DELETE as well") {
    PayloadWriter payloads;
    payloads.add(Notify{NotifyType::invalid_spi, bytes});
    payloads.add(Delete{ProtocolId::esp, {HandMadePeer::first_spi}});
    const auto answer = peer.ask(ExchangeType::informational, payloads);
    REQUIRE(answer);
    REQUIRE(answer->payloads.deletes.size() == 1);
    CHECK(answer->payloads.deletes[0].spis == std::vector<std::uint32_t>{was});
  }
  bool is_made_anew = false;
  for (int i = 0; i < 4 && !is_made_anew && !peer.sent.empty(); ++i) {
    // Behind the answer comes a request of the core's: its DELETE, or the new child.
    const auto request = peer.open_request(peer.sent.back().bytes);
    if (request.header.is_response()) break;
    is_made_anew = request.header.exchange == ExchangeType::create_child_sa;
    CHECK((!is_made_anew || request.payloads.notify(NotifyType::rekey_sa) == nullptr));
    if (!is_made_anew) peer.answer_request(request.header, PayloadWriter());
  }
  CHECK(is_made_anew);
}

TEST_CASE("INVALID_SPI of a peer that names nothing of ours changes nothing") {
  HandMadePeer peer;
  peer.connect();
  peer.now += 60s;
  const auto before = peer.only_sa()->children()[0].inbound_spi;
  for (const auto& data :
       {std::vector<std::uint8_t>{0, 0, 0x20, 1}, {}, {1}, {0, 0, 0x10}, {0, 0, 0x10, 1, 0}})
    REQUIRE(
        peer.ask(ExchangeType::informational, PayloadWriter().add(Notify{NotifyType::invalid_spi, data})));
  REQUIRE(peer.only_sa()->children().size() == 1);
  CHECK(peer.only_sa()->children()[0].inbound_spi == before);
  CHECK_FALSE(peer.only_sa()->children()[0].delete_wanted);
}

TEST_CASE(
    "after a crash the first packet of the peer brings everything up again, in less than three round trips") {
  auto of_b = connection_of_b();
  of_b.start = GENERATE(StartAction::passive, StartAction::on_demand);
  Simulation world(1, handle(connection_of_a()), handle(of_b));
  REQUIRE(world.comes_up());
  const auto stale = only_outbound(world.a);
  world.b.restart();
  CHECK(world.b.core().reach("b") == IkeCore::Reach::possible);
  world.b.handle(InvalidSpi{"b", "net", {}, stale});
  CHECK(world.b.core().reach("b") == IkeCore::Reach::beginning);
  CHECK(world.run_until([&] { return world.is_well(); }, 3 * round_trip));
  CHECK(only_outbound(world.a) != stale);
  CHECK(world.problem.empty());
}

TEST_CASE("who may only tell an IKE SA that is there begins none") {
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()));
  REQUIRE(world.comes_up());
  const auto stale = only_outbound(world.a);
  world.b.restart();
  world.b.handle(InvalidSpi{"b", "net", {}, stale, false});
  world.run_for(1s);
  CHECK(world.b.core().ike_sas().empty());
}

TEST_CASE("an SA that one side alone has lost, and could not say so: both have a new one") {
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()));
  REQUIRE(world.comes_up());
  world.run_for(60s);
  const auto stale = only_outbound(world.a);
  // b deletes it, and its DELETE is lost.
  world.passes = [&](const SendDatagram& datagram) { return datagram.from.address != world.b.address(); };
  world.b.handle(HardExpired{stale});
  world.run_for(200ms);
  CHECK(only_outbound(world.a) == stale);
  world.passes = nullptr;
  world.b.handle(InvalidSpi{"b", "net", {}, stale});
  CHECK(world.run_until([&] { return world.is_well() && only_outbound(world.a) != stale; }, 10s));
  CHECK(world.problem.empty());
}

TEST_CASE("an SPI that comes into use while its report waits is not reported") {
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()));
  world.a.handle(Initiate{"a", ""});
  // b sends before a has heard that all is well.
  REQUIRE(world.run_until([&] { return !world.b.outbound().empty(); }, 1s));
  REQUIRE(world.a.outbound().empty());
  const auto spi = only_outbound(world.b);
  world.a.handle(InvalidSpi{"a", "net", {}, spi});
  world.run_for(5s);
  CHECK(world.is_well());
  CHECK(only_outbound(world.b) == spi);
  CHECK(world.problem.empty());
}

TEST_CASE("several SPIs that wait while one is told are told together") {
  HandMadePeer peer;
  peer.connect();
  peer.handle(InvalidSpi{"b", "net", {}, 0x5000});
  check_report(peer, 0x5000);
  const auto first = peer.open_request(peer.sent[0].bytes);
  for (std::uint32_t spi = 0x5001; spi <= 0x5005; ++spi) peer.handle(InvalidSpi{"b", "net", {}, spi});
  CHECK(peer.sent.empty());
  peer.answer_request(first.header, PayloadWriter());
  REQUIRE(peer.sent.size() == 1);
  const auto second = peer.open_request(peer.sent[0].bytes);
  CHECK(std::ranges::count(second.payloads.notifies, NotifyType::invalid_spi, &Notify::type) == 5);
  REQUIRE(second.payloads.deletes.size() == 1);
  CHECK(second.payloads.deletes[0].spis ==
        std::vector<std::uint32_t>{0x5001, 0x5002, 0x5003, 0x5004, 0x5005});
}

TEST_CASE("a connection that leaves the configuration while it is repaired leaves nothing behind") {
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()));
  REQUIRE(world.comes_up());
  const auto stale = only_outbound(world.a);
  if (GENERATE(false, true)) world.b.restart();
  const auto begun = InvalidSpi{"b", "net", {}, 0x4711};
  world.b.handle(begun);
  world.run_for(GENERATE(Time(0ms), Time(2ms), Time(6ms), Time(12ms), Time(25ms)));
  world.b.carry_out(world.b.core().configure({}, world.now()));
  world.b.handle(begun);
  world.b.handle(InvalidSpi{"b", "", {}, stale});
  world.run_for(120s);
  CHECK(world.b.core().reach("b") == IkeCore::Reach::impossible);
  CHECK(world.b.children() == 0);
  CHECK(world.b.core().is_empty());
  CHECK(world.problem.empty());
}

TEST_CASE("a peer that closes the IKE SA while it is told of an SPI ends the repair, and another one works") {
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()));
  REQUIRE(world.comes_up());
  world.b.handle(InvalidSpi{"b", "net", {}, 0x4711});
  world.run_for(GENERATE(Time(0ms), Time(2ms), Time(6ms), Time(12ms), Time(25ms)));
  world.a.handle(Terminate{"a", ""});
  world.b.handle(InvalidSpi{"b", "net", {}, 0x4712});
  world.run_for(120s);
  CHECK(world.problem.empty());
  world.b.handle(InvalidSpi{"b", "net", {}, 0x4713});
  CHECK(world.run_until([&] { return world.is_well(); }, 10s));
  CHECK(world.problem.empty());
}

TEST_CASE("a peer that loses each child right after it is made fills no log, and is counted") {
  HandMadePeer peer;
  peer.connect();
  peer.lines.clear();
  const auto told = [&] {
    return std::ranges::count_if(
        peer.lines, [](const auto& line) { return line.find("does not know SPI") != line.npos; });
  };
  auto spi = HandMadePeer::first_spi;
  const auto lose_and_make = [&] {
    const auto bytes = four_bytes(spi);
    REQUIRE(
        peer.ask(ExchangeType::informational, PayloadWriter().add(Notify{NotifyType::invalid_spi, bytes})));
    for (const auto& each : std::vector(peer.sent)) {
      if ((each.bytes[19] & flag_response) != 0) continue;
      peer.answer_request(peer.open_request(each.bytes).header, {});
    }
    REQUIRE(peer.ask(ExchangeType::create_child_sa, peer.child_payloads({}, ++spi))
                ->payloads.security_association);
  };
  for (int i = 0; i < 50; ++i) lose_and_make();
  CHECK(told() == 8);
  peer.now += 61s;
  lose_and_make();
  REQUIRE(told() == 9);
  CHECK_THAT(peer.lines.back(), Catch::Contains("(and 42 times before)"));
}

// What a refusal means, and what not: how often it is told of, whose it is, and until when it is the reason.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "tests/control/ike/hand_made_peer.hpp"
#include "tests/control/ike/hand_made_responder.hpp"
#include "tests/control/ike/weak_suites.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr auto create = ExchangeType::create_child_sa;
constexpr std::uint32_t second_spi = 0x1002;

// Of the peer's, who answers what the core asks for now.
void refuse(HandMadeResponder& peer, NotifyType error) {
  REQUIRE(peer.sent.size() == 1);
  const auto request = peer.open_request(peer.sent[0].bytes);
  REQUIRE(request.header.exchange == create);
  peer.answer_request(request.header, PayloadWriter().add(Notify{error, {}}));
}

std::vector<SelectorSide> network(int number) {
  return {side(fmt::format("10.200.{}.0/24", number))};
}

// As a responder with many children, of which none is there.
Connection of_many_children() {
  auto connection = connection_of_b();
  const auto pattern = connection.children[0];
  for (int i = 0; i < 60; ++i) {
    auto child = pattern;
    child.name = fmt::format("other{}", i);
    child.remote = network(i);
    child.algorithms.key_exchanges = {31};
    connection.children.push_back(child);
  }
  return connection;
}

}  // namespace

TEST_CASE("who refuses IKE_SA_INIT over and over, or many times in one answer, fills no log") {
  HandMadeResponder peer;
  PayloadWriter many;
  for (int i = 0; i < 100; ++i)
    many.add(Notify{NotifyType::no_proposal_chosen, {}}).add(Notify{NotifyType::invalid_syntax, {}});
  CHECK_FALSE(peer.answer_greeting(many));
  REQUIRE(peer.lines.size() == 1);
  CHECK_THAT(peer.lines[0], Catch::Contains("NO_PROPOSAL_CHOSEN (14) to our offer"));
  SECTION("two ways by turns") {
    for (int i = 0; i < 100; ++i)
      CHECK_FALSE(peer.answer_greeting(PayloadWriter().add(
          Notify{i % 2 == 0 ? NotifyType::invalid_syntax : NotifyType::no_proposal_chosen, {}})));
  }
  SECTION("for another key exchange each time") {
    for (std::uint8_t i = 100; i < 200; ++i) {
      const std::uint8_t method[] = {9, i};
      CHECK_FALSE(peer.answer_greeting(PayloadWriter().add(Notify{NotifyType::invalid_ke_payload, method})));
    }
  }
  SECTION("with a value that is ever longer") {
    for (std::size_t size = 100; size < 200; ++size)
      CHECK_FALSE(peer.answer_greeting(peer.greeting_payloads({}, std::vector<std::uint8_t>(size, 9))));
  }
  CHECK(peer.lines.size() <= 4);
  // None of it was authentic.
  peer.connect();
}

TEST_CASE("a rekey that the peer puts off is no mismatch, and one that it refuses is") {
  HandMadeResponder peer;
  peer.connect();
  const auto& sa = *peer.only_sa();
  for (const auto* child : {"net", ""}) {
    CAPTURE(child);
    peer.handle(Rekey{"a", child});
    refuse(peer, NotifyType::temporary_failure);
    CHECK_THAT(peer.lines.back(), Catch::Contains("the peer is busy"));
    CHECK(sa.child_failures().of("net").empty());
    CHECK(sa.refusal().empty());
  }
  peer.handle(Rekey{"a", ""});
  refuse(peer, NotifyType::no_proposal_chosen);
  CHECK_THAT(sa.refusal(), Catch::Contains("NO_PROPOSAL_CHOSEN"));
  peer.handle(Rekey{"a", "net"});
  refuse(peer, NotifyType::no_proposal_chosen);
  CHECK_THAT(sa.child_failures().of("net"), Catch::Contains("NO_PROPOSAL_CHOSEN"));
  // It stays the reason when the next attempt only comes at a bad time.
  peer.handle(Rekey{"a", "net"});
  refuse(peer, NotifyType::temporary_failure);
  CHECK_THAT(sa.child_failures().of("net"), Catch::Contains("NO_PROPOSAL_CHOSEN"));
}

TEST_CASE("that the peer takes no more child SAs is no mismatch") {
  constexpr auto error = NotifyType::no_additional_sas;
  HandMadeResponder peer;
  SECTION("not even the first") {
    REQUIRE(peer.answer_greeting());
    HandMadeResponder::Parts parts;
    parts.child = false;
    peer.answer(peer.proof_payloads(parts).add(Notify{error, {}}));
    REQUIRE(peer.only_sa()->children().empty());
  }
  SECTION("none in place of the first, nor another IKE SA") {
    peer.connect();
    peer.handle(Rekey{"a", ""});
    refuse(peer, error);
    CHECK(peer.only_sa()->refusal_kind() == Failing::no_room_there);
    peer.handle(Rekey{"a", "net"});
    refuse(peer, error);
  }
  const auto& failures = peer.only_sa()->child_failures();
  CHECK(failures.kind("net") == Failing::no_room_there);
  CHECK_THAT(failures.of("net"), Catch::Contains("NO_ADDITIONAL_SAS (35): it takes no more child SAs"));
}

TEST_CASE("too much public-key work is a want of room for a child and for a new IKE SA, on both sides") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.children[0].algorithms.key_exchanges = of_b.children[0].algorithms.key_exchanges = {31};
  Simulation world(1, handle(of_a), handle(of_b));
  REQUIRE(world.comes_up());
  auto& busy = GENERATE(true, false) ? world.a : world.b;
  world.works = [&](Node& node, const RunWork& work) {
    if (&node != &busy) return true;
    world.after(1ms, [&node, ticket = work.ticket] { node.handle(WorkFinished{ticket, false}); });
    return false;
  };
  world.a.handle(Rekey{"a", "net"});
  world.run_for(500ms);
  const auto& sa = *busy.established().at(0);
  CHECK_THAT(sa.child_failures().of("net"), Catch::Equals(too_much_work));
  CHECK(sa.child_failures().kind("net") == Failing::no_room);
  if (&busy == &world.a) {
    world.a.handle(Rekey{"a", ""});
    world.run_for(500ms);
    CHECK_THAT(sa.refusal(), Catch::Equals(too_much_work));
    CHECK(sa.refusal_kind() == Failing::no_room);
  }
  world.works = nullptr;
  world.run_for(10s);
  CHECK(busy.established().at(0)->child_failures().of("net").empty());
  CHECK(busy.established().at(0)->refusal().empty());
  CHECK(world.is_well());
}

TEST_CASE("that a rekey was refused is not why the child is gone when a side has taken it down since") {
  HandMadeResponder peer;
  peer.connect();
  const auto& sa = *peer.only_sa();
  peer.handle(Rekey{"a", "net"});
  refuse(peer, NotifyType::no_proposal_chosen);
  REQUIRE_FALSE(sa.child_failures().of("net").empty());
  SECTION("we") {
    peer.handle(Terminate{"a", "net"});
  }
  SECTION("the peer") {
    REQUIRE(peer.ask(ExchangeType::informational,
                     PayloadWriter().add(Delete{ProtocolId::esp, {HandMadeResponder::first_spi}})));
    CHECK(sa.children().empty());
  }
  CHECK(sa.child_failures().of("net").empty());
}

TEST_CASE("a child of the peer's that may be any of ours is refused once, and is no other child's trouble") {
  HandMadePeer peer(of_many_children());
  peer.greet();
  REQUIRE(peer.ask(ExchangeType::ike_auth, peer.proof_payloads(false)));
  const auto& sa = *peer.only_sa();
  const auto spi = spi_bytes_of(second_spi);
  const auto asks_for = [&](const std::vector<SelectorSide>& theirs) {
    return peer.ask(create, PayloadWriter()
                                .add(esp_proposal({{TransformType::encryption, 20, 256}}, spi))
                                .add_nonce(peer.nonce)
                                .add_ts_initiator({theirs})
                                .add_ts_responder({peer.connection.children[0].local}));
  };
  CHECK(asks_for({side("172.16.0.0/16")})->has(NotifyType::ts_unacceptable));
  CHECK_THAT(sa.child_failures().of(), Catch::Contains("TS_UNACCEPTABLE") && Catch::Contains("and more"));
  CHECK(sa.child_failures().of().size() < 4'000);
  for (const auto& child : peer.connection.children) CHECK(sa.child_failures().of(child.name).empty());
  // The networks say which one is meant.
  CHECK(asks_for(network(7))->has(NotifyType::no_proposal_chosen));
  for (const auto& child : peer.connection.children)
    CHECK(sa.child_failures().of(child.name).empty() == (child.name != "other7"));
  // It is over once a child of the peer's is there.
  CHECK(peer.ask(create, peer.child_payloads({}, second_spi))->payloads.security_association);
  CHECK(sa.child_failures().of().empty());
  CHECK_FALSE(sa.child_failures().of("other7").empty());
}

TEST_CASE("a peer that asks for what it does not get over and over fills no log, and is counted") {
  HandMadePeer peer;
  peer.connect();
  peer.lines.clear();
  const auto spi = spi_bytes_of(second_spi);
  const auto& child = peer.connection.children[0];
  struct Case {
    std::string_view line;
    std::function<PayloadWriter()> payloads;
  };
  const auto asks_for = [&](const SecurityAssociation& offered, const std::vector<SelectorSide>& local) {
    return PayloadWriter()
        .add(offered)
        .add_nonce(peer.nonce)
        .add_ts_initiator({child.remote})
        .add_ts_responder({local});
  };
  const Case cases[] = {
      {"TS_UNACCEPTABLE", [&] { return asks_for(offer(child.algorithms, spi), {side("172.16.0.0/16")}); }},
      {"has an SA", [&] { return asks_for(offer(child.algorithms, spi), {side("10.2.7.0/24")}); }},
      {"IKE rekey is refused",
       [&] {
         auto weak = peer.connection.algorithms;
         weak.key_exchanges = {14};
         const std::array<std::uint8_t, 8> ike_spi{1};
         return PayloadWriter()
             .add(offer(weak, ike_spi))
             .add_nonce(peer.nonce)
             .add(KeyExchange{31, peer.half.value()});
       }},
  };
  for (const auto& each : cases) {
    CAPTURE(each.line);
    const auto told = [&] {
      return std::ranges::count_if(peer.lines,
                                   [&](const auto& line) { return line.find(each.line) != line.npos; });
    };
    for (int i = 0; i < 100; ++i) REQUIRE(peer.ask(create, each.payloads()));
    CHECK(told() == 8);
    peer.now += 61s;
    peer.lines.clear();
    REQUIRE(peer.ask(create, each.payloads()));
    REQUIRE(told() == 1);
    CHECK(std::ranges::count_if(peer.lines, [](const auto& line) {
            return line.find("(and 92 times before)") != line.npos;
          }) >= 1);
    REQUIRE(peer.ask(create, each.payloads()));
    CHECK(told() == 2);
    CHECK(peer.lines.back().find("times before") == std::string::npos);
  }
}

TEST_CASE("requests that cannot be read fill no log") {
  HandMadePeer peer;
  peer.connect();
  peer.lines.clear();
  const std::uint8_t cut_off[] = {0, 0, 0, 3};
  for (int i = 0; i < 100; ++i) {
    peer.handle(DatagramReceived{peer.here, peer.there,
                                 peer.seal_raw(create, peer.next_id++, PayloadType::notify, cut_off)});
    REQUIRE(peer.sent.size() == 1);
  }
  CHECK(peer.lines.size() == 8);
}

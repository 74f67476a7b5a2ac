// A gateway that starts anew has its peers know by their tokens (RFC 6290): at once, whoever began, and never
// by what somebody else can make.
#include <algorithm>
#include <catch2/catch.hpp>

#include "control/ike/write.hpp"
#include "datapath/net/bytes.hpp"
#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

constexpr Time round_trip = 10ms;  // of the simulation's network

Connection silent(Connection connection, Time liveness = 0s) {
  connection.liveness_after = std::chrono::duration_cast<std::chrono::seconds>(liveness);
  return connection;
}

// As the daemon of the node would tell after a crash, of a packet on that SPI.
LostSpi lost(const Node& node, std::uint32_t spi, const net::Address& peer, std::size_t most_bytes = 100) {
  const auto& owner = node.owner_of(spi);
  return {spi, owner.ike_sa, owner.we_began, {*node.connection().local, 500}, {peer, 500}, most_bytes};
}

std::uint32_t only_outbound(const Node& node) {
  REQUIRE(node.outbound().size() == 1);
  return node.outbound().begin()->second.spi;
}

// Unprotected, from b to a, in a's IKE SA.
std::vector<std::uint8_t> forged(const IkeSa& sa, const std::vector<Notify>& notifies) {
  Header header;
  header.initiator_spi = sa.spis().initiator;
  header.responder_spi = sa.spis().responder;
  header.exchange = ExchangeType::informational;
  header.flags = sa.is_initiator() ? 0 : flag_initiator;
  PayloadWriter payloads;
  for (const auto& notify : notifies) payloads.add(notify);
  return write_message(header, payloads);
}

}  // namespace

TEST_CASE("the peer's next question finds out that we started anew") {
  auto of_a = silent(connection_of_a(), 5s);
  Simulation world(1, handle(of_a), handle(silent(connection_of_b())));
  REQUIRE(world.comes_up());
  // With other SPIs by then, whoever changed them.
  const bool rekeyed = GENERATE(false, true);
  const bool by_b = GENERATE(false, true);
  if (rekeyed) {
    if (by_b)
      world.b.handle(Rekey{"b", ""});
    else
      world.a.handle(Rekey{"a", ""});
    world.run_for(3s);  // after a second a has b's new token, or b has a's
  }
  world.b.restart();
  CHECK(world.run_until([&] { return world.is_well(); }, 8s));
  CHECK(world.problem.empty());
  CHECK(std::ranges::any_of(world.a.log, [](const auto& line) {
    return line.find("as its token proves (RFC 6290)") != std::string::npos;
  }));
}

TEST_CASE("a packet with an SPI of before the crash brings a peer back that only it can begin with") {
  auto of_b = silent(connection_of_b());
  of_b.remote = {};
  of_b.start = StartAction::passive;
  auto of_a = silent(connection_of_a());
  of_a.start = GENERATE(StartAction::always, StartAction::passive);
  Simulation world(1, handle(of_a), handle(of_b));
  REQUIRE(world.comes_up());
  const auto stale = only_outbound(world.a);
  const auto told = lost(world.b, stale, world.a.address());
  world.b.restart();
  CHECK(world.b.core().reach("b") == IkeCore::Reach::impossible);
  world.b.handle(told);
  CHECK(world.run_until([&] { return world.a.outbound().size() == 1 && only_outbound(world.a) != stale; },
                        3 * round_trip));
  CHECK(world.problem.empty());
}

TEST_CASE("what is answered is never more than what came, and not without end") {
  Simulation world(1, handle(silent(connection_of_a())), handle(silent(connection_of_b())));
  REQUIRE(world.comes_up());
  const auto stale = only_outbound(world.a);
  world.b.restart();
  std::size_t answers = 0, bytes = 0;
  world.passes = [&](const SendDatagram& datagram) {
    ++answers;
    bytes = datagram.bytes.size();
    return false;
  };
  for (std::size_t most = 0; most < 200; ++most) {
    world.run_for(1s);
    answers = 0;
    world.b.handle(lost(world.b, stale, world.a.address(), most));
    CAPTURE(most);
    CHECK(answers == (most >= header_bytes + 24 ? 1 : 0));
    if (answers == 1) CHECK(bytes <= most);
  }
  world.run_for(1s);
  answers = 0;
  for (std::uint32_t i = 0; i < 10'000; ++i)
    world.b.handle(lost(world.b, stale, net::Address::v4(0x0a00'0000 + 64 * i)));
  CHECK(answers == 25);  // a quarter of a second's at once
  world.run_for(1s);
  answers = 0;
  for (int i = 0; i < 50; ++i) world.b.handle(lost(world.b, stale, world.a.address()));
  CHECK(answers == 1);
}

TEST_CASE("of an IKE SA that lives there is no token to be had") {
  Simulation world(1, handle(silent(connection_of_a())), handle(silent(connection_of_b())));
  REQUIRE(world.comes_up());
  std::size_t answers = 0;
  world.passes = [&](const SendDatagram&) {
    ++answers;
    return true;
  };
  world.b.handle(lost(world.b, only_outbound(world.a), world.a.address()));
  CHECK(answers == 0);
  // As if it were another's: the flag says whose SPI is which.
  for (auto* node : {&world.a, &world.b}) {
    const auto& sa = *node->established()[0];
    for (const std::uint8_t flags : {std::uint8_t{0}, flag_initiator}) {
      Header header;
      header.initiator_spi = sa.spis().initiator;
      header.responder_spi = sa.spis().responder;
      header.exchange = ExchangeType::informational;
      header.flags = flags;
      header.message_id = 7;
      auto message = write_message(header, PayloadWriter());
      message.resize(200);
      message[16] = static_cast<std::uint8_t>(PayloadType::encrypted);
      message[27] = 200;
      message[30] = 0;
      message[31] = 200 - 28;
      node->handle(DatagramReceived{{net::Address::v4(0x0a00'0001), 500}, {node->address(), 500}, message});
    }
  }
  world.run_for(100ms);
  CHECK(answers == 0);
  CHECK(world.is_well());
}

TEST_CASE("what anybody can say ends nothing, and has the peer asked at most now and then") {
  Simulation world(1, handle(silent(connection_of_a())), handle(silent(connection_of_b())));
  REQUIRE(world.comes_up());
  const auto& sa = *world.a.established()[0];
  const auto id = sa.id();
  const std::vector<std::uint8_t> wrong(16, 7), none, odd(5, 1);
  std::size_t asked = 0;
  world.passes = [&](const SendDatagram& datagram) {
    asked += datagram.from.address == world.a.address();
    return true;
  };
  const auto say = [&](const std::vector<Notify>& notifies) {
    world.a.handle(
        DatagramReceived{{world.b.address(), 500}, {world.a.address(), 500}, forged(sa, notifies)});
    world.run_for(100ms);
  };
  for (const auto* token : {&wrong, &none, &odd}) say({{NotifyType::quick_crash_detection, *token}});
  say({{NotifyType::invalid_ike_spi, {}}});
  CHECK(asked == 0);  // it was heard of just now
  world.run_for(3s);
  for (int i = 0; i < 20; ++i)
    say({{NotifyType::invalid_ike_spi, {}}, {NotifyType::quick_crash_detection, wrong}});
  CHECK(asked == 1);
  world.run_for(10s);
  for (int i = 0; i < 20; ++i) say({{NotifyType::invalid_spi, wrong}});
  CHECK(asked == 2);
  REQUIRE(world.a.established().size() == 1);
  CHECK(world.a.established()[0]->id() == id);
  CHECK(world.is_well());
}

TEST_CASE("who says INVALID_SPI without an IKE SA is asked only if we send on that SPI") {
  Simulation world(1, handle(silent(connection_of_a())), handle(silent(connection_of_b())));
  REQUIRE(world.comes_up());
  world.run_for(5s);
  std::size_t asked = 0;
  world.passes = [&](const SendDatagram& datagram) {
    asked += datagram.from.address == world.a.address();
    return true;
  };
  const auto say = [&](std::uint32_t spi) {
    Header header;
    header.initiator_spi = 0x4711;  // of no meaning
    header.exchange = ExchangeType::informational;
    header.flags = flag_initiator;
    std::array<std::uint8_t, 4> bytes;
    net::store_be32(bytes, 0, spi);
    const auto message = write_message(header, PayloadWriter().add(Notify{NotifyType::invalid_spi, bytes}));
    world.a.handle(DatagramReceived{{world.b.address(), 500}, {world.a.address(), 500}, message});
    world.run_for(100ms);
  };
  say(0x1234'5678);
  CHECK(asked == 0);
  say(only_outbound(world.a));
  CHECK(asked == 1);
}

TEST_CASE(
    "after a crash the token is by the secret of the IKE SA's time, and fits into an answer to few bytes") {
  auto of_b = silent(connection_of_b());
  of_b.remote = {};
  of_b.start = StartAction::passive;
  Simulation world(1, handle(silent(connection_of_a())), handle(of_b));
  const Secret before(std::vector<std::uint8_t>(32, 6)), newest(std::vector<std::uint8_t>(32, 7));
  world.b.core().set_tokens(CrashTokens({before}));
  REQUIRE(world.comes_up());
  // From here on others are given out, and what was given stays good, whatever is rekeyed.
  const auto secrets = CrashTokens({newest, before});
  world.b.core().set_tokens(secrets);
  if (GENERATE(false, true)) {
    world.b.handle(Rekey{"b", ""});
    world.run_for(3s);
  }
  const auto stale = only_outbound(world.a);
  const auto told = lost(world.b, stale, world.a.address(), header_bytes + 8 + CrashTokens::bytes);
  world.b.restart();
  world.b.core().set_tokens(secrets);
  world.b.handle(told);
  CHECK(world.run_until([&] { return world.a.outbound().size() == 1 && only_outbound(world.a) != stale; },
                        3 * round_trip));
}

TEST_CASE("who forges IKE messages of one network takes nothing from other networks, nor from lost SPIs") {
  Simulation world(1, handle(silent(connection_of_a())), handle(silent(connection_of_b())));
  REQUIRE(world.comes_up());
  const auto stale = only_outbound(world.a);
  const auto& owner = world.b.owner_of(stale);
  auto header = Header{};
  header.initiator_spi = owner.ike_sa.initiator;
  header.responder_spi = owner.ike_sa.responder;
  header.exchange = ExchangeType::informational;
  header.flags = owner.we_began ? std::uint8_t{0} : flag_initiator;
  header.message_id = 7;
  auto message = write_message(header, PayloadWriter());
  message.resize(200);
  message[16] = static_cast<std::uint8_t>(PayloadType::encrypted);
  message[27] = 200;
  message[31] = 200 - 28;
  world.b.restart();
  std::size_t answers = 0;
  world.passes = [&](const SendDatagram&) {
    ++answers;
    return false;
  };
  const auto stray = [&](std::uint32_t from) {
    world.b.handle(DatagramReceived{{net::Address::v4(from), 500}, {world.b.address(), 500}, message});
  };
  for (std::uint32_t i = 0; i < 256; ++i) stray(0x0a00'0000 + i);
  CHECK(answers == 6);  // a quarter of a second's at once
  stray(0x0b00'0001);
  CHECK(answers == 7);
  for (std::uint32_t i = 0; i < 10'000; ++i) stray(0x0c00'0000 + 256 * i);
  CHECK(answers == 25);
  world.b.handle(lost(world.b, stale, world.a.address()));
  CHECK(answers == 26);
  CHECK(world.b.core().tokens_withheld() == 10'000 + 256 + 1 - 25);
  // What would not fit, and of what there is a token no more, is not withheld, and takes nothing.
  const auto sent = world.b.core().tokens_sent();
  for (int i = 0; i < 100; ++i) world.b.handle(lost(world.b, stale, net::Address::v4(0x0d00'0001), 10));
  world.b.handle(lost(world.b, stale, net::Address::v4(0x0d00'0001)));
  CHECK(world.b.core().tokens_sent() == sent + 1);
}

TEST_CASE("the secret before is good too, and of another nothing is") {
  const Secret one(std::vector<std::uint8_t>(32, 1)), two(std::vector<std::uint8_t>(32, 2));
  const Spis spis{0x1111, 0x2222};
  const auto of_one = std::uint64_t{CrashTokens({one}).mark(0x1234)} << 32;
  const auto of_two = std::uint64_t{CrashTokens({two, one}).mark(0x1234)} << 32;
  CHECK(of_one != of_two);
  const auto given = CrashTokens({one}).make(spis, of_one);
  REQUIRE(given);
  CHECK(CrashTokens({two, one}).make(spis, of_one) == given);
  CHECK(CrashTokens({two, one}).make(spis, of_two) != given);
  CHECK_FALSE(CrashTokens({two}).make(spis, of_one));
  CHECK(*CrashTokens({one}).make({0x1111, 0x2223}, of_one) != *given);
  CHECK_FALSE(CrashTokens().make(spis, of_one));
}

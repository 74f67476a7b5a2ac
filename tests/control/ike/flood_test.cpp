// Many who only begin.
#include <algorithm>
#include <catch2/catch.hpp>

#include "control/ike/write.hpp"
#include "tests/control/ike/hand_made_peer.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

std::vector<std::uint8_t> greeting(std::uint64_t initiator_spi, const PayloadWriter& payloads) {
  Header header;
  header.initiator_spi = initiator_spi;
  header.flags = flag_initiator;
  return write_message(header, payloads);
}

}  // namespace

TEST_CASE("a flood of strangers holds little, disturbs no tunnel, and keeps no peer out") {
  Limits limits;
  limits.half_open_cookies = 100;
  auto of_b = connection_of_b();
  of_b.remote.reset();
  of_b.children[0].rekey_after = 30s;
  Simulation world(1, handle(connection_of_a()), handle(of_b), limits);
  REQUIRE(world.comes_up());
  const auto installed = world.b.installed;
  world.send_traffic_every(100ms);
  const std::vector<std::uint8_t> value(32, 9), nonce(32, 3);
  std::size_t answered = 0;
  world.passes = [&](const SendDatagram& datagram) {
    const bool to_stranger = datagram.to.address != *of_b.local && datagram.to.address != world.a.address();
    answered += to_stranger;
    return !to_stranger;
  };
  PayloadWriter payloads;
  payloads.add(offer(of_b.algorithms, {})).add(KeyExchange{31, value}).add_nonce(nonce);
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    world.b.handle(DatagramReceived{
        {net::Address::v4(0x0a000000 + i), 500}, {*of_b.local, 500}, greeting(i + 1, payloads)});
    if (i % 1'000 == 0) world.run_for(1s);
  }
  CHECK(world.b.core().half_open() <= 101);
  CHECK(world.b.core().ike_sas().size() <= 110);
  CHECK(answered > 99'000);
  CHECK(world.is_well_for("net"));
  CHECK(world.b.installed >= installed + 3);  // rekeyed meanwhile
  CHECK(world.a.missed + world.b.missed == 0);
  // A peer that comes in the midst of it.
  world.a.restart();
  world.a.handle(Initiate{"a", ""});
  CHECK(world.run_until([&] { return world.is_well_for("net"); }, 20s));
}

TEST_CASE("who sends in a peer's name does not keep the peer out") {
  Simulation world(2, handle(connection_of_a()), handle(connection_of_b()));
  const auto& of_b = world.b.connection();
  const std::vector<std::uint8_t> value(32, 9), nonce(32, 3);
  PayloadWriter payloads;
  payloads.add(offer(of_b.algorithms, {})).add(KeyExchange{31, value}).add_nonce(nonce);
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    world.b.handle(
        DatagramReceived{{world.a.address(), 500}, {world.b.address(), 500}, greeting(i + 1, payloads)});
  }
  CHECK(world.b.core().half_open() == Limits().half_open_per_source / 10);
  world.a.handle(Initiate{"a", ""});
  CHECK(world.run_until([&] { return world.is_well_for("net"); }, 2s));
}

TEST_CASE("of one source so many are let in, all of which showed a COOKIE") {
  Limits limits;
  limits.half_open_per_source = 20;
  HalfOpen half_open(limits);
  const auto source = *net::parse_address("2001:db8::1");
  const auto neighbour = *net::parse_address("2001:db8::ffff:2");
  const auto other = *net::parse_address("2001:db8:0:1::1");
  using Decision = HalfOpen::Decision;
  SaId next = 1;
  const auto add = [&](bool showed_cookie) {
    half_open.add({next, {source, 500}}, next, showed_cookie);
    ++next;
  };
  for (int i = 0; i < 2; ++i) {
    CHECK(half_open.decide(neighbour, false) == Decision::let_in);
    add(false);
  }
  CHECK(half_open.decide(neighbour, false) == Decision::ask_for_cookie);
  CHECK(half_open.decide(other, false) == Decision::let_in);
  for (int i = 0; i < 20; ++i) {
    CHECK(half_open.decide(neighbour, true) == Decision::let_in);
    add(true);
  }
  CHECK(half_open.decide(neighbour, true) == Decision::source_full);
  CHECK(half_open.size() == 22);
  CHECK(half_open.find({3, {source, 500}}) == 3);
  for (SaId id = 1; id < next; ++id) half_open.remove(id);
  half_open.remove(1);
  CHECK(half_open.size() == 0);
  CHECK(half_open.decide(source, false) == Decision::let_in);
}

TEST_CASE("a peer that begins again and again, and never says that it is alone, has a share of the table") {
  HandMadePeer peer;
  for (std::uint64_t i = 1; i <= 50; ++i) {
    peer.spis = {i, 0};
    peer.connect();
    peer.now += 10ms;
  }
  CHECK(peer.core.ike_sas().size() == Limits().ike_sas_per_peer);
  std::set<std::uint32_t> inbound;
  for (const auto& action : peer.installed) {
    if (const auto* install = std::get_if<InstallInbound>(&action)) inbound.insert(install->sa.spi);
    if (const auto* retire = std::get_if<RetireInbound>(&action)) inbound.erase(retire->inbound_spi);
  }
  CHECK(inbound.size() == Limits().ike_sas_per_peer);
  CHECK(peer.ask(ExchangeType::informational, {}));
}

TEST_CASE("a peer that rekeys its IKE SA in a loop, and deletes none, has a share of the table") {
  Simulation world(3, handle(connection_of_a()), handle(connection_of_b()));
  REQUIRE(world.comes_up());
  world.passes = [&](const SendDatagram& datagram) {
    return datagram.bytes[18] != static_cast<std::uint8_t>(ExchangeType::informational);
  };
  for (int i = 0; i < 100; ++i) {
    world.a.handle(Rekey{"a", ""});
    world.run_for(50ms);
  }
  CHECK(world.b.core().ike_sas().size() == Limits().ike_sas_per_peer);
  CHECK(world.b.core().refused(Limit::ike_sas_per_peer) > 0);
  CHECK(world.is_well_for("net"));
  // It goes on once the old ones are gone.
  world.passes = nullptr;
  world.run_for(2min);
  CHECK(world.is_well());
  const auto before = world.b.established().front()->id();
  world.a.handle(Rekey{"a", ""});
  world.run_for(1s);
  CHECK(world.is_well());
  CHECK(world.b.established().front()->id() != before);
}

TEST_CASE("what a limit refuses is counted, and told of once a minute") {
  Limits limits;
  std::uint64_t next = 1;
  const auto begin = [&](HandMadePeer& peer) {
    peer.spis = {next++, 0};
    return peer.greet(peer.greeting(peer.greeting_payloads())).has_value();
  };
  const auto check = [&](HandMadePeer& peer, Limit limit) {
    CAPTURE(name(limit));
    peer.lines.clear();
    for (int i = 0; i < 3; ++i) CHECK_FALSE(begin(peer));
    CHECK(peer.core.refused(limit) == 3);
    REQUIRE(peer.lines.size() == 1);
    CHECK(peer.lines[0].find(name(limit)) != std::string::npos);
    peer.now += 61s;  // without a timer: what is there stays
    CHECK_FALSE(begin(peer));
    CHECK(peer.lines.size() == 2);
    for (const auto other : all_limits) CHECK(peer.core.refused(other) == (other == limit ? 4u : 0u));
  };
  SECTION("of all IKE SAs") {
    limits.ike_sas = 1;
    HandMadePeer peer(connection_of_b(), limits);
    peer.connect();
    check(peer, Limit::ike_sas);
  }
  SECTION("of all half-open ones") {
    limits.half_open = 1;
    HandMadePeer peer(connection_of_b(), limits);
    CHECK(begin(peer));
    check(peer, Limit::ike_half_open);
  }
  SECTION("of those of one peer") {
    limits.ike_sas_per_peer = 2;
    HandMadePeer peer(connection_of_b(), limits);
    for (std::uint64_t i = 0; i < 4; ++i) {
      peer.spis = {next++, 0};
      peer.connect();
    }
    CHECK(peer.core.refused(Limit::ike_sas_per_peer) == 2);
    CHECK(std::ranges::count_if(peer.lines, [](const std::string& line) {
            return line.find("ike-sas-per-peer") != std::string::npos;
          }) == 1);
  }
}

TEST_CASE("of one source's half-open ones what is beyond the limit is counted") {
  Limits limits;
  limits.half_open_per_source = 2;
  HandMadePeer peer(connection_of_b(), limits);
  for (std::uint64_t i = 1; i <= 6; ++i) {
    peer.spis = {i, 0};
    auto answer = peer.greet(peer.greeting(peer.greeting_payloads()));
    REQUIRE(answer);
    const auto* cookie = answer->payloads.notify(NotifyType::cookie);
    if (cookie == nullptr) continue;
    PayloadWriter payloads;
    payloads.add(Notify{NotifyType::cookie, cookie->data});
    payloads.add(offer(peer.connection.algorithms, {})).add(KeyExchange{31, peer.half.value()});
    peer.greet(peer.greeting(payloads.add_nonce(peer.nonce)));
  }
  // One without a cookie, two with one.
  CHECK(peer.core.half_open() == 3);
  CHECK(peer.core.refused(Limit::ike_half_open_per_source) == 3);
  REQUIRE(peer.lines.size() == 1);
  CHECK(peer.lines[0].find("limits.ike-half-open-per-source") != std::string::npos);
}

TEST_CASE("offers of strangers are described in a few lines, and few of them") {
  HandMadePeer peer;
  std::vector<std::uint8_t> value(32, 9), nonce(32, 3);
  Proposal proposal;
  proposal.number = 1;
  proposal.protocol = ProtocolId::ike;
  for (std::uint16_t id = 100; id < 300; ++id) proposal.transforms.push_back({TransformType::prf, id});
  PayloadWriter payloads;
  auto second = proposal;
  second.number = 2;
  payloads.add(SecurityAssociation{{proposal, second}}).add(KeyExchange{31, value}).add_nonce(nonce);
  std::size_t lines = 0, longest = 0;
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    peer.spis.initiator = i;
    for (const auto& action : peer.handle(DatagramReceived{peer.here, peer.there, peer.greeting(payloads)}))
      if (const auto* line = std::get_if<LogLine>(&action)) {
        ++lines;
        longest = std::max(longest, line->text.size());
      }
  }
  CHECK(lines == Limits().stranger_lines_per_minute);
  CHECK(longest > 1'000);
  CHECK(longest < 1'500);
}

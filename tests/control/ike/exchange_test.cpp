// Single exchanges between two real cores, and what they do about silence.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

bool up(Simulation& world, Time longest = 10s) {
  return world.run_until([&] { return world.is_well(); }, longest);
}

ExchangeType exchange_of(const SendDatagram& datagram) {
  return ExchangeType{datagram.bytes[18]};
}
bool is_response(const SendDatagram& datagram) {
  return (datagram.bytes[19] & flag_response) != 0;
}

}  // namespace

TEST_CASE("a request is repeated byte by byte, ever later, and then given up") {
  auto of_a = connection_of_a();
  of_a.retransmission = {5, 1s, 2.0};
  Simulation world(1, handle(of_a), handle(connection_of_b()));
  std::vector<std::pair<Time, std::vector<std::uint8_t>>> sent;
  world.passes = [&](const SendDatagram& datagram) {
    sent.emplace_back(world.now(), datagram.bytes);
    return false;
  };
  world.a.handle(Initiate{"a", ""});
  world.run_for(120s);
  REQUIRE(sent.size() == 5);
  for (std::size_t i = 1; i < sent.size(); ++i) {
    CHECK(sent[i].second == sent[0].second);
    const auto wait = sent[i].first - sent[i - 1].first, plain = Time(1s) * (1 << (i - 1));
    CHECK(wait >= plain * 9 / 10);
    CHECK(wait <= plain * 11 / 10);
  }
  CHECK_THAT(world.a.core().last_failure("a", world.now()), Catch::Equals("no answer at all to IKE_SA_INIT"));
  CHECK(world.a.core().ike_sas().empty());
  CHECK(world.a.core().deadline() == never);
}

TEST_CASE("any answer may be lost once, and comes again the same") {
  const int which = GENERATE(0, 1);
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()));
  int answers = 0;
  std::vector<std::vector<std::uint8_t>> sent;
  world.passes = [&](const SendDatagram& datagram) {
    if (!is_response(datagram)) return true;
    sent.push_back(datagram.bytes);
    return answers++ != which;
  };
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  REQUIRE(sent.size() == 3);
  const auto at = static_cast<std::size_t>(which);
  CHECK(sent[at] == sent[at + 1]);
  CHECK(world.b.installed == 1);
}

TEST_CASE("with many half-open, a cookie is asked for, and shown") {
  Limits limits;
  limits.half_open_cookies = 0;
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()), limits);
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  CHECK(world.datagrams == 6);
}

TEST_CASE("another key exchange is taken when the peer asks for it, with a cookie as well") {
  const bool cookies = GENERATE(false, true);
  Limits limits;
  if (cookies) limits.half_open_cookies = 0;
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.algorithms.key_exchanges = {31, 19};
  of_b.algorithms.key_exchanges = {19};
  Simulation world(1, handle(of_a), handle(of_b), limits);
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  CHECK(world.datagrams == (cookies ? 8 : 6));
}

TEST_CASE("children change their key exchange, too, and ask for it once") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.children[0].algorithms.key_exchanges = {31, 19};
  of_b.children[0].algorithms.key_exchanges = {19};
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  const auto before = world.a.outbound().at("net").spi;
  const auto datagrams = world.datagrams;
  world.a.handle(Rekey{"a", "net"});
  world.run_for(2s);
  CHECK(world.is_well());
  CHECK(world.a.outbound().at("net").spi != before);
  CHECK(world.datagrams == datagrams + 6);
}

TEST_CASE("proposals with nothing in common: both sides say what was offered") {
  auto of_b = connection_of_b();
  of_b.algorithms.suites = {crypto::SuiteId::aes_cbc_256_sha256};
  Simulation world(1, handle(connection_of_a()), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  world.run_for(200s);
  CHECK_THAT(world.a.core().last_failure("a", world.now()),
             Catch::Contains("refused IKE_SA_INIT: NO_PROPOSAL_CHOSEN (14)"));
  CHECK_THAT(
      world.b.log.at(0),
      Catch::Contains("refused: in common is no encryption, no integrity; it offered 1: aes256-gcm16") &&
          Catch::Contains("; connection b allows 1: aes256-cbc sha256"));
  CHECK(world.b.core().ike_sas().empty());
}

TEST_CASE("a child whose selectors have nothing in common fails alone; the IKE SA is up") {
  auto of_b = connection_of_b();
  of_b.children[0].local = {side("10.9.0.0/16")};
  Simulation world(1, handle(connection_of_a()), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  world.run_for(10s);
  CHECK(world.a.established().size() == 1);
  CHECK(world.b.established().size() == 1);
  CHECK(world.a.children() + world.b.children() == 0);
  CHECK(world.a.inbound().empty());
  CHECK_THAT(world.a.log.back(),
             Catch::Contains("child net is not made: the peer refused it with TS_UNACCEPTABLE (38)"));
}

TEST_CASE("several children, narrowing, transport mode and both lengths of sequence numbers") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  auto second = of_a.children[0];
  second.name = "host";
  second.transport = true;
  second.local = {side("192.0.2.1")};
  second.remote = {side("192.0.2.2")};
  of_a.children.push_back(second);
  std::swap(second.local, second.remote);
  second.algorithms.extended_sequence = false;
  second.algorithms.short_sequence = true;
  of_a.children[1].algorithms.short_sequence = true;
  of_b.children.push_back(second);
  of_b.children[0].local = {side("10.2.7.0/24")};
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  const auto& net = world.a.outbound().at("net");
  CHECK(net::to_string(net.selectors.at(0)) == "10.1.0.0/16 > 10.2.7.0/24");
  const auto told = [&] {
    return std::ranges::count_if(world.a.log, [](const std::string& line) {
      return line.find(
                 "child net is between 10.1.0.0/16 and 10.2.7.0/24 only: what else there is between "
                 "10.1.0.0/16 and 10.2.0.0/16 is dropped") != std::string::npos;
    });
  };
  CHECK(told() == 1);
  world.a.handle(Rekey{"a", "net"});
  world.run_for(5s);
  CHECK(told() == 1);
  CHECK(net.extended_sequence);
  const auto& host = world.a.outbound().at("host");
  CHECK(host.transport);
  CHECK_FALSE(host.extended_sequence);
}

TEST_CASE("an IKE SA without a child is made where both want it (RFC 6023)") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.childless = true;
  // The first child then has a key exchange of its own, and asks for its address all the same.
  of_a.children[0].algorithms.key_exchanges = of_b.children[0].algorithms.key_exchanges = {31};
  of_a.request_addresses = true;
  of_b.peer_addresses = {*net::parse_prefix("10.1.7.7")};
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  CHECK(world.datagrams == 6);
  CHECK(world.a.assigned == std::multiset<std::string>{"10.1.7.7"});
}

TEST_CASE("silence is asked about, an answer is enough, and no answer ends it") {
  auto of_a = connection_of_a();
  of_a.liveness_after = 20s;
  auto of_b = connection_of_b();
  of_b.liveness_after = 0s;
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  const auto before = world.datagrams;
  SECTION("answered") {
    world.run_for(50s);
    CHECK(world.datagrams == before + 4);
    CHECK(world.is_well());
  }
  SECTION("traffic is a sign of life") {
    world.send_traffic_every(5s);
    world.run_for(100s);
    CHECK(world.datagrams == before);
  }
  SECTION("not answered") {
    world.passes = [](const SendDatagram&) { return false; };
    world.run_for(120s);
    CHECK(world.a.core().ike_sas().empty());
    CHECK(world.a.inbound().empty());
    CHECK(world.a.outbound().empty());
    CHECK_THAT(world.a.core().last_failure("a", world.now()),
               Catch::Equals("the peer does not answer any more"));
  }
}

TEST_CASE("a peer that crashed is found out, and with `always` the tunnel comes back") {
  auto of_a = connection_of_a();
  of_a.start = StartAction::always;
  of_a.liveness_after = 10s;
  Simulation world(1, handle(of_a), handle(connection_of_b()));
  REQUIRE(up(world));
  world.b.restart();
  world.run_for(5s);
  CHECK_FALSE(world.is_well());
  CHECK(up(world, 120s));
}

TEST_CASE("a peer that crashed and begins anew replaces what we had of it (INITIAL_CONTACT)") {
  Simulation world(1, handle(connection_of_a()), handle(connection_of_b()));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  world.a.restart();
  world.a.handle(Initiate{"a", ""});
  world.run_for(1s);
  CHECK(world.is_well());
  CHECK(world.b.inbound().size() == 1);
}

TEST_CASE("terminated by an operator: both sides are rid of it, and it does not come back") {
  auto of_a = connection_of_a();
  of_a.start = StartAction::always;
  Simulation world(1, handle(of_a), handle(connection_of_b()));
  REQUIRE(up(world));
  world.a.handle(Terminate{"a", ""});
  world.run_for(100s);
  CHECK(world.a.core().ike_sas().empty());
  CHECK(world.b.core().ike_sas().empty());
  CHECK(world.a.inbound().size() + world.b.inbound().size() == 0);
  CHECK(world.a.outbound().size() + world.b.outbound().size() == 0);
}

TEST_CASE("a child is rekeyed before it expires, and the IKE SA, too") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.children[0].rekey_after = 100s;
  of_a.children[0].expires_after = 120s;
  of_a.rekey_after = 250s;
  of_a.expires_after = 300s;
  Simulation world(1, handle(of_a), handle(of_b));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  world.send_traffic_every(50ms);
  world.run_for(1'000s);
  INFO(world.problem << '\n' << world.state());
  CHECK(world.problem.empty());
  CHECK(world.is_well());
  CHECK(world.a.missed + world.b.missed + world.a.unsent + world.b.unsent == 0);
  CHECK(world.a.installed >= 10);
  CHECK(world.a.installed <= 13);
}

TEST_CASE("an SA's lifetime in packets is over: rekeyed when soft, deleted when hard") {
  auto of_a = connection_of_a();
  of_a.start = StartAction::always;
  Simulation world(1, handle(of_a), handle(connection_of_b()));
  REQUIRE(up(world));
  const auto first = world.a.inbound().begin()->first;
  world.a.handle(SoftExpired{first});
  world.run_for(100ms);
  CHECK(world.a.installed == 2);
  const auto second = world.a.established()[0]->children()[0].inbound_spi;
  CHECK(second != first);
  world.a.handle(HardExpired{second});
  world.run_for(1s);
  CHECK(world.a.outbound().empty());
  world.run_for(5s);
  CHECK(world.is_well());
}

TEST_CASE("long messages go in parts where both sides can") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.fragment_bytes = 130;
  const bool both = GENERATE(true, false);
  if (!both) of_b.fragment_bytes = 0;
  Simulation world(1, handle(of_a), handle(of_b));
  std::size_t longest = 0;
  world.passes = [&](const SendDatagram& datagram) {
    if (exchange_of(datagram) != ExchangeType::ike_sa_init && !is_response(datagram))
      longest = std::max(longest, datagram.bytes.size());
    return true;
  };
  world.faults.longest = 30ms;
  world.faults.repeat = 0.3;
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world, 30s));
  CHECK((longest <= 130) == both);
}

TEST_CASE("behind a NAT both go to port 4500 and encapsulate") {
  auto of_a = connection_of_a();
  of_a.force_encapsulation = true;
  Simulation world(1, handle(of_a), handle(connection_of_b()));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  for (auto* node : {&world.a, &world.b}) {
    const auto& sa = node->outbound().at("net");
    CHECK(sa.udp_encapsulation);
    CHECK(sa.local.port == 4500);
    CHECK(sa.remote.port == 4500);
  }
}

TEST_CASE("a NAT that gives the peer another port is followed, by what is authentic only") {
  auto of_a = connection_of_a();
  of_a.force_encapsulation = true;
  of_a.liveness_after = 20s;
  Simulation world(1, handle(of_a), handle(connection_of_b()));
  world.a.handle(Initiate{"a", ""});
  REQUIRE(up(world));
  std::optional<SendDatagram> seen;
  world.passes = [&](const SendDatagram& datagram) {
    if (datagram.from.address != *of_a.local) return true;
    seen = datagram;
    return false;
  };
  REQUIRE(world.run_until([&] { return seen.has_value(); }, 60s));
  auto moved = DatagramReceived{seen->from, seen->to, seen->bytes};
  moved.from.port = 40'000;
  auto forged = moved;
  forged.bytes.back() ^= 1;
  world.b.handle(forged);
  CHECK(world.b.established()[0]->remote().port == 4500);
  world.b.handle(moved);
  CHECK(world.b.established()[0]->remote().port == 40'000);
  CHECK(world.b.moves == 1);
  // The same once more proves nothing: it may be a replay.
  moved.from.port = 50'000;
  world.b.handle(moved);
  CHECK(world.b.established()[0]->remote().port == 40'000);
}

// When a connection is tried again, and what it says of why it is down.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <deque>

#include "tests/control/ike/hand_made_peer.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

// Of exchanges that a begins, in ten seconds in which traffic waits all the time.
std::size_t begun_by_traffic(Simulation& world, ExchangeType exchange) {
  constexpr std::size_t exchange_at = 18;
  std::set<std::vector<std::uint8_t>> begun;
  world.passes = [&](const SendDatagram& datagram) {
    if (datagram.from.address == world.a.address() &&
        datagram.bytes[exchange_at] == static_cast<std::uint8_t>(exchange))
      begun.insert(datagram.bytes);
    return true;
  };
  for (int i = 0; i < 1'000; ++i) {
    world.a.handle(TrafficWaits{"a", "net"});
    world.run_for(10ms);
  }
  world.passes = nullptr;
  return begun.size();
}

Connection on_demand() {
  auto connection = connection_of_a();
  connection.start = StartAction::on_demand;
  return connection;
}

}  // namespace

TEST_CASE("traffic that waits brings its connection up, and one that was refused only after a while") {
  SECTION("up") {
    Simulation world(1, handle(on_demand()), handle(connection_of_b()));
    CHECK(begun_by_traffic(world, ExchangeType::ike_sa_init) == 1);
    CHECK(world.is_well());
  }
  SECTION("the IKE SA is refused") {
    auto of_a = on_demand();
    of_a.authenticator = shared_key("another");
    Simulation world(1, handle(of_a), handle(connection_of_b()));
    const auto begun = begun_by_traffic(world, ExchangeType::ike_sa_init);
    CHECK(begun >= 2);
    CHECK(begun <= 4);
    // An operator does not wait.
    const auto datagrams = world.datagrams;
    world.a.handle(Initiate{"a", ""});
    world.run_for(100ms);
    CHECK(world.datagrams == datagrams + 4);
  }
  SECTION("the child is refused") {
    auto of_a = on_demand();
    of_a.children[0].remote = {side("10.9.0.0/16")};
    Simulation world(1, handle(of_a), handle(connection_of_b()));
    const auto begun = begun_by_traffic(world, ExchangeType::create_child_sa);
    CHECK(begun >= 2);
    CHECK(begun <= 4);
  }
}

TEST_CASE("each attempt that comes to nothing is told of, with the reason why it is down") {
  auto of_a = connection_of_a();
  of_a.start = StartAction::always;
  SECTION("the peer refuses") {
    of_a.authenticator = shared_key("another");
    Simulation world(1, handle(of_a), handle(connection_of_b()));
    world.run_for(20s);
    for (auto* node : world.nodes()) {
      const auto& name = node->connection().name;
      CHECK(node->failed.size() >= 2);
      CHECK_FALSE(node->core().failure(name, world.now()).lacks_room);
      for (const auto& each : node->failed) {
        CHECK((each.connection == name && each.child.empty()));
        CHECK(each.reason == node->core().last_failure(name, world.now()));
      }
    }
  }
  SECTION("there is no room here") {
    Limits limits;
    limits.ike_sas = 0;
    Simulation world(1, handle(of_a), handle(connection_of_b()), limits);
    world.run_for(1s);
    REQUIRE(world.a.failed.size() == 1);
    CHECK_THAT(world.a.failed[0].reason, Catch::Contains("limits.ike-sas"));
    CHECK(world.a.core().failure("a", world.now()).lacks_room);
  }
  SECTION("an operator ends it") {
    Simulation world(1, handle(of_a), handle(connection_of_b()));
    world.passes = [](const SendDatagram&) { return false; };
    world.run_for(100ms);
    world.a.handle(Terminate{"a", ""});
    world.run_for(10s);
    CHECK(world.a.failed.empty());
  }
}

TEST_CASE("a peer that closes it right after each set-up is tried ever less, until it stays") {
  auto of_a = connection_of_a();
  of_a.start = StartAction::always;
  Simulation world(1, handle(of_a), handle(connection_of_b()));
  const auto is_up = [&] { return !world.b.established().empty(); };
  int closed = 0;
  for (; world.run_until(is_up, 10min - world.now()); ++closed) world.b.handle(Terminate{"b", ""});
  CHECK(closed >= 6);
  CHECK(closed <= 12);
  REQUIRE(world.run_until(is_up, 3min));
  world.run_for(61s);
  world.b.handle(Terminate{"b", ""});
  REQUIRE_FALSE(is_up());
  CHECK(world.run_until(is_up, 3s));
}

TEST_CASE("what it says of why it is down is of what happened last, and not of strangers") {
  SECTION("it was terminated since") {
    auto of_a = connection_of_a();
    of_a.start = StartAction::always;
    Simulation world(1, handle(of_a), handle(connection_of_b()));
    world.passes = [](const SendDatagram&) { return false; };
    world.run_for(2min);
    CHECK_THAT(world.a.core().last_failure("a", world.now()),
               Catch::Equals("no answer at all to IKE_SA_INIT"));
    world.a.handle(Terminate{"a", ""});
    CHECK(world.a.core().last_failure("a", world.now()).empty());
  }
  SECTION("somebody fails while it is up") {
    HandMadePeer peer;
    peer.connect();
    peer.spis = {2, 0};
    peer.greet();
    REQUIRE(peer.ask(ExchangeType::ike_auth, PayloadWriter()));
    CHECK(peer.core.last_failure("b", peer.now).empty());
  }
  SECTION("somebody begins while we wait to try again") {
    auto of_core = connection_of_b();
    of_core.start = StartAction::always;
    HandMadePeer peer(of_core);
    peer.handle(TimerExpired{});
    while (peer.core.last_failure("b", peer.now).empty()) {
      peer.now = peer.core.deadline();
      peer.handle(TimerExpired{});
    }
    SECTION("and is heard under the keys of IKE_SA_INIT, so it is where it seems to be") {
      peer.greet();
      REQUIRE(peer.ask(ExchangeType::ike_auth, PayloadWriter()));
      CHECK_THAT(peer.core.last_failure("b", peer.now), Catch::StartsWith("IKE_AUTH without an identity"));
      CHECK(peer.core.failure("b", peer.now).state == IkeSa::State::keyed);
    }
    SECTION("and may be anybody: it adds to what we know, and displaces nothing") {
      peer.greet();
      peer.now += 31s;
      peer.expire();
      CHECK_THAT(
          peer.core.last_failure("b", peer.now),
          Catch::Equals(
              "no answer at all to IKE_SA_INIT; of what came from its address: the peer did not go on"));
      CHECK(peer.core.failure("b", peer.now).is_unanswered);
      // One that goes on trying would have come again by then.
      CHECK_THAT(peer.core.last_failure("b", peer.now + 4min - 1s), Catch::Contains("did not go on"));
      CHECK_THAT(peer.core.last_failure("b", peer.now + 4min),
                 Catch::Equals("no answer at all to IKE_SA_INIT"));
    }
    SECTION("and may be anybody, with proposals that are refused") {
      peer.nonce[0] = 9;
      peer.connection.algorithms.suites = {crypto::SuiteId::aes_cbc_256_sha256};
      const auto answer = peer.greet(peer.greeting(peer.greeting_payloads()));
      REQUIRE(answer);
      REQUIRE(answer->has(NotifyType::no_proposal_chosen));
      CHECK_THAT(peer.core.last_failure("b", peer.now),
                 Catch::StartsWith("no answer at all to IKE_SA_INIT; of what came from its address: "
                                   "IKE_SA_INIT is refused: in common is no encryption, no integrity; "));
    }
  }
}

TEST_CASE("what a stranger caused long ago is no reason, where nothing else is known either") {
  HandMadePeer peer;
  peer.greet();
  peer.now += 31s;
  peer.expire();
  CHECK_THAT(peer.core.last_failure("b", peer.now), Catch::Equals("the peer did not go on"));
  peer.now += 4min;
  CHECK(peer.core.last_failure("b", peer.now).empty());
  // Nor does it keep another away that tells as little.
  peer.spis = {2, 0};
  peer.greet();
  peer.now += 31s;
  peer.expire();
  CHECK_THAT(peer.core.last_failure("b", peer.now), Catch::Equals("the peer did not go on"));
}

TEST_CASE("a peer with another key is the reason though we try ourselves, until it is up again") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.start = of_b.start = StartAction::always;
  Simulation world(1, handle(of_a), handle(of_b));
  const auto is_up = [&] { return world.is_well(); };
  REQUIRE(world.run_until(is_up, 10s));
  auto wrong = of_a;
  wrong.authenticator = shared_key("another");
  // Ours may get no answer for long: the peer has just started, or is behind a filter.
  const bool ours_get_through = GENERATE(true, false);
  world.passes = [&](const SendDatagram& datagram) {
    return ours_get_through || datagram.from.address == world.a.address() ||
           ExchangeType{datagram.bytes[18]} != ExchangeType::ike_sa_init ||
           (datagram.bytes[19] & flag_response) != 0;
  };
  world.a.configure(handle(wrong));
  world.run_for(4s);
  for (int i = 0; i < 60; ++i) {
    world.run_for(1s);
    const auto failure = world.b.core().failure("b", world.now());
    const bool is_told = failure.reason.find("not made with our shared key") != std::string::npos ||
                         failure.reason.find("does not accept that we are b.example") != std::string::npos;
    CHECK(is_told);
    if (!ours_get_through) CHECK(failure.state == IkeSa::State::keyed);
  }
  world.passes = nullptr;
  world.a.configure(handle(of_a));
  REQUIRE(world.run_until(is_up, 3min));
  CHECK(world.b.core().last_failure("b", world.now()).empty());
}

TEST_CASE("both sides try, and the algorithms have nothing in common: each knows all the time which") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.start = of_b.start = StartAction::always;
  of_b.algorithms.suites = {crypto::SuiteId::aes_cbc_256_sha256};
  Simulation world(1, handle(of_a), handle(of_b));
  world.run_for(1s);
  for (int i = 0; i < 600; ++i) {
    world.run_for(1s);
    for (auto* node : {&world.a, &world.b}) {
      const auto& name = node->connection().name;
      const auto sas = node->core().ike_sas_of(name);
      const bool is_refused = !sas.empty() && !sas.front()->refusal().empty();
      CHECK_THAT(is_refused ? node->core().refusal(*sas.front(), world.now())
                            : node->core().last_failure(name, world.now()),
                 Catch::Contains("in common is no encryption, no integrity"));
    }
  }
}

namespace {

// Proves itself like another, and believes nobody.
class Doubter final : public Authenticator {
 public:
  explicit Doubter(std::shared_ptr<const Authenticator> other) : other_(std::move(other)) {}
  bool accepts(const Identity& peer) const override { return other_->accepts(peer); }
  Expected<Proof> prove(Prf prf, const Secret& octets, const PeerWishes& wishes) const override {
    return other_->prove(prf, octets, wishes);
  }
  Expected<void> verify(Prf, const Secret&, const Identity&, const Proof&) const override {
    return Error{"certificate expired", ""};
  }

 private:
  std::shared_ptr<const Authenticator> other_;
};

}  // namespace

TEST_CASE("who is not believed once it has answered says so, and is tried ever less") {
  auto of_a = connection_of_a(), of_b = connection_of_b();
  of_a.authenticator = std::make_shared<Doubter>(of_a.authenticator);
  of_a.start = StartAction::always;
  of_b.start = GENERATE(StartAction::passive, StartAction::always);
  Simulation world(1, handle(of_a), handle(of_b));
  world.run_for(10min);
  // As responder b is up each time, until it hears.
  CHECK(world.b.installed >= 4);
  CHECK(world.b.installed <= 12);
  const auto of_b_says = world.b.core().failure("b", world.now());
  CHECK_THAT(of_b_says.reason,
             Catch::StartsWith("the peer does not accept that we are b.example (AUTHENTICATION_FAILED)"));
  CHECK(of_b_says.state == IkeSa::State::proving);
  CHECK_FALSE(of_b_says.is_unanswered);
  const auto of_a_says = world.a.core().failure("a", world.now());
  CHECK(of_a_says.reason == "certificate expired");
  const bool a_began_last = of_a_says.state == IkeSa::State::proving;
  CHECK((a_began_last || of_a_says.state == IkeSa::State::keyed));
}

TEST_CASE("AUTHENTICATION_FAILED tells why it ended, with a DELETE or without") {
  const bool with_delete = GENERATE(false, true);
  HandMadePeer peer;
  peer.connect();
  peer.installed.clear();
  PayloadWriter payloads;
  payloads.add(Notify{NotifyType::authentication_failed, {}});
  if (with_delete) payloads.add(Delete{ProtocolId::ike, {}});
  REQUIRE(peer.ask(ExchangeType::informational, payloads));
  CHECK_THAT(peer.core.last_failure("b", peer.now), Catch::Contains("does not accept that we are b.example"));
  CHECK(peer.core.failure("b", peer.now).state == IkeSa::State::proving);
  const auto retired = std::ranges::find_if(
      peer.installed, [](const Action& action) { return std::holds_alternative<RetireOutbound>(action); });
  REQUIRE(retired != peer.installed.end());
  CHECK(std::get<RetireOutbound>(*retired).reason == peer.core.last_failure("b", peer.now));
}

// A core without peers to talk to, and connections to many.
struct Many {
  static IkeCore::Parts parts() {
    IkeCore::Parts parts;
    parts.random = [random = std::make_shared<std::mt19937>(5)](std::span<std::uint8_t> bytes) {
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>((*random)());
    };
    parts.child_spi = [](const std::string&) { return std::optional<std::uint32_t>(); };
    return parts;
  }
  explicit Many(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      auto connection = connection_of_a();
      connection.name = fmt::format("c{}", i);
      connection.remote = net::Address::v4(0x0a000000 + i);
      connection.start = StartAction::always;
      connections.push_back(handle(connection));
    }
  }

  Limits limits;
  IkeCore core{parts(), limits};
  std::vector<ConnectionHandle> connections;
};

TEST_CASE("of many connections that start so many begin at a time, and none fails for it") {
  constexpr std::uint32_t count = 1'000;
  Many many(count);
  auto& [limits, core, connections] = many;
  constexpr Time now = 1s;
  std::deque<RunWork> line;
  std::size_t greetings = 0;
  const auto take = [&](const Actions& actions) {
    std::size_t works = 0;
    for (const auto& action : actions) {
      greetings += std::holds_alternative<SendDatagram>(action);
      const auto* work = std::get_if<RunWork>(&action);
      if (work == nullptr) continue;
      CHECK(work->urgency == Urgency::beginning);
      line.push_back(*work);
      ++works;
    }
    CHECK(works <= 1);
  };
  take(core.configure(connections, now));
  while (core.deadline() <= now) take(core.handle(TimerExpired{}, now));
  CHECK(line.size() == limits.beginning);
  for (; !line.empty(); line.pop_front()) {
    line.front().run();
    take(core.handle(WorkFinished{line.front().ticket}, now));
    if (core.deadline() <= now) take(core.handle(TimerExpired{}, now));
    CHECK(line.size() <= limits.beginning + 1);
  }
  CHECK(greetings == count);
  CHECK(core.last_failure("c999", now).empty());
}

TEST_CASE("what is sent again waits for none of the many that begin") {
  Many many(1'000);
  auto& [limits, core, connections] = many;
  Time now = 1s;
  std::deque<RunWork> line;
  core.configure({connections.front()}, now);
  for (const auto& action : core.handle(TimerExpired{}, now))
    if (const auto* work = std::get_if<RunWork>(&action)) line.push_back(*work);
  REQUIRE(line.size() == 1);
  line.front().run();
  core.handle(WorkFinished{line.front().ticket}, now);
  now = core.deadline();
  core.configure(connections, now);
  std::size_t sent_again = 0;
  for (int i = 0; i < 2; ++i)
    for (const auto& action : core.handle(TimerExpired{}, now))
      sent_again += std::holds_alternative<SendDatagram>(action);
  CHECK(sent_again == 1);
  CHECK(core.deadline() <= now);
}

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
      CHECK_FALSE(node->core().failure(name).lacks_room);
      for (const auto& each : node->failed) {
        CHECK((each.connection == name && each.child.empty()));
        CHECK(each.reason == node->core().last_failure(name));
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
    CHECK(world.a.core().failure("a").lacks_room);
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
    CHECK(world.a.core().last_failure("a") == "no answer at all to IKE_SA_INIT");
    world.a.handle(Terminate{"a", ""});
    CHECK(world.a.core().last_failure("a").empty());
  }
  SECTION("somebody fails while it is up") {
    HandMadePeer peer;
    peer.connect();
    peer.spis = {2, 0};
    peer.greet();
    REQUIRE(peer.ask(ExchangeType::ike_auth, PayloadWriter()));
    CHECK(peer.core.last_failure("b").empty());
  }
  SECTION("somebody fails while we wait to try again") {
    auto of_core = connection_of_b();
    of_core.start = StartAction::always;
    HandMadePeer peer(of_core);
    peer.handle(TimerExpired{});
    while (peer.core.last_failure("b").empty()) {
      peer.now = peer.core.deadline();
      peer.handle(TimerExpired{});
    }
    peer.greet();
    REQUIRE(peer.ask(ExchangeType::ike_auth, PayloadWriter()));
    CHECK(peer.core.last_failure("b") == "no answer at all to IKE_SA_INIT");
  }
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
  CHECK(core.last_failure("c999").empty());
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

// A reload that adds, removes or changes children of an IKE SA that goes on.
#include <catch2/catch.hpp>

#include "tests/control/ike/simulation.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

ChildConfiguration child(std::string_view name, std::string_view local, std::string_view remote) {
  auto made = connection_of_a().children[0];
  made.name = name;
  made.local = {side(local)};
  made.remote = {side(remote)};
  return made;
}

Connection turned(Connection of_a) {
  auto of_b = connection_of_b();
  of_b.children = of_a.children;
  for (auto& each : of_b.children) std::swap(each.local, each.remote);
  return of_b;
}

// Of `before` and what is configured now the children of these names are the same.
void reload(Simulation& world, Node& node, ConnectionHandle& current, const Connection& next,
            std::set<std::string> kept) {
  const auto before = std::exchange(current, handle(next));
  node.carry_out(node.core().configure({current}, world.now(), {{before, current, std::move(kept)}}));
}

}  // namespace

TEST_CASE("a child that is terminated stays down, and its connection is tried again without it") {
  auto of_a = connection_of_a();
  of_a.start = StartAction::always;
  of_a.retransmission.tries = 2;
  of_a.children.push_back(child("voice", "10.3.0.0/16", "10.4.0.0/16"));
  Simulation world(1, handle(of_a), handle(turned(of_a)));
  const auto has = [&](const std::string& name) { return world.a.outbound().contains(name); };
  world.passes = [](const SendDatagram&) { return false; };
  world.run_for(4s);
  REQUIRE(world.a.core().last_failure("a", world.now()).find("no answer") != std::string::npos);
  world.a.handle(Terminate{"a", "voice"});
  world.passes = nullptr;
  CHECK(world.run_until([&] { return has("net"); }, 30s));
  world.run_for(30s);
  CHECK_FALSE(has("voice"));

  world.a.handle(Initiate{"a", "voice"});
  CHECK(world.run_until([&] { return has("voice"); }, 5s));
  world.a.handle(Terminate{"a", "voice"});
  CHECK(world.run_until([&] { return !has("voice"); }, 5s));
  // Another IKE SA does not bring it back, a reload that changes it does.
  world.b.handle(Terminate{"b", ""});
  CHECK(world.run_until([&] { return !has("net"); }, 5s));
  CHECK(world.run_until([&] { return has("net"); }, 30s));
  world.run_for(30s);
  CHECK_FALSE(has("voice"));
  auto next = of_a;
  next.children[1].rekey_after = 1'000s;
  auto current = world.a.established().at(0)->connection();
  reload(world, world.a, current, next, {"net"});
  CHECK(world.run_until([&] { return has("voice"); }, 5s));
  CHECK(has("net"));
}

TEST_CASE("children come and go with the configuration, and those that stay keep their SAs") {
  auto of_a = connection_of_a();
  of_a.start = StartAction::always;
  of_a.children.push_back(child("voice", "10.3.0.0/16", "10.4.0.0/16"));
  const auto of_b = turned(of_a);
  auto current_a = handle(of_a), current_b = handle(of_b);
  Simulation world(1, current_a, current_b);
  REQUIRE(world.run_until([&] { return world.is_well(); }, 10s));
  const auto spi = world.a.outbound().at("net").spi;
  const auto ike_sa = world.a.established()[0]->id();
  world.send_traffic_every(10ms);
  world.run_for(100ms);

  SECTION("one comes, one goes") {
    auto next = of_a;
    next.children[1] = child("video", "10.5.0.0/16", "10.6.0.0/16");
    reload(world, world.b, current_b, turned(next), {"net"});
    reload(world, world.a, current_a, next, {"net"});
    world.run_for(5s);
    INFO(world.problem << world.state());
    CHECK(world.is_well_for("video"));
    CHECK_FALSE(world.a.outbound().contains("voice"));
    CHECK_FALSE(world.b.outbound().contains("voice"));
  }
  SECTION("one changes") {
    auto next = of_a;
    next.children[1] = child("voice", "10.7.0.0/16", "10.4.0.0/16");
    reload(world, world.b, current_b, turned(next), {"net"});
    reload(world, world.a, current_a, next, {"net"});
    world.run_for(5s);
    CHECK(world.is_well_for("voice"));
    CHECK(net::to_string(world.a.outbound().at("voice").selectors.at(0)) == "10.7.0.0/16 > 10.4.0.0/16");
  }
  SECTION("one changes while it is rekeyed") {
    auto next = of_a;
    next.children[1] = child("voice", "10.7.0.0/16", "10.4.0.0/16");
    world.a.handle(Rekey{"a", "voice"});
    reload(world, world.b, current_b, turned(next), {"net"});
    reload(world, world.a, current_a, next, {"net"});
    world.run_for(20s);
    CHECK(world.is_well_for("voice"));
    CHECK(net::to_string(world.a.outbound().at("voice").selectors.at(0)) == "10.7.0.0/16 > 10.4.0.0/16");
  }
  SECTION("only the one that stays is there in the end, and can be rekeyed") {
    auto next = of_a;
    next.children.resize(1);
    reload(world, world.a, current_a, next, {"net"});
    world.run_for(2s);
    CHECK(world.a.children() == 1);
    CHECK(world.b.children() == 1);
  }
  CHECK(world.a.established().size() == 1);
  CHECK(world.a.established()[0]->id() == ike_sa);
  CHECK(world.a.established()[0]->connection() == current_a);
  CHECK(world.a.outbound().at("net").spi == spi);
  world.a.handle(Rekey{"a", "net"});
  world.run_for(2s);
  CHECK(world.is_well_for("net"));
  CHECK(world.a.outbound().at("net").spi != spi);
}

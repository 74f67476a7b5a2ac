#include "drivers/host/netlink_mirror.hpp"

#include <algorithm>
#include <map>

#include "tests/drivers/host/namespace_tools.hpp"

namespace espgate::test {
namespace {

using host::Event;
using host::NetlinkMirror;
using host::RouteType;

// A mirror that keeps what it was told.
struct Watcher {
  std::unique_ptr<NetlinkMirror> mirror;
  std::vector<Event> events;

  explicit Watcher(NetlinkMirror::Options options) {
    auto created = NetlinkMirror::create(options);
    REQUIRE(created);
    mirror = std::move(created).value();
    const auto started = mirror->start([this](const Event& event) { events.push_back(event); });
    if (!started) FAIL(started.error().text());
  }

  // Turns the mirror until the condition holds.
  bool until(const std::function<bool()>& condition) {
    return wait_for([&] {
      mirror->on_readable();
      mirror->tick(NetlinkMirror::Clock::now());
      return condition();
    });
  }

  template <typename Kind>
  std::vector<Kind> told() const {
    std::vector<Kind> result;
    for (const auto& event : events)
      if (const auto* kind = std::get_if<Kind>(&event)) result.push_back(*kind);
    return result;
  }

  bool has_route(const std::string& destination) const {
    return !mirror->view().routes.at(prefix(destination)).empty();
  }
  std::vector<host::Route> routes(const std::string& destination) const {
    const auto found = mirror->view().routes.at(prefix(destination));
    return {found.begin(), found.end()};
  }
  // What a mirror sees that starts now: the truth to compare with.
  void require_equal_to_fresh(NetlinkMirror::Options options) const {
    const Watcher fresh(options);
    const auto& mine = mirror->view();
    const auto& theirs = fresh.mirror->view();
    CHECK(mine.links == theirs.links);
    CHECK(mine.addresses == theirs.addresses);
    CHECK(mine.neighbours == theirs.neighbours);
    CHECK(mine.routes.all() == theirs.routes.all());
  }
};

}  // namespace

TEST_CASE("The mirror starts with what is there") {
  const auto tap = make_tap("twin0", 1);
  run("ip addr add 10.0.0.1/24 dev twin0");
  run("ip route add 10.9.0.0/16 via 10.0.0.2 metric 5 mtu 1300");
  run("ip route replace blackhole 10.8.0.0/16");
  run("ip neigh add 10.0.0.2 dev twin0 lladdr 02:00:00:00:00:09 nud stale");
  const Watcher watcher({{tap.ifindex()}});
  const auto& view = watcher.mirror->view();

  REQUIRE(view.link(tap.ifindex()) != nullptr);
  CHECK(view.link(tap.ifindex())->name == "twin0");
  CHECK(view.link(tap.ifindex())->running);
  CHECK(view.addresses.contains({tap.ifindex(), interface_address("10.0.0.1/24")}));
  const auto routes = watcher.routes("10.9.0.0/16");
  REQUIRE(routes.size() == 1);
  CHECK(routes[0].metric == 5);
  CHECK(routes[0].mtu == 1300);
  CHECK(routes[0].next_hops == std::vector{host::NextHop{tap.ifindex(), address("10.0.0.2"), false}});
  REQUIRE(watcher.routes("10.8.0.0/16").size() == 1);
  CHECK(watcher.routes("10.8.0.0/16")[0].type == RouteType::blackhole);
  REQUIRE(watcher.routes("10.0.0.255/32").size() == 1);
  CHECK(watcher.routes("10.0.0.255/32")[0].type == RouteType::broadcast);
  const auto* neighbour = view.neighbour({address("10.0.0.2"), tap.ifindex()});
  REQUIRE(neighbour != nullptr);
  CHECK(neighbour->stale);
  CHECK(neighbour->mac == host::Mac{2, 0, 0, 0, 0, 9});
  CHECK(watcher.told<host::RoutesChanged>().size() == view.routes.all().size());
  run("ip route del blackhole 10.8.0.0/16");
}

TEST_CASE("The state of an address is told, and each change of it") {
  const auto tap = make_tap("twin0", 1);
  Watcher watcher({{tap.ifindex()}});
  const auto state_of = [&](const std::string& text) -> std::optional<host::AddressState> {
    const auto& addresses = watcher.mirror->view().addresses;
    const auto found = addresses.find({tap.ifindex(), interface_address(text)});
    return found == addresses.end() ? std::nullopt : std::optional(found->second);
  };
  const auto becomes = [&](const std::string& text, host::AddressState state) {
    return watcher.until([&] { return state_of(text) == state; });
  };
  run("ip addr add 10.0.0.1/24 dev twin0");
  CHECK(becomes("10.0.0.1/24", host::AddressState::preferred));
  run("ip addr add 2001:db8::1/64 dev twin0 nodad");
  CHECK(becomes("2001:db8::1/64", host::AddressState::preferred));
  watcher.events.clear();
  run("ip addr change 2001:db8::1/64 dev twin0 preferred_lft 0");
  CHECK(becomes("2001:db8::1/64", host::AddressState::deprecated));
  CHECK(watcher.told<host::AddressAdded>().size() == 1);
  // Nobody else has it, which takes a second to be sure of.
  run("sysctl -qw net.ipv6.conf.twin0.accept_dad=1");
  run("ip addr add 2001:db8::2/64 dev twin0");
  CHECK(becomes("2001:db8::2/64", host::AddressState::tentative));
  watcher.require_equal_to_fresh({{tap.ifindex()}});
  CHECK(becomes("2001:db8::2/64", host::AddressState::preferred));
  watcher.require_equal_to_fresh({{tap.ifindex()}});
}

TEST_CASE("Each change of address, route, neighbour and link is told") {
  auto tap = make_tap("twin0", 1);
  Watcher watcher({{tap.ifindex()}});
  const auto& view = watcher.mirror->view();
  const auto told_route = [&](const std::string& destination) {
    for (const auto& event : watcher.told<host::RoutesChanged>())
      if (event.destination == prefix(destination)) return true;
    return false;
  };
  watcher.events.clear();

  run("ip addr add 10.0.0.1/24 dev twin0");
  const auto told_address = [&](const auto& events) {
    return std::any_of(events.begin(), events.end(),
                       [](const auto& e) { return e.address == interface_address("10.0.0.1/24"); });
  };
  CHECK(watcher.until([&] { return told_address(watcher.told<host::AddressAdded>()); }));
  CHECK(watcher.until([&] { return told_route("10.0.0.0/24") && told_route("10.0.0.1/32"); }));

  run("ip route add 10.9.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.0.3");
  REQUIRE(watcher.until([&] { return told_route("10.9.0.0/16"); }));
  CHECK(watcher.routes("10.9.0.0/16")[0].next_hops.size() == 2);

  run("ip neigh add 10.0.0.2 dev twin0 lladdr 02:00:00:00:00:09");
  REQUIRE(watcher.until([&] { return view.neighbour({address("10.0.0.2"), tap.ifindex()}) != nullptr; }));
  CHECK(!watcher.told<host::NeighbourChanged>().empty());
  CHECK(view.neighbour({address("10.0.0.2"), tap.ifindex()})->permanent);
  run("ip neigh del 10.0.0.2 dev twin0");
  CHECK(watcher.until([&] { return view.neighbours.empty(); }));

  run("ip route del 10.9.0.0/16");
  CHECK(watcher.until([&] { return !watcher.has_route("10.9.0.0/16"); }));
  run("ip addr del 10.0.0.1/24 dev twin0");
  CHECK(watcher.until([&] { return told_address(watcher.told<host::AddressRemoved>()); }));
  CHECK(watcher.until([&] { return !watcher.has_route("10.0.0.0/24"); }));

  watcher.events.clear();
  REQUIRE(tap.set_carrier(false));
  CHECK(watcher.until([&] { return !view.link(tap.ifindex())->running; }));
  CHECK(!watcher.told<host::LinkChanged>().empty());
}

TEST_CASE("Routes that the kernel drops without a notice are found gone") {
  const auto tap = make_tap("twin0", 1);
  const NetlinkMirror::Options options{{tap.ifindex()}};
  run("ip addr add 10.0.0.1/24 dev twin0");
  run("ip route add 10.9.0.0/16 via 10.0.0.2");
  Watcher watcher(options);
  REQUIRE(watcher.has_route("10.9.0.0/16"));

  SECTION("when the interface goes down") {
    run("ip link set twin0 down");
  }
  SECTION("when the last address goes") {
    run("ip addr del 10.0.0.1/24 dev twin0");
  }
  SECTION("when the interface goes for good") {
    run("ip link del twin0");
  }
  SECTION("when their next-hop object goes") {
    run("ip nexthop add id 7 via 10.0.0.3 dev twin0");
    run("ip route replace 10.9.0.0/16 nhid 7");
    REQUIRE(watcher.until(
        [&] { return watcher.routes("10.9.0.0/16").at(0).next_hops.at(0).gateway == address("10.0.0.3"); }));
    run("ip nexthop del id 7");
  }
  CHECK(watcher.until([&] { return !watcher.has_route("10.9.0.0/16"); }));
  watcher.require_equal_to_fresh(options);
}

TEST_CASE("Replaced, appended, prepended and multipath routes end as the kernel has them") {
  const auto tap = make_tap("twin0", 1);
  const auto other = make_tap("twin1", 2);
  const NetlinkMirror::Options options{{tap.ifindex(), other.ifindex()}};
  run("ip addr add 10.0.0.1/24 dev twin0");
  run("ip addr add fd00::1/64 dev twin0 nodad");
  run("ip addr add fd01::1/64 dev twin1 nodad");
  Watcher watcher(options);
  for (const char* command :
       {"ip route add 10.9.0.0/16 via 10.0.0.2", "ip route append 10.9.0.0/16 via 10.0.0.3",
        "ip route prepend 10.9.0.0/16 via 10.0.0.4", "ip route replace 10.9.0.0/16 via 10.0.0.5",
        "ip route change 10.9.0.0/16 via 10.0.0.6", "ip route del 10.9.0.0/16",
        "ip -6 route add fd99::/64 via fd00::2", "ip -6 route append fd99::/64 via fd00::3",
        "ip -6 route append fd99::/64 via fd01::3", "ip -6 route del fd99::/64 via fd00::2",
        "ip -6 route replace fd99::/64 via fd00::7",
        "ip -6 route replace fd99::/64 nexthop via fd00::8 nexthop via fd01::8",
        "ip -6 route add fd98::/64 dev twin0", "ip -6 route append fd98::/64 via fd00::3",
        "ip link set twin1 down", "ip link set twin1 up", "ip -6 route del fd99::/64"}) {
    INFO(command);
    run(command);
    REQUIRE(watcher.until([&] { return watcher.mirror->settled(); }));
    watcher.require_equal_to_fresh(options);
  }
}

TEST_CASE("After lost notices the mirror reads everything again and tells the differences") {
  const auto tap = make_tap("twin0", 1);
  run("ip addr add 10.0.0.1/24 dev twin0");
  run("ip route add 10.200.0.0/16 via 10.0.0.2");
  NetlinkMirror::Options options{{tap.ifindex()}};
  options.receive_buffer_bytes = 4096;
  Watcher watcher(options);
  REQUIRE(watcher.mirror->statistics().overruns == 0);
  watcher.events.clear();

  std::string batch = "route del 10.200.0.0/16\n";
  for (int i = 0; i < 200; ++i) batch += "route add 10.100." + std::to_string(i) + ".0/24 via 10.0.0.2\n";
  batch += "neigh add 10.0.0.2 dev twin0 lladdr 02:00:00:00:00:09\n";
  run("echo '" + batch + "' | ip -batch -");

  REQUIRE(watcher.until([&] { return watcher.has_route("10.100.199.0/24"); }));
  CHECK(watcher.mirror->statistics().overruns > 0);
  CHECK(watcher.mirror->statistics().full_reads > 1);
  CHECK_FALSE(watcher.has_route("10.200.0.0/16"));
  std::map<net::Prefix, int> told;
  for (const auto& event : watcher.told<host::RoutesChanged>()) ++told[event.destination];
  CHECK(told.size() == 201);
  CHECK(told[prefix("10.200.0.0/16")] == 1);
  CHECK(told[prefix("10.0.0.0/24")] == 0);
  CHECK(watcher.told<host::NeighbourChanged>().size() == 1);
  watcher.require_equal_to_fresh(options);
}

TEST_CASE("The mirror holds no more than its limits, and says so") {
  const auto tap = make_tap("twin0", 1);
  run("ip addr add 10.0.0.1/24 dev twin0");
  NetlinkMirror::Options options{{tap.ifindex()}};
  options.routes = 20;
  options.neighbours = 2;
  Watcher watcher(options);
  CHECK_FALSE(watcher.mirror->view().routes.overflowed());
  for (int i = 0; i < 30; ++i) run("ip route add 10.100." + std::to_string(i) + ".0/24 via 10.0.0.2");
  for (int i = 10; i < 14; ++i)
    run("ip neigh add 10.0.0." + std::to_string(i) + " dev twin0 lladdr 02:00:00:00:00:09");
  CHECK(watcher.until([&] { return watcher.mirror->view().neighbours_left_out; }));
  CHECK(watcher.mirror->view().routes.overflowed());
  CHECK(watcher.mirror->view().routes.size() == 20);
  CHECK(watcher.mirror->view().neighbours.size() == 2);

  // Room again: the mirror looks for what it left out.
  for (int i = 0; i < 25; ++i) run("ip route del 10.100." + std::to_string(i) + ".0/24");
  const auto later = NetlinkMirror::Clock::now() + std::chrono::minutes(10);
  CHECK(wait_for([&] {
    watcher.mirror->on_readable();
    watcher.mirror->tick(later);
    return watcher.has_route("10.100.29.0/24");
  }));
  CHECK_FALSE(watcher.mirror->view().routes.overflowed());
}

}  // namespace espgate::test

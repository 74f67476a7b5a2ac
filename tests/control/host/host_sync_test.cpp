#include "control/host/host_sync.hpp"

#include <catch2/catch.hpp>

#include "tests/control/host/fake_sink.hpp"

namespace espgate::test {
namespace {

using namespace std::chrono_literals;
using forward::HopKind;
using host::HostSync;
using host::Route;

constexpr int outside = 2, inside = 3;

net::Address address(const char* text) {
  return *net::parse_address(text);
}
net::Prefix prefix(const std::string& text) {
  return *net::parse_prefix(text);
}

struct Gateway {
  FakeSink sink;
  host::KernelView view{100'000};
  std::vector<host::NeighbourKey> asked;
  std::vector<std::string> logged;
  HostSync::Clock::time_point now{std::chrono::hours(1)};
  std::optional<HostSync> sync;

  Gateway() {
    view.links[outside] = {"outside", {}, 1500, true, true, false};
    view.links[inside] = {"inside", {}, 1500, true, true, false};
    HostSync::Options options;
    options.ports = {{0, outside, "outside", {2, 0, 0, 0, 0, 1}, 1500, 0},
                     {1, inside, "inside", {2, 0, 0, 0, 0, 2}, 1500, 0}};
    options.ask_neighbour = [this](int ifindex, const net::Address& neighbour) -> Expected<void> {
      asked.push_back({neighbour, ifindex});
      return {};
    };
    options.log = [this](const std::string& line) { logged.push_back(line); };
    sync.emplace(sink, view, options);
  }

  Route route(const std::string& destination, int ifindex, const char* gateway, std::uint32_t metric) {
    Route result;
    result.destination = prefix(destination);
    result.metric = metric;
    result.next_hops.push_back(
        {ifindex, gateway == nullptr ? std::nullopt : net::parse_address(gateway), false});
    return result;
  }
  void add(const std::string& destination, int ifindex, const char* gateway = nullptr,
           std::uint32_t metric = 0) {
    view.routes.add(route(destination, ifindex, gateway, metric), host::RouteNotice::appended);
    sync->on_event(host::RoutesChanged{prefix(destination)});
  }
  void remove(const std::string& destination, int ifindex, const char* gateway = nullptr,
              std::uint32_t metric = 0) {
    view.routes.remove(route(destination, ifindex, gateway, metric));
    sync->on_event(host::RoutesChanged{prefix(destination)});
  }
  void resolve(const char* neighbour, int ifindex, std::uint8_t mac, bool stale = false) {
    view.neighbours[{address(neighbour), ifindex}] = {{2, 0, 0, 0, 0, mac}, stale, false};
    sync->on_event(host::NeighbourChanged{{address(neighbour), ifindex}});
  }
  void lose(const char* neighbour, int ifindex) {
    view.neighbours.erase({address(neighbour), ifindex});
    sync->on_event(host::NeighbourChanged{{address(neighbour), ifindex}});
  }
  void settle() {
    while (!sync->settle(now)) {
    }
  }
  forward::HopIndex index_of(const std::string& destination) const {
    return sink.routes.at(prefix(destination));
  }
};

TEST_CASE("Routes by one gateway share a hop, and change to another when it resolves") {
  Gateway gateway;
  gateway.add("10.0.0.0/24", outside);
  for (int i = 0; i < 300; ++i) gateway.add("10.9." + std::to_string(i % 256) + ".0/24", outside, "10.0.0.2");
  gateway.settle();
  const auto unresolved = gateway.index_of("10.9.0.0/24");
  CHECK(gateway.sink.hops.at(unresolved).kind == HopKind::unresolved);
  CHECK(gateway.index_of("10.9.255.0/24") == unresolved);

  gateway.resolve("10.0.0.2", outside, 9);
  const auto hops_before = gateway.sink.hops;
  REQUIRE_FALSE(gateway.sync->settle(gateway.now, 10));  // under way: both hops are there
  CHECK(gateway.sink.hops.at(unresolved).kind == HopKind::unresolved);
  gateway.settle();
  const auto resolved = gateway.index_of("10.9.0.0/24");
  CHECK(resolved != unresolved);
  CHECK(gateway.sink.hops.at(resolved).frame[5] == 9);
  CHECK(gateway.index_of("10.9.255.0/24") == resolved);
  CHECK(gateway.index_of("10.0.0.2/32") == resolved);
  CHECK_FALSE(gateway.sink.hops.contains(unresolved));

  gateway.resolve("10.0.0.2", outside, 7);  // another network card
  gateway.settle();
  CHECK(gateway.sink.at("10.9.0.0/24")->frame[5] == 7);
  gateway.lose("10.0.0.2", outside);
  gateway.settle();
  CHECK(gateway.sink.at("10.9.0.0/24")->kind == HopKind::unresolved);
  CHECK(gateway.sink.at("10.0.0.2/32") == nullptr);
}

TEST_CASE("A neighbour that becomes stale changes nothing in the datapath") {
  Gateway gateway;
  gateway.add("10.0.0.0/24", outside);
  gateway.resolve("10.0.0.2", outside, 9);
  gateway.settle();
  const auto changes = gateway.sink.changes;
  gateway.resolve("10.0.0.2", outside, 9, true);
  gateway.settle();
  CHECK(gateway.sink.changes == changes);
}

TEST_CASE("A route with a higher metric steps in and back") {
  Gateway gateway;
  gateway.add("10.9.0.0/16", inside, "10.1.0.2", 20);
  gateway.add("10.9.0.0/16", outside, "10.0.0.2", 10);
  gateway.settle();
  CHECK(gateway.sink.at("10.9.0.0/16")->port == 0);
  gateway.view.links[outside].up = false;
  gateway.sync->on_event(host::LinkChanged{outside});
  gateway.settle();
  CHECK(gateway.sink.at("10.9.0.0/16")->port == 1);
  gateway.remove("10.9.0.0/16", inside, "10.1.0.2", 20);
  gateway.settle();
  CHECK(gateway.sink.at("10.9.0.0/16") == nullptr);
}

TEST_CASE("A more specific route takes neighbours off the link, and gives them back") {
  Gateway gateway;
  gateway.add("10.0.0.0/24", outside);
  gateway.resolve("10.0.0.200", outside, 9);
  gateway.settle();
  REQUIRE(gateway.sink.at("10.0.0.200/32") != nullptr);
  gateway.add("10.0.0.128/25", inside, "10.1.0.2");
  gateway.settle();
  CHECK(gateway.sink.at("10.0.0.200/32") == nullptr);
  gateway.remove("10.0.0.128/25", inside, "10.1.0.2");
  gateway.settle();
  CHECK(gateway.sink.at("10.0.0.200/32") != nullptr);
}

TEST_CASE("A local network covers the routes inside it, and uncovers them") {
  Gateway gateway;
  gateway.add("10.5.5.0/24", outside, "10.0.0.2");
  Route local = gateway.route("10.5.0.0/16", outside, nullptr, 0);
  local.table = host::RouteTable::local;
  local.type = host::RouteType::local;
  gateway.view.routes.add(local, host::RouteNotice::created);
  gateway.sync->on_event(host::RoutesChanged{local.destination});
  gateway.settle();
  CHECK(gateway.sink.lookup(address("10.5.5.5")).kind == HopKind::local);
  gateway.view.routes.remove(local);
  gateway.sync->on_event(host::RoutesChanged{local.destination});
  gateway.settle();
  CHECK(gateway.sink.lookup(address("10.5.5.5")).kind == HopKind::unresolved);
}

TEST_CASE("A wanted neighbour is asked for once a second: the gateway, or the destination on the link") {
  Gateway gateway;
  gateway.add("10.0.0.0/24", outside);
  gateway.settle();
  const auto glean = gateway.index_of("10.0.0.0/24");
  gateway.sync->neighbour_wanted(glean, address("10.0.0.77"), gateway.now);
  gateway.sync->neighbour_wanted(glean, address("10.0.0.77"), gateway.now);
  CHECK(gateway.asked == std::vector<host::NeighbourKey>{{address("10.0.0.77"), outside}});
  gateway.now += 1s;
  gateway.sync->neighbour_wanted(glean, address("10.0.0.77"), gateway.now);
  CHECK(gateway.asked.size() == 2);
  gateway.sync->neighbour_wanted(glean, address("192.0.2.9"), gateway.now);  // not on that link
  gateway.sync->neighbour_wanted(12'345, address("10.0.0.78"), gateway.now);
  CHECK(gateway.asked.size() == 2);

  gateway.asked.clear();
  gateway.add("10.9.0.0/16", outside, "10.0.0.2");
  gateway.settle();
  CHECK(gateway.asked == std::vector<host::NeighbourKey>{{address("10.0.0.2"), outside}});
  gateway.now += 1s;
  gateway.sync->neighbour_wanted(gateway.index_of("10.9.0.0/16"), address("10.9.1.1"), gateway.now);
  CHECK(gateway.asked.size() == 2);
  CHECK(gateway.asked.back() == host::NeighbourKey{address("10.0.0.2"), outside});
}

TEST_CASE("Stale neighbours are confirmed, permanent ones left alone, missing gateways looked for") {
  Gateway gateway;
  gateway.add("10.0.0.0/24", outside);
  gateway.add("10.9.0.0/16", outside, "10.0.0.5");
  gateway.resolve("10.0.0.2", outside, 9, true);
  gateway.resolve("10.0.0.3", outside, 9, false);
  gateway.view.neighbours[{address("10.0.0.4"), outside}] = {{2, 0, 0, 0, 0, 8}, true, true};
  gateway.settle();
  gateway.asked.clear();
  gateway.now += 20s;
  gateway.sync->tick(gateway.now);
  CHECK(gateway.asked ==
        std::vector<host::NeighbourKey>{{address("10.0.0.5"), outside}, {address("10.0.0.2"), outside}});
  gateway.now += 2s;
  gateway.sync->tick(gateway.now);
  CHECK(gateway.asked.size() == 2);
  gateway.now += 10s;
  gateway.sync->tick(gateway.now);
  CHECK(gateway.asked.size() == 4);
}

TEST_CASE("Without room for a hop the packets are dropped, not sent another way, and it is retried") {
  Gateway gateway;
  gateway.add("0.0.0.0/0", outside, "10.0.0.2");
  gateway.settle();
  gateway.sink.hop_limit = gateway.sink.hops.size() - 1;
  for (int i = 0; i < 20; ++i) gateway.add("10.9.0." + std::to_string(i) + "/32", outside);
  gateway.settle();
  CHECK(gateway.sink.lookup(address("10.9.0.7")).kind == HopKind::no_route);
  CHECK(gateway.sync->statistics().refused == 20);
  CHECK(gateway.logged.size() == 1);
  gateway.now += 61s;
  gateway.sync->tick(gateway.now);
  gateway.settle();
  CHECK(gateway.logged.size() == 2);
  CHECK(gateway.logged[1].find("times before") != std::string::npos);

  gateway.sink.hop_limit = 1'000;
  gateway.now += 2s;
  gateway.sync->tick(gateway.now);
  gateway.settle();
  CHECK(gateway.sync->statistics().refused == 0);
  CHECK(gateway.sink.lookup(address("10.9.0.7")).kind == HopKind::unresolved);
}

TEST_CASE("Without room for a route it is retried, and said once a minute") {
  Gateway gateway;
  gateway.settle();
  gateway.sink.route_limit = gateway.sink.routes.size() + 1;
  gateway.add("10.8.0.0/16", outside, "10.0.0.2");
  gateway.add("10.9.0.0/16", outside, "10.0.0.2");
  gateway.settle();
  CHECK(gateway.sync->statistics().refused == 1);
  CHECK(gateway.logged.size() == 1);
  gateway.remove("10.8.0.0/16", outside, "10.0.0.2");
  gateway.now += 2s;
  gateway.sync->tick(gateway.now);
  gateway.settle();
  CHECK(gateway.sink.at("10.9.0.0/16") != nullptr);
}

TEST_CASE("What it installed goes with it") {
  Gateway gateway;
  gateway.add("10.0.0.0/24", outside);
  gateway.add("10.9.0.0/16", outside, "10.0.0.2");
  gateway.resolve("10.0.0.2", outside, 9);
  gateway.settle();
  CHECK(gateway.sink.routes.size() > 3);
  gateway.sync.reset();
  CHECK(gateway.sink.routes.empty());
  CHECK(gateway.sink.hops.size() == 1);
}

TEST_CASE("The routes are listed with port, gateway and MAC address") {
  Gateway gateway;
  gateway.add("10.9.0.0/16", inside, "10.1.0.2");
  gateway.resolve("10.1.0.2", inside, 9);
  gateway.settle();
  const auto routes = gateway.sync->routes();
  const auto found = std::find_if(routes.begin(), routes.end(), [](const HostSync::RouteEntry& entry) {
    return entry.destination == prefix("10.9.0.0/16");
  });
  REQUIRE(found != routes.end());
  CHECK(found->port == "inside");
  CHECK(found->via == address("10.1.0.2"));
  CHECK(found->mac == host::Mac{2, 0, 0, 0, 0, 9});
  CHECK(found->kind == HopKind::resolved);
  CHECK(found->mtu == 1500);
}

TEST_CASE("Routes into a tunnel come with the tunnel and go with it") {
  constexpr int tun0 = 9;
  Gateway gateway;
  gateway.view.links[tun0] = {"tun0", {}, 1400, true, true, false};
  gateway.add("10.8.0.0/16", tun0);
  gateway.add("10.9.0.0/16", tun0, "10.255.0.2");
  gateway.settle();
  const auto hop_of = [&](const char* destination) { return gateway.sink.at(destination); };
  CHECK(hop_of("10.8.0.0/16")->kind == HopKind::no_route);
  gateway.sync->set_tunnels({{7, tun0, "tun0", 1400}});
  gateway.settle();
  REQUIRE(hop_of("10.8.0.0/16")->kind == HopKind::tunnel);
  CHECK(hop_of("10.8.0.0/16")->tunnel == 7);
  CHECK(hop_of("10.9.0.0/16")->tunnel == 7);
  CHECK(gateway.asked.empty());  // its far end has no MAC address
  const auto routes = gateway.sync->routes();
  const auto found = std::ranges::find(routes, prefix("10.9.0.0/16"), &HostSync::RouteEntry::destination);
  REQUIRE(found != routes.end());
  CHECK(found->port == "tun0");
  CHECK(found->via == address("10.255.0.2"));
  gateway.sync->set_tunnels({});
  gateway.settle();
  for (const auto& [index, hop] : gateway.sink.hops) CHECK(hop.kind != HopKind::tunnel);
}

TEST_CASE(
    "The peers of a multipoint tunnel come with the network of its link, and go with it or the tunnel") {
  constexpr int tun0 = 9;
  Gateway gateway;
  gateway.view.links[tun0] = {"gre0", {}, 1400, true, true, false};
  const auto tunnel_of = [&](const char* destination) {
    gateway.settle();
    const auto* hop = gateway.sink.at(destination);
    return hop != nullptr && hop->kind == HopKind::tunnel ? hop->tunnel : 0;
  };
  host::TunnelLink link{7, tun0, "gre0", 1400, {{address("10.255.0.2"), 21}}};
  gateway.sync->set_tunnels({link});
  CHECK(tunnel_of("10.255.0.2") == 0);
  gateway.add("10.255.0.0/24", tun0);
  CHECK(tunnel_of("10.255.0.2") == 21);
  gateway.add("10.9.0.0/16", tun0, "10.255.0.3");
  CHECK(tunnel_of("10.9.0.0/16") == 7);
  link.next_hops = {{address("10.255.0.3"), 22}};
  gateway.sync->set_tunnels({link});
  CHECK(tunnel_of("10.255.0.2") == 0);
  CHECK(tunnel_of("10.255.0.3") == 22);
  CHECK(tunnel_of("10.9.0.0/16") == 22);
  const auto routes = gateway.sync->routes();
  const auto found = std::ranges::find(routes, prefix("10.9.0.0/16"), &HostSync::RouteEntry::destination);
  REQUIRE(found != routes.end());
  CHECK(found->port == "gre0");
  CHECK(gateway.asked.empty());
  gateway.remove("10.255.0.0/24", tun0);
  CHECK(tunnel_of("10.255.0.3") == 0);
  gateway.add("10.255.0.0/24", tun0);
  gateway.view.links[tun0].up = false;
  gateway.sync->on_event(host::LinkChanged{tun0});
  CHECK(tunnel_of("10.255.0.3") == 0);
  gateway.view.links[tun0].up = true;
  gateway.sync->on_event(host::LinkChanged{tun0});
  CHECK(tunnel_of("10.255.0.3") == 22);
  gateway.sync->set_tunnels({});
  CHECK(tunnel_of("10.255.0.3") == 0);
  for (const auto& [index, hop] : gateway.sink.hops) CHECK(hop.kind != HopKind::tunnel);
}

}  // namespace
}  // namespace espgate::test

// HostSync against a real kernel: after random sequences of `ip` commands it must route as the kernel does.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "control/host/host_sync.hpp"
#include "drivers/host/kernel_commands.hpp"
#include "drivers/host/netlink_mirror.hpp"
#include "tests/control/host/fake_sink.hpp"
#include "tests/drivers/host/namespace_tools.hpp"

namespace espgate::test {
namespace {

using forward::HopKind;
using host::HostSync;
using host::NetlinkMirror;

// A gateway with two twins, wired as the daemon wires it.
struct Gateway {
  host::Tap outside = make_tap("outside", 1);
  host::Tap inside = make_tap("inside", 2);
  FakeSink sink;
  host::KernelCommands commands = take(host::KernelCommands::create());
  std::unique_ptr<NetlinkMirror> mirror =
      take(NetlinkMirror::create(NetlinkMirror::Options{{outside.ifindex(), inside.ifindex()}}));
  std::vector<std::string> logged;
  std::optional<HostSync> sync;

  Gateway() {
    HostSync::Options options;
    options.ports = {{0, outside.ifindex(), "outside", {2, 0, 0, 0, 0, 1}, 1500, 0},
                     {1, inside.ifindex(), "inside", {2, 0, 0, 0, 0, 2}, 1500, 0}};
    options.ask_neighbour = [this](int ifindex, const net::Address& neighbour) {
      return commands.resolve_neighbour(ifindex, neighbour);
    };
    options.log = [this](const std::string& line) { logged.push_back(line); };
    sync.emplace(sink, mirror->view(), options);
    REQUIRE(mirror->start([this](const host::Event& event) { sync->on_event(event); }));
  }

  template <typename T>
  static T take(Expected<T> made) {
    REQUIRE(made);
    return std::move(made).value();
  }

  void turn() {
    const auto now = HostSync::Clock::now();
    mirror->on_readable();
    mirror->tick(now);
    sync->tick(now);
    sync->settle(now);
  }
  bool until(const std::function<bool()>& condition) {
    return wait_for([&] {
      turn();
      return condition();
    });
  }
  // Until all that the kernel has said so far is in the datapath.
  void settle() {
    REQUIRE(until([&] { return mirror->settled() && sync->statistics().pending == 0; }));
  }
};

std::string kind_and_way(const std::string& kind, const std::string& device = {},
                         const std::string& via = {}) {
  return kind + (device.empty() ? "" : " dev " + device) + (via.empty() ? "" : " via " + via);
}

// Where the bracket that opens at `open` closes.
std::size_t closing_bracket(const std::string& text, std::size_t open) {
  int depth = 0;
  for (std::size_t at = open; at < text.size(); ++at) {
    if (text[at] == '[') ++depth;
    if (text[at] == ']' && --depth == 0) return at;
  }
  FAIL("unbalanced JSON: " + text);
  return std::string::npos;
}

std::string meaning_of(const nlohmann::json& answer) {
  const std::string type = answer.value("type", "unicast");
  if (type == "local" || type == "broadcast" || type == "anycast" || type == "multicast") return "local";
  const std::string device = answer.value("dev", "");
  if (type != "unicast" || (device != "outside" && device != "inside")) return "drop";
  const std::string via = answer.value("gateway", "");
  // By way of itself and directly are the same way.
  return kind_and_way("forward", device, via == answer.value("dst", "") ? "" : via);
}

// The kernel's own answers, in the words of `datapath_says`.
std::map<std::string, std::string> kernel_says(const std::vector<std::string>& destinations) {
  std::string script;
  std::map<std::string, std::string> result;
  for (const auto& destination : destinations) {
    script += "route get " + destination + "\n";
    result[destination] = "drop";  // what is refused is not answered
  }
  // One JSON document for each answer.
  const std::string text = output_of("printf '" + script + "' | ip -json -force -batch -");
  for (auto open = text.find('['); open != std::string::npos;) {
    const auto close = closing_bracket(text, open);
    for (const auto& answer : nlohmann::json::parse(text.substr(open, close - open + 1)))
      if (answer.contains("dst")) result[answer["dst"].get<std::string>()] = meaning_of(answer);
    open = text.find('[', close);
  }
  return result;
}

std::string datapath_says(const FakeSink& sink, const std::string& destination) {
  const auto& hop = sink.lookup(address(destination));
  const std::string device = hop.port == 0 ? "outside" : "inside";
  const bool to_itself = hop.gateway == address(destination);
  switch (hop.kind) {
    case HopKind::no_route:
    case HopKind::blackhole:
    case HopKind::tunnel:  // there is none here
      return "drop";
    case HopKind::local:
      return "local";
    case HopKind::glean:
      return kind_and_way("forward", device);
    case HopKind::resolved:
    case HopKind::unresolved:
      return kind_and_way("forward", device, to_itself ? "" : net::to_string(hop.gateway));
  }
  return "?";
}

const std::vector<std::string> samples = {
    "10.0.0.1",    "10.0.0.2",     "10.0.0.200", "10.0.0.255", "10.1.0.1", "10.1.0.2",
    "10.1.0.77",   "10.9.0.1",     "10.9.128.1", "10.9.200.9", "10.8.0.1", "192.0.2.1",
    "203.0.113.5", "198.51.100.1", "fd00::1",    "fd00::2",    "fd01::1",  "fd01::99",
    "fd09::1",     "fd09:0:1::1",  "fd08::1",    "2001:db8::1"};

// The kernel does some things after it has answered the command, such as checking an IPv6 address for
// duplicates, so disagreement counts only if it lasts.
void require_agreement(Gateway& gateway) {
  std::map<std::string, std::string> kernel, datapath;
  gateway.until([&] {
    gateway.settle();
    kernel = kernel_says(samples);
    for (const auto& destination : samples) datapath[destination] = datapath_says(gateway.sink, destination);
    return kernel == datapath;
  });
  for (const auto& destination : samples) {
    INFO(destination);
    CHECK(datapath.at(destination) == kernel.at(destination));
  }
}

// Commands that make sense in some state; many will be refused in the present one, as in life.
std::string random_command(std::mt19937& random) {
  static const std::vector<std::string> commands = {
      "addr add 10.0.0.1/24 dev outside",
      "addr del 10.0.0.1/24 dev outside",
      "addr add 10.0.0.1/25 dev outside",
      "addr del 10.0.0.1/25 dev outside",
      "addr add 10.1.0.1/24 dev inside",
      "addr del 10.1.0.1/24 dev inside",
      "addr add 192.0.2.1/32 dev lo",
      "addr del 192.0.2.1/32 dev lo",
      "addr add fd00::1/64 dev outside",
      "addr del fd00::1/64 dev outside",
      "addr add fd01::1/64 dev inside",
      "addr del fd01::1/64 dev inside",
      "route add 10.9.0.0/16 via 10.0.0.2",
      "route del 10.9.0.0/16 via 10.0.0.2",
      "route add 10.9.0.0/16 via 10.1.0.2 metric 10",
      "route del 10.9.0.0/16 via 10.1.0.2 metric 10",
      "route append 10.9.0.0/16 via 10.1.0.2",
      "route prepend 10.9.0.0/16 via 10.0.0.7",
      "route replace 10.9.0.0/16 via 10.1.0.3",
      "route del 10.9.0.0/16",
      "route add 10.9.128.0/17 via 10.1.0.9",
      "route del 10.9.128.0/17",
      "route add blackhole 10.8.0.0/16",
      "route del blackhole 10.8.0.0/16",
      "route add unreachable 10.8.0.0/17",
      "route del unreachable 10.8.0.0/17",
      "route add throw 10.9.200.0/24",
      "route del throw 10.9.200.0/24",
      "route add 10.0.0.128/25 via 10.1.0.2",
      "route del 10.0.0.128/25 via 10.1.0.2",
      "route add 10.9.0.1 dev outside",
      "route del 10.9.0.1 dev outside",
      "route add default via 10.0.0.2",
      "route del default via 10.0.0.2",
      "route add default via 10.1.0.2 metric 50",
      "route del default via 10.1.0.2 metric 50",
      "route add local 10.9.128.0/24 dev lo table local",
      "route del local 10.9.128.0/24 dev lo table local",
      "route add fd09::/32 via fd00::2",
      "route del fd09::/32 via fd00::2",
      "route append fd09::/32 via fd00::3",
      "route replace fd09::/32 via fd00::4",
      "route add fd09::/32 via fd01::2 metric 10",
      "route del fd09::/32 via fd01::2 metric 10",
      "route add fd09:0:1::/48 via fd01::5",
      "route del fd09:0:1::/48 via fd01::5",
      "route add blackhole fd08::/32",
      "route del blackhole fd08::/32",
      "route add default via fd00::2",
      "route del default via fd00::2",
      "neigh replace 10.0.0.2 dev outside lladdr 02:00:00:00:00:09",
      "neigh del 10.0.0.2 dev outside",
      "neigh replace 10.0.0.200 dev outside lladdr 02:00:00:00:00:0a nud stale",
      "neigh del 10.0.0.200 dev outside",
      "neigh replace 10.1.0.2 dev inside lladdr 02:00:00:00:00:0b",
      "neigh del 10.1.0.2 dev inside",
      "neigh replace fd00::2 dev outside lladdr 02:00:00:00:00:0c",
      "neigh del fd00::2 dev outside",
      "neigh replace fd01::99 dev inside lladdr 02:00:00:00:00:0d nud reachable",
      "link set outside down",
      "link set outside up",
      "link set outside up",
      "link set inside down",
      "link set inside up",
      "link set inside up",
      "link set lo up",
  };
  return commands[random() % commands.size()];
}

// Every neighbour that the datapath sends to is one the kernel has, and the other way round.
void require_neighbours_agree(const Gateway& gateway) {
  const auto& neighbours = gateway.mirror->view().neighbours;
  for (const auto& [prefix, index] : gateway.sink.routes) {
    const auto& hop = gateway.sink.hops.at(index);
    if (hop.kind != HopKind::resolved && hop.kind != HopKind::unresolved) continue;
    const auto& tap = hop.port == 0 ? gateway.outside : gateway.inside;
    const auto known = neighbours.find({hop.gateway, tap.ifindex()});
    INFO(net::to_string(prefix));
    CHECK((hop.kind == HopKind::resolved) == (known != neighbours.end()));
    if (hop.kind == HopKind::resolved && known != neighbours.end())
      CHECK(std::equal(known->second.mac.begin(), known->second.mac.end(), hop.frame));
  }
}

}  // namespace

TEST_CASE("After any commands the datapath routes as the kernel does") {
  const auto seed = GENERATE(range(1u, 4u));
  std::mt19937 random(seed);
  // What an earlier run left on interfaces that outlive the twins.
  run_quietly(
      "ip addr flush dev lo; ip link set lo up; ip route flush table main; ip -6 route flush table main;"
      "ip route del local 10.9.128.0/24 dev lo table local");
  // As a mere host the kernel would pass over IPv6 routes whose gateway does not answer.
  run("sysctl -q -w net.ipv6.conf.all.forwarding=1");
  Gateway gateway;
  std::string history = "seed " + std::to_string(seed);
  for (int round = 0; round < 25; ++round) {
    std::string batch;
    for (auto left = 1 + random() % 12; left > 0; --left) batch += random_command(random) + "\n";
    run_quietly("printf '" + batch + "' | ip -force -batch -");
    history += "\n" + batch;
    INFO(history);
    require_agreement(gateway);
    require_neighbours_agree(gateway);
  }
  CHECK(gateway.logged.empty());

  // The same, had it started only now: nothing is left of the way it came.
  const auto expected = gateway.sync->routes();
  FakeSink fresh_sink;
  HostSync::Options options;
  options.ports = {{0, gateway.outside.ifindex(), "outside", {2, 0, 0, 0, 0, 1}, 1500, 0},
                   {1, gateway.inside.ifindex(), "inside", {2, 0, 0, 0, 0, 2}, 1500, 0}};
  options.ask_neighbour = [](int, const net::Address&) -> Expected<void> { return {}; };
  HostSync fresh(fresh_sink, gateway.mirror->view(), options);
  while (!fresh.settle(HostSync::Clock::now())) {
  }
  CHECK(fresh_sink.routes.size() == gateway.sink.routes.size());
  CHECK(fresh_sink.hops.size() == gateway.sink.hops.size());
}

TEST_CASE("A wanted neighbour is resolved by ARP through the twin, and its route appears") {
  Gateway gateway;
  REQUIRE(gateway.commands.add_address(gateway.outside.ifindex(), interface_address("10.0.0.1/24")));
  gateway.settle();
  REQUIRE(gateway.sink.lookup(address("10.0.0.2")).kind == HopKind::glean);

  const auto glean = gateway.sink.routes.at(prefix("10.0.0.0/24"));
  gateway.sync->neighbour_wanted(glean, address("10.0.0.2"), HostSync::Clock::now());
  const auto request =
      next_frame(gateway.outside, [](const Frame& f) { return is_arp(f, 1, address("10.0.0.2")); });
  REQUIRE(!request.empty());
  const host::Mac peer{2, 0, 0, 0, 0, 9};
  REQUIRE(gateway.outside.write(arp(2, peer, address("10.0.0.2"), {2, 0, 0, 0, 0, 1}, address("10.0.0.1"))));

  REQUIRE(gateway.until([&] { return gateway.sink.lookup(address("10.0.0.2")).kind == HopKind::resolved; }));
  const auto& hop = gateway.sink.lookup(address("10.0.0.2"));
  CHECK(std::equal(peer.begin(), peer.end(), hop.frame));
  CHECK(hop.frame[11] == 1);
  CHECK(hop.port == 0);
  CHECK(gateway.sink.lookup(address("10.0.0.3")).kind == HopKind::glean);
}

TEST_CASE("A stale neighbour that no longer answers loses its route") {
  Gateway gateway;
  REQUIRE(gateway.commands.add_address(gateway.outside.ifindex(), interface_address("10.0.0.1/24")));
  // Shorter rounds than the kernel's usual eight seconds.
  run("sysctl -q -w net.ipv4.neigh.outside.delay_first_probe_time=0");
  run("sysctl -q -w net.ipv4.neigh.outside.retrans_time_ms=20");
  run("ip neigh add 10.0.0.2 dev outside lladdr 02:00:00:00:00:09 nud stale");
  REQUIRE(gateway.until([&] { return gateway.sink.at("10.0.0.2/32") != nullptr; }));
  CHECK(gateway.until([&] { return gateway.sink.at("10.0.0.2/32") == nullptr; }));
}

}  // namespace espgate::test

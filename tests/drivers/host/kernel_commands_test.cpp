#include "drivers/host/kernel_commands.hpp"

#include "tests/drivers/host/namespace_tools.hpp"

namespace espgate::test {
namespace {

host::KernelCommands make_commands() {
  auto commands = host::KernelCommands::create();
  REQUIRE(commands);
  return std::move(commands).value();
}

bool shows(const std::string& command, const std::string& text) {
  return output_of(command).find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("Addresses are added with their broadcast address, and removed") {
  const auto tap = make_tap("twin0", 1);
  auto commands = make_commands();
  REQUIRE(commands.add_address(tap.ifindex(), interface_address("10.0.0.1/24")));
  REQUIRE(commands.add_address(tap.ifindex(), interface_address("fd00::1/64")));
  CHECK(shows("ip -4 addr show dev twin0", "inet 10.0.0.1/24 brd 10.0.0.255"));
  CHECK(shows("ip -6 addr show dev twin0", "inet6 fd00::1/64"));
  CHECK_FALSE(shows("ip -6 addr show dev twin0", "tentative"));
  CHECK(commands.add_address(tap.ifindex(), interface_address("10.0.0.1/24")).has_value());

  REQUIRE(commands.remove_address(tap.ifindex(), interface_address("10.0.0.1/24")));
  CHECK_FALSE(shows("ip -4 addr show dev twin0", "10.0.0.1"));
  const auto again = commands.remove_address(tap.ifindex(), interface_address("10.0.0.1/24"));
  REQUIRE(!again);
  CHECK(again.error().what.find("10.0.0.1/24 on twin0") != std::string::npos);
}

TEST_CASE("Routes are added and removed; an unreachable gateway names its remedy") {
  const auto tap = make_tap("twin0", 1);
  auto commands = make_commands();
  REQUIRE(commands.add_address(tap.ifindex(), interface_address("10.0.0.1/24")));
  REQUIRE(commands.add_address(tap.ifindex(), interface_address("fd00::1/64")));
  REQUIRE(commands.add_route({prefix("10.9.0.0/16"), address("10.0.0.2")}));
  REQUIRE(commands.add_route({prefix("fd09::/32"), address("fd00::2"), tap.ifindex(), 77}));
  const auto on_link = commands.add_route({prefix("10.8.0.0/16"), {}, tap.ifindex()});
  if (!on_link) FAIL(on_link.error().text());
  CHECK(shows("ip route", "10.9.0.0/16 via 10.0.0.2 dev twin0"));
  CHECK(shows("ip -6 route", "fd09::/32 via fd00::2 dev twin0 proto static metric 77"));
  CHECK(shows("ip route", "10.8.0.0/16 dev twin0 proto static scope link"));

  const auto twice = commands.add_route({prefix("10.9.0.0/16"), address("10.0.0.3")});
  REQUIRE(!twice);
  CHECK(twice.error().remedy.find("has it already") != std::string::npos);
  const auto nowhere = commands.add_route({prefix("10.7.0.0/16"), address("192.0.2.9")});
  REQUIRE(!nowhere);
  CHECK(nowhere.error().what.find("10.7.0.0/16 via 192.0.2.9") != std::string::npos);
  CHECK(nowhere.error().remedy.find("network of the gateway") != std::string::npos);

  REQUIRE(commands.remove_route({prefix("10.9.0.0/16"), address("10.0.0.2")}));
  REQUIRE(commands.remove_route({prefix("fd09::/32"), address("fd00::2")}));
  CHECK_FALSE(shows("ip route", "10.9.0.0/16"));
  CHECK_FALSE(shows("ip -6 route", "fd09::"));
}

TEST_CASE("A neighbour that is asked for makes the kernel send ARP, or a neighbour solicitation") {
  auto tap = make_tap("twin0", 1);
  auto commands = make_commands();
  REQUIRE(commands.add_address(tap.ifindex(), interface_address("10.0.0.1/24")));
  REQUIRE(commands.add_address(tap.ifindex(), interface_address("fd00::1/64")));

  REQUIRE(commands.resolve_neighbour(tap.ifindex(), address("10.0.0.2")));
  const auto request = next_frame(tap, [](const Frame& f) { return is_arp(f, 1, address("10.0.0.2")); });
  CHECK(!request.empty());

  REQUIRE(commands.resolve_neighbour(tap.ifindex(), address("fd00::2")));
  const auto target = address("fd00::2");
  const auto solicitation = next_frame(tap, [&](const Frame& f) {
    constexpr std::size_t icmp = 14 + 40;
    return f.size() >= icmp + 24 && f[12] == 0x86 && f[icmp] == 135 &&
           std::equal(target.bytes.begin(), target.bytes.end(), f.begin() + icmp + 8);
  });
  CHECK(!solicitation.empty());
}

TEST_CASE("A stale neighbour that is asked for stays usable and is confirmed by the kernel") {
  auto tap = make_tap("twin0", 1);
  auto commands = make_commands();
  REQUIRE(commands.add_address(tap.ifindex(), interface_address("10.0.0.1/24")));
  run("ip neigh add 10.0.0.2 dev twin0 lladdr 02:00:00:00:00:09 nud stale");
  REQUIRE(commands.resolve_neighbour(tap.ifindex(), address("10.0.0.2")));
  CHECK(shows("ip neigh show dev twin0", "10.0.0.2 lladdr 02:00:00:00:00:09 DELAY"));
}

TEST_CASE("A permanent neighbour stays permanent when it is asked for") {
  auto tap = make_tap("twin0", 1);
  auto commands = make_commands();
  for (const auto* own : {"10.0.0.1/24", "fd00::1/64"})
    REQUIRE(commands.add_address(tap.ifindex(), interface_address(own)));
  for (const std::string neighbour : {"10.0.0.2", "fd00::2"}) {
    run("ip neigh add " + neighbour + " dev twin0 lladdr 02:00:00:00:00:09");
    REQUIRE(commands.resolve_neighbour(tap.ifindex(), address(neighbour)));
    CHECK(shows("ip neigh show dev twin0", neighbour + " lladdr 02:00:00:00:00:09 PERMANENT"));
  }
}

TEST_CASE("An interface that is gone is named in the error") {
  auto commands = make_commands();
  const auto done = commands.add_address(12345, interface_address("10.0.0.1/24"));
  REQUIRE(!done);
  CHECK(done.error().what.find("interface 12345") != std::string::npos);
  CHECK(!done.error().remedy.empty());
}

}  // namespace espgate::test

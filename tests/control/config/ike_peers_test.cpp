// What the `ike` group gives a peer, and connections that share an IKE SA.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "control/config/ike_settings.hpp"
#include "control/config/load.hpp"
#include "tests/control/config/mistakes.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate;
using namespace espgate::config;

namespace {

// A connection to 198.51.100.1 for the network 10.2.N.0/24.
std::string connection(std::string_view name, int number, std::string_view ike,
                       std::string_view remote = "198.51.100.1") {
  return fmt::format(
      "{{ name = \"{}\"; local = \"192.0.2.1\"; remote = \"{}\"; local-networks = [ \"10.1.{}.0/24\" ]; "
      "remote-networks = [ \"10.2.{}.0/24\" ]; ike = {{ {} }}; }}",
      name, remote, number, number, ike);
}

LoadResult load(const std::vector<std::string>& connections) {
  static const test::Folder folder;
  return config::load(folder.write(
      "espgate.conf", fmt::format("{}connections = ( {} );\n", test::minimal, fmt::join(connections, ", "))));
}

}  // namespace

TEST_CASE("a peer's patience and its addresses") {
  const auto result = load({connection("a", 1,
                                       fmt::format("{} tries = 3; assign = [ \"10.2.1.5\" ]; "
                                                   "assign-dns = [ \"10.1.0.53\", \"2001:db8::53\" ];",
                                                   test::psk)),
                            connection("b", 2, test::psk)});
  INFO(test::all(result.errors));
  REQUIRE(result.configuration);
  const auto& given = *result.configuration->connections.at(0).ike;
  CHECK(given.tries == 3);
  REQUIRE(given.peer_addresses.size() == 1);
  CHECK(net::to_string(given.peer_addresses[0]) == "10.2.1.5/32");
  CHECK(given.peer_dns.size() == 2);
  const auto& plain = *result.configuration->connections.at(1).ike;
  CHECK(plain.tries == 6);
  CHECK(plain.peer_addresses.empty());
}

TEST_CASE("peers at any address begin, each by who it is, and have addresses of a network") {
  const auto mobile =
      fmt::format("{} remote-id = \"*.example.org\"; assign = [ \"10.2.1.0/25\" ];", test::psk);
  // Another may have the same networks: who the peer is decides.
  const auto result = load({connection("a", 1, mobile, "any"),
                            connection("b", 1, fmt::format("{} remote-id = \"%any\";", test::psk), "any")});
  INFO(test::all(result.errors));
  REQUIRE(result.configuration);
  const auto& a = result.configuration->connections.at(0);
  CHECK(a.any_peer);
  CHECK(a.remote.is_unspecified());
  CHECK(a.ike->start == Start::passive);
  CHECK(a.ike->remote_id.matches(*ike::parse_identity("x.example.org")));
  CHECK(net::to_string(a.ike->peer_addresses.at(0)) == "10.2.1.0/25");
}

TEST_CASE("additional key exchanges are done in the order that they are named in") {
  const auto result = load(
      {connection("a", 1, fmt::format("{} additional-key-exchanges = [ \"ecp384\", \"x448\" ];", test::psk)),
       connection("b", 2, test::psk),
       connection("c", 3, fmt::format("{} additional-pfs = [ \"ecp384\" ];", test::psk)),
       connection("d", 4, fmt::format("{} additional-key-exchanges = [ \"x448\" ]; pfs = [ ];", test::psk))});
  INFO(test::all(result.errors));
  REQUIRE(result.configuration);
  using Lists = std::vector<std::vector<std::uint16_t>>;
  const auto of_child = [&](std::size_t i) {
    return result.configuration->connections.at(i).ike->child_algorithms.additional;
  };
  CHECK(of_child(0) == Lists{{20}, {32}});
  CHECK(of_child(1).empty());
  CHECK(of_child(2) == Lists{{20}});
  CHECK(of_child(3).empty());
  CHECK(result.configuration->connections.at(0).ike->algorithms.additional == Lists{{20}, {32}});
  CHECK(result.configuration->connections.at(1).ike->algorithms.additional.empty());
}

TEST_CASE("a connection that is a child of another has all from there but its networks") {
  const auto result =
      load({connection("voice", 2, "child-of = \"site\";"),
            connection("site", 1, fmt::format("{} child-suites = [ \"aes128-gcm16\" ];", test::psk))});
  INFO(test::all(result.errors));
  REQUIRE(result.configuration);
  const auto& voice = *result.configuration->connections.at(0).ike;
  const auto& site = *result.configuration->connections.at(1).ike;
  CHECK(voice.child_of == "site");
  CHECK(site.child_of.empty());
  CHECK(voice.child_algorithms.suites == site.child_algorithms.suites);
  CHECK(voice.local_id == site.local_id);
}

TEST_CASE("what cannot be given, or shared, is named with its remedy") {
  const auto site = connection("site", 1, test::psk);
  const struct {
    std::vector<std::string> connections;
    std::string_view path, message;
  } cases[] = {
      {{connection("a", 1, fmt::format("{} assign = [ \"10.9.0.5\" ];", test::psk))},
       "connections[0].ike.assign",
       "10.9.0.5 is in no network"},
      {{connection("a", 1, fmt::format("{} assign = [ \"10.2.1.5\", \"10.2.1.6\" ];", test::psk))},
       "connections[0].ike.assign",
       "two of one family"},
      {{connection("a", 1, fmt::format("{} assign = [ \"10.2.1\" ];", test::psk))},
       "connections[0].ike.assign[0]",
       "is not an IP prefix"},
      {{connection("a", 1, fmt::format("{} assign = [ \"10.2.1.0/25\" ];", test::psk))},
       "connections[0].ike.assign",
       "is a network, and there is one peer"},
      {{connection("a", 1, test::psk, "any")}, "connections[0].ike.remote-id", "missing"},
      {{connection("a", 1, fmt::format("{} remote-id = \"%any\"; start = \"always\";", test::psk), "any")},
       "connections[0].ike.start",
       "only the peers can begin"},
      {{connection("a", 1, fmt::format("{} remote-id = \"%any\"; request-addresses = true;", test::psk),
                   "any")},
       "connections[0].ike.request-addresses",
       "only the peers can begin"},
      {{connection("a", 1, fmt::format("{} pfs = [ ]; additional-pfs = [ \"x448\" ];", test::psk))},
       "connections[0].ike.additional-pfs",
       "no key exchange"},
      {{connection("a", 1, fmt::format("{} assign-dns = [ \"10.2.1.1\" ];", test::psk))},
       "connections[0].ike.assign-dns",
       "who gets no address"},
      {{site, connection("b", 2, fmt::format("child-of = \"site\"; {}", test::psk))},
       "connections[1].ike.psk",
       "has no place besides child-of"},
      {{site, connection("b", 2, "child-of = \"sight\";")}, "connections[1]", "is no other connection"},
      {{site, connection("b", 2, "child-of = \"b\";")}, "connections[1]", "is no other connection"},
      {{site, connection("b", 2, "child-of = \"site\";"), connection("c", 3, "child-of = \"b\";")},
       "connections[2]",
       "is itself a child of site"},
      {{site, connection("b", 2, "child-of = \"site\";", "198.51.100.2")},
       "connections[1]",
       "is between other addresses"},
  };
  for (const auto& expected : cases) {
    const auto result = load(expected.connections);
    INFO(expected.message << '\n' << test::all(result.errors));
    CHECK_FALSE(result.configuration);
    const auto found = std::ranges::find_if(result.errors, [&](const Problem& problem) {
      return problem.path == expected.path && problem.message.find(expected.message) != std::string::npos;
    });
    REQUIRE(found != result.errors.end());
    CHECK_FALSE(found->remedy.empty());
  }
}

TEST_CASE("an IKE SA has at most 64 children") {
  std::vector<std::string> connections{connection("site", 0, test::psk)};
  for (int i = 1; i < 64; ++i)
    connections.push_back(connection(fmt::format("c{}", i), i, "child-of = \"site\";"));
  CHECK(load(connections).configuration);
  connections.push_back(connection("c64", 64, "child-of = \"site\";"));
  connections.push_back(connection("c65", 65, "child-of = \"site\";"));
  const auto result = load(connections);
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].path == "connections[64]");
  CHECK_THAT(result.errors[0].message, Catch::Contains("\"site\" has 64 children already"));
}

#include <fmt/format.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "control/config/load.hpp"
#include "control/config/others_write.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate::config;

namespace {

std::string connection(int number, std::string_view more) {
  return fmt::format(
      "{{ name = \"c{0}\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; local-networks = [ \"10.1.0.0/24\" "
      "]; "
      "remote-networks = [ \"10.2.{0}.0/24\" ];\n{1} }}",
      number, more);
}

std::string inbound(int number) {
  return fmt::format("inbound = {{ spi = {}; key = \"{:032x}00000000\"; }};", 4096 + number, number + 1);
}

std::vector<Problem> warnings_of(const std::string& text, mode_t mode = 0600) {
  const test::Folder folder;
  auto result = load(folder.write("espgate.conf", text, mode));
  INFO((result.errors.empty() ? "" : result.errors[0].text()));
  CHECK(result.configuration);
  return result.warnings;
}

}  // namespace

TEST_CASE("a file without keys loads without a warning") {
  CHECK(warnings_of(std::string(test::minimal)).empty());
}

TEST_CASE("manual keys are warned of once for the whole file, at the first") {
  const auto warnings = warnings_of(fmt::format("{}connections = (\n{},\n{} );\n", test::minimal,
                                                connection(1, inbound(1)), connection(2, inbound(2))));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].line == 4);
  CHECK_THAT(warnings[0].message, Catch::Contains("2 SAs with manual keys") && Catch::Contains("RFC 4106"));
  CHECK_THAT(warnings[0].remedy, Catch::Contains("IKE"));
}

TEST_CASE("a file with keys that others can read is warned of once") {
  const auto text = fmt::format("{}connections = (\n{},\n{} );\n", test::minimal, connection(1, inbound(1)),
                                connection(2, inbound(2)));
  const auto warnings = warnings_of(text, 0644);
  REQUIRE(warnings.size() == 2);
  CHECK_THAT(warnings[1].text(), Catch::Contains("mode 0644") && Catch::Contains("chmod 600"));
}

TEST_CASE("no huge pages is for trying out") {
  const auto warnings = warnings_of(std::string(test::minimal) + "hugepages = false;\n");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].line == 2);
  CHECK(warnings[0].path == "hugepages");
}

TEST_CASE("a network that is on both sides is warned of, unless it is everything") {
  const auto text = [](const char* networks) {
    return fmt::format(
        "{}connections = ( {{ name = \"site\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; "
        "local-networks = [ \"{}\" ]; remote-networks = [ \"{}\" ]; "
        "ike = {{ psk = \"a key that nobody knows 7\"; }}; }} );\n",
        test::minimal, networks, networks);
  };
  const auto warnings = warnings_of(text("10.1.0.0/24"));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].path == "connections[0].remote-networks");
  CHECK_THAT(warnings[0].message, Catch::Contains("10.1.0.0/24 is in local-networks as well"));
  CHECK(warnings_of(text("0.0.0.0/0")).empty());
}

TEST_CASE("settings that have no effect are warned of") {
  auto warnings = warnings_of(fmt::format("{}connections = (\n{} );\n", test::minimal,
                                          connection(1, "remote-port = 4501; " + inbound(1))));
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0].path == "connections[0].remote-port");

  warnings = warnings_of(
      fmt::format("ports = ( {{ name = \"p\"; device = \"net_null0\"; }} );\nconnections = (\n{} );\n",
                  connection(1, inbound(1))));
  REQUIRE(warnings.size() == 2);
  CHECK_THAT(warnings[0].message, Catch::Contains("no port has ipsec = true"));

  warnings =
      warnings_of("ports = ( { name = \"p\"; device = \"net_null0\"; addresses = [ \"192.0.2.1\" ]; } );\n");
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0].message, Catch::Contains("192.0.2.1 has no prefix length"));
}

namespace {

// A gateway at 192.0.2.1 with this connection and these policies.
std::vector<Problem> reach_warnings(std::string_view local_network, std::string_view policies,
                                    std::string_view port = "ipsec = true;") {
  return warnings_of(fmt::format(
      "ports = ( {{ name = \"outside\"; device = \"net_null0\"; {} addresses = [ \"192.0.2.1/24\" ]; }} );\n"
      "connections = (\n{{ name = \"hub\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; local-networks = [ "
      "\"{}\" ]; remote-networks = [ \"10.2.0.0/16\" ];\nreplay-window = 0; outbound = {{ spi = 4096; key = "
      "\"47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4\"; }}; }} );\npolicies = ( {} );\n",
      port, local_network, policies));
}

}  // namespace

TEST_CASE("a bypass for the network behind the only inside port is warned of") {
  const auto warnings = [](std::string_view to, std::string_view action, std::string_view third = "") {
    return warnings_of(
        fmt::format("ports = ( {{ name = \"outside\"; device = \"net_null0\"; ipsec = true; addresses = [ "
                    "\"192.0.2.1/24\" ]; }},\n"
                    "{{ name = \"inside\"; device = \"net_null1\"; addresses = [ \"10.1.0.1/24\", "
                    "\"2001:db8:1::1/64\" ]; }}{} );\n"
                    "policies = (\n{{ to = \"{}\"; action = \"{}\"; }} );\n",
                    third, to, action));
  };
  for (const char* to : {"10.1.0.0/24", "10.1.0.9/32", "10.1.0.5-10.1.0.9", "2001:db8:1::/64"}) {
    const auto told = warnings(to, "bypass");
    REQUIRE(told.size() == 1);
    CHECK(told[0].path == "policies[0]");
    CHECK(told[0].line == 4);
    CHECK_THAT(told[0].message, Catch::Contains(fmt::format("{} is behind port \"inside\"", to)));
  }
  for (const char* to : {"0.0.0.0/0", "10.0.0.0/8", "10.2.0.0/24", "192.0.2.0/24", "10.1.0.250-10.1.1.3"})
    CHECK(warnings(to, "bypass").empty());
  CHECK(warnings("10.1.0.0/24", "discard").empty());
  CHECK(warnings("10.1.0.0/24", "bypass",
                 ", { name = \"lab\"; device = \"net_null2\"; addresses = [ \"10.9.0.1/24\" ]; }")
            .empty());
}

TEST_CASE("our own address in a connection's networks is warned of, unless a policy bypasses it first") {
  const auto warnings = reach_warnings("0.0.0.0/0", "");
  REQUIRE(warnings.size() == 2);
  const auto& told = warnings[0].path == "connections[0]" ? warnings[0] : warnings[1];
  CHECK(told.path == "connections[0]");
  CHECK(told.line == 3);
  CHECK_THAT(told.message, Catch::Contains("192.0.2.1, our own address on port \"outside\"") &&
                               Catch::Contains("not at all while the tunnel is down"));
  CHECK_THAT(told.remedy, Catch::Contains("from-port = \"22\"") && Catch::Contains("priority = 999"));
  CHECK(reach_warnings("10.1.0.0/16", "").size() == 1);
  CHECK(reach_warnings("192.0.2.0/24", "").size() == 2);
  CHECK(reach_warnings("0.0.0.0/0", "", "").size() == 1);
  CHECK(reach_warnings("0.0.0.0/0",
                       "{ from = \"192.0.2.1\"; protocol = \"tcp\"; from-port = \"22\"; action = "
                       "\"bypass\"; priority = 999; }")
            .size() == 1);
  CHECK(reach_warnings("0.0.0.0/0",
                       "{ from = \"192.0.2.1\"; protocol = \"tcp\"; from-port = \"22\"; action = "
                       "\"bypass\"; }")
            .size() == 2);  // comes too late
}

namespace {

// Ports "outside" (ipsec) and "inside" with these MTUs, one connection whose outbound SA goes out there.
std::vector<Problem> mtu_warnings(int outside, int inside, std::string_view outer, std::string_view more = "",
                                  std::string_view key = "47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4") {
  const auto text = fmt::format(
      "ports = ( {{ name = \"outside\"; device = \"net_null0\"; ipsec = true; mtu = {}; }},\n"
      "{{ name = \"inside\"; device = \"net_null1\";\nmtu = {}; }} );\n"
      "connections = ( {{ name = \"branch\"; {} local-networks = [ \"10.1.0.0/24\" ]; "
      "remote-networks = [ \"10.2.0.0/24\" ]; {} outbound = {{ spi = 4096; key = \"{}\"; }}; }} );\n",
      outside, inside, outer, more, key);
  auto warnings = warnings_of(text);
  std::erase_if(warnings, [](const Problem& warning) { return !warning.path.ends_with(".mtu"); });
  return warnings;
}

constexpr auto over_v4 = "local = \"192.0.2.1\"; remote = \"192.0.2.2\";";
constexpr auto over_v6 = "local = \"2001:db8::1\"; remote = \"2001:db8::2\";";

}  // namespace

TEST_CASE("an inside MTU that ESP makes too large for the outside is warned of, with the one that fits") {
  // 20 IPv4 + 8 ESP + 8 IV + 16 ICV leave 1448, a multiple of 4, of which the trailer takes 2.
  const auto warnings = mtu_warnings(1500, 1500, over_v4);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].path == "ports[1].mtu");
  CHECK(warnings[0].line == 3);
  CHECK_THAT(warnings[0].message,
             Catch::Contains("1500 bytes becomes one of 1556") && Catch::Contains("\"branch\"") &&
                 Catch::Contains("\"outside\" takes 1500") && Catch::Contains("above 1446 bytes"));
  CHECK_THAT(warnings[0].remedy, Catch::Contains("mtu = 1446") &&
                                     Catch::Contains("MSS 1406 for IPv4, 1386") &&
                                     Catch::Contains("\"outside\" to 1556"));
  CHECK(mtu_warnings(1500, 1446, over_v4).empty());
  CHECK(mtu_warnings(1500, 1447, over_v4).size() == 1);
  CHECK(mtu_warnings(1556, 1500, over_v4).empty());
  CHECK(mtu_warnings(1555, 1500, over_v4).size() == 1);
}

TEST_CASE("the outer family and UDP encapsulation count for what fits") {
  CHECK(mtu_warnings(1500, 1426, over_v6).empty());
  CHECK(mtu_warnings(1500, 1427, over_v6).size() == 1);
  CHECK(mtu_warnings(1500, 1438, over_v4, "encapsulation = \"udp\";").empty());
  CHECK(mtu_warnings(1500, 1439, over_v4, "encapsulation = \"udp\";").size() == 1);
}

TEST_CASE("a placeholder for a key is warned of") {
  const auto warnings = warnings_of(
      fmt::format("{}connections = (\n{} );\n", test::minimal,
                  connection(1, fmt::format("inbound = {{ spi = 4096; key = \"{:040}\"; }};", 0))));
  REQUIRE(warnings.size() == 2);
  CHECK_THAT(warnings[0].message + warnings[1].message, Catch::Contains("all bytes of the key are equal"));
}

TEST_CASE("a key file that the group can read is warned of") {
  const test::Folder folder;
  folder.write("a.key", "47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4\n", 0640);
  const auto result = load(folder.write(
      "espgate.conf", fmt::format("{}connections = (\n{} );\n", test::minimal,
                                  connection(1, "inbound = { spi = 4096; key-file = \"a.key\"; };"))));
  REQUIRE(result.configuration);
  REQUIRE(result.warnings.size() == 2);
  CHECK_THAT(result.warnings[0].message + result.warnings[1].message, Catch::Contains("can read the key"));
}

namespace {

std::vector<Problem> shadows(const std::string& policies) {
  return warnings_of(std::string(test::minimal) + "policies = (\n" + policies + "\n);\n");
}

}  // namespace

TEST_CASE("policies that can never match are warned of, with what comes before them") {
  auto warnings = shadows(
      "{ to = \"10.0.0.0/8\"; action = \"bypass\"; },\n"
      "{ from = \"10.9.0.0/16\"; to = \"10.1.0.5-10.1.0.20\"; protocol = \"tcp\"; "
      "to-port = \"443\"; action = \"discard\"; }");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].path == "policies[1]");
  CHECK_THAT(warnings[0].message, Catch::Contains("never matches: policies[0] in line"));
  CHECK_THAT(warnings[0].remedy, Catch::Contains("priority below 2000"));
}

TEST_CASE("policies that others only overlap are not warned of") {
  CHECK(shadows("{ to = \"10.0.0.0/8\"; action = \"bypass\"; },\n"
                "{ to = \"10.1.0.0/16\"; action = \"discard\"; priority = 5; },\n"
                "{ to = \"10.200.0.0-11.0.0.0\"; action = \"discard\"; },\n"
                "{ to = \"10.0.0.0/7\"; action = \"discard\"; },\n"
                "{ protocol = \"tcp\"; to-port = \"80-90\"; action = \"discard\"; },\n"
                "{ protocol = \"tcp\"; to-port = \"85-95\"; action = \"bypass\"; },\n"
                "{ protocol = \"udp\"; to-port = \"85\"; action = \"bypass\"; }")
            .empty());
}

TEST_CASE("what a connection takes, a policy of the usual priority never gets") {
  const auto text = fmt::format(
      "{}policies = ( {{ from = \"10.1.0.7\"; to = \"10.2.1.7\"; action = \"bypass\"; }} );\nconnections = "
      "(\n{} );\n",
      test::minimal, connection(1, inbound(1)));
  const auto warnings = warnings_of(text);
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0].path == "policies[0]");
  CHECK_THAT(warnings[0].message, Catch::Contains("connections[0] in line"));
}

TEST_CASE("a connection from an address that no port of the file has is warned of, once for each") {
  const std::string ports =
      "ports = ( { name = \"p0\"; device = \"0000:3b:00.0\"; ipsec = true; addresses = [ \"{}/24\" ]; } );\n";
  const auto connections =
      "connections = (\n" + connection(1, inbound(1)) + ",\n" + connection(2, inbound(2)) + " );\n";
  const auto strange = [&](const std::string& address) {
    auto text = ports + connections;
    text.replace(text.find("{}"), 2, address);
    auto warnings = warnings_of(text);
    std::erase_if(warnings, [](const Problem& warning) { return !warning.path.ends_with(".local"); });
    return warnings;
  };
  CHECK(strange("192.0.2.1").empty());
  const auto warnings = strange("192.0.2.9");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].path == "connections[0].local");
  CHECK(warnings[0].message == "192.0.2.1 is on no port of this file");
}

TEST_CASE("a state directory in which others can write is warned of") {
  const test::Folder folder;
  const auto warnings = [&](mode_t mode) {
    chmod(folder.path("").c_str(), mode);
    return warnings_of(fmt::format("{}state-directory = \"{}\";\n", test::minimal, folder.path("")));
  };
  CHECK(warnings(0700).empty());
  const auto found = warnings(0770);
  REQUIRE(found.size() == 1);
  CHECK(found[0].path == "state-directory");
  CHECK(found[0].line == 2);
  CHECK_THAT(found[0].message, Catch::Contains("others than root can write to"));
  CHECK(warnings(01777).size() == 1);  // as /tmp: everybody makes files there
  CHECK(warnings_of(fmt::format("{}state-directory = \"/not/there/yet\";\n", test::minimal)).empty());
  CHECK(warnings_of(fmt::format("{}state-directory = \"\";\n", test::minimal)).empty());
}

TEST_CASE("a place that cannot be looked at is told from one that others can write to") {
  const test::Folder folder;
  const auto fault = others_write(folder.path("gone"), "do harm");
  REQUIRE(fault);
  CHECK(fault->what == fmt::format("cannot look at {}: No such file or directory", folder.path("gone")));
}

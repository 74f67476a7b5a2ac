// Tunnels in the configuration: what their connections become, their MTU, and every mistake.
#include <catch2/catch.hpp>

#include "tests/control/config/mistakes.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate;
using namespace espgate::config;
using test::Case;

namespace {

#define OUTSIDE                                                                            \
  "ports = ( { name = \"outside\"; device = \"net_af_packet0,iface=eth7\"; ipsec = true; " \
  "addresses = [ \"192.0.2.1/24\" ]; } );\n"
#define ROUTED(name, remote, more) \
  "{ name = \"" name "\"; local = \"192.0.2.1\"; remote = \"" remote "\"; " more
#define BRANCH "connections = ( " ROUTED("branch", "192.0.2.2", INBOUND("0x1001", KEY_A)) "} );\n"
#define TUN0(more) "tunnels = ( { name = \"tun0\"; " more "} );"

const Case mistakes[] = {
    {"tunnels = ( { } );", 2, "tunnels[0].name", "missing", "add name"},
    {"tunnels = ( { name = \"tun0\"; } );", 2, "tunnels[0].connection", "missing", "add connection"},
    {BRANCH TUN0("connection = \"brnch\"; "), 4, "tunnels[0].connection", "there is no connection \"brnch\"",
     "name one of connections"},
    {"connections = ( " ROUTED(
         "branch", "192.0.2.2",
         "mode = \"transport\"; " INBOUND("0x1001", KEY_A)) "} );\n" TUN0("connection = \"branch\"; "),
     4, "tunnels[0].connection", "connection \"branch\" is in transport mode", "set mode = \"tunnel\""},
    {BRANCH "tunnels = ( { name = \"tun0\"; connection = \"branch\"; },\n{ name = \"tun1\"; connection = "
            "\"branch\"; } );",
     5, "tunnels[1].connection", "connection \"branch\" is already that of tunnels[0] in line 4",
     "a connection of its own"},
    {BRANCH "tunnels = ( { name = \"outside\"; connection = \"branch\"; } );", 4, "tunnels[0].name",
     "\"outside\" is already the name of ports[0] in line 1", "each port and tunnel"},
    {BRANCH "tunnels = ( { name = \"eth7\"; connection = \"branch\"; } );", 4, "tunnels[0].name",
     "\"eth7\" is the kernel's interface that ports[0]", "choose another name"},
    {BRANCH "tunnels = ( { name = \"a/b\"; connection = \"branch\"; } );", 4, "tunnels[0].name", "", ""},
    {BRANCH TUN0("connection = \"branch\"; addresses = [ \"192.0.2.1/30\" ]; "), 4, "tunnels[0].addresses[0]",
     "192.0.2.1 is already ports[0].addresses[0] in line 1", "to one interface"},
    {BRANCH TUN0("connection = \"branch\"; mtu = 1200; addresses = [ \"2001:db8::1/64\" ]; "), 4,
     "tunnels[0].mtu", "1200 bytes are too few", "1280 or more"},
    {BRANCH TUN0("connection = \"branch\"; mtu = 100; "), 4, "tunnels[0].mtu", "100 is not within", "576"},
    {"limits = { tunnels = 1; };\n" BRANCH
     "tunnels = ( { name = \"tun0\"; connection = \"branch\"; }, { name = \"tun1\"; connection = \"a\"; } );",
     5, "tunnels[1].connection", "there is no connection \"a\"", ""},
    {BRANCH TUN0("kind = \"gre\"; connection = \"branch\"; "), 4, "tunnels[0].connection",
     "connection \"branch\" is in tunnel mode, and GRE", "set mode = \"transport\""},
    {BRANCH TUN0("connection = \"branch\"; key = 7; "), 4, "tunnels[0].key", "only GRE has one",
     "kind = \"gre\""},
    {"connections = ( " ROUTED(
         "branch", "192.0.2.2",
         "mode = \"transport\"; selectors = ( { local = \"192.0.2.1\"; remote = \"192.0.2.2\"; "
         "protocol = \"tcp\"; } ); " INBOUND(
             "0x1001", KEY_A)) "} );\n" TUN0("kind = \"gre\"; connection = \"branch\"; "),
     4, "tunnels[0].connection", "no selector of connection \"branch\" is for GRE", "protocol = \"gre\""},
    // The same connection without a tunnel.
    {BRANCH, 2, "connections[0].local-networks", "missing", "add local-networks"},
};

Configuration loaded(const std::string& text) {
  const test::Folder folder;
  auto result = load(folder.write("espgate.conf", text));
  for (const auto& error : result.errors) FAIL_CHECK(error.text());
  REQUIRE(result.configuration);
  return std::move(*result.configuration);
}

}  // namespace

TEST_CASE("mistakes in tunnels") {
  for (const auto& one : mistakes) {
    CAPTURE(one.text);
    const test::Folder folder;
    const auto result = load(folder.write("espgate.conf", std::string(OUTSIDE) + std::string(one.text)));
    const auto found = std::ranges::find_if(result.errors, [&](const Problem& error) {
      return error.line == one.line && error.path == one.path &&
             error.message.find(one.message) != std::string::npos &&
             error.remedy.find(one.remedy) != std::string::npos;
    });
    if (found == result.errors.end())
      for (const auto& error : result.errors) UNSCOPED_INFO(error.text());
    CHECK(found != result.errors.end());
  }
}

TEST_CASE("a tunnel's connection carries everything and has no policies") {
  const auto configuration =
      loaded(OUTSIDE BRANCH TUN0("connection = \"branch\"; addresses = [ \"10.255.0.1/30\" ]; "));
  const auto& connection = configuration.connections.at(0);
  CHECK(connection.by_route);
  CHECK(protected_by(connection).size() == 2);
  CHECK(policies_of(connection).empty());
  const auto& tunnel = configuration.tunnels.at(0);
  CHECK(tunnel.connection == "branch");
  CHECK(tunnel.addresses.size() == 1);
  // 1500 less IPv4 (20), ESP (8), IV (8) and ICV (16) is 1448, less pad length and next header.
  CHECK(tunnel.mtu == 1'446);
}

TEST_CASE("networks of a tunnel's connection limit what may come in, and are nobody's else to be refused") {
  const auto configuration =
      loaded(OUTSIDE "connections = ( " OUTER("branch", "192.0.2.2", "10.2.0.0/24")
                 INBOUND("0x1001", KEY_A) "}, " OUTER("other", "192.0.2.3", "10.2.0.0/24")
                     INBOUND("0x1002", KEY_B) "} );\n" TUN0("connection = \"branch\"; mtu = 1280; "));
  CHECK(protected_by(configuration.connections.at(0)).size() == 1);
  CHECK(policies_of(configuration.connections.at(0)).empty());
  CHECK(policies_of(configuration.connections.at(1)).size() == 1);
  CHECK(configuration.tunnels.at(0).mtu == 1'280);
}

TEST_CASE("GRE has a transport mode connection, whose policies stay, and a smaller MTU") {
  const auto configuration =
      loaded(OUTSIDE "connections = ( " ROUTED(
          "branch", "192.0.2.2",
          "mode = \"transport\"; " INBOUND("0x1001",
                                           KEY_A)) "} );\n" TUN0("kind = \"gre\"; connection = \"branch\"; "
                                                                 "key = 0xffffffff; checksum = true; "));
  const auto& tunnel = configuration.tunnels.at(0);
  CHECK(tunnel.kind == TunnelKind::gre);
  CHECK(tunnel.gre == net::gre::Options{.key = 0xffff'ffff, .checksum = true});
  CHECK(tunnel.mtu == 1'446 - 12);
  CHECK_FALSE(configuration.connections.at(0).by_route);
  CHECK(policies_of(configuration.connections.at(0)).size() == 1);
}

// Tunnels in the configuration: what their connections become, their MTU, and every mistake.
#include <catch2/catch.hpp>

#include "tests/control/config/loaded.hpp"
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
#define TRANSPORT                                                                                       \
  "connections = ( " ROUTED(                                                                            \
      "a", "192.0.2.2",                                                                                 \
      "mode = \"transport\"; " INBOUND("0x1001", KEY_A)) "}, " ROUTED("b", "192.0.2.3",                 \
                                                                      "mode = \"transport\"; " INBOUND( \
                                                                          "0x1002", KEY_B)) "} );\n"
#define MULTI(more) TUN0("kind = \"gre-multipoint\"; " more)
#define PEER(name, next_hop) "peers = ( { connection = \"" name "\"; next-hops = [ \"" next_hop "\" ]; } ); "
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
    {TRANSPORT MULTI("peers = ( { connection = \"a\"; } ); "), 5, "tunnels[0].peers[0].next-hops", "missing",
     "add next-hops"},
    {TRANSPORT MULTI("peers = ( { next-hops = [ \"10.255.0.2\" ]; } ); "), 5,
     "tunnels[0].peers[0].connection", "missing", "add connection"},
    {TRANSPORT MULTI(""), 5, "tunnels[0].peers", "missing", "add peers"},
    {TRANSPORT MULTI("connection = \"a\"; " PEER("b", "10.255.0.3")), 5, "tunnels[0].connection",
     "a connection for each peer", "move it into peers"},
    {TRANSPORT TUN0("kind = \"gre\"; connection = \"a\"; " PEER("b", "10.255.0.3")), 5, "tunnels[0].peers",
     "only a multipoint tunnel has several", "kind = \"gre-multipoint\""},
    {TRANSPORT MULTI(PEER("c", "10.255.0.3")), 5, "tunnels[0].peers[0].connection",
     "there is no connection \"c\"", "name one of connections"},
    {BRANCH MULTI(PEER("branch", "10.255.0.3")), 4, "tunnels[0].peers[0].connection",
     "connection \"branch\" is in tunnel mode, and GRE", "set mode = \"transport\""},
    {TRANSPORT MULTI("peers = ( { connection = \"a\"; next-hops = [ \"10.255.0.2\" ]; },\n{ connection = "
                     "\"a\"; next-hops = [ \"10.255.0.3\" ]; } ); "),
     6, "tunnels[0].peers[1].connection", "connection \"a\" is already that of tunnels[0].peers[0] in line 5",
     "each peer of a multipoint one"},
    {TRANSPORT MULTI("peers = ( { connection = \"a\"; next-hops = [ \"10.255.0.2\" ]; },\n{ connection = "
                     "\"b\"; next-hops = [ \"2001:db8::1\", \"10.255.0.2\" ]; } ); "),
     6, "tunnels[0].peers[1].next-hops[1]",
     "10.255.0.2 is already tunnels[0].peers[0].next-hops[0] in line 5", "each next hop to one peer"},
    {TRANSPORT MULTI("addresses = [ \"10.255.0.1/24\" ]; " PEER("a", "10.255.0.1")), 5,
     "tunnels[0].peers[0].next-hops[0]", "10.255.0.1 is our own address, tunnels[0].addresses[0]",
     "the peer's address"},
    {TRANSPORT MULTI(PEER("a", "fe80::2")), 5, "tunnels[0].peers[0].next-hops[0]", "fe80::2 is link-local",
     "addresses of a network"},
    {TRANSPORT MULTI(PEER("a", "10.255.0.2/24")), 5, "tunnels[0].peers[0].next-hops[0]",
     "\"10.255.0.2/24\" is not an IP address", "without a prefix length"},
    {TRANSPORT MULTI(PEER("a", "224.0.0.5")), 5, "tunnels[0].peers[0].next-hops[0]",
     "224.0.0.5 is a multicast address", "the peer's address"},
    {"limits = { tunnels = 2; };\n" TRANSPORT MULTI(
         "peers = ( { connection = \"a\"; next-hops = [ \"10.255.0.2\" ]; }, { connection = \"b\"; "
         "next-hops = [ \"10.255.0.3\" ]; } ); "),
     2, "limits.tunnels", "3", ""},
    // The same connection without a tunnel.
    {BRANCH, 2, "connections[0].local-networks", "missing", "add local-networks"},
};

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
      test::loaded(OUTSIDE BRANCH TUN0("connection = \"branch\"; addresses = [ \"10.255.0.1/30\" ]; "));
  const auto& connection = configuration.connections.at(0);
  CHECK(connection.by_route);
  CHECK(protected_by(connection).size() == 2);
  CHECK(policies_of(connection).empty());
  const auto& tunnel = configuration.tunnels.at(0);
  REQUIRE(tunnel.peers.size() == 1);
  CHECK(tunnel.peers[0] == TunnelPeer{"branch", {}});
  CHECK(tunnel.addresses.size() == 1);
  // 1500 less IPv4 (20), ESP (8), IV (8) and ICV (16) is 1448, less pad length and next header.
  CHECK(tunnel.mtu == 1'446);
}

TEST_CASE("networks of a tunnel's connection limit what may come in, and are nobody's else to be refused") {
  const auto configuration =
      test::loaded(OUTSIDE "connections = ( " OUTER("branch", "192.0.2.2", "10.2.0.0/24")
                       INBOUND("0x1001", KEY_A) "}, " OUTER("other", "192.0.2.3", "10.2.0.0/24")
                           INBOUND("0x1002", KEY_B) "} );\n" TUN0("connection = \"branch\"; mtu = 1280; "));
  CHECK(protected_by(configuration.connections.at(0)).size() == 1);
  CHECK(policies_of(configuration.connections.at(0)).empty());
  CHECK(policies_of(configuration.connections.at(1)).size() == 1);
  CHECK(configuration.tunnels.at(0).mtu == 1'280);
}

TEST_CASE("GRE has a transport mode connection, whose policies stay, and a smaller MTU") {
  const auto configuration =
      test::loaded(OUTSIDE "connections = ( " ROUTED(
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

TEST_CASE("a multipoint tunnel has peers, each with its next hops, and the MTU that fits through to all") {
  const auto configuration = test::loaded(OUTSIDE TRANSPORT MULTI(
      "key = 7; addresses = [ \"10.255.0.1/24\", \"2001:db8:ff::1/64\" ]; peers = ( { "
      "connection = \"a\"; next-hops = [ \"10.255.0.2\", \"2001:db8:ff::2\" ]; }, { "
      "connection = \"b\"; next-hops = [ \"10.255.0.3\" ]; } ); "));
  const auto& tunnel = configuration.tunnels.at(0);
  CHECK(tunnel.kind == TunnelKind::gre_multipoint);
  REQUIRE(tunnel.peers.size() == 2);
  CHECK(tunnel.peers[0] ==
        TunnelPeer{"a", {*net::parse_address("10.255.0.2"), *net::parse_address("2001:db8:ff::2")}});
  CHECK(tunnel.peers[1] == TunnelPeer{"b", {*net::parse_address("10.255.0.3")}});
  CHECK(tunnel.gre == net::gre::Options{.key = 7});
  CHECK(tunnel.mtu == 1'446 - 8);
  CHECK(tunnel_entries(configuration.tunnels) == 3);
}

TEST_CASE("a next hop on no network of the tunnel's is warned of") {
  const test::Folder folder;
  const auto result = load(
      folder.write("espgate.conf",
                   OUTSIDE TRANSPORT MULTI("addresses = [ \"10.255.0.1/24\" ]; " PEER("a", "10.254.0.2"))));
  const auto found = std::ranges::find(result.warnings, "tunnels[0].peers[0].next-hops[0]", &Problem::path);
  REQUIRE(found != result.warnings.end());
  CHECK(found->message.find("10.254.0.2 is on none of the networks") != std::string::npos);
  CHECK(found->remedy.find("onlink") != std::string::npos);
  CHECK(found->line == 5);
}

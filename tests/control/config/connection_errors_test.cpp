// Every mistake in connections: where it is reported, how it is called, and that there is a remedy.
#include <catch2/catch.hpp>

#include "tests/control/config/mistakes.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate::config;
using test::Case;

namespace {

const Case connections[] = {
    {"connections = ( { name = \"a\"; } );", 2, "connections[0].local", "missing", "add local"},
    {"connections = ( { name = \"a\"; } );", 2, "connections[0].remote-networks", "missing", "[ ... ];"},
    {ONE(""), 2, "connections[0]", "neither inbound nor outbound", "add inbound"},
    {"connections = ( " OUTER("a b", "192.0.2.2", "10.2.0.0/24") INBOUND("0x1001", KEY_A) "} );", 2,
     "connections[0].name", "a character that a name cannot have", "letters, digits"},
    {"connections = ( " OUTER("a", "192.0.2.2", "10.2.0.0/24") INBOUND("0x1001", KEY_A) "},\n" OUTER(
         "a", "192.0.2.3", "10.3.0.0/24") INBOUND("0x1002", KEY_B) "} );",
     5, "connections[1].name", "\"a\" is already the name of connections[0] in line 2", "name of its own"},
    {"connections = ( " OUTER("a", "2001:db8::2", "10.2.0.0/24") INBOUND("0x1001", KEY_A) "} );", 2,
     "connections[0].remote", "different families", "two IPv4 addresses"},
    {"connections = ( " OUTER("a", "192.0.2.1", "10.2.0.0/24") INBOUND("0x1001", KEY_A) "} );", 2,
     "connections[0].remote", "192.0.2.1 is local as well", "peer's address"},
    {"connections = ( " OUTER("a", "224.0.0.5", "10.2.0.0/24") INBOUND("0x1001", KEY_A) "} );", 2,
     "connections[0].remote", "a multicast address", "of a host"},
    {"connections = ( " OUTER("a", "peer.example", "10.2.0.0/24") INBOUND("0x1001", KEY_A) "} );", 2,
     "connections[0].remote", "\"peer.example\" is not an IP address", "write an address"},
    {"connections = ( " OUTER("a", "192.0.2.2", "2001:db8::/32") INBOUND("0x1001", KEY_A) "} );", 2,
     "connections[0].remote-networks", "no remote network is of the family", "same family"},
    {"connections = ( " OUTER("a", "192.0.2.2", "10.2.0.1/24") INBOUND("0x1001", KEY_A) "} );", 2,
     "connections[0].remote-networks[0]", "bits set behind", "\"10.2.0.0/24\" for the network"},
    {"connections = ( " OUTER("a", "192.0.2.2", "10.2.0.0/24") INBOUND("0x1001", KEY_A) "},\n" OUTER(
         "b", "192.0.2.3", "10.2.0.0/24") INBOUND("0x1002", KEY_B) "} );",
     5, "connections[1].remote-networks[0]",
     "10.2.0.0/24 of connection \"b\" already belongs to connection \"a\", "
     "connections[0].remote-networks[0] in line 2",
     "keep it in one place"},
    {"connections = ( { name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; "
     "local-networks = [ \"10.1.0.0/24\",\n\"10.1.0.0/24\" ];\nremote-networks = [ \"10.2.0.0/24\" "
     "]; " INBOUND("0x1001", KEY_A) "} );",
     3, "connections[0].local-networks[1]",
     "10.1.0.0/24 is already connections[0].local-networks[0] in line 2", "keep one"},
    {ONE("suite = \"aes128-gcm\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].suite",
     "\"aes128-gcm\" is not", "did you mean \"aes128-gcm16\"?"},
    {ONE("encapsulation = \"tcp\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].encapsulation",
     "\"tcp\" is not \"none\" or \"udp\"", ""},
    {ONE("remote-port = 65536; " INBOUND("0x1001", KEY_A)), 3, "connections[0].remote-port",
     "65536 is not within 1 to 65535", "65535 or less"},
    {ONE("local-port = 0; " INBOUND("0x1001", KEY_A)), 3, "connections[0].local-port",
     "0 is not 4500: espgate takes UDP-encapsulated ESP on port 4500 only",
     "write 4500, or leave local-port out"},
    {ONE("encapsulation = \"udp\"; local-port = 4501; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].local-port", "4501 is not 4500: espgate takes", "write 4500"},
    {ONE("local-port = \"4500\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].local-port", "is not 4500",
     ""},
    {ONE("tfc-padding = \"path\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].tfc-padding",
     "the text \"path\" is not a whole number from 0 to 9000 bytes, or \"mtu\"", ""},
    {ONE("tfc-padding = 9001; " INBOUND("0x1001", KEY_A)), 3, "connections[0].tfc-padding",
     "9001 is not within 0 to 9000 bytes", "9000 or less"},
    {ONE("mode = \"transport\"; tfc-padding = \"mtu\"; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].tfc-padding", "a connection in transport mode cannot hide", "mode = \"tunnel\""},
    {ONE("mode = \"transport\"; dummy-rate = 5; " INBOUND("0x1001", KEY_A)), 3, "connections[0].dummy-rate",
     "a connection in transport mode cannot hide", "mode = \"tunnel\""},

    {ONE("replay-window = 63; " INBOUND("0x1001", KEY_A)), 3, "connections[0].replay-window",
     "63 packets are too few", "64 to 65536, or 0"},
    {ONE("replay-window = 65537; " INBOUND("0x1001", KEY_A)), 3, "connections[0].replay-window",
     "65537 is not within", "65536 or less"},
    {ONE("mode = \"transport\"; " INBOUND("0x1001", KEY_A)), 2, "connections[0].local-networks",
     "a connection in transport mode has no networks", "remove them, or set mode"},
    {"connections = ( { name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; mode = "
     "\"transport\"; " INBOUND("0x1001", KEY_A) "},\n{ name = \"b\"; local = \"192.0.2.1\"; remote = "
                                                "\"192.0.2.2\"; mode = \"transport\";\n" INBOUND(
                                                    "0x1002", KEY_B) "} );",
     4, "connections[1].remote", "already belongs to connection \"a\"", "keep it in one place"},
    {"connections = ( { name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; mode = \"transport\";\n"
     "selectors = ( { local = \"192.0.2.1\"; remote = \"192.0.2.0/24\"; protocol = \"tcp\"; } );\n" INBOUND(
         "0x1001", KEY_A) "} );",
     3, "connections[0].selectors[0].remote",
     "192.0.2.0/24 is not the connection's remote address, 192.0.2.2", "remote = \"192.0.2.2\""},
    {ONE("df = \"keep\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].df", "\"keep\" is not", ""},
    {ONE("dscp = 64; " INBOUND("0x1001", KEY_A)), 3, "connections[0].dscp", "64 is not within 0 to 63",
     "63 or less"},
    {ONE("ttl = 0; " INBOUND("0x1001", KEY_A)), 3, "connections[0].ttl", "0 is not within 1 to 255",
     "1 or more"},
    {ONE("lifetime = { soft-packets = 10; hard-packets = 10; }; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].lifetime.soft-packets", "10 is not less than hard-packets = 10", "some way between"},
    {ONE("lifetime = { soft-bytes = \"64 GiB\";\nhard-bytes = \"64 GB\"; }; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].lifetime.soft-bytes", "68719476736 is not less than hard-bytes = 64000000000",
     "some way between"},
    {ONE("lifetime = { hard-seconds = \"8 x\"; }; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].lifetime.hard-seconds",
     "the text \"8 x\" is not a number of seconds, or one in quotes with s, min, h, d behind it",
     "hard-seconds = \"10 d\";"},
    {ONE("lifetime = { hard-seconds = \"-8 h\"; }; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].lifetime.hard-seconds", "\"-8 h\" is not a number", "hard-seconds"},
    {ONE("lifetime = { hard-seconds = \"11 years\"; }; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].lifetime.hard-seconds", "is not a number of seconds", "10 d"},
    {ONE("lifetime = { hard-seconds = \"4000 d\"; }; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].lifetime.hard-seconds", "\"4000 d\" is not within 1 to 315360000 seconds",
     "315360000 or less"},
    {ONE("lifetime = { hard-bytes = \"99999999999 TB\"; }; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].lifetime.hard-bytes", "is not within", "or less"},
    {ONE("lifetime = { hard-packets = 0; }; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].lifetime.hard-packets", "0 is not within 1 to", "1 or more"},
    {ONE("lifetime = { hard-minutes = 5; }; " INBOUND("0x1001", KEY_A)), 3,
     "connections[0].lifetime.hard-minutes", "unknown key", ""},
    {ONE("esn = 1; " INBOUND("0x1001", KEY_A)), 3, "connections[0].esn", "not true or false",
     "true or false"},
};

const Case sas[] = {
    {ONE(INBOUND("0xff", KEY_A)), 3, "connections[0].inbound.spi",
     "0xff is not within 0x100 to 0xffffffff: SPIs 0 to 255 are reserved (RFC 4303 2.1)", "0x100 or more"},
    {ONE(OUTBOUND("0", KEY_A)), 3, "connections[0].outbound.spi", "reserved", "0x100 or more"},
    // libconfig 1.5 would read this one as 0x1001.
    {ONE(INBOUND("0x100001001", KEY_A)), 3, "connections[0].inbound.spi", "0x100001001 is not within",
     "0xffffffff or less"},
    {ONE("inbound = { key = " KEY_A "; };"), 3, "connections[0].inbound.spi", "missing", "add spi"},
    {ONE("inbound = { spi = 0x1001; };"), 3, "connections[0].inbound.key", "missing",
     "40 hexadecimal digits"},
    {ONE("inbound = { spi = 0x1001;\nkey = " KEY_A ";\nkey-file = \"x\"; };"), 5,
     "connections[0].inbound.key-file", "both key and key-file", "keep one"},
    {ONE("inbound = { spi = 0x1001; key-file = \"nowhere.key\"; };"), 3, "connections[0].inbound.key-file",
     "nowhere.key: No such file", "create the file"},
    {ONE("inbound = { spi = 0x1001; key = 0x47e9a2f1; };"), 3, "connections[0].inbound.key",
     "the value is not hexadecimal digits in double quotes", "double quotes"},
    {ONE(INBOUND("0x1001", "\"0x47e9a2f10c6b35d88e1f7a02d4c9b360\"")), 3, "connections[0].inbound.key",
     "the key has 16 bytes, and aes128-gcm16 needs 20 (16-byte key + 4-byte salt)", "append the 4-byte salt"},
    {ONE("suite = \"aes128-gcm\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].suite",
     "\"aes128-gcm\" is not a known suite", "did you mean \"aes128-gcm16\"?"},
    {ONE("suite = \"blowfish\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].suite",
     "\"blowfish\" is not a known suite", "espgate.conf(5) lists, such as \"aes128-gcm16\""},
    {ONE("suite = \"aes128ctr-sha256\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].inbound.key",
     "the key has 20 bytes, and aes128-ctr-sha256 needs 52 (16-byte key + 4-byte salt + 32-byte integrity "
     "key)",
     "write 104 hexadecimal digits"},
    {ONE("suite = \"null-sha256\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].inbound.key",
     "the key has 20 bytes, and null-sha256 needs 32 (32-byte integrity key)", "rand -hex 32"},
    {ONE("suite = \"aes256-gcm16\"; " INBOUND("0x1001", KEY_A)), 3, "connections[0].inbound.key",
     "the key has 20 bytes, and aes256-gcm16 needs 36 (32-byte key + 4-byte salt)",
     "suite = \"aes128-gcm16\""},
    {ONE(INBOUND("0x1001", "\"0x47e9\"")), 3, "connections[0].inbound.key", "the key has 2 bytes",
     "rand -hex 20"},
    {ONE(INBOUND("0x1001", "\"0x47e\"")), 3, "connections[0].inbound.key",
     "3 hexadecimal digits, an odd number", "digit is missing"},
    {ONE(INBOUND("0x1001", "\"0x47e9a2f10c6b35d88e1g7a02d4c9b3605b21e6f4\"")), 3,
     "connections[0].inbound.key", "character 22 of the key is not a hexadecimal digit", "40 digits"},
    {ONE(INBOUND("0x1001", "\"\"")), 3, "connections[0].inbound.key", "the key is empty", "rand -hex 20"},
    {"connections = ( " OUTER("a", "192.0.2.2", "10.2.0.0/24")
         INBOUND("0x1001", KEY_A) "},\n" OUTER("b", "192.0.2.3", "10.3.0.0/24") INBOUND("4097", KEY_B) "} );",
     6, "connections[1].inbound.spi", "SPI 0x1001 is already that of connections[0].inbound in line 3",
     "an SPI of its own"},
    {"connections = ( " OUTER("a", "192.0.2.2", "10.2.0.0/24") OUTBOUND("0x1001", KEY_A) "},\n" OUTER(
         "b", "192.0.2.2", "10.3.0.0/24") OUTBOUND("0x1001", KEY_B) "} );",
     6, "connections[1].outbound.spi",
     "SPI 0x1001 to 192.0.2.2 is already that of connections[0].outbound in line 3", "this peer expects"},
    {ONE(INBOUND("0x1001", KEY_A) OUTBOUND("0x2001", KEY_A)), 4, "connections[0].outbound.key",
     "the same cipher key as connections[0].inbound in line 3; two SAs with one key use the same "
     "nonces",
     "a key of its own"},
    // The same key, only the salt differs.
    {"connections = ( " OUTER("a", "192.0.2.2", "10.2.0.0/24")
         INBOUND("0x1001", KEY_A) "},\n" OUTER("b", "192.0.2.3", "10.3.0.0/24")
             INBOUND("0x1002", "\"0x47e9a2f10c6b35d88e1f7a02d4c9b36000000000\"") "} );",
     6, "connections[1].inbound.key", "the same cipher key as connections[0].inbound in line 3",
     "rand -hex 20"},
    {"limits = { inbound-sas = 1;\noutbound-sas = 1; };\n"
     "connections = ( " OUTER("a", "192.0.2.2", "10.2.0.0/24") INBOUND("0x1001", KEY_A)
         OUTBOUND("0x1001", KEY_B) "},\n" OUTER("b", "192.0.2.3", "10.3.0.0/24") INBOUND("0x1002", KEY_C)
             OUTBOUND("0x1002", KEY_D) "} );",
     2, "limits.inbound-sas", "room for 1, and the configuration has 2 inbound SAs", "inbound-sas = 2;"},
    {"limits = { inbound-sas = 1;\noutbound-sas = 1; };\n"
     "connections = ( " OUTER("a", "192.0.2.2", "10.2.0.0/24") INBOUND("0x1001", KEY_A)
         OUTBOUND("0x1001", KEY_B) "},\n" OUTER("b", "192.0.2.3", "10.3.0.0/24") INBOUND("0x1002", KEY_C)
             OUTBOUND("0x1002", KEY_D) "} );",
     3, "limits.outbound-sas", "room for 1, and the configuration has 2 outbound SAs", "outbound-sas = 2;"},
};

}  // namespace

TEST_CASE("mistakes in connections are named with line, value and remedy") {
  test::check(connections, test::minimal);
}

TEST_CASE("mistakes in SAs are named with line, value and remedy") {
  test::check(sas, test::minimal);
}

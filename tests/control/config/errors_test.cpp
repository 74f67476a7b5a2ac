// Every mistake of content: where it is reported, how it is called, and that there is a remedy.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "control/config/load.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate::config;

namespace {

struct Case {
  std::string_view text;  // from line 2 on; line 1 is test::minimal's port
  unsigned line;
  std::string_view path;
  std::string_view message;  // a part of it
  std::string_view remedy;   // a part of it
};

// Two different keys for aes128-gcm16.
#define KEY_A "\"0x47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4\""
#define KEY_B "\"0x9d30b6c85af2417e63c1d80f2b94e7a50e7fc813\""
#define KEY_C "\"0xc05d1e8f3a926b47d7f08c31a5e42b960c4d8e1f\""
#define KEY_D "\"0x13579bdf02468ace5c3a1f7e9d8b6042a1b2c3d4\""

// A connection with line breaks before the SAs, and with room for more keys at its end.
#define OUTER(name, remote, network)                                 \
  "{ name = \"" name "\"; local = \"192.0.2.1\"; remote = \"" remote \
  "\"; local-networks = [ \"10.1.0.0/24\" ]; remote-networks = [ \"" network "\" ];\n"
#define INBOUND(spi, key) "inbound = { spi = " spi "; key = " key "; };\n"
#define OUTBOUND(spi, key) "outbound = { spi = " spi "; key = " key "; };\n"
#define ONE(more) "connections = ( " OUTER("a", "192.0.2.2", "10.2.0.0/24") more "} );"

const Case settings[] = {
    {"control-cpus = 0;", 2, "control-cpus", "unknown key", "did you mean \"control-cpu\"?"},
    {"Worker_CPUs = [ 1 ];", 2, "Worker_CPUs", "unknown key", "\"worker-cpus\""},
    {"dielog-level = 1; mtu = 1500;", 2, "mtu", "unknown key", "belongs in ports[]"},
    {"kye = 5;", 2, "kye", "unknown key", "\"key\", which belongs in connections[].inbound"},
    {"zzzzzz = 5;", 2, "zzzzzz", "unknown key", "the keys here are control-cpu, worker-cpus"},
    {"\ncontrol-cpu = \"0\";", 3, "control-cpu", "the text \"0\" is not a whole number from 0 to 1023",
     "without quotes"},
    {"control-cpu = 1.5;", 2, "control-cpu", "the number 1.5 is not a whole number", "such as 0"},
    {"control-cpu = -1;", 2, "control-cpu", "-1 is not within 0 to 1023", "choose 0 or more"},
    {"control-cpu = 1024;", 2, "control-cpu", "1024 is not within", "choose 1023 or less"},
    // What libconfig 1.5 would read as 0 and as 5.
    {"control-cpu = 4294967296;", 2, "control-cpu", "4294967296 is not within", "1023 or less"},
    {"control-cpu = 0x100000005;", 2, "control-cpu", "0x100000005 is not within", "1023 or less"},
    {"control-cpu = 99999999999999999999;", 2, "control-cpu", "a number of more than 64 bits",
     "1023 or less"},
    {"worker-cpus = [ ];", 2, "worker-cpus", "the list is empty", "name at least one"},
    {"worker-cpus = 1;", 2, "worker-cpus", "the number 1 is not a list of whole numbers", "in brackets"},
    {"worker-cpus = [ 1,\n\"2\" ];", 3, "worker-cpus[1]", "the text \"2\" is not a whole number", "quotes"},
    {"worker-cpus = [ 1,\n-2,\n3 ];", 3, "worker-cpus[1]", "-2 is not within", "choose 0 or more"},
    {"idle = \"sleeep\";", 2, "idle", "\"sleeep\" is not \"spin\" or \"sleep\"", "did you mean \"sleep\"?"},
    {"idle = 5;", 2, "idle", "the number 5 is not \"spin\" or \"sleep\"", "write one of these"},
    {"idle = \"whatever\";", 2, "idle", "\"whatever\" is not", "write one of these"},
    {"idle-sleep-us = 0;", 2, "idle-sleep-us", "0 is not within 1 to 10000 microseconds", "1 or more"},
    {"limits = { linger-seconds = 3601; };", 2, "limits.linger-seconds", "3601 is not within 0 to 3600",
     "3600 or less"},
    {"hugepages = \"true\";", 2, "hugepages", "the text \"true\" is not true or false", "without quotes"},
    {"hugepages = 1;", 2, "hugepages", "the number 1 is not true or false", "true or false"},
    {"memory-mb = -5;", 2, "memory-mb", "-5 is not within", "0 or more"},
    {"crypto-engine = \"opensll\";", 2, "crypto-engine", "is not \"ipsec-mb\" or \"openssl\"", "\"openssl\""},
    {"log-level = \"warn\";", 2, "log-level", "\"warn\" is not", "write one of these"},
    {"socket = \"run/espgate.sock\";", 2, "socket", "is not an absolute path", "from the root"},
    {"socket = \"\";", 2, "socket", "the text is empty", "write a value"},
    {"limits = { inbound-sas = 0; };", 2, "limits.inbound-sas", "0 is not within 1 to 4000000 SAs",
     "1 or more"},
    {"limits = {\npunt-rings = 1;\n};", 3, "limits.punt-rings", "unknown key", "\"punt-ring\""},
    {"limits = ( );", 2, "limits", "an empty list is not a group", "limits = { ... };"},
    {"limits = 5;", 2, "limits", "the number 5 is not a group", "a group { ... }"},
    {"idle = \"spin\";\nidle = \"sleep\";", 3, "idle", "set twice, already in line 2", "keep one"},
    {"thresholds = ( { reason = \"IpsecImput\"; per-minute = 5; } );", 2, "thresholds[0].reason",
     "\"IpsecImput\" is neither a drop reason nor a group", "did you mean \"IpsecInput\"?"},
    {"thresholds = ( { reason = \"999\"; per-minute = 5; } );", 2, "thresholds[0].reason",
     "\"999\" is neither", "show drops"},
    {"thresholds = ( { reason = 62; per-minute = 5; } );", 2, "thresholds[0].reason",
     "the number 62 is not text", "double quotes"},
    {"thresholds = ( { reason = \"62\"; per-minute = 5; },\n"
     "{ reason = \"in_cd_sw_ipsec_mac_exception\"; per-minute = 6; } );",
     3, "thresholds[1].reason",
     "IN_CD_SW_IPSEC_MAC_EXCEPTION already has a threshold, thresholds[0] in line 2", "keep one"},
    {"thresholds = ( { reason = \"62\"; per-minute = 0; } );", 2, "thresholds[0].per-minute",
     "0 is not within 1 to", "1 or more"},
    {"thresholds = ( { reason = \"62\"; } );", 2, "thresholds[0].per-minute", "missing", "add per-minute"},
    {"limits = { routes = 16;\nroutes = 17; };", 3, "routes", "set twice, already in line 2", "keep one"},
};

const Case ports[] = {
    {"ports = ( );", 2, "ports", "the list is empty", "name at least one"},
    {"", 0, "ports", "missing", "add ports = ( { ... } );"},
    {"ports = { name = \"a\"; device = \"net_null0\"; };", 2, "ports",
     "a group { ... } is not a list of groups", "put parentheses around it"},
    {"ports = ( \"x\" );", 2, "ports[0]", "the text \"x\" is not a group", "a group { ... }"},
    {"ports = (\n{ }\n);", 3, "ports[0].name", "missing", "add name = ...;"},
    {"ports = (\n{ }\n);", 3, "ports[0].device", "missing", "PCI address"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; },\n{ name = \"p\"; device = \"net_null1\"; } );", 3,
     "ports[1].name", "\"p\" is already the name of ports[0] in line 2", "name of its own"},
    {"ports = ( { name = \"sixteen-letters-\"; device = \"net_null0\"; } );", 2, "ports[0].name",
     "has 16 characters, and at most 15 fit", "shorter"},
    {"ports = ( { name = \"a b\"; device = \"net_null0\"; } );", 2, "ports[0].name", "a space", "at most 15"},
    {"ports = ( { name = \"a/b\"; device = \"net_null0\"; } );", 2, "ports[0].name", "\"/\"", "at most 15"},
    {"ports = ( { name = \"lo\"; device = \"net_null0\"; } );", 2, "ports[0].name", "something else",
     "choose"},
    {"ports = ( { name = \"p\"; device = \"eth0\"; } );", 2, "ports[0].device", "\"eth0\" is neither",
     "net_af_packet0,iface=eth0"},
    {"ports = ( { name = \"p\"; device = \"00:3b:00:0\"; } );", 2, "ports[0].device", "neither a PCI address",
     "0000:3b:00.0"},
    {"ports = ( { name = \"p\"; device = \"0000:3b:00.0\"; },\n{ name = \"q\"; device = \"3B:0.0,a=b\"; } );",
     3, "ports[1].device", "\"0000:3b:00.0\" is the device of ports[0] in line 2 as well", "another device"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; },\n{ name = \"q\"; device = \"net_null0\"; } );", 3,
     "ports[1].device", "\"net_null0\" is the device of ports[0]", "number virtual devices"},
    {"ports = ( { name = \"p\"; device = \"net_af_packet0,iface=e1\"; },\n"
     "{ name = \"q\"; device = \"net_af_xdp0,iface=e1\"; } );",
     3, "ports[1].device", "interface \"e1\" is driven by ports[0] in line 2", "another interface"},
    {"ports = ( { name = \"e1\"; device = \"net_af_packet0,iface=e1\"; } );", 2, "ports[0].name",
     "twin cannot have that name", "another name"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; mtu = 575; } );", 2, "ports[0].mtu",
     "575 is not within 576 to 9000 bytes", "576 or more"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; vlan = 4095; } );", 2, "ports[0].vlan",
     "4095 is not within 0 to 4094", "4094 or less"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; mtu = 1000; addresses = [ \"2001:db8::1/64\" ]; } );",
     2, "ports[0].mtu", "1000 bytes are too few for the port's IPv6", "1280"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; addresses = [ "
     "\"192.0.2.1/24\",\n\"192.0.2.256/24\"\n]; } );",
     3, "ports[0].addresses[1]", "\"192.0.2.256/24\" is not an address", "192.0.2.1/24"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; addresses = [ 5 ]; } );", 2, "ports[0].addresses[0]",
     "the number 5 is not text", "double quotes"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; addresses = \"192.0.2.1/24\"; } );", 2,
     "ports[0].addresses", "is not a list of texts", "in brackets"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; addresses = [ \"192.0.2.0/24\" ]; } );", 2,
     "ports[0].addresses[0]", "first (network) address", "address of this host"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; addresses = [ \"192.0.2.255/24\" ]; } );", 2,
     "ports[0].addresses[0]", "last (broadcast) address", "address of this host"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; addresses = [ \"ff02::1/64\" ]; } );", 2,
     "ports[0].addresses[0]", "a multicast address", "address of this host"},
    {"ports = ( { name = \"p\"; device = \"net_null0\"; addresses = [ \"192.0.2.1/24\" ]; },\n"
     "{ name = \"q\"; device = \"net_null1\"; addresses = [ \"192.0.2.1/25\" ]; } );",
     3, "ports[1].addresses[0]", "192.0.2.1 is already ports[0].addresses[0] in line 2", "one port"},
};

const Case forwarding[] = {
    {"routes = ( { to = \"10.0.0.0/8\"; } );", 2, "routes[0].via", "missing", "add via"},
    {"routes = ( { to = \"10.0.0.0/8\"; via = \"2001:db8::1\"; } );", 2, "routes[0].via",
     "2001:db8::1 is an IPv6 address and 10.0.0.0/8 an IPv4 prefix", "same family"},
    {"routes = ( { to = \"10.0.0.0/33\"; via = \"192.0.2.1\"; } );", 2, "routes[0].to",
     "\"10.0.0.0/33\" is not an IP prefix", "write a prefix"},
    {"routes = ( { to = \"10.0.0.0/8\"; via = \"192.0.2.1/24\"; } );", 2, "routes[0].via",
     "is not an IP address", "leave out the prefix length"},
    {"routes = ( { to = \"10.0.0.0/8\"; via = \"192.0.2.1\"; },\n{ to = \"10.0.0.0/8\"; via = \"192.0.2.9\"; "
     "} );",
     3, "routes[1].to", "10.0.0.0/8 is already routed by routes[0] in line 2", "keep one"},
    {"policies = ( { to = \"10.1.2.3/16\"; action = \"bypass\"; } );", 2, "policies[0].to",
     "\"10.1.2.3/16\" has bits set behind the prefix length", "write \"10.1.0.0/16\" for the network"},
    {"policies = ( { to = \"10.1.0.0/16\"; action = \"protect\"; } );", 2, "policies[0].action",
     "\"protect\" is not \"bypass\" or \"discard\"", "write one of these"},
    {"policies = ( { to = \"10.1.0.0/16\"; action = \"bypass\"; },\n{ to = \"10.1.0.0/16\"; action = "
     "\"discard\"; } );",
     3, "policies[1].to", "10.1.0.0/16 already has a policy, policies[0] in line 2", "keep one"},
    {"policies = ( { to = \"10.1.0.9-10.1.0.5\"; action = \"bypass\"; } );", 2, "policies[0].to",
     "is not a range of addresses", "two addresses of one family"},
    {"policies = ( { from = \"10.1.0.0/16\"; to = \"2001:db8::/32\"; action = \"bypass\"; } );", 2,
     "policies[0].to", "10.1.0.0/16 and 2001:db8::/32 are of different families", "pair IPv4"},
    {"policies = ( { protocol = \"tpc\"; action = \"bypass\"; } );", 2, "policies[0].protocol",
     "\"tpc\" is not a protocol", "tcp"},
    {"policies = ( { protocol = \"256\"; action = \"bypass\"; } );", 2, "policies[0].protocol",
     "\"256\" is not a protocol", "0 to 255"},
    {"policies = ( { to-port = \"443\"; action = \"bypass\"; } );", 2, "policies[0].to-port",
     "ports without a protocol that has them", "set protocol"},
    {"policies = ( { protocol = \"gre\"; from-port = \"443\"; action = \"bypass\"; } );", 2,
     "policies[0].from-port", "ports without a protocol", "remove the ports"},
    {"policies = ( { protocol = \"tcp\"; to-port = \"443-80\"; action = \"bypass\"; } );", 2,
     "policies[0].to-port", "\"443-80\" is neither a port nor a range", "lower one first"},
    {"policies = ( { protocol = \"tcp\"; to-port = 443; action = \"bypass\"; } );", 2, "policies[0].to-port",
     "the number 443 is not text", "double quotes"},
    {"policies = ( { protocol = \"tcp\"; icmp-type = \"8\"; action = \"bypass\"; } );", 2,
     "policies[0].icmp-type", "ICMP types of another protocol", "icmpv6"},
    {"policies = ( { protocol = \"icmp\"; icmp-type = \"3-5/1\"; action = \"bypass\"; } );", 2,
     "policies[0].icmp-type", "\"3-5/1\" is neither", "3/0-4"},
    {"policies = ( { to = \"::/0\"; protocol = \"icmp\"; action = \"bypass\"; } );", 2,
     "policies[0].protocol", "icmp between IPv6 addresses", "write icmpv6"},
    {"policies = ( { priority = 65001; action = \"bypass\"; } );", 2, "policies[0].priority",
     "65001 is not within", "65000 or less"},
    {"policies = ( { action = \"bypass\"; },\n{ action = \"discard\"; } );", 3, "policies[1].to",
     "already has a policy, policies[0] in line 2", "keep one"},
    {"connections = ( { name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; "
     "selectors = ( { local = \"10.1.0.0/24\"; } ); " INBOUND("0x1001", KEY_A) "} );",
     2, "connections[0].selectors[0].remote", "missing", "add remote"},
    {"connections = ( { name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; "
     "local-networks = [ \"10.1.0.0/24\" ]; "
     "selectors = ( { local = \"10.1.0.0/24\"; remote = \"10.2.0.0/24\"; } ); " INBOUND("0x1001",
                                                                                        KEY_A) "} );",
     2, "connections[0].remote-networks", "missing", "add remote-networks"},
    {"connections = ( { name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; "
     "selectors = ( { local = \"10.1.0.0/24\"; remote = \"10.2.0.0/24\"; protocol = \"tcp\"; },\n"
     "{ local = \"10.1.0.0/24\"; remote = \"10.2.0.0/24\"; protocol = \"6\"; } ); " INBOUND("0x1001",
                                                                                            KEY_A) "} );",
     3, "connections[0].selectors[1]", "already belongs to connection \"a\"", "keep it in one place"},
    {"limits = {\npolicies = 16;\n};\npolicies = ("
     "{ to = \"10.0.0.0/24\"; action = \"bypass\"; }, { to = \"10.0.1.0/24\"; action = \"bypass\"; },"
     "{ to = \"10.0.2.0/24\"; action = \"bypass\"; }, { to = \"10.0.3.0/24\"; action = \"bypass\"; },"
     "{ to = \"10.0.4.0/24\"; action = \"bypass\"; }, { to = \"10.0.5.0/24\"; action = \"bypass\"; },"
     "{ to = \"10.0.6.0/24\"; action = \"bypass\"; }, { to = \"10.0.7.0/24\"; action = \"bypass\"; },"
     "{ to = \"10.0.8.0/24\"; action = \"bypass\"; }, { to = \"10.0.9.0/24\"; action = \"bypass\"; },"
     "{ to = \"10.0.10.0/24\"; action = \"bypass\"; }, { to = \"10.0.11.0/24\"; action = \"bypass\"; },"
     "{ to = \"10.0.12.0/24\"; action = \"bypass\"; }, { to = \"10.0.13.0/24\"; action = \"bypass\"; },"
     "{ to = \"10.0.14.0/24\"; action = \"bypass\"; }, { to = \"10.0.15.0/24\"; action = \"bypass\"; } "
     ");\n" ONE(INBOUND("0x1001", KEY_A)),
     3, "limits.policies", "room for 16, and the configuration has 17 policies", "policies = 17;"},
};

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

    {ONE("replay-window = 63; " INBOUND("0x1001", KEY_A)), 3, "connections[0].replay-window",
     "63 packets are too few", "64 to 65536, or 0"},
    {ONE("replay-window = 65537; " INBOUND("0x1001", KEY_A)), 3, "connections[0].replay-window",
     "65537 is not within", "65536 or less"},
    {ONE("mode = \"transport\"; " INBOUND("0x1001", KEY_A)), 2, "connections[0].local-networks",
     "a connection in transport mode has no networks", "remove them, or set mode"},
    {"connections = ( { name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; mode = "
     "\"transport\"; " INBOUND("0x1001", KEY_A) "},\n" OUTER("b", "192.0.2.3", "192.0.2.2/32")
         INBOUND("0x1002", KEY_B) "} );",
     4, "connections[1].remote-networks[0]", "already belongs to connection \"a\"", "keep it in one place"},
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

std::string all(const std::vector<Problem>& problems) {
  std::string text;
  for (const auto& problem : problems) text += problem.text() + "\n";
  return text;
}

// `first_line` is line 1 of the file.
void check(std::span<const Case> cases, std::string_view first_line) {
  const test::Folder folder;
  for (const auto& expected : cases) {
    const auto file = folder.write("espgate.conf", fmt::format("{}{}\n", first_line, expected.text));
    const auto result = load(file);
    INFO(expected.text);
    INFO(all(result.errors));
    CHECK_FALSE(result.configuration);
    const auto found = std::ranges::find_if(result.errors, [&](const Problem& problem) {
      return problem.path == expected.path && problem.message.find(expected.message) != std::string::npos;
    });
    CHECK(found != result.errors.end());
    if (found == result.errors.end()) continue;
    CHECK(found->file == file);
    CHECK(found->line == expected.line);
    CHECK_FALSE(found->remedy.empty());
    CHECK_THAT(found->remedy, Catch::Contains(std::string(expected.remedy)));
  }
}

}  // namespace

TEST_CASE("mistakes in settings are named with line, value and remedy") {
  check(settings, test::minimal);
}
TEST_CASE("mistakes in ports are named with line, value and remedy") {
  check(ports, "# no port yet\n");
}
TEST_CASE("mistakes in routes and policies are named with line, value and remedy") {
  check(forwarding, test::minimal);
}
TEST_CASE("mistakes in connections are named with line, value and remedy") {
  check(connections, test::minimal);
}
TEST_CASE("mistakes in SAs are named with line, value and remedy") {
  check(sas, test::minimal);
}

TEST_CASE("all mistakes are reported at once, in the order of the file, and none twice") {
  const test::Folder folder;
  const auto file =
      folder.write("espgate.conf",
                   "connections = ( { name = \"a b\"; local = \"x\"; remote = \"y\";\n"
                   "local-networks = [ \"z\" ]; remote-networks = [ 5 ]; inbound = { spi = 1; }; } );\n"
                   "idle = 5;\n"
                   "limits = { routes = 0; bogus = 1; };\n"
                   "ports = ( { name = \"p\"; device = \"\"; mtu = 1; } );\n");
  const auto errors = load(file).errors;
  std::vector<std::pair<unsigned, std::string>> places;
  for (const auto& error : errors) places.emplace_back(error.line, error.path);
  CHECK(places == std::vector<std::pair<unsigned, std::string>>{
                      {1, "connections[0].name"},
                      {1, "connections[0].local"},
                      {1, "connections[0].remote"},
                      {2, "connections[0].local-networks[0]"},
                      {2, "connections[0].remote-networks[0]"},
                      {2, "connections[0].inbound.key"},
                      {2, "connections[0].inbound.spi"},
                      {3, "idle"},
                      {4, "limits.routes"},
                      {4, "limits.bogus"},
                      {5, "ports[0].device"},
                      {5, "ports[0].mtu"},
                  });
}

TEST_CASE("a problem prints as file:line: path: message; remedy") {
  const test::Folder folder;
  const auto file = folder.write("espgate.conf", std::string(test::minimal) + "idle = \"spinn\";\n");
  const auto result = load(file);
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].text() ==
        file + ":2: idle: \"spinn\" is not \"spin\" or \"sleep\"; did you mean \"spin\"?");
}

// Every mistake of content, but for connections (connection_errors_test.cpp): where it is reported, how it is
// called, and that there is a remedy.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "control/config/load.hpp"
#include "tests/control/config/mistakes.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate::config;
using test::Case;

namespace {

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
    {"ports = ( { name = \"p\"; device = \"net_null0\";\nservice-vlan = 7; } );", 3, "ports[0].service-vlan",
     "this port's vlan is 0", "set vlan to the inner tag"},
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
     3, "ports[1].addresses[0]", "192.0.2.1 is already ports[0].addresses[0] in line 2", "one interface"},
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

}  // namespace

TEST_CASE("mistakes in settings are named with line, value and remedy") {
  test::check(settings, test::minimal);
}
TEST_CASE("mistakes in ports are named with line, value and remedy") {
  test::check(ports, "# no port yet\n");
}
TEST_CASE("mistakes in routes and policies are named with line, value and remedy") {
  test::check(forwarding, test::minimal);
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

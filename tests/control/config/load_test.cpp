// What a good file becomes.
#include "control/config/load.hpp"

#include <catch2/catch.hpp>

#include "tests/control/config/loaded.hpp"
#include "tests/control/config/sample.hpp"

using namespace espgate;
using namespace espgate::config;

namespace {}  // namespace

TEST_CASE("what a file leaves out has the defaults of the Configuration") {
  const auto file = test::loaded(test::minimal);
  const Configuration blank;
  CHECK(file.socket == blank.socket);
  CHECK(file.crypto_engine == blank.crypto_engine);
  CHECK(file.log_level == blank.log_level);
  CHECK(file.control_cpu == blank.control_cpu);
  CHECK(file.worker_cpus == blank.worker_cpus);
  CHECK(file.hugepages == blank.hugepages);
  CHECK(file.memory_mb == blank.memory_mb);
  CHECK(file.idle == blank.idle);
  CHECK(file.idle_sleep_us == blank.idle_sleep_us);
  CHECK(file.routes.empty());
  CHECK(file.policies.empty());
  CHECK(file.connections.empty());
  const Port port;
  REQUIRE(file.ports.size() == 1);
  CHECK(file.ports[0].mtu == port.mtu);
  CHECK(file.ports[0].vlans == 0);
  CHECK(file.ports[0].addresses.empty());
  CHECK(file.ports[0].line == 1);
  CHECK(file.files == std::vector{file.file});
}

TEST_CASE("an empty limits group has the defaults too") {
  const auto limits = test::loaded(std::string(test::minimal) + "limits = { };").limits;
  const Limits blank;
  CHECK(limits.inbound_sas == blank.inbound_sas);
  CHECK(limits.outbound_sas == blank.outbound_sas);
  CHECK(limits.routes == blank.routes);
  CHECK(limits.policies == blank.policies);
  CHECK(limits.neighbours == blank.neighbours);
  CHECK(limits.buffers == blank.buffers);
  CHECK(limits.punt_ring == blank.punt_ring);
  CHECK(limits.punt_host_pps == blank.punt_host_pps);
  CHECK(limits.punt_ike_pps == blank.punt_ike_pps);
  CHECK(limits.punt_spi_pps == blank.punt_spi_pps);
  CHECK(limits.tombstones == blank.tombstones);
  CHECK(limits.tombstone_s == blank.tombstone_s);
  CHECK(limits.linger_s == blank.linger_s);
  CHECK(limits.invalid_spi_flows == blank.invalid_spi_flows);
  CHECK(limits.invalid_spi_repairs_per_s == blank.invalid_spi_repairs_per_s);
}

TEST_CASE("every key of a file arrives in the Configuration") {
  const auto file = test::loaded(R"(
control-cpu = 2; worker-cpus = [ 3, 0x4, 3 ]; idle = "spin"; idle-sleep-us = 77;
hugepages = TRUE; memory-mb = 512; crypto-engine = "openssl"; socket = "/tmp/s"; log-level = "debug";
limits : { inbound-sas = 21; outbound-sas = 22; routes = 23; policies = 24; neighbours = 25; buffers = 2600;
  punt-ring = 270; punt-host-pps = 28; punt-ike-pps = 29; punt-spi-pps = 30; tombstones = 31;
  tombstone-seconds = 32; linger-seconds = 34; invalid-spi-flows = 33;
  invalid-spi-repairs = 35; }; state-directory = "/tmp/state";
ports = ( { name = "out"; device = "net_af_packet0,iface=e0"; ipsec = true; mtu = 9000; vlan = 7;
            service-vlan = 4094; addresses = [ "192.0.2.1/24", "2001:db8::1/64" ]; } );
routes = ( { to = "2001:db8:9::/48"; via = "2001:db8::9"; } );
policies = ( { to = "10.1.0.0/24"; action = "bypass"; }, { to = "0.0.0.0/0"; action = "discard"; } );
connections = (
  { name = "branch"; local = "2001:db8::1"; remote = "2001:db8::2"; encapsulation = "udp";
    local-port = 4500; remote-port = 4502; local-networks = [ "10.1.0.0/24", "10.4.0.0/24" ];
    remote-networks = [ "10.2.0.0/24" ]; suite = "aes256-gcm16"; esn = true; replay-window = 65536;
    df = "clear"; dscp = 46; ecn = false; ttl = 9; flow-label = false; follow-peer = false; nat-keepalive = 7;
    inbound = { spi = 0xfffffffe; key = "0x000102030405060708090a0b0c0d0e0f"
                                        "101112131415161718191a1b1c1d1e1f" "aabbccdd"; };
    outbound = { spi = 4294967295; key = "101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f00000001"; };
  } );
)");
  CHECK(file.control_cpu == 2);
  CHECK(file.worker_cpus == std::vector<unsigned>{3, 4, 3});
  CHECK(file.idle == Idle::spin);
  CHECK(file.idle_sleep_us == 77);
  CHECK(file.memory_mb == 512);
  CHECK(file.crypto_engine == "openssl");
  CHECK(file.socket == "/tmp/s");
  CHECK(file.log_level == "debug");
  const auto& l = file.limits;
  CHECK(std::vector{l.inbound_sas, l.outbound_sas, l.routes, l.policies, l.neighbours, l.buffers, l.punt_ring,
                    l.punt_host_pps, l.punt_ike_pps, l.punt_spi_pps, l.tombstones, l.tombstone_s,
                    l.invalid_spi_flows, l.linger_s, l.invalid_spi_repairs_per_s} ==
        std::vector<std::uint32_t>{21, 22, 23, 24, 25, 2600, 270, 28, 29, 30, 31, 32, 33, 34, 35});
  CHECK(file.state_directory == "/tmp/state");

  REQUIRE(file.ports.size() == 1);
  const auto& port = file.ports[0];
  CHECK(port.name == "out");
  CHECK(port.device == "net_af_packet0,iface=e0");
  CHECK(port.ipsec);
  CHECK(port.mtu == 9000);
  CHECK(port.vlans == net::vlans_of(4094, 7));
  REQUIRE(port.addresses.size() == 2);
  CHECK(port.addresses[1] == net::InterfaceAddress{*net::parse_address("2001:db8::1"), 64});

  REQUIRE(file.routes.size() == 1);
  CHECK(file.routes[0].to == *net::parse_prefix("2001:db8:9::/48"));
  CHECK(file.routes[0].via == *net::parse_address("2001:db8::9"));
  REQUIRE(file.policies.size() == 2);
  CHECK(file.policies[0].action == PolicyAction::bypass);
  CHECK(file.policies[1].action == PolicyAction::discard);
  CHECK(file.policies[1].selector.remote == *net::parse_range("0.0.0.0/0"));

  REQUIRE(file.connections.size() == 1);
  const auto& branch = file.connections[0];
  CHECK(branch.name == "branch");
  CHECK(branch.line == 13);
  CHECK(branch.local == *net::parse_address("2001:db8::1"));
  CHECK(branch.remote == *net::parse_address("2001:db8::2"));
  CHECK(branch.encapsulation == Encapsulation::udp);
  CHECK(branch.local_port == 4500);
  CHECK(branch.remote_port == 4502);
  CHECK(branch.local_networks ==
        std::vector{*net::parse_prefix("10.1.0.0/24"), *net::parse_prefix("10.4.0.0/24")});
  CHECK(branch.remote_networks == std::vector{*net::parse_prefix("10.2.0.0/24")});
  CHECK(branch.suite == crypto::SuiteId::aes_gcm_16_256);
  CHECK(branch.extended_sequence);
  CHECK(branch.mode == Mode::tunnel);
  CHECK(branch.outer.df == sa::DfPolicy::clear);
  CHECK(branch.outer.dscp == 46);
  CHECK_FALSE(branch.outer.ecn);
  CHECK(branch.outer.hop_limit == 9);
  CHECK_FALSE(branch.outer.flow_label);
  CHECK_FALSE(branch.follow_peer);
  CHECK(branch.nat_keepalive_s == 7);
  CHECK(branch.replay_window_packets == 65536);
  REQUIRE(branch.inbound);
  REQUIRE(branch.outbound);
  CHECK(branch.inbound->spi == 0xfffffffe);
  CHECK(branch.outbound->spi == 0xffffffff);
  REQUIRE(branch.inbound->keymat.bytes().size() == 36);
  CHECK(branch.inbound->keymat.bytes()[31] == 0x1f);
  CHECK(branch.inbound->keymat.bytes()[35] == 0xdd);
}

TEST_CASE("transport mode has the two gateways for networks, and outer headers copy unless told otherwise") {
  const auto file = test::loaded(
      "ports = ( { name = \"p\"; device = \"net_null0\"; ipsec = true; } );\n"
      "connections = ( { name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; mode = \"transport\";\n"
      "inbound = { spi = 256; key = \"47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4\" } } );\n");
  const auto& a = file.connections[0];
  CHECK(a.mode == Mode::transport);
  CHECK(a.local_networks == std::vector{*net::parse_prefix("192.0.2.1/32")});
  CHECK(a.remote_networks == std::vector{*net::parse_prefix("192.0.2.2/32")});
  CHECK(a.outer.df == sa::DfPolicy::copy);
  CHECK_FALSE(a.outer.dscp);
  CHECK(a.outer.ecn);
  CHECK(a.outer.hop_limit == 64);
  CHECK(a.follow_peer);
  CHECK(a.nat_keepalive_s == 20);
}

TEST_CASE("a window of 0 and of 64, one direction only, CRLF line ends and a byte order mark are fine") {
  const auto file = test::loaded(
      "\xef\xbb\xbfports = ( { name = \"p\"; device = \"net_null0\"; ipsec = true; } );\r\n"
      "connections = ( { name = \"a\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\";\r\n"
      "local-networks = ( \"10.1.0.0/24\" ); remote-networks = ( \"10.2.0.0/24\" ) replay-window = 0;\r\n"
      "inbound = { spi = 256; key = \"47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4\" } } );\r\n");
  CHECK(file.connections[0].replay_window_packets == 0);
  CHECK(file.connections[0].inbound->spi == 256);
  CHECK_FALSE(file.connections[0].outbound);
}

TEST_CASE("a device arrives in one spelling, its arguments as they are") {
  const auto device = [](const std::string& written) {
    return test::loaded("ports = ( { name = \"p\"; device = \"" + written + "\"; } );").ports[0].device;
  };
  CHECK(device("pci:3B:0.0") == "0000:3b:00.0");
  CHECK(device("3b:00.0,a=1,B=2") == "0000:3b:00.0,a=1,B=2");
  CHECK(device("vdev:net_null0,copy=1") == "net_null0,copy=1");
}

TEST_CASE("lifetimes in numbers and with units, and thresholds for reasons and groups") {
  const test::Folder folder;
  const auto file =
      folder.write("espgate.conf", std::string(test::generated(1)) +
                                       "thresholds = ( { reason = \"62\"; per-minute = 100; },\n"
                                       "{ reason = \"ipsecdenydrop\"; per-minute = 7; } );\n");
  auto text = test::generated(1);
  text.replace(text.find("suite ="), 0,
               "lifetime = { soft-packets = 5; hard-packets = \"2 G\"; soft-bytes = \"90GB\"; "
               "hard-bytes = \"100 GiB\"; soft-seconds = \"7 h\"; hard-seconds = 28800; }; ");
  const auto limited = load(folder.write("limited.conf", text));
  REQUIRE(limited.configuration);
  CHECK(limited.configuration->connections[0].lifetime ==
        sa::Lifetime{5, 2'000'000'000, 90'000'000'000, std::uint64_t{100} << 30, 25'200, 28'800});

  const auto result = load(file);
  REQUIRE(result.configuration);
  CHECK_FALSE(result.configuration->connections[0].lifetime.limits_anything());
  const auto& thresholds = result.configuration->thresholds;
  REQUIRE(thresholds.size() == 2);
  CHECK(thresholds[0].name == "IN_CD_SW_IPSEC_MAC_EXCEPTION");
  CHECK(thresholds[0].number == 62);
  CHECK(thresholds[0].reasons == std::vector{Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION});
  CHECK(thresholds[0].per_minute == 100);
  CHECK(thresholds[1].name == "IpsecDenyDrop");
  CHECK_FALSE(thresholds[1].number);
  for (const auto reason : thresholds[1].reasons) CHECK(row(reason).group == DropGroup::IpsecDenyDrop);
  CHECK(thresholds[1].reasons.size() > 5);
  CHECK(thresholds[1].line == thresholds[0].line + 1);
}

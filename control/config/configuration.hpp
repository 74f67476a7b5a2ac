// The configuration file as values: complete, checked and with defaults filled in. Everything that
// reads the configuration reads this; nothing else looks at libconfig.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datapath/base/secret.hpp"
#include "datapath/crypto/suite.hpp"
#include "datapath/net/gre.hpp"
#include "datapath/net/traffic_selector.hpp"
#include "datapath/net/vlan.hpp"
#include "datapath/sa/sa_parameters.hpp"
#include "datapath/verdict/verdict.hpp"

namespace espgate::config {

// A line of Configuration::files[file].
struct Place {
  std::uint32_t file = 0;
  std::uint32_t line = 0;  // 0: the file as a whole
};

enum class Idle : std::uint8_t { spin, sleep };
enum class Mode : std::uint8_t { tunnel, transport };
enum class TunnelKind : std::uint8_t { vti, gre, gre_multipoint };
enum class Encapsulation : std::uint8_t { none, udp };
// What may be done when a peer sends with SPIs of nobody's: all, only telling it by an IKE SA that is there,
// or nothing.
enum class InvalidSpiRecovery : std::uint8_t { full, existing_ike_only, off };
enum class PolicyAction : std::uint8_t { bypass, discard };

using espgate::Secret;
struct IkeSettings;

struct Port {
  std::string name;          // also the name of its TAP twin in the kernel: at most 15 characters
  std::string device;        // PCI address "0000:3b:00.0" or vdev string "net_af_packet0,iface=veth0"
  bool ipsec = false;        // ESP to our addresses on this port is ours to decrypt
  std::uint16_t mtu = 1500;  // largest IP packet, 576..9000
  net::Vlans vlans = 0;      // tags that all frames of this port carry
  std::vector<net::InterfaceAddress> addresses;  // set on the twin at start, besides what the kernel has
  unsigned line = 0;                             // where it stands, for later errors: line of files[file]
  unsigned file = 0;
};

struct Route {
  net::Prefix to;
  net::Address via;
  unsigned line = 0;
  unsigned file = 0;
};

// Lower priorities are searched first; of two alike, connections before policies, then as in the file.
inline constexpr std::uint16_t connection_priority = 1'000;
inline constexpr std::uint16_t policy_priority = 2'000;

struct Policy {
  net::TrafficSelector selector;  // of the file's `from` (local) and `to` (remote)
  PolicyAction action = PolicyAction::bypass;
  std::uint16_t priority = policy_priority;
  std::string comment;
  unsigned line = 0;
  unsigned file = 0;
};

struct ManualSa {
  std::uint32_t spi = 0;
  Secret keymat;  // suite.keymat_bytes(): key, salt, integrity key
  bool operator==(const ManualSa&) const = default;
};

struct Connection {
  std::string name;
  net::Address local;  // outer addresses
  net::Address remote;
  // Peers at any address begin, each with SAs and policies of its own. Then `remote` is unspecified.
  bool any_peer = false;
  Mode mode = Mode::tunnel;
  sa::OuterFields outer;
  std::uint16_t tfc_bytes = 0;   // tunnel mode, as sa::OutboundSa has it
  std::uint32_t dummy_rate = 0;  // tunnel mode: dummy packets a second
  Encapsulation encapsulation = Encapsulation::none;
  std::uint16_t local_port = 4500;
  std::uint16_t remote_port = 4500;
  bool follow_peer = true;                      // udp: the peer's address and port may change
  std::uint32_t nat_keepalive_s = 20;           // udp; 0: none
  std::vector<net::Prefix> local_networks;      // inner networks on our side; transport mode: local
  std::vector<net::Prefix> remote_networks;     // and behind the peer; transport mode: remote
  std::vector<net::TrafficSelector> selectors;  // parts of the traffic between other networks
  bool by_route = false;                        // a tunnel's: routes decide what it protects, and no policy
  std::uint16_t priority = connection_priority;
  crypto::SuiteId suite = crypto::SuiteId::aes_gcm_16_128;
  bool extended_sequence = false;
  sa::Lifetime lifetime;                       // of each direction's SA
  std::uint32_t replay_window_packets = 1024;  // 0: off, else 64..65536
  InvalidSpiRecovery invalid_spi_recovery = InvalidSpiRecovery::full;
  std::shared_ptr<const IkeSettings> ike;  // null: manual keys
  std::optional<ManualSa> inbound;         // absent: none (outbound-only or inbound-only are legal)
  std::optional<ManualSa> outbound;
  unsigned line = 0;
  unsigned file = 0;
  bool operator==(const Connection&) const = default;  // `ike`: whether it is the same object
};

// The connection that protects what goes to one peer of a tunnel's.
struct TunnelPeer {
  std::string connection;
  std::vector<net::Address> next_hops;  // multipoint: routes through these lead to it
  bool operator==(const TunnelPeer&) const = default;
};

// An interface that routes lead into.
struct Tunnel {
  std::string name;  // also the name of its link in the kernel
  TunnelKind kind = TunnelKind::vti;
  std::vector<TunnelPeer> peers;  // exactly one, unless it is multipoint
  net::gre::Options gre{};        // not of kind vti
  std::uint16_t mtu = 0;          // largest inner packet; as loaded never 0
  std::vector<net::InterfaceAddress> addresses;
  unsigned line = 0;
  unsigned file = 0;
};

// How many entries of limits.tunnels these take: each interface one, and each peer of a multipoint one.
std::size_t tunnel_entries(const std::vector<Tunnel>& tunnels);

// All that the connection may carry: each pair of networks that one packet can lie in, then its selectors.
std::vector<net::TrafficSelector> protected_by(const Connection& connection);
// As far as policies protect it: nothing where routes decide.
std::vector<net::TrafficSelector> policies_of(const Connection& connection);

// More drops a minute than an operator wants to be without knowing.
struct Threshold {
  std::string name;                     // of the reason or the group, as the drop table has it
  std::optional<std::uint16_t> number;  // of a reason
  std::vector<Verdict> reasons;         // one, or the group's
  std::uint64_t per_minute = 0;
  unsigned line = 0;
  unsigned file = 0;
};

struct Limits {
  std::uint32_t inbound_sas = 10'000;
  std::uint32_t outbound_sas = 10'000;
  std::uint32_t routes = 16'384;
  std::uint32_t policies = 16'384;
  std::uint32_t neighbours = 4'096;
  std::uint32_t tunnels = 256;
  std::uint32_t buffers = 16'384;        // packet buffers (mbufs)
  std::uint32_t punt_ring = 1'024;       // entries, each class
  std::uint32_t punt_host_pps = 20'000;  // each worker
  std::uint32_t punt_ike_pps = 10'000;
  std::uint32_t punt_spi_pps = 10'000;
  std::uint32_t icmp_error_pps = 1'000;
  std::uint32_t reassembly_flows = 256;  // each worker
  std::uint32_t reassembly_ms = 1'000;
  std::uint32_t tombstones = 10'000;  // retired inbound SAs kept to explain late packets
  std::uint32_t tombstone_s = 300;
  std::uint32_t linger_s = 30;  // an inbound SA after its rekey
  std::uint32_t invalid_spi_flows = 4'096;
  std::uint32_t invalid_spi_repairs_per_s = 100;
  std::uint32_t ike_sas = 20'000;
  std::uint32_t ike_sas_per_peer = 16;
  std::uint32_t ike_half_open = 5'000;  // as responder, of peers that have not proved who they are
  std::uint32_t ike_cookies_from = 500;
  std::uint32_t ike_half_open_per_source = 50;  // of an IPv4 address or an IPv6 /64

  bool operator==(const Limits&) const = default;
};

// A program that is run when something happens, as a user that can do nothing.
struct Hook {
  std::string program;  // absolute path; empty: none
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool operator==(const Hook&) const = default;
};

struct Configuration {
  std::string file;                // where it was read from
  std::vector<std::string> files;  // that one, then all that it includes, in reading order
  std::string socket = "/run/espgate/espgate.sock";
  std::string state_directory = "/var/lib/espgate";  // empty: none
  std::string crypto_engine = "ipsec-mb";            // or "openssl", the slow reference
  std::string log_level = "info";
  bool debug_keys_export = false;  // `export wireshark` may hand out the keys
  Hook on_invalid_spi;
  unsigned control_cpu = 0;
  std::vector<unsigned> worker_cpus{1};  // one worker each; a CPU may be named twice, or be the control's
  bool hugepages = true;
  bool no_huge = false;         // the command line took them away, whatever the file says
  std::uint32_t memory_mb = 0;  // 0: what the limits need
  Idle idle = Idle::sleep;
  std::uint32_t idle_sleep_us = 50;
  bool path_mtu_discovery = true;  // whether routers are listened to
  Limits limits;
  std::vector<Port> ports;
  std::vector<Route> routes;
  std::vector<Policy> policies;
  std::vector<Connection> connections;
  std::vector<Tunnel> tunnels;
  std::vector<Threshold> thresholds;
  // Where settings stand that the machine may refuse; lines are 0 where the file leaves them out.
  Place place_of_socket, place_of_cpus, place_of_hugepages;
};

}  // namespace espgate::config

#include "control/config/schema.hpp"

#include <algorithm>
#include <array>

namespace espgate::config {
namespace {

constexpr long long most_uint16 = 65'535;
constexpr long long most_uint32 = 4'294'967'295;
constexpr long long any_length = 4'096;

// Choices that become enumerators stand in their order.
constexpr std::array<std::string_view, 2> idles{"spin", "sleep"};
constexpr std::array<std::string_view, 2> engines{"ipsec-mb", "openssl"};
constexpr std::array<std::string_view, 6> log_levels{"trace",   "debug", "info",
                                                     "warning", "error", "critical"};
constexpr std::array<std::string_view, 2> encapsulations{"none", "udp"};
constexpr std::array<std::string_view, 2> actions{"bypass", "discard"};
// The crypto folder's suite table in the order of its rows; a test compares the two.
constexpr std::array<std::string_view, 3> suite_names{"aes128-gcm16", "aes192-gcm16", "aes256-gcm16"};

constexpr Key limit(std::string_view name, std::string_view unit, long long least, long long most,
                    std::string_view preset, std::string_view meaning) {
  return {.name = name,
          .kind = Kind::integer,
          .unit = unit,
          .least = least,
          .most = most,
          .preset = preset,
          .meaning = meaning};
}

constexpr std::array limit_keys{
    limit("inbound-sas", "SAs", 1, 4'000'000, "10000", "Inbound SAs: larval, active and retired together."),
    limit("outbound-sas", "SAs", 1, 4'000'000, "10000", "Outbound SAs."),
    limit("routes", "routes", 16, 4'000'000, "16384",
          "Routes, those of this file and those learned from the kernel together."),
    limit("policies", "policies", 16, 4'000'000, "16384",
          "One for each entry of policies (two if it is for IPv4 and IPv6), and of connections one for each "
          "pair of a local and a remote network and each selector."),
    limit("neighbours", "neighbours", 16, 1'000'000, "4096",
          "Next hops with a known or awaited MAC address."),
    limit("buffers", "buffers", 1'024, 16'000'000, "16384",
          "Packet buffers, shared by all ports and workers."),
    limit("punt-ring", "packets", 64, 1'048'576, "1024",
          "Packets of one class that may wait for the control core; more are dropped and counted."),
    limit("punt-host-pps", "packets/s", 1, 100'000'000, "20000",
          "Packets a second that one worker hands to the kernel."),
    limit("punt-ike-pps", "packets/s", 1, 100'000'000, "10000",
          "IKE packets a second that one worker hands to the control core."),
    limit("punt-spi-pps", "packets/s", 1, 100'000'000, "10000",
          "Reports of packets with an unknown SPI that one worker sends each second; "
          "the packets beyond are dropped and counted all the same."),
    limit("tombstones", "SAs", 0, 4'000'000, "10000",
          "Deleted inbound SAs that are remembered, to tell a late packet from a stray one."),
    limit("tombstone-seconds", "seconds", 1, 86'400, "300", "How long a deleted inbound SA is remembered."),
    limit("invalid-spi-flows", "flows", 16, 1'000'000, "4096",
          "Senders of unknown SPIs that are told apart in reports."),
};
constexpr Group limits_group{
    "limits", "How much of everything there can be. Memory is taken at start for all of it.", limit_keys};

constexpr std::array port_keys{
    Key{.name = "name",
        .kind = Kind::text,
        .unit = "characters",
        .least = 1,
        .most = 15,
        .required = true,
        .meaning = "Name of the port and of its twin interface in the kernel."},
    Key{.name = "device",
        .kind = Kind::text,
        .least = 1,
        .most = any_length,
        .required = true,
        .meaning = "PCI address such as 0000:3b:00.0, or DPDK virtual device such as "
                   "net_af_packet0,iface=eth1."},
    Key{.name = "ipsec",
        .kind = Kind::boolean,
        .preset = "false",
        .meaning = "Whether ESP that arrives here for one of our addresses is decrypted."},
    Key{.name = "mtu",
        .kind = Kind::integer,
        .unit = "bytes",
        .least = 576,
        .most = 9'000,
        .preset = "1500",
        .meaning = "Largest IP packet. IPv6 needs 1280 at least."},
    Key{.name = "vlan",
        .kind = Kind::integer,
        .least = 0,
        .most = 4'094,
        .preset = "0",
        .meaning = "802.1Q tag of all frames of this port; 0 is untagged."},
    Key{.name = "addresses",
        .kind = Kind::texts,
        .most = any_length,
        .meaning = "Addresses with prefix length that the twin gets at start, "
                   "besides those the kernel already has."},
};
constexpr Group port_group{
    "ports[]", "A port: a network device that espgate drives, and its twin in the kernel.", port_keys};

constexpr std::array route_keys{
    Key{.name = "to",
        .kind = Kind::text,
        .most = any_length,
        .required = true,
        .meaning = "Destination prefix."},
    Key{.name = "via",
        .kind = Kind::text,
        .most = any_length,
        .required = true,
        .meaning = "Address of the next hop, of the same family as to."},
};
constexpr Group route_group{"routes[]", "A static route, besides those of the kernel's twins.", route_keys};

constexpr long long most_priority = 65'000;

constexpr Key selector_text(std::string_view name, std::string_view meaning, bool required = false) {
  return {.name = name, .kind = Kind::text, .most = any_length, .required = required, .meaning = meaning};
}
constexpr Key priority(std::string_view preset, std::string_view meaning) {
  return {.name = "priority",
          .kind = Kind::integer,
          .least = 0,
          .most = most_priority,
          .preset = preset,
          .meaning = meaning};
}
constexpr auto protocol_key = selector_text(
    "protocol", "A name such as tcp, udp, icmp, icmpv6, gre, or a number from 0 to 255. Without it, any.");
constexpr auto icmp_key = selector_text(
    "icmp-type",
    "With ICMP: a type \"8\", types \"3-5\", a type's code \"3/4\" or codes \"3/0-4\". Without it, all.");

constexpr std::array policy_keys{
    selector_text("from",
                  "Addresses on our side, where packets come from: a prefix, or a range such as "
                  "10.1.0.5-10.1.0.20. Without it, all."),
    selector_text("to", "Addresses on the other side, in the same forms. Without it, all."),
    protocol_key,
    selector_text("from-port",
                  "With tcp, udp, udp-lite, sctp or dccp: a port \"443\" or ports "
                  "\"1024-65535\" on our side."),
    selector_text("to-port", "The same on the other side."),
    icmp_key,
    Key{.name = "action",
        .kind = Kind::choice,
        .required = true,
        .choices = actions,
        .meaning = "bypass forwards in the clear, discard drops and counts."},
    priority("2000", "Lower ones are searched first; of equal ones, in the order of this file."),
    selector_text("comment", "Shown by espgatectl show policies."),
};
constexpr Group policy_group{
    "policies[]",
    "What happens to cleartext that no connection protects. Connections and policies together are searched "
    "by their priority, lower ones first, and the first that matches decides; what none matches is dropped. "
    "On ports with ipsec = true, what comes in clear is judged as well, with source and destination swapped: "
    "what its answer would be protected for, or discarded, is dropped.",
    policy_keys};

constexpr std::array selector_keys{
    selector_text("local", "Addresses on our side: a prefix, or a range such as 10.1.0.5-10.1.0.20.", true),
    selector_text("remote", "Addresses behind the peer, in the same forms and of the same family.", true),
    protocol_key,
    selector_text("local-port",
                  "With tcp, udp, udp-lite, sctp or dccp: a port \"443\" or ports "
                  "\"1024-65535\" on our side."),
    selector_text("remote-port", "The same behind the peer."),
    icmp_key,
};
constexpr Group selector_group{
    "connections[].selectors[]",
    "A part of the traffic between two networks that the connection protects. Fragments that do not begin "
    "a packet have no ports: where ports are named, they are dropped.",
    selector_keys};

constexpr std::array sa_keys{
    Key{.name = "spi",
        .kind = Kind::integer,
        .least = 256,
        .most = most_uint32,
        .hexadecimal = true,
        .required = true,
        .reason = "SPIs 0 to 255 are reserved (RFC 4303 2.1)",
        .meaning = "SPI of the SA. Inbound ones are unique on this box; 0 to 255 are reserved."},
    Key{.name = "key",
        .kind = Kind::secret,
        .most = any_length,
        .meaning = "Cipher key, then salt, in hexadecimal. Either this or key-file."},
    Key{.name = "key-file",
        .kind = Kind::text,
        .least = 1,
        .most = any_length,
        .meaning = "File that holds the same digits; a relative name starts at the directory of the file "
                   "that says so. Others must not be able to read it."},
};
constexpr Group inbound_group{"connections[].inbound", "The SA that decrypts what the peer sends.", sa_keys};
constexpr Group outbound_group{"connections[].outbound", "The SA that encrypts what we send.", sa_keys};

constexpr std::array connection_keys{
    Key{.name = "name",
        .kind = Kind::text,
        .unit = "characters",
        .least = 1,
        .most = 63,
        .required = true,
        .meaning = "Name of the connection: letters, digits, hyphen, underscore and dot."},
    Key{.name = "local",
        .kind = Kind::text,
        .most = any_length,
        .required = true,
        .meaning = "Our outer address."},
    Key{.name = "remote",
        .kind = Kind::text,
        .most = any_length,
        .required = true,
        .meaning = "The peer's outer address, of the same family as local."},
    Key{.name = "encapsulation",
        .kind = Kind::choice,
        .preset = "none",
        .choices = encapsulations,
        .meaning = "none sends plain ESP, udp puts it into UDP (RFC 3948)."},
    Key{.name = "local-port",
        .kind = Kind::integer,
        .least = 1,
        .most = most_uint16,
        .preset = "4500",
        .meaning = "Our UDP port when encapsulation is udp."},
    Key{.name = "remote-port",
        .kind = Kind::integer,
        .least = 1,
        .most = most_uint16,
        .preset = "4500",
        .meaning = "The peer's UDP port when encapsulation is udp."},
    Key{.name = "local-networks",
        .kind = Kind::texts,
        .most = any_length,
        .fewest_elements = 1,
        .meaning = "Inner networks on our side. A decrypted packet must be going to one of them, or match "
                   "a selector."},
    Key{.name = "remote-networks",
        .kind = Kind::texts,
        .most = any_length,
        .fewest_elements = 1,
        .meaning = "Inner networks behind the peer. What goes to them from a local network is encrypted, and "
                   "a decrypted packet must come from one of them, or match a selector."},
    Key{.name = "selectors",
        .kind = Kind::groups,
        .fewest_elements = 1,
        .group = &selector_group,
        .meaning =
            "Traffic by protocol, ports or ranges of addresses, besides the networks or instead of them."},
    priority("1000",
             "When the connection's selectors are searched among others: lower ones first; of equal "
             "ones, in the order of this file and before policies."),
    Key{.name = "suite",
        .kind = Kind::choice,
        .preset = "aes128-gcm16",
        .choices = suite_names,
        .meaning = "Cipher of both directions."},
    Key{.name = "esn",
        .kind = Kind::boolean,
        .preset = "false",
        .meaning = "Extended (64-bit) sequence numbers. Both ends must agree."},
    Key{.name = "replay-window",
        .kind = Kind::integer,
        .unit = "packets",
        .least = 0,
        .most = 65'536,
        .preset = "1024",
        .meaning = "Anti-replay window: 64 to 65536, or 0 for none."},
    Key{.name = "inbound",
        .kind = Kind::group,
        .group = &inbound_group,
        .meaning = "SA that decrypts what the peer sends; without it the connection only sends."},
    Key{.name = "outbound",
        .kind = Kind::group,
        .group = &outbound_group,
        .meaning = "SA that encrypts what we send; without it the connection only receives."},
};
constexpr Group connection_group{
    "connections[]", "A tunnel to a peer with manual keys. At least one of inbound and outbound is there.",
    connection_keys};

constexpr std::array top_keys{
    Key{.name = "control-cpu",
        .kind = Kind::integer,
        .least = 0,
        .most = 1'023,
        .preset = "0",
        .meaning = "CPU of the control core."},
    Key{.name = "worker-cpus",
        .kind = Kind::integers,
        .least = 0,
        .most = 1'023,
        .preset = "[ 1 ]",
        .fewest_elements = 1,
        .most_elements = 127,
        .meaning = "CPUs of the workers, one worker for each entry. A CPU may be named twice, or be the "
                   "control core's, at the price of speed."},
    Key{.name = "idle",
        .kind = Kind::choice,
        .preset = "sleep",
        .choices = idles,
        .meaning = "What a worker does when nothing arrives: spin keeps its CPU busy and latency lowest, "
                   "sleep yields it for idle-sleep-us."},
    Key{.name = "idle-sleep-us",
        .kind = Kind::integer,
        .unit = "microseconds",
        .least = 1,
        .most = 10'000,
        .preset = "50",
        .meaning = "How long an idle worker sleeps."},
    Key{.name = "hugepages",
        .kind = Kind::boolean,
        .preset = "true",
        .meaning = "Whether memory comes from huge pages. false is for trying out."},
    Key{.name = "memory-mb",
        .kind = Kind::integer,
        .unit = "megabytes",
        .least = 0,
        .most = 1'048'576,
        .preset = "0",
        .meaning = "Memory taken at start; 0 takes what the limits need."},
    Key{.name = "crypto-engine",
        .kind = Kind::choice,
        .preset = "ipsec-mb",
        .choices = engines,
        .meaning = "Crypto library; openssl is the slow reference."},
    Key{.name = "socket",
        .kind = Kind::text,
        .unit = "characters",
        .least = 1,
        .most = 107,
        .preset = "/run/espgate/espgate.sock",
        .meaning = "Unix socket on which espgatectl reaches the daemon."},
    Key{.name = "log-level",
        .kind = Kind::choice,
        .preset = "info",
        .choices = log_levels,
        .meaning = "Least severe messages that are logged."},
    Key{.name = "limits",
        .kind = Kind::group,
        .group = &limits_group,
        .meaning = "How much of everything there can be."},
    Key{.name = "ports",
        .kind = Kind::groups,
        .required = true,
        .fewest_elements = 1,
        .most_elements = 32,
        .group = &port_group,
        .meaning = "The network devices that espgate drives."},
    Key{.name = "routes", .kind = Kind::groups, .group = &route_group, .meaning = "Static routes."},
    Key{.name = "policies",
        .kind = Kind::groups,
        .group = &policy_group,
        .meaning = "What is forwarded in the clear, and what is dropped."},
    Key{.name = "connections",
        .kind = Kind::groups,
        .group = &connection_group,
        .meaning = "Tunnels to peers."},
};
constexpr Group top_group{"", "Keys outside of any group.", top_keys};

constexpr std::array<const Group*, 9> all_groups{&top_group,      &limits_group,  &port_group,
                                                 &route_group,    &policy_group,  &connection_group,
                                                 &selector_group, &inbound_group, &outbound_group};

}  // namespace

const Key* Group::find(std::string_view name) const {
  const auto key = std::ranges::find(keys, name, &Key::name);
  return key == keys.end() ? nullptr : &*key;
}

const Group& top_level() {
  return top_group;
}

std::span<const Group* const> groups() {
  return all_groups;
}

}  // namespace espgate::config

#include "control/config/schema.hpp"

#include <algorithm>
#include <array>

#include "control/config/schema_groups.hpp"
#include "datapath/crypto/suite.hpp"
#include "datapath/sa/security_association.hpp"

namespace espgate::config {
namespace {

constexpr long long most_uint16 = 65'535;

// Choices that become enumerators stand in their order.
constexpr std::array<std::string_view, 2> idles{"spin", "sleep"};
constexpr std::array<std::string_view, 2> engines{"ipsec-mb", "openssl"};
constexpr std::array<std::string_view, 6> log_levels{"trace",   "debug", "info",
                                                     "warning", "error", "critical"};
constexpr std::array<std::string_view, 2> encapsulations{"none", "udp"};
constexpr std::array<std::string_view, 2> modes{"tunnel", "transport"};
constexpr std::array<std::string_view, 3> invalid_spi_recoveries{"full", "existing-ike-only", "off"};
constexpr std::array<std::string_view, 3> df_policies{"copy", "set", "clear"};
constexpr auto suite_names = [] {
  std::array<std::string_view, crypto::suite_count> names;
  std::ranges::transform(crypto::suite_table, names.begin(), &crypto::Suite::name);
  return names;
}();
std::string_view suite_name(std::string_view name_or_alias) {
  const auto* suite = crypto::find_suite(name_or_alias);
  return suite == nullptr ? name_or_alias : suite->name;
}

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
        .meaning =
            "The peer's outer address, of the same family as local; or \"any\": any number of peers at any "
            "address, which begin, with ike. Each has SAs and policies of its own, for what it asks for "
            "within remote-networks and no other has, or, in transport mode, for itself, and is shown as the "
            "connection with a number behind it, as in road#1. What remote-networks has and no peer is there "
            "for is dropped; that is searched behind all policies of the same priority. In transport mode "
            "that is all that the gateway itself says to anybody, unless selectors narrow it."},
    Key{.name = "mode",
        .kind = Kind::choice,
        .preset = "tunnel",
        .choices = modes,
        .meaning = "tunnel carries packets between networks; transport protects what the two gateways "
                   "themselves say to each other, and has no networks."},
    Key{.name = "encapsulation",
        .kind = Kind::choice,
        .preset = "none",
        .choices = encapsulations,
        .meaning = "none sends plain ESP, udp puts it into UDP (RFC 3948)."},
    Key{.name = "local-port",
        .kind = Kind::integer,
        .least = 4'500,
        .most = 4'500,
        .preset = "4500",
        .reason = "espgate takes UDP-encapsulated ESP on port 4500 only (RFC 3948)",
        .meaning = "Our UDP port when encapsulation is udp. Only 4500 is possible; remote-port is free."},
    Key{.name = "remote-port",
        .kind = Kind::integer,
        .least = 1,
        .most = most_uint16,
        .preset = "4500",
        .meaning = "The peer's UDP port when encapsulation is udp."},
    Key{.name = "follow-peer",
        .kind = Kind::boolean,
        .preset = "true",
        .meaning = "With encapsulation udp and anti-replay: a good packet from another address or port moves "
                   "the peer there, as when a NAT on its side changes its mind; in transport mode policies "
                   "and our own kernel go on knowing it by `remote`. With ike: so does a peer that says that "
                   "it moved (MOBIKE, RFC 4555)."},
    Key{.name = "nat-keepalive",
        .kind = Kind::integer,
        .unit = "seconds",
        .least = 0,
        .most = 3'600,
        .preset = "20",
        .meaning =
            "With encapsulation udp, also where IKE found a NAT: after so long without traffic to the "
            "peer a byte is sent that keeps the mapping of a NAT on our side (RFC 3948 2.3), and where "
            "IKE has no SAs for traffic every so often; 0 sends none."},
    Key{.name = "invalid-spi-recovery",
        .kind = Kind::choice,
        .preset = "full",
        .choices = invalid_spi_recoveries,
        .meaning = "With ike: what is done when the peer goes on sending with an SPI that no SA here has. "
                   "existing-ike-only tells it by the IKE SA with it, if there is one (INVALID_SPI, and a "
                   "DELETE), and makes the child SA anew; full also begins an IKE SA where none is, whatever "
                   "start says, or sends a peer that only can begin itself a token (RFC 6290); off does "
                   "nothing."},
    Key{.name = "df",
        .kind = Kind::choice,
        .preset = "copy",
        .choices = df_policies,
        .meaning = "Don't-fragment bit of outer IPv4 headers in tunnel mode and around GRE: the inner "
                   "packet's, or always set, or always clear. An inner IPv6 packet counts as having it set."},
    Key{.name = "dscp",
        .kind = Kind::integer,
        .least = 0,
        .most = 63,
        .meaning = "DSCP of all outer headers in tunnel mode and around GRE; without it the inner packet's "
                   "is copied."},
    Key{.name = "ecn",
        .kind = Kind::boolean,
        .preset = "true",
        .meaning = "Whether outer headers take part in congestion notification as the inner packet does "
                   "(RFC 6040). What the peer's headers tell is always taken in."},
    Key{.name = "ttl",
        .kind = Kind::integer,
        .least = 1,
        .most = 255,
        .preset = "64",
        .meaning = "TTL or hop limit of outer headers in tunnel mode and around GRE."},
    Key{.name = "flow-label",
        .kind = Kind::boolean,
        .preset = "true",
        .meaning = "Whether outer IPv6 headers get a flow label made from the inner addresses (RFC 6438), so "
                   "that the network can spread the tunnel's flows; false sends 0."},
    Key{.name = "tfc-padding",
        .kind = Kind::integer,
        .unit = "bytes",
        .least = 0,
        .most = 9'000,
        .word = "mtu",
        .word_is = sa::tfc_to_path_mtu,
        .preset = "0",
        .meaning =
            "Traffic flow confidentiality: inner packets in tunnel mode are padded to a multiple of so many "
            "bytes, as far as the path's MTU allows, or with \"mtu\" to all that it allows (RFC 4303 2.7). 0 "
            "pads no more than encryption needs."},
    Key{.name = "dummy-rate",
        .kind = Kind::integer,
        .unit = "packets/s",
        .least = 0,
        .most = 1'000,
        .preset = "0",
        .meaning =
            "Dummy packets that are sent in tunnel mode among the others, of random sizes at about this "
            "rate, and which the peer drops (RFC 4303 2.6). They count towards lifetimes. All connections "
            "together send at most 25600 a second."},
    Key{.name = "local-networks",
        .kind = Kind::texts,
        .most = any_length,
        .fewest_elements = 1,
        .meaning = "Inner networks on our side. A decrypted packet must be going to one of them, or match "
                   "a selector. A tunnel's connection may do without: everything."},
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
    priority_key("1000",
                 "When the connection's selectors are searched among others: lower ones first; of equal "
                 "ones, in the order of this file and before policies."),
    Key{.name = "suite",
        .kind = Kind::choice,
        .preset = "aes128-gcm16",
        .choices = suite_names,
        .canonical = suite_name,
        .meaning = "Algorithms of both directions. Names as other products write them are taken too: "
                   "aes128gcm16, aes128-sha256 for CBC, aes128ctr-sha256. Suites with gmac or null do not "
                   "encrypt."},
    Key{.name = "esn",
        .kind = Kind::boolean,
        .preset = "false",
        .meaning =
            "Extended (64-bit) sequence numbers. Both ends must agree; with ike, and without this key, "
            "they agree by themselves."},
    Key{.name = "replay-window",
        .kind = Kind::integer,
        .unit = "packets",
        .least = 0,
        .most = 65'536,
        .preset = "1024",
        .meaning = "Anti-replay window: 64 to 65536, or 0 for none."},
    Key{.name = "lifetime",
        .kind = Kind::group,
        .group = &lifetime_group,
        .meaning = "How long each of the two SAs may be used; without it, for ever."},
    Key{.name = "ike",
        .kind = Kind::group,
        .group = &ike_group,
        .meaning = "Keys are negotiated by IKEv2. Without it they are manual."},
    Key{.name = "inbound",
        .kind = Kind::group,
        .group = &inbound_group,
        .meaning = "SA that decrypts what the peer sends; without it the connection only sends."},
    Key{.name = "outbound",
        .kind = Kind::group,
        .group = &outbound_group,
        .meaning = "SA that encrypts what we send; without it the connection only receives."},
};
constexpr Group connection_group{"connections[]",
                                 "A tunnel to a peer, with keys by IKE (ike), or manual ones: then at least "
                                 "one of inbound and outbound is there.",
                                 connection_keys};

constexpr std::array top_keys{
    Key{.name = "control-cpu",
        .kind = Kind::integer,
        .least = 0,
        .most = 1'023,
        .preset = "0",
        .meaning = "CPU of the control core. Work with public keys is done on CPUs that the process may use "
                   "and neither this nor worker-cpus names, or, if there are none, here when there is time."},
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
    Key{.name = "path-mtu-discovery",
        .kind = Kind::boolean,
        .preset = "true",
        .meaning =
            "Whether routers are believed, for ten minutes, that say how large ESP packets to a peer may be. "
            "Their messages are not authenticated; they count if they quote a packet that was sent. Less "
            "than 576 bytes, or no number, counts as 576, and IPv4 packets then leave without DF. Routers "
            "that quote no more than eight bytes (RFC 792) show none of ESP in UDP, and are not heard there: "
            "give the route to the peer, or the port, a smaller MTU, or the connection df = \"clear\"."},
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
    Key{.name = "state-directory",
        .kind = Kind::text,
        .unit = "characters",
        .most = 200,
        .preset = "/var/lib/espgate",
        .meaning =
            "Folder, made if need be, of what outlives the daemon: the SPIs that it gave out, without "
            "keys, by which a packet of an SA from before a restart is known, and its peer told; the "
            "secrets of the tokens for that (RFC 6290); and invalid-spi/, evidence of packets with invalid "
            "SPIs. Each espgated has one of its own, and only root should be able to write in it or above "
            "it. \"\" "
            "keeps nothing."},
    Key{.name = "log-level",
        .kind = Kind::choice,
        .preset = "info",
        .choices = log_levels,
        .meaning = "Least severe messages that are logged."},
    Key{.name = "on-invalid-spi",
        .kind = Kind::text,
        .most = any_length,
        .meaning =
            "Program, by its absolute path, that is run on the first log line of each flow with an invalid "
            "SPI, some seconds later, for at most 10 s: one at a time, ten times a minute, for strangers "
            "five. It learns what happened from ESPGATE_EVENT, ESPGATE_CLASS, ESPGATE_SPI, "
            "ESPGATE_SOURCE, ESPGATE_DESTINATION, ESPGATE_CONNECTION, ESPGATE_REPAIR and ESPGATE_EVIDENCE in "
            "its environment, and from a JSON document on its standard input. What it writes goes into the "
            "log, up to 2 KiB."},
    Key{.name = "hook-user",
        .kind = Kind::text,
        .unit = "characters",
        .least = 1,
        .most = 32,
        .preset = "nobody",
        .meaning =
            "User that on-invalid-spi runs as: not root, without further groups and without a way to more "
            "rights."},
    Key{.name = "debug-keys-export",
        .kind = Kind::boolean,
        .preset = "false",
        .meaning = "Whether root may have the keys of all SAs written out for Wireshark, by espgatectl "
                   "export wireshark. Turn it on and off by a reload, for debugging only."},
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
    Key{.name = "tunnels",
        .kind = Kind::groups,
        .group = &tunnel_group,
        .meaning = "Interfaces through which routes lead into connections."},
    Key{.name = "thresholds",
        .kind = Kind::groups,
        .group = &threshold_group,
        .meaning = "Drops that are worth a warning."},
};
constexpr Group top_group{"", "Keys outside of any group.", top_keys};

constexpr std::array<const Group*, 14> all_groups{
    &top_group,        &limits_group,   &port_group,        &route_group,    &policy_group,
    &connection_group, &selector_group, &lifetime_group,    &ike_group,      &inbound_group,
    &outbound_group,   &tunnel_group,   &tunnel_peer_group, &threshold_group};

}  // namespace

std::size_t choice_of(const Key& key, std::string_view value) {
  if (key.canonical != nullptr) value = key.canonical(value);
  return static_cast<std::size_t>(std::ranges::find(key.choices, value) - key.choices.begin());
}

std::string names_of_multiples(const Key& key) {
  std::string names;
  for (const auto& multiple : key.multiples) {
    if (!names.empty()) names += ", ";
    names += multiple.name;
  }
  return names;
}

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

// The commands that look at where packets go: routes, tunnels, policies. Conventions as in
// command_rows_show.cpp.
#include "control/cli/command_rows.hpp"

namespace espgate::cli {
namespace {

constexpr Parameter policies_options[] = {
    {.name = "from",
     .kind = ValueKind::address,
     .value_name = "ADDRESS",
     .help = "only policies for packets from this address"},
    {.name = "to",
     .kind = ValueKind::address,
     .value_name = "ADDRESS",
     .help = "only policies for packets to this address"},
    {.name = "connection",
     .kind = ValueKind::connection,
     .value_name = "NAME",
     .help = "only what this connection protects"},
};

constexpr Parameter policy_match_arguments[] = {
    {.name = "from",
     .kind = ValueKind::address,
     .value_name = "FROM",
     .help = "the packet's source",
     .required = true},
    {.name = "to",
     .kind = ValueKind::address,
     .value_name = "TO",
     .help = "its destination",
     .required = true},
    {.name = "protocol",
     .kind = ValueKind::protocol,
     .value_name = "PROTOCOL",
     .help = "a name such as tcp, or a number; without it, one that no policy names"},
    {.name = "from_port",
     .kind = ValueKind::number,
     .value_name = "FROM-PORT",
     .help = "its source port, or the ICMP type; without it, a fragment that does not begin the packet",
     .most = 65'535},
    {.name = "to_port",
     .kind = ValueKind::number,
     .value_name = "TO-PORT",
     .help = "its destination port, or the ICMP code; without it, 0",
     .most = 65'535},
};

constexpr Command rows[] = {
    // port: or the tunnel. state: "connected", "resolved", "unresolved", "local", "tunnel", "blackhole".
    // source: "kernel", "built-in".
    {.id = CommandId::show_routes,
     .path = "show routes",
     .where = Where::answer,
     .summary = "Routes with their next hops",
     .help = "Routes and neighbours mirror the kernel's: use `ip route` and `ip neigh` on the ports' twins "
             "and the\n"
             "tunnels' links to change them.",
     .example = "show routes",
     .result = R"({"routes": [{"prefix": "10.9.0.0/16", "via": "10.1.0.254", "port": "inside",
                               "state": "resolved", "mac": "02:00:00:00:00:fe", "source": "kernel"}]})"},

    // state: up, down, gone; reason: why not up, else null. rx, tx: inner packets of the connections, since
    // the start; of GRE with its header. key: null where there is none. next_hops: of a multipoint tunnel's
    // peer. drops: what the tunnel could not take, or what came out of it broken, the peers' included.
    {.id = CommandId::show_tunnels,
     .path = "show tunnels",
     .where = Where::answer,
     .summary = "Tunnel interfaces: connections, state and what passed through them",
     .help =
         "A tunnel is up while its connection, or that of any of its peers, has SAs in both directions; "
         "its\n"
         "link in the kernel has carrier then. Routes lead into it: `ip route add PREFIX dev NAME`, where "
         "it\n"
         "has several peers `ip route add PREFIX via NEXT-HOP dev NAME`.",
     .example = "show tunnels",
     .result = R"({"tunnels": [{"name": "tun0", "kind": "gre-multipoint", "key": 42, "checksum": true,
                                "peers": [{"connection": "branch", "next_hops": ["10.255.0.2"],
                                           "state": "down", "rx": {"packets": 812, "bytes": 97440},
                                           "tx": {"packets": 790, "bytes": 94800}, "drops": 3}],
                                "state": "down", "reason": "connection branch has no outbound SA",
                                "mtu": 1434, "addresses": ["10.255.0.1/24"],
                                "rx": {"packets": 812, "bytes": 97440},
                                "tx": {"packets": 790, "bytes": 94800}, "drops": 3}]})"},

    // One item a policy, in the order they are searched. protocol, ports and icmp_type are null where the
    // policy does not narrow them. action: protect, bypass, discard; connection is null unless protect, spi
    // also while there is no SA. line: of the configuration. packets: whose fate it decided, null while it
    // finds no room in the table.
    {.id = CommandId::show_policies,
     .path = "show policies",
     .where = Where::stream,
     .summary = "Policies in the order they are searched, and what they decided",
     .help =
         "The first that matches decides: lower priorities come first, then the order of the configuration.\n"
         "`from` is our side and `to` the other; what comes in clear on a port with ipsec is judged with "
         "both\n"
         "swapped. `show policy-match` tells which one a given packet meets.",
     .example = "show policies --to 10.2.0.9",
     .result = R"({"policies": [{"priority": 1000, "from": "10.1.0.0/24", "to": "10.2.0.0/24",
                                 "protocol": "tcp", "from_ports": "1024-65535", "to_ports": "443",
                                 "icmp_type": "8", "action": "protect", "connection": "branch",
                                 "spi": "0x00002001", "comment": "updates", "line": 12, "packets": 4000}],
                   "total": 1})",
     .items = "policies",
     .options = policies_options},

    // policy: as in show policies, or null when none matches. explanation: what happens to such a packet.
    {.id = CommandId::show_policy_match,
     .path = "show policy-match",
     .where = Where::answer,
     .summary = "Which policy a packet meets",
     .help =
         "Asks the table that the workers search. A packet in clear that arrives on a port with ipsec is\n"
         "judged as its answer: give its destination as FROM and its source as TO.",
     .example = "show policy-match 10.1.0.7 10.2.0.9 tcp 40000 443",
     .result = R"({"policy": {"priority": 1000, "from": "10.1.0.0/24", "to": "10.2.0.0/24",
                              "protocol": "tcp", "from_ports": "1024-65535", "to_ports": "443",
                              "icmp_type": "8", "action": "protect", "connection": "branch",
                              "spi": "0x00002001", "comment": "updates", "line": 12, "packets": 4000},
                   "explanation": "protected by connection branch, SPI 0x00002001"})",
     .arguments = policy_match_arguments},
};

}  // namespace

std::span<const Command> forwarding_rows() {
  return rows;
}

}  // namespace espgate::cli

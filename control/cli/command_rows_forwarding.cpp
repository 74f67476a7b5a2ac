// The commands about where packets go: routes, tunnels, policies. Conventions as in command_rows_show.cpp.
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

constexpr Parameter policy_from{
    .name = "from",
    .kind = ValueKind::text,
    .value_name = "ADDRESSES",
    .help = "our side: a prefix, or a range such as 10.1.0.5-10.1.0.20; without it, all"};
constexpr Parameter policy_to{.name = "to",
                              .kind = ValueKind::text,
                              .value_name = "ADDRESSES",
                              .help = "the other side, in the same forms; without it, all"};
constexpr Parameter policy_protocol{.name = "protocol",
                                    .kind = ValueKind::protocol,
                                    .value_name = "PROTOCOL",
                                    .help = "a name such as tcp, or a number; without it, any"};
constexpr Parameter policy_from_port{.name = "from-port",
                                     .kind = ValueKind::text,
                                     .value_name = "PORTS",
                                     .help = "a port, or ports such as 1024-65535, on our side"};
constexpr Parameter policy_to_port{
    .name = "to-port", .kind = ValueKind::text, .value_name = "PORTS", .help = "the same on the other side"};
constexpr Parameter policy_icmp_type{
    .name = "icmp-type",
    .kind = ValueKind::text,
    .value_name = "TYPES",
    .help = "with ICMP: a type 8, types 3-5, a type's code 3/4 or codes 3/0-4"};

constexpr std::string_view policy_actions[] = {"protect", "bypass", "discard"};
constexpr Parameter policy_add_arguments[] = {
    {.name = "action",
     .kind = ValueKind::choice,
     .value_name = "ACTION",
     .help = "protect by a connection, bypass (forward in clear) or discard",
     .required = true,
     .choices = policy_actions},
};
constexpr Parameter policy_add_options[] = {
    policy_from,
    policy_to,
    policy_protocol,
    policy_from_port,
    policy_to_port,
    policy_icmp_type,
    {.name = "connection",
     .kind = ValueKind::connection,
     .value_name = "NAME",
     .help = "which connection protects it"},
    {.name = "priority",
     .kind = ValueKind::number,
     .value_name = "N",
     .help = "lower ones are searched first; without it 1000 for protect, else 2000",
     .most = 65'000},
    {.name = "comment", .kind = ValueKind::text, .value_name = "TEXT", .help = "shown by `show policies`"},
};
constexpr Parameter policy_delete_options[] = {
    policy_from,
    policy_to,
    policy_protocol,
    policy_from_port,
    policy_to_port,
    policy_icmp_type,
    {.name = "connection",
     .kind = ValueKind::connection,
     .value_name = "NAME",
     .help = "one that this connection protects; without it, one that bypasses or discards"},
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
                                "state": "down", "reason": "connection branch has no active outbound SA",
                                "mtu": 1434, "addresses": ["10.255.0.1/24"],
                                "rx": {"packets": 812, "bytes": 97440},
                                "tx": {"packets": 790, "bytes": 94800}, "drops": 3}]})"},

    // One item a policy, in the order they are searched. protocol, ports and icmp_type are null where the
    // policy does not narrow them. action: protect, bypass, discard; connection is null unless protect, spi
    // also while there is no SA. line: of the configuration, null after `policy add`. packets: whose fate it
    // decided, null while it finds no room in the table.
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

    // policies: what was added, as in show policies: one, or two where it is for IPv4 and IPv6. took_us: from
    // the daemon's reading the command until the workers knew.
    {.id = CommandId::policy_add,
     .path = "policy add",
     .where = Where::answer,
     .summary = "Add a policy, until the next reload or restart",
     .help =
         "Checked as the file's policies are, and searched behind all others of its priority. Traffic goes\n"
         "on meanwhile, however many policies there are. With protect, packets are sent by the connection's\n"
         "outbound SA; what its inbound SA lets in stays as configured. To keep a policy write it into the\n"
         "configuration file: a reload puts that in force, and only that.",
     .example = "policy add bypass --from 192.0.2.1 --protocol tcp --from-port 22 --priority 900",
     .result = R"({"policies": [{"priority": 900, "from": "192.0.2.1/32", "to": "0.0.0.0/0",
                                 "protocol": "tcp", "from_ports": "22", "to_ports": "1024-65535",
                                 "icmp_type": "8", "action": "bypass", "connection": "branch",
                                 "spi": "0x00002001", "comment": "ssh", "line": 12, "packets": 0}],
                   "took_us": 21})",
     .arguments = policy_add_arguments,
     .options = policy_add_options,
     .changes = true},

    // As policy add; policies: what was deleted, with what it decided.
    {.id = CommandId::policy_delete,
     .path = "policy delete",
     .where = Where::answer,
     .summary = "Delete a policy",
     .help = "The one for just this traffic, not those for parts of it. A reload brings back what the\n"
             "configuration file still lists.",
     .example = "policy delete --from 192.0.2.1 --protocol tcp --from-port 22",
     .result = R"({"policies": [{"priority": 900, "from": "192.0.2.1/32", "to": "0.0.0.0/0",
                                 "protocol": "tcp", "from_ports": "22", "to_ports": "1024-65535",
                                 "icmp_type": "8", "action": "bypass", "connection": "branch",
                                 "spi": "0x00002001", "comment": "ssh", "line": 12, "packets": 4000}],
                   "took_us": 92})",
     .options = policy_delete_options,
     .changes = true},
};

}  // namespace

std::span<const Command> forwarding_rows() {
  return rows;
}

}  // namespace espgate::cli

#include <array>

#include "control/config/schema_groups.hpp"

namespace espgate::config {
namespace {

// Choices that become enumerators stand in their order.
constexpr std::array<std::string_view, 2> actions{"bypass", "discard"};

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
constexpr Key selector_text(std::string_view name, std::string_view meaning, bool required = false) {
  return {.name = name, .kind = Kind::text, .most = any_length, .required = required, .meaning = meaning};
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
    priority_key("2000", "Lower ones are searched first; of equal ones, in the order of this file."),
    selector_text("comment", "Shown by espgatectl show policies."),
};
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

}  // namespace

const Group route_group{"routes[]", "A static route, besides those of the kernel's twins.", route_keys};

const Group policy_group{
    "policies[]",
    "What happens to cleartext that no connection protects. Connections and policies together are searched "
    "by their priority, lower ones first, and the first that matches decides; what none matches is dropped, "
    "but for the gateway's own packets, which leave in clear. Where there was no room for a policy that "
    "protects or discards, which the log tells, all that is between its addresses is dropped, the gateway's "
    "own packets too, unless a policy before it decides. Decrypted packets for the inside, and what the "
    "gateway itself says to the inside, need no policy and meet none. On ports with ipsec = true, what comes "
    "in clear is judged as well, with source and destination swapped: what its answer would be protected "
    "for, or discarded, is dropped, and what its answer would not be bypassed for does not go on in clear. "
    "So one bypass, from our side to the other, opens both ways. That goes for what is sent to the gateway "
    "itself, too, whether there is an SA or not: give ssh and the like a bypass policy of a lower priority "
    "where a connection's networks take in the gateway's own address.",
    policy_keys};

const Group selector_group{
    "connections[].selectors[]",
    "A part of the traffic between two networks that the connection protects. Where "
    "ports are named, fragments are made whole before they are protected, and when the "
    "peer's SA has brought all of a packet.",
    selector_keys};

}  // namespace espgate::config

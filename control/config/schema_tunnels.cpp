#include <array>

#include "control/config/schema_groups.hpp"

namespace espgate::config {
namespace {

// Choices that become enumerators stand in their order.
constexpr std::array<std::string_view, 3> kinds{"vti", "gre", "gre-multipoint"};

constexpr std::array peer_keys{
    Key{.name = "connection",
        .kind = Kind::text,
        .most = any_length,
        .required = true,
        .meaning = "The connection to this peer, in transport mode."},
    Key{.name = "next-hops",
        .kind = Kind::texts,
        .most = any_length,
        .required = true,
        .fewest_elements = 1,
        .meaning = "The peer's addresses in the tunnel, IPv4 and IPv6. Packets to one of them, and those "
                   "whose route names one behind `via`, go to this peer."},
};

constexpr std::array tunnel_keys{
    Key{.name = "name",
        .kind = Kind::text,
        .unit = "characters",
        .least = 1,
        .most = 15,
        .required = true,
        .meaning = "Name of the tunnel and of its interface in the kernel."},
    Key{.name = "kind",
        .kind = Kind::choice,
        .preset = "vti",
        .choices = kinds,
        .meaning =
            "vti puts packets into ESP in tunnel mode. gre puts them into GRE (RFC 2784) first, which ESP "
            "then protects in transport mode; its connection has no selectors, or one for protocol gre. "
            "gre-multipoint does the same for any number of peers behind one interface."},
    Key{.name = "connection",
        .kind = Kind::text,
        .most = any_length,
        .meaning =
            "The connection that protects what goes into the tunnel. With vti it is in tunnel mode, needs "
            "no networks and has no policies: routes decide. Those that it has all the same narrow what "
            "the tunnel takes: other packets are dropped. With gre it is in transport mode."},
    Key{.name = "peers",
        .kind = Kind::groups,
        .fewest_elements = 1,
        .group = &tunnel_peer_group,
        .meaning = "With gre-multipoint, instead of a connection: who is behind which next hop."},
    Key{.name = "key",
        .kind = Kind::integer,
        .least = 0,
        .most = 4'294'967'295,
        .meaning =
            "With gre: the key that both ends send (RFC 2890). Packets with another, or none, are dropped."},
    Key{.name = "checksum",
        .kind = Kind::boolean,
        .preset = "false",
        .meaning = "With gre: whether packets carry a checksum. Received ones are verified in any case."},
    Key{.name = "mtu",
        .kind = Kind::integer,
        .unit = "bytes",
        .least = 576,
        .most = 9'000,
        .meaning =
            "Largest inner packet. Without it, what the outside port takes less what ESP adds. IPv6 needs "
            "1280 at least."},
    Key{.name = "addresses",
        .kind = Kind::texts,
        .most = any_length,
        .meaning = "Addresses with prefix length that the interface gets, besides those that `ip address` "
                   "gives it."},
};

}  // namespace

const Group tunnel_group{
    "tunnels[]",
    "A tunnel as an interface of the kernel, for routes to point at: those of routes, of ip route and of "
    "routing daemons. Policies are searched first: what they discard is dropped, and what they protect goes "
    "where they say. What they bypass, or do not know, is encrypted if its route leads into a tunnel, and "
    "dropped while the tunnel has no SA. What the connection decrypts comes in by the tunnel; its selectors "
    "alone judge where it may come from. The interface has carrier while the connection, or that of any of "
    "its peers, has SAs in both directions. Its routes stay without carrier, but go when the interface is "
    "set down: then a wider route decides, and what no policy bypasses is dropped. A blackhole route with "
    "a high metric behind each of them keeps also the rest, and this host's own packets, from leaving in "
    "clear.",
    tunnel_keys};

const Group tunnel_peer_group{
    "tunnels[].peers[]",
    "A peer of a gre-multipoint tunnel. Routes through its next hops lead to it, as in ip route add PREFIX "
    "via NEXT-HOP dev NAME. What is for no peer's next hop is dropped; multicast of this host's own goes to "
    "every peer, as routing daemons want it. One that talks to IPv6 link-local addresses as well (OSPFv3) "
    "wants a tunnel of kind gre for each peer.",
    peer_keys};

}  // namespace espgate::config

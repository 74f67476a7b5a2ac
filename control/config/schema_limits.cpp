#include <array>

#include "control/config/schema_groups.hpp"

namespace espgate::config {
namespace {

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
    limit("policies", "policies", 16, 2'000'000, "16384",
          "One for each entry of policies (two if it is for IPv4 and IPv6), and of connections one for each "
          "pair of a local and a remote network and each selector."),
    limit("neighbours", "neighbours", 16, 1'000'000, "4096",
          "Next hops with a known or awaited MAC address."),
    limit("tunnels", "tunnels", 1, 60'000, "256",
          "Tunnel interfaces, and peers of those of kind gre-multipoint."),
    limit("buffers", "buffers", 1'024, 16'000'000, "16384",
          "Packet buffers, shared by all ports and workers, beside those that the queues of cards hold."),
    limit("punt-ring", "packets", 64, 1'048'576, "1024",
          "Packets of one class that may wait for the control core; more are dropped and counted."),
    limit("punt-host-pps", "packets/s", 1, 100'000'000, "20000",
          "Packets a second that one worker hands to the kernel; several workers hand over as many each."),
    limit("punt-ike-pps", "packets/s", 1, 100'000'000, "10000",
          "IKE packets a second that one worker hands to the control core; several workers hand over as many "
          "each. As many again may be of IKE SAs that are there, so that those who begin do not crowd them "
          "out."),
    limit(
        "punt-spi-pps", "packets/s", 1, 100'000'000, "10000",
        "Reports of packets with an unknown SPI that one worker sends each second, and as many of SPIs that "
        "are being set up or were ours; the packets beyond are dropped and counted all the same."),
    limit("icmp-error-pps", "packets/s", 1, 1'000'000, "1000",
          "Senders a second whom one worker has told by ICMP that a packet is too big, has been through too "
          "many routers, or has no route; packets beyond are dropped and counted all the same."),
    limit("reassembly-flows", "packets", 1, 4'096, "256",
          "Packets in fragments, to us or judged by ports, that one worker puts together at once; as "
          "many again of fragments that came out of SAs. For each 64 kB are set aside at start. When "
          "all places are taken the oldest packet is given up."),
    limit("reassembly-ms", "milliseconds", 1, 60'000, "1000",
          "How long the fragments of a packet are waited for. Short, since a tunnel's fragments travel "
          "together."),
    limit("tombstones", "SAs", 0, 4'000'000, "10000",
          "Deleted inbound SAs that are remembered, to tell a late packet from a stray one."),
    limit("tombstone-seconds", "seconds", 1, 86'400, "300", "How long a deleted inbound SA is remembered."),
    limit("linger-seconds", "seconds", 0, 3'600, "30",
          "How long the old inbound SA of a rekey still decrypts beside the new one, for packets that are on "
          "their way. It has a place among the tombstones."),
    limit("invalid-spi-flows", "flows", 16, 1'000'000, "4096",
          "Senders of unknown SPIs that are told apart in reports."),
    limit(
        "invalid-spi-repairs", "repairs/s", 0, 100'000, "100",
        "How often a second something is done about unknown SPIs that peers send; the others wait. About one "
        "SPI it is done once a second at first, and ever less often while it does not help."),
    limit("ike-sas", "SAs", 1, 1'000'000, "20000",
          "IKE SAs, those that are being set up or replaced included. Beyond that no peer is let in."),
    limit("ike-sas-per-peer", "SAs", 2, 100'000, "16",
          "Those of one connection with one peer, as it proved to be, those that were replaced lately "
          "included. Whoever begins more loses the oldest, and a peer's rekeys wait."),
    limit(
        "ike-half-open", "SAs", 1, 100'000, "5000",
        "IKE SAs that peers have begun without having proved yet who they are. Beyond that no other peer is "
        "let in."),
    limit("ike-cookies-from", "SAs", 0, 100'000, "500",
          "So many of those, and who begins another must show first that its address is its own (COOKIE, RFC "
          "7296 2.6); 0 asks everybody."),
    limit("ike-half-open-per-source", "SAs", 1, 100'000, "50",
          "So many of those from one IPv4 address or IPv6 /64, all of which showed a COOKIE. Without one a "
          "tenth of that is let in, so that nobody uses up what is another's by sending in its name."),
};

}  // namespace

const Group limits_group{
    "limits", "How much of everything there can be. Memory is taken at start for all of it.", limit_keys};

}  // namespace espgate::config

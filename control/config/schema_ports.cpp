#include <array>

#include "control/config/schema_groups.hpp"

namespace espgate::config {
namespace {

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
                   "net_af_packet0,iface=eth1. While espgated runs, the kernel's own stack gets nothing "
                   "from an interface behind net_af_packet or net_pcap."},
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
        .meaning =
            "Largest IP packet. IPv6 needs 1280 at least. An inside port needs less than the outside, since "
            "ESP makes packets larger; `espgated --check` says how much."},
    Key{.name = "vlan",
        .kind = Kind::integer,
        .least = 0,
        .most = 4'094,
        .preset = "0",
        .meaning = "802.1Q tag of all frames of this port; 0 is untagged."},
    Key{.name = "service-vlan",
        .kind = Kind::integer,
        .least = 0,
        .most = 4'094,
        .preset = "0",
        .meaning =
            "The provider's tag in front of that one (IEEE 802.1ad, QinQ); 0 is none. Sent as EtherType "
            "0x88a8, taken as 0x8100 as well."},
    Key{.name = "addresses",
        .kind = Kind::texts,
        .most = any_length,
        .meaning = "Addresses with prefix length that the twin gets at start, "
                   "besides those the kernel already has."},
};
}  // namespace

const Group port_group{"ports[]", "A port: a network device that espgate drives, and its twin in the kernel.",
                       port_keys};

}  // namespace espgate::config

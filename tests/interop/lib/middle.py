"""What a router in the middle does to packets, by nftables: it loses some, translates, and forgets what it translates."""

import socket
import struct

_INFORMATIONAL = 37  # exchange type, 18 bytes into the IKE header
_NETLINK_NETFILTER, _DELETE_CONNTRACK, _REQUEST_AND_ACK = 12, 1 << 8 | 2, 5


def set_rules(router, table, hook, rules):
    """In place of those that the table had."""
    router.exec("nft", "-f", "-", stdin=(
        f"table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n chain rules {{\n  {hook};\n  " +
        "\n  ".join(rules) + "\n }\n}\n"))


def translate(router, rules):
    """A NAT by these rules, each behind a routing decision. What is translated already stays as it is."""
    set_rules(router, "nat", "type nat hook postrouting priority 100", rules)


def lose(router, *matches):
    """Only what matches one of these is lost from here on."""
    set_rules(router, "lost", "type filter hook forward priority 0", [f"{match} drop" for match in matches])


def informational(device):
    """IKE's INFORMATIONAL messages that come in by this device: DELETEs, and what is answered."""
    return (f'iifname "{device}" udp dport 500 @th,208,8 {_INFORMATIONAL}',
            f'iifname "{device}" udp dport 4500 @th,240,8 {_INFORMATIONAL}')


def esp_in_udp(spi):
    return f"udp dport 4500 @th,64,32 {spi}"


def forget(router):
    """All translations, as a NAT that was switched off and on."""
    with router.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
        netlink.send(struct.pack("=IHHIIBBH", 20, _DELETE_CONNTRACK, _REQUEST_AND_ACK, 1, 0, 0, 0, 0))
        error, = struct.unpack_from("=i", netlink.recv(100), 16)
    if error:
        raise OSError(-error, "conntrack")

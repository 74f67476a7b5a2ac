"""Drop reasons of IPsec: the connections and packets that their tests share."""

from . import case, configuration, packets
from .encapsulation import wrap
from .esp import GcmSa, keymat
from .testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, standard_ports

# Connections by their number, which is also in their SPIs (0x1000 + n, 0x2000 + n) and networks.
PLAIN4, PLAIN6, UDP4, KEYLESS, NOWHERE4, NOWHERE6, DELETED = range(1, 8)


def network(number, version):
    return f"10.2.{number}.0/24" if version == 4 else f"2001:db8:2:{number}::/64"


def host(number, version):
    return f"10.2.{number}.9" if version == 4 else f"2001:db8:2:{number}::9"


def _connection(number, version=4, remote=None, outbound=True, **settings):
    return configuration.connection(
        f"c{number}", OUTSIDE.gateway[version], remote or OUTSIDE.host[version], INSIDE_NETWORKS.values(),
        [network(number, 4), network(number, 6)], inbound=(0x1000 + number, keymat(0x1000 + number)),
        outbound=(0x2000 + number, keymat(0x2000 + number)) if outbound else None, **settings)


class EspDropCase(case.GatewayCase):
    sequence = 0

    @classmethod
    def settings(cls):
        return configuration.gateway(
            standard_ports(),
            connections=[
                _connection(PLAIN4), _connection(PLAIN6, 6), _connection(UDP4, encapsulation="udp"),
                _connection(KEYLESS, outbound=False), _connection(NOWHERE4, remote="198.18.0.1"),
                _connection(NOWHERE6, 6, remote="2001:db8:dead::1"), _connection(DELETED)],
            policies=[{"to": to, "action": "discard"} for to in ("203.0.113.0/24", "2001:db8:d15c::/48")])

    def inner(self, number=PLAIN4, version=4, source=None, destination=None, **fields):
        return packets.udp_packet(source or host(number, version), destination or INSIDE.host[version], 5, 6,
                                  b"payload", **fields)

    def esp(self, number=PLAIN4, payload=None, next_header=packets.IPV4, **odd):
        type(self).sequence += 1
        payload = self.inner(number) if payload is None else payload
        sa = GcmSa(0x1000 + number, keymat(0x1000 + number))
        return sa.seal(payload, next_header, odd.pop("sequence", self.sequence), **odd)

    def outer(self, esp, version=4, udp=False, source=None, destination=None, **fields):
        return wrap(esp, source or OUTSIDE.host[version], destination or OUTSIDE.gateway[version],
                    udp_encapsulated=udp, **fields)

    def expect(self, reason, side, *ip_packets):
        """Sends the packets; each must be dropped for this reason and nothing else may be dropped."""
        before = self.settled()
        self.testbed.send(side, *ip_packets)
        moved = self.settled().since(before)
        self.assertEqual(moved.drops, {reason: len(ip_packets)})

    def from_inside(self, destination, version=4, size=7, **fields):
        return packets.udp_packet(INSIDE.host[version], destination, 6, 5, bytes(size), **fields)

"""Packets larger than their way: outer fragments made whole, inner packets cut, senders told, path MTUs learned.

The outside port is DPDK's pcap port: in front of an af_packet port the kernel would reassemble IPv4.
"""

import itertools
import socket
import struct

from lib import case, configuration, packets
from lib.coverage import fires
from lib.encapsulation import unwrap, wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, port

OVER4, OVER6 = 4, 6
NETWORKS = {number: {4: f"10.2.{number}.0/24", 6: f"2001:db8:2:{number}::/64"} for number in (OVER4, OVER6)}
HOSTS = {number: {4: f"10.2.{number}.9", 6: f"2001:db8:2:{number}::9"} for number in (OVER4, OVER6)}
JUMBO_MTU = 9000
ROUTER = {4: "192.0.2.2", 6: "2001:db8:f::2"}
ESP_AROUND = {4: 20 + 8 + 8 + 16, 6: 40 + 8 + 8 + 16}


def pcap_port(name, number, device, side, **settings):
    made = port(name, "", side, **settings)
    made["device"] = f"net_pcap{number},rx_iface_in={device},tx_iface={device}"
    return made


def outside_port():
    return pcap_port("outside", 0, "veth-out", OUTSIDE, ipsec=True)


def largest_inner(number, mtu):
    return (mtu - ESP_AROUND[number]) // 4 * 4 - 2


class SizesCase(case.GatewayCase):
    sequence = 0

    @classmethod
    def settings(cls):
        return configuration.gateway([outside_port(), port("inside", "veth-in", INSIDE)], connections=[
            configuration.connection(
                f"over{number}", OUTSIDE.gateway[number], OUTSIDE.host[number], INSIDE_NETWORKS.values(),
                NETWORKS[number].values(), inbound=(0x1000 + number, keymat(0x1000 + number)),
                outbound=(0x2000 + number, keymat(0x2000 + number))) for number in (OVER4, OVER6)])

    def from_peer(self, number, version, size, **fields):
        return packets.udp_packet(HOSTS[number][version], INSIDE.host[version], 5, 6, _pattern(size), **fields)

    def from_inside(self, number, version, size, **fields):
        return packets.udp_packet(INSIDE.host[version], HOSTS[number][version], 6, 5, _pattern(size), **fields)

    def outer(self, number, inner):
        type(self).sequence += 1
        next_header = packets.IPV6 if inner[0] >> 4 == 6 else packets.IPV4
        esp = GcmSa(0x1000 + number, keymat(0x1000 + number)).seal(inner, next_header, self.sequence)
        return wrap(esp, OUTSIDE.host[number], OUTSIDE.gateway[number], udp_encapsulated=False, **(
            {"fragment": 0} if number == OVER4 else {}))

    def open(self, number, packet):
        return GcmSa(0x2000 + number, keymat(0x2000 + number)).open(unwrap(packet, udp_encapsulated=False)).payload

    def esp_frames(self, count):
        """That many ESP packets from the gateway, as they come."""
        return self.taken(self.testbed.outside, count, lambda packet: packet.protocol == packets.ESP)

    def taken(self, wire, count, accept):
        found = []
        for _ in range(count):
            frame = wire.expect(lambda frame: (p := packets.ip_of(frame)) is not None and accept(p))
            self.assertIsNotNone(frame, f"{len(found)} of {count} packets came")
            found.append(packets.ip_of(frame))
        return found

    def path_mtu(self, number):
        return self.gateway.ask("show", "sa", "--spi", f"{0x2000 + number:#x}")["sas"][0]["path_mtu"]


def _pattern(size):
    return bytes(i * 7 + (i >> 8) & 0xFF for i in range(size))


def _is_udp(packet):
    return packet.protocol in (packets.UDP, packets.FRAGMENT) and not packet.source.startswith("192.0.2.")


class Sizes(SizesCase):
    def test_outer_fragments_in_every_order(self):
        for number in (OVER4, OVER6):
            for identification, order in enumerate(itertools.permutations(range(3)), 1):
                inner = self.from_peer(number, 4, 1000)
                parts = packets.fragments(self.outer(number, inner), 400, identification)
                self.testbed.send("outside", *(parts[i] for i in order))
                arrived, = self.taken(self.testbed.inside, 1, _is_udp)
                self.assertEqual(arrived.payload, packets.parse_ip(inner).payload)

    def test_8000_bytes_in_outer_fragments_leave_as_fragments(self):
        for number in (OVER4, OVER6):
            inner = self.from_peer(number, 4, 8000, fragment=0)
            parts = packets.fragments(self.outer(number, inner), 1448, 100 + number)
            self.testbed.send("outside", *reversed(parts))
            arrived = self.taken(self.testbed.inside, 6, _is_udp)
            self.assertEqual(packets.joined([packet.whole for packet in arrived])[20:], inner[20:])

    def test_a_packet_from_inside_is_cut_before_it_is_encrypted(self):
        for number in (OVER4, OVER6):
            inner = self.from_inside(number, 4, 1460, fragment=0)
            self.testbed.send("inside", inner)
            pieces = [self.open(number, packet) for packet in self.esp_frames(2)]
            self.assertEqual(packets.joined(pieces)[20:], inner[20:])

    def test_the_sender_is_told_what_fits(self):
        """And what fits passes."""
        for number, version in itertools.product((OVER4, OVER6), (4, 6)):
            header = {4: 28, 6: 48}[version]
            before = self.settled()
            inner = self.from_inside(number, version, 1490 - header)
            self.testbed.send("inside", inner)
            told, = self.taken(self.testbed.inside, 1, lambda packet: packet.protocol in (packets.ICMP, packets.ICMPV6))
            self.assertEqual((told.source, told.destination), (INSIDE.gateway[version], INSIDE.host[version]))
            self.assertEqual(tuple(told.payload[:2]), (3, 4) if version == 4 else (2, 0))
            mtu, = struct.unpack_from("!H", told.payload, 6)
            self.assertEqual(mtu, largest_inner(number, 1500))
            self.assertTrue(inner.startswith(told.payload[8:]))
            self.assertEqual(self.settled().since(before).drops, {"OUT_CANNOT_FRAG_DF_SET_PKT": 1})
            self.testbed.send("inside", self.from_inside(number, version, mtu - header))
            self.assertLessEqual(len(self.esp_frames(1)[0].whole), 1500)

    @fires("MTU_EXCEEDED")
    def test_a_sender_behind_the_peer_is_told_through_the_tunnel(self):
        for number, version in itertools.product((OVER4, OVER6), (4, 6)):
            outer = self.outer(number, self.from_peer(number, version, 1600))
            self.testbed.send("outside", *packets.fragments(outer, 1400, 200 + version))
            told = packets.parse_ip(self.open(number, self.esp_frames(1)[0]))
            self.assertEqual((told.source, told.destination), (INSIDE.gateway[version], HOSTS[number][version]))
            self.assertEqual(struct.unpack_from("!H", told.payload, 6), (1500,))

    def test_the_gateway_s_own_kernel_is_told(self):
        for version, network in NETWORKS[OVER4].items():
            self.testbed.namespace.ip("route", "replace", network, "via", OUTSIDE.host[version], "dev", "outside",
                                      "src", INSIDE.gateway[version])
            _, text, errors = self.testbed.namespace.exec(
                "ping", "-c", 2, "-i", "0.3", "-W", 1, "-M", "do", "-s", 1420, HOSTS[OVER4][version], check=False)
            self.assertIn(str(largest_inner(OVER4, 1500)), text + errors)

    def test_a_datagram_to_the_gateway_in_fragments_reaches_its_kernel_whole(self):
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            with self.testbed.namespace.socket(family, socket.SOCK_DGRAM) as listener:
                listener.settimeout(5)
                listener.bind((OUTSIDE.gateway[version], 500))
                for identification, size in enumerate((700, 3000, 20000), 500):
                    datagram = packets.udp_packet(OUTSIDE.host[version], OUTSIDE.gateway[version], 501, 500,
                                                  _pattern(size), **({"fragment": 0} if version == 4 else {}))
                    self.testbed.send("outside", *packets.fragments(datagram, 496, identification))
                    self.assertEqual(listener.recv(65536), _pattern(size))

    def test_missing_parts_give_the_packet_up(self):
        for number, reason in ((OVER4, "IN_V4_PKT_FRAG_ERR"), (OVER6, "IN_V6_PKT_FRAG_ERR")):
            before = self.settled()
            parts = packets.fragments(self.outer(number, self.from_peer(number, 4, 1000)), 400, 300)
            self.testbed.send("outside", parts[0], parts[2])
            self.assertEqual(self.gateway.ask("show", "workers")["workers"][0]["reassembling"], 1)
            self.testbed.until(lambda: self.settled().since(before).drops == {reason: 1})
            self.assertEqual(self.gateway.ask("show", "workers")["workers"][0]["reassembling"], 0)


class Paths(SizesCase):
    """What routers say of the path; a gateway of its own, since it is remembered."""

    def icmp(self, number, quoted, mtu):
        kind = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) if number == OVER4 else struct.pack("!BBHI", 2, 0, 0, mtu)
        message = kind + quoted
        covered = message if number == OVER4 else packets.packed(ROUTER[6]) + packets.packed(
            OUTSIDE.gateway[6]) + struct.pack("!II", len(message), packets.ICMPV6) + message
        message = message[:2] + struct.pack("!H", packets.checksum(covered)) + message[4:]
        return packets.ip(ROUTER[number], OUTSIDE.gateway[number], packets.ICMP if number == OVER4 else packets.ICMPV6,
                          message)

    def test_a_router_is_believed_if_it_quotes_what_was_sent(self):
        for number, mtu in ((OVER4, 1000), (OVER6, 1300)):
            self.testbed.until(lambda: self.path_mtu(number) == 1500)
            self.testbed.send("inside", self.from_inside(number, 4, 900))
            quoted = self.esp_frames(1)[0].whole[:128]
            header = 20 if number == OVER4 else 40
            if number == OVER6:  # no link of IPv6 carries so little
                self.testbed.send("outside", self.icmp(number, quoted, 500))
            for guess in range(1, 256):  # more than are believed in a second
                forged = bytearray(quoted)
                forged[header + 3] ^= guess
                self.testbed.send("outside", self.icmp(number, bytes(forged), mtu))
            self.assertEqual(self.path_mtu(number), 1500)
            self.testbed.send("outside", self.icmp(number, quoted, mtu))
            self.testbed.until(lambda: self.path_mtu(number) == mtu)
            self.testbed.send("inside", self.from_inside(number, 4, 1460, fragment=0))
            pieces = self.esp_frames(2)
            self.assertLessEqual(max(len(packet.whole) for packet in pieces), mtu)

    def test_the_route_s_mtu_is_the_path_s(self):
        self.testbed.namespace.ip("route", "replace", "192.0.2.2/32", "dev", "outside", "mtu", 900)
        self.testbed.until(lambda: self.path_mtu(OVER4) == 900)
        self.testbed.namespace.ip("route", "del", "192.0.2.2/32", "dev", "outside")

    def test_too_little_counts_as_576_bytes_that_may_be_cut(self):
        """RFC 1191 5: older routers say 0. The last of these tests, since it is remembered."""
        def sent():
            self.testbed.send("inside", self.from_inside(OVER4, 4, 400))
            return self.esp_frames(1)[0].whole

        quoted = sent()
        self.assertEqual(quoted[6] & 0x40, 0x40)
        self.testbed.send("outside", self.icmp(OVER4, quoted[:128], 0))
        self.testbed.until(lambda: self.path_mtu(OVER4) == 576)
        self.assertEqual(sent()[6] & 0x40, 0)


class Jumbo(SizesCase):
    """Ports with an MTU of 9000 on both sides."""

    @classmethod
    def settings(cls):
        settings = super().settings()
        settings["ports"] = [pcap_port("outside", 0, "veth-out", OUTSIDE, ipsec=True, mtu=JUMBO_MTU),
                             pcap_port("inside", 1, "veth-in", INSIDE, mtu=JUMBO_MTU)]
        return settings

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for side, wire in (("out", cls.testbed.outside), ("in", cls.testbed.inside)):
            cls.testbed.namespace.ip("link", "set", f"veth-{side}", "mtu", JUMBO_MTU)
            wire.namespace.ip("link", "set", "wire", "mtu", JUMBO_MTU)

    def test_packets_of_9000_bytes_pass_both_ways(self):
        for number in (OVER4, OVER6):
            for version in (4, 6):
                header = {4: 28, 6: 48}[version]
                size = largest_inner(number, JUMBO_MTU) - header
                inner = self.from_peer(number, version, size)
                self.testbed.send("outside", self.outer(number, inner))
                arrived, = self.taken(self.testbed.inside, 1, _is_udp)
                self.assertEqual(arrived.payload, packets.parse_ip(inner).payload)
                inner = self.from_inside(number, version, size)
                self.testbed.send("inside", inner)
                esp, = self.esp_frames(1)
                self.assertGreater(len(esp.whole), JUMBO_MTU - 4)
                self.assertEqual(packets.parse_ip(self.open(number, esp)).payload, packets.parse_ip(inner).payload)

    def test_what_is_larger_is_cut(self):
        inner = self.from_inside(OVER4, 4, largest_inner(OVER4, JUMBO_MTU) - 28 + 1, fragment=0)
        self.testbed.send("inside", inner)
        self.assertEqual(packets.joined([self.open(OVER4, packet) for packet in self.esp_frames(2)])[20:], inner[20:])

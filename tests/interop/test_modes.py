"""Transport mode, outer header fields, and peers behind NATs, by real frames."""

import socket

from lib import case, configuration, packets
from lib.coverage import fires
from lib.encapsulation import wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, standard_ports

TRANSPORT4, TRANSPORT6, MOVING, FIELDS, MOVING_TRANSPORT = range(1, 6)
NETWORKS = {MOVING: "10.2.3.0/24", FIELDS: "10.2.4.0/24"}
OTHER_PEER = "192.0.2.3"
ROAMING_PEER, ROAMING_PEER_NOW = "192.0.2.55", "192.0.2.56"
TRANSPORT_PEER = {4: "192.0.2.33", 6: "2001:db8:f::33"}


def _connection(number, version=4, remote=None, networks=True, **settings):
    made = configuration.connection(
        f"c{number}", OUTSIDE.gateway[version], remote or OUTSIDE.host[version],
        [INSIDE_NETWORKS[4]], [NETWORKS.get(number, "")], inbound=(0x1000 + number, keymat(0x1000 + number)),
        outbound=(0x2000 + number, keymat(0x2000 + number)), **settings)
    if number not in NETWORKS:
        del made["local_networks"], made["remote_networks"]
    return made


class Modes(case.GatewayCase):
    sequence = 0

    @classmethod
    def settings(cls):
        return configuration.gateway(standard_ports(), connections=[
            _connection(TRANSPORT4, remote=TRANSPORT_PEER[4], mode="transport"),
            _connection(TRANSPORT6, 6, remote=TRANSPORT_PEER[6], mode="transport"),
            _connection(MOVING, remote=OTHER_PEER, encapsulation="udp", nat_keepalive=1),
            _connection(MOVING_TRANSPORT, remote=ROAMING_PEER, mode="transport", encapsulation="udp"),
            _connection(FIELDS, remote=OTHER_PEER, df="clear", dscp=10, ecn=False, ttl=33)])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for address in (OTHER_PEER, "192.0.2.44", ROAMING_PEER, ROAMING_PEER_NOW, *TRANSPORT_PEER.values()):
            cls.testbed.namespace.ip("neigh", "replace", address, "lladdr", cls.testbed.outside.mac, "dev", "outside",
                                     "nud", "permanent")

    def seal(self, number, payload, next_header):
        type(self).sequence += 1
        return GcmSa(0x1000 + number, keymat(0x1000 + number)).seal(payload, next_header, self.sequence)

    def open(self, number, esp):
        return GcmSa(0x2000 + number, keymat(0x2000 + number)).open(esp)

    def test_the_kernel_answers_a_ping_in_transport_mode(self):
        """ESP to the gateway itself: its kernel sees the echo request, and the answer comes back as ESP."""
        for number, version in ((TRANSPORT4, 4), (TRANSPORT6, 6)):
            source, destination = TRANSPORT_PEER[version], OUTSIDE.gateway[version]
            request = packets.parse_ip(packets.echo(source, destination, 7, 9))
            esp = self.seal(number, request.payload, request.protocol)
            self.testbed.send("outside", wrap(esp, source, destination, udp_encapsulated=False))
            frame = self.testbed.outside.expect(packets.is_ip(protocol=packets.ESP))
            self.assertIsNotNone(frame, "no ESP came back")
            opened = self.open(number, packets.ip_of(frame).payload)
            self.assertEqual(opened.next_header, request.protocol)
            self.assertIn(opened.payload[0], (0, 129))  # echo reply
            self.assertEqual(opened.payload[4:8], request.payload[4:8])

    def test_what_the_kernel_says_in_clear_never_leaves(self):
        """Cleartext from the transport mode peer is dropped: it should have come as ESP."""
        before = self.settled()
        self.testbed.send("outside", packets.udp_packet(TRANSPORT_PEER[4], OUTSIDE.gateway[4], 5, 6, b"clear"))
        self.assertEqual(self.settled().since(before).drops, {"IN_US_CL_V4_PKT_FAILED_POLICY": 1})

    def test_what_the_kernel_fragmented_is_encrypted_whole(self):
        before = self.settled()
        self.testbed.namespace.exec("ping", "-c", "1", "-W", "1", "-s", "3000", "-M", "dont", TRANSPORT_PEER[4],
                                    check=False)
        since = self.settled().since(before)
        self.assertEqual(since.drops, {})
        parts = []
        while (frame := self.testbed.outside.expect(packets.is_ip(protocol=packets.ESP), 1.0)):
            parts.append(frame[14:])
        self.assertEqual(len(parts), 3)
        esp = b"".join(part[20:int.from_bytes(part[2:4], "big")] for part in sorted(
            parts, key=lambda part: int.from_bytes(part[6:8], "big") & 0x1FFF))
        opened = self.open(TRANSPORT4, esp)
        self.assertEqual((opened.next_header, opened.payload[0], len(opened.payload)), (packets.ICMP, 8, 3008))

    @fires("OUT_TRANSPORT_FRAGMENT")
    def test_215(self):
        """A host inside that sends fragments with the gateway's own address."""
        before = self.settled()
        whole = packets.udp_packet(OUTSIDE.gateway[6], TRANSPORT_PEER[6], 5, 6, bytes(24))
        self.testbed.send("inside", packets.fragments(whole, 16)[0])
        self.assertEqual(self.settled().since(before).drops, {"OUT_TRANSPORT_FRAGMENT": 1})

    def outer_of(self, number, size=20, **fields):
        """The outer packet that the gateway makes of a packet from inside."""
        inner = packets.udp_packet(INSIDE.host[4], NETWORKS[number].replace(".0/24", ".9"), 6, 5, bytes(size), **fields)
        self.testbed.send("inside", inner)
        frame = self.testbed.outside.expect(
            lambda frame: (packet := packets.ip_of(frame)) is not None and packet.protocol in (packets.ESP, packets.UDP)
            and len(frame) > 60)
        self.assertIsNotNone(frame)
        return frame[14:]

    def test_outer_fields_are_what_the_connection_says(self):
        outer = self.outer_of(FIELDS, tos=0xB9, fragment=0x4000)
        self.assertEqual((outer[1], outer[6] & 0x40, outer[8]), (10 << 2, 0, 33))

    def test_a_peer_is_followed_through_its_nat(self):
        """After a good packet from another address and port the answers go there; a forged one changes nothing."""
        inner = packets.udp_packet("10.2.3.9", INSIDE.host[4], 5, 6, b"hello")

        def arrives(source, port, damage=0):
            esp = bytearray(self.seal(MOVING, inner, packets.IPV4))
            esp[-1] ^= damage
            self.testbed.send("outside", packets.udp_packet(source, OUTSIDE.gateway[4], port, 4500, bytes(esp)))

        def goes_to():
            outer = packets.parse_ip(self.outer_of(MOVING))
            return outer.destination, int.from_bytes(outer.payload[2:4], "big")

        self.assertEqual(goes_to(), (OTHER_PEER, 4500))
        arrives("192.0.2.44", 61000)
        self.testbed.until(lambda: goes_to() == ("192.0.2.44", 61000))
        arrives("192.0.2.2", 1234, damage=1)
        arrives("192.0.2.44", 61000)
        self.assertEqual(goes_to(), ("192.0.2.44", 61000))

    def test_a_conversation_outlives_a_move_in_transport_mode(self):
        """The kernel's connected socket knows one address of its peer, whose NAT gives it another meanwhile."""
        with self.testbed.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as talker:
            talker.settimeout(3)
            talker.bind((OUTSIDE.gateway[4], 7000))
            talker.connect((ROAMING_PEER, 7001))
            for source, port in ((ROAMING_PEER, 4500), (ROAMING_PEER_NOW, 61000)):
                # With the checksum as the peer made it, for the address that it has behind its NAT.
                datagram = packets.udp("192.168.1.2", OUTSIDE.gateway[4], 7001, 7000, source.encode())
                esp = self.seal(MOVING_TRANSPORT, datagram, packets.UDP)
                self.testbed.send("outside", packets.udp_packet(source, OUTSIDE.gateway[4], port, 4500, esp))
                self.assertEqual(talker.recv(100), source.encode())

                def answered():
                    self.testbed.outside.drain()
                    talker.send(b"answer")
                    frame = self.testbed.outside.expect(
                        lambda frame: (packet := packets.ip_of(frame)) is not None and packet.protocol == packets.UDP
                        and len(packet.payload) > 9)
                    outer = packets.ip_of(frame)
                    opened = self.open(MOVING_TRANSPORT, outer.payload[8:])
                    self.assertEqual((opened.next_header, opened.payload[8:]), (packets.UDP, b"answer"))
                    return (outer.destination, int.from_bytes(outer.payload[2:4], "big")) == (source, port)

                self.testbed.until(answered)

    def test_keepalives_come_when_nothing_else_does(self):
        keepalive = self.testbed.outside.expect(
            lambda frame: (packet := packets.ip_of(frame)) is not None and packet.protocol == packets.UDP
            and packet.payload[8:9] == b"\xff", 4.0)
        self.assertIsNotNone(keepalive, "no keepalive within 4 s")
        packet = packets.ip_of(keepalive)
        self.assertEqual(int.from_bytes(packet.payload[:2], "big"), 4500)
        self.assertEqual(int.from_bytes(packet.payload[4:6], "big"), 9)

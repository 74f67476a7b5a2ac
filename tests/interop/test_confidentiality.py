"""Traffic flow confidentiality (RFC 4303 2.6, 2.7): padding and dummies as two independent peers see them."""

import time

from lib import case, configuration, packets
from lib.esp import GcmSa, keymat
from lib.scapy_esp import ScapySa
from lib.suites import GCM
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, standard_ports

BLOCKS, WHOLE, DUMMIES = 1, 2, 3
DUMMY_RATE = 100


def keys(spi):
    return spi, keymat(spi)


def host(number):
    return f"10.2.{number}.9"


class Confidentiality(case.GatewayCase):
    @classmethod
    def settings(cls):
        wishes = {BLOCKS: {"tfc_padding": 256}, WHOLE: {"tfc_padding": "mtu"}, DUMMIES: {}}
        return configuration.gateway(
            standard_ports(),
            connections=[configuration.connection(
                f"c{number}", OUTSIDE.gateway[4], OUTSIDE.host[4], INSIDE_NETWORKS.values(), [f"10.2.{number}.0/24"],
                inbound=keys(0x1000 + number), outbound=keys(0x2000 + number), **wish)
                for number, wish in wishes.items()])

    def protected(self, number, size):
        """An inner packet of the inside host's, and the outer one that it became."""
        inner = packets.udp_packet(INSIDE.host[4], host(number), 6, 5, bytes(size), fragment=0)
        self.testbed.outside.drain()
        self.testbed.send("inside", inner)
        frame = self.testbed.outside.expect(packets.is_ip(protocol=packets.ESP))
        self.assertIsNotNone(frame, "nothing was encrypted")
        return inner, packets.ip_of(frame)

    def holds(self, number, inner, outer, padded_bytes):
        opened = GcmSa(*keys(0x2000 + number)).open(outer.payload)
        self.assertEqual((opened.next_header, len(opened.payload)), (packets.IPV4, padded_bytes))
        self.assertEqual(opened.payload[len(inner):], bytes(padded_bytes - len(inner)))
        # Byte for byte, but for TTL and checksum, by the inner length.
        self.assertEqual(opened.payload[12:len(inner)], inner[12:])
        by_scapy, _ = ScapySa(*keys(0x2000 + number), GCM[16], OUTSIDE.gateway[4], OUTSIDE.host[4]).open(outer.whole)
        self.assertEqual(by_scapy[12:len(inner)], inner[12:])

    def test_padding_to_a_multiple(self):
        for size, padded_bytes in ((0, 256), (228, 256), (229, 512), (1000, 1280)):
            with self.subTest(size):
                self.holds(BLOCKS, *self.protected(BLOCKS, size), padded_bytes)

    def test_padding_to_the_path(self):
        largest = (1500 - 20 - 8 - 8 - 16) // 4 * 4 - 2
        for size in (0, 500, largest - 28):
            with self.subTest(size):
                inner, outer = self.protected(WHOLE, size)
                self.holds(WHOLE, inner, outer, largest)
                self.assertLessEqual(len(outer.whole), 1500)

    def dummies(self, during_s):
        time.sleep(during_s)
        sa = GcmSa(*keys(0x2000 + DUMMIES))
        outer = [packets.ip_of(frame) for frame in self.testbed.outside.drain()]
        return [sa.open(packet.payload) for packet in outer
                if packet is not None and packet.protocol == packets.ESP and packet.payload[:4] == b"\0\0\x20\x03"]

    def with_rate(self, rate):
        connections = [dict(connection) for connection in self.gateway.settings["connections"]]
        connections[DUMMIES - 1]["dummy_rate"] = rate
        self.gateway.file.write_text(configuration.text(dict(self.gateway.settings, connections=connections)))
        self.gateway.ask("reload")

    def test_y_dummies_come_at_the_rate_with_next_header_59_and_different_sizes(self):
        self.with_rate(DUMMY_RATE)
        self.addCleanup(self.with_rate, 0)
        self.testbed.outside.drain()
        begun = time.monotonic()
        found = self.dummies(2)
        took_s = time.monotonic() - begun
        self.assertEqual({opened.next_header for opened in found}, {packets.NO_NEXT_HEADER})
        self.assertGreater(len(found), took_s * DUMMY_RATE / 2)
        self.assertLess(len(found), took_s * DUMMY_RATE * 3 / 2)
        self.assertGreater(len({len(opened.payload) for opened in found}), 20)
        self.assertEqual(len({opened.sequence for opened in found}), len(found))
        # Among them a packet goes its way.
        inner = packets.udp_packet(INSIDE.host[4], host(DUMMIES), 6, 5, b"real")
        self.testbed.send("inside", inner)
        self.assertIn(packets.IPV4, {opened.next_header for opened in self.dummies(0.2)})

    def test_z_no_rate_no_dummies(self):
        time.sleep(0.1)
        self.testbed.outside.drain()
        self.assertEqual(self.dummies(0.5), [])

"""Limits of the way to and from the kernel: what exceeds them is counted under the limit's reason, and nothing is
lost uncounted.
"""

import socket

from lib import case, configuration, packets
from lib.coverage import fires
from lib.testbed import INSIDE, OUTSIDE, standard_ports

SENT = 200


class Limits(case.GatewayCase):
    @classmethod
    def settings(cls):
        return configuration.gateway(standard_ports(), limits={"punt_ike_pps": 10, "punt_host_pps": 10})

    def flood(self, reason, outcome, packet):
        before = self.settled()
        self.testbed.send("outside", *[packet] * SENT)
        moved = self.settled().since(before)
        self.assertEqual(set(moved.drops), {reason})
        self.assertEqual(moved.of(reason) + moved.outcomes[outcome], SENT)
        self.assertGreater(moved.of(reason), SENT // 2)

    @fires("IKE_RATE_LIMITED")
    def test_213(self):
        self.flood("IKE_RATE_LIMITED", "control",
                   packets.udp_packet(OUTSIDE.host[4], OUTSIDE.gateway[4], 500, 500, bytes(28)))

    @fires("HOST_RATE_LIMITED")
    def test_341(self):
        self.flood("HOST_RATE_LIMITED", "host", packets.echo(OUTSIDE.host[4], OUTSIDE.gateway[4], 1, 1))


class FullRings(case.GatewayCase):
    """The smallest rings, and workers that sleep long enough to fill them."""

    @classmethod
    def settings(cls):
        limits = {"punt_ring": 64, "punt_ike_pps": 1_000_000, "punt_host_pps": 1_000_000}
        return configuration.gateway(standard_ports(), limits=limits, idle_sleep_us=10_000)

    def until_full(self, reason, flood):
        before = self.settled()
        self.testbed.until(lambda: flood() or self.settled().since(before).of(reason), 20)
        self.assertEqual(set(self.settled().since(before).drops), {reason})

    @fires("IKE_RING_FULL")
    def test_212(self):
        packet = packets.udp_packet(OUTSIDE.host[4], OUTSIDE.gateway[4], 500, 500, bytes(28))
        self.until_full("IKE_RING_FULL", lambda: self.testbed.send("outside", *[packet] * SENT))

    @fires("HOST_RING_FULL")
    def test_340(self):
        packet = packets.udp_packet(OUTSIDE.host[4], OUTSIDE.gateway[4], 9, 9, b"discard")
        self.until_full("HOST_RING_FULL", lambda: self.testbed.send("outside", *[packet] * SENT))

    @fires("HOST_INJECT_FULL")
    def test_343(self):
        sender = self.testbed.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        self.until_full("HOST_INJECT_FULL", lambda: [sender.sendto(b"flood", (INSIDE.host[4], 9)) for _ in range(SENT)]
                        and None)

    @fires("HOST_TAP_FULL")
    def test_zy_342(self):
        """The last case: an administrator takes the twin down."""
        before = self.settled()
        self.testbed.namespace.ip("link", "set", "outside", "down")
        arp = packets.ethernet("ff:ff:ff:ff:ff:ff", self.testbed.outside.mac, bytes(46), packets.ETHERTYPE_ARP)
        self.testbed.send_frames("outside", [arp])
        self.testbed.until(lambda: self.settled().since(before).of("HOST_TAP_FULL") == 1)

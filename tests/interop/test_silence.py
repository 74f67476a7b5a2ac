"""A port on an interface of the kernel, set up as the README says and no further: the kernel, which gets every
frame as well, must not work on it beside espgated."""

import signal
import unittest

from lib import cleanup, configuration, packets
from lib.encapsulation import wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, OUTSIDE, Testbed, standard_ports

BRANCH = "10.2.0.7"
SPI = 0x1001


def settings():
    return configuration.gateway(
        standard_ports(), policies=[{"to": "10.1.0.0/24", "action": "bypass"}, {"to": "192.0.2.0/24", "action": "bypass"}],
        connections=[configuration.connection(
            "branch", OUTSIDE.gateway[4], OUTSIDE.host[4], ["10.1.0.0/24"], ["10.2.0.0/24"],
            inbound=(SPI, keymat(SPI)), outbound=(0x2001, keymat(0x2001)))])


class Silence(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.testbed = Testbed(settings())
        cls.addClassCleanup(cleanup.now)
        # As on a host that is a router already.
        cls.testbed.namespace.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
        cls.testbed.start()
        cls.sa = GcmSa(SPI, keymat(SPI))
        cls.sequence = 0

    def seal(self):
        type(self).sequence += 1
        inner = packets.udp_packet(BRANCH, INSIDE.host[4], 5, 6, b"once")
        esp = self.sa.seal(inner, packets.IPV4, self.sequence)
        return wrap(esp, OUTSIDE.host[4], OUTSIDE.gateway[4], udp_encapsulated=False)

    def heard(self, wire):
        """IPv4 alone: the gateway's kernel reports its IPv6 groups through the twins."""
        return [packet for frame in wire.drain(0.5)
                if (packet := packets.ip_of(frame)) is not None and packet.version == 4]

    def assert_esp_goes_in_once(self):
        self.testbed.send("outside", self.seal(), self.seal())
        heard = self.heard(self.testbed.inside)
        self.assertEqual(len(heard), 2, heard)
        self.assertEqual(self.heard(self.testbed.outside), [], "the kernel refuses ESP that espgated has taken")

    def test_good_esp_is_not_refused_by_the_kernel(self):
        self.assert_esp_goes_in_once()

    def test_a_ping_is_answered_once(self):
        self.testbed.send("inside", packets.echo(INSIDE.host[4], INSIDE.gateway[4], 7, 1))
        self.assertEqual(len(self.heard(self.testbed.inside)), 1)

    def test_what_is_forwarded_is_forwarded_once(self):
        self.testbed.send("inside", packets.udp_packet(INSIDE.host[4], OUTSIDE.host[4], 5, 6, b"in clear"))
        self.assertEqual(len(self.heard(self.testbed.outside)), 1)

    def test_z_nothing_is_left_by_an_end_of_any_kind(self):
        """Killed or stopped: the kernel hears its interfaces again, and the next start silences them."""
        namespace, gateway = self.testbed.namespace, self.testbed.gateway
        gateway.send_signal(signal.SIGKILL)
        self.testbed.until(lambda: not gateway.alive())
        self.testbed.until(lambda: "espgate" not in namespace.exec("nft", "list", "tables")[1])
        self.testbed.start()
        self.assert_esp_goes_in_once()
        gateway.stop()
        self.assertNotIn("espgate", namespace.exec("nft", "list", "tables")[1])

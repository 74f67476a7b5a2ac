"""The Linux kernel's own IPsec as the other end: Debian's kernel in QEMU, keys set by `ip xfrm`.

    guest eth0 -- tap -- bridge -- veth ==== outside | espgated | inside ==== veth, kernel of the inside host
"""

import os
import re
import shutil
import tempfile
import unittest

from lib import cleanup, configuration, netns, packets
from lib.encapsulation import outer_of, unwrap, wrap
from lib.esp import GcmSa
from lib.gateway import Gateway
from lib.suites import SUITES
from lib.testbed import INSIDE, OUTSIDE, standard_ports
from lib.wire import Wire
from qemu import peer, transfer

GUEST_INNER = {4: "10.2.0.1", 6: "2001:db8:2::1"}
GUEST_NETWORKS = {4: "10.2.0.0/24", 6: "2001:db8:2::/64"}
INSIDE_NETWORKS = {4: "10.1.0.0/24", 6: "2001:db8:1::/64"}
GUEST_MAC = "52:54:00:12:34:56"
TRANSFER_BYTES = 50 << 20
TRANSFER_ACROSS_BYTES = 5 << 20  # where the inner family is not the outer one
INNER_MTU = 1400


class KernelCase(unittest.TestCase):
    """A guest on a bridge whose other port is a cable to the gateway's namespace."""

    @classmethod
    def setUpClass(cls):
        netns.sweep()
        cls.workdir = tempfile.mkdtemp(prefix="espgate-test-")
        cls.addClassCleanup(cleanup.now)
        cleanup.later(shutil.rmtree, cls.workdir, True)
        cls.gateway_side = netns.Namespace("gateway")
        outside = netns.Namespace("outside")
        netns.cable(cls.gateway_side, "veth-out", outside, "wire")
        outside.ip("tuntap", "add", "tap0", "mode", "tap")
        outside.ip("link", "add", "bridge0", "type", "bridge")
        for device in ("wire", "tap0", "bridge0"):
            outside.exec("sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1")
            if device != "bridge0":
                outside.ip("link", "set", device, "master", "bridge0")
            outside.ip("link", "set", device, "up")
        netns.silence(cls.gateway_side, "veth-out")
        cls.guest = peer.boot(outside, "tap0", cls.workdir, GUEST_MAC)
        peer.add_addresses(cls.guest, [f"{OUTSIDE.host[4]}/24", f"{OUTSIDE.host[6]}/64"], GUEST_INNER.values())
        for version in (4, 6):
            peer.add_route(cls.guest, INSIDE_NETWORKS[version], OUTSIDE.gateway[version], GUEST_INNER[version])

    def tunnel(self, outer, inbound, outbound, *, esn=False):
        """The tunnel in the guest, replacing any before it. inbound, outbound: as the gateway sees them."""
        peer.remove_tunnels(self.guest)
        networks = [(GUEST_NETWORKS[version], INSIDE_NETWORKS[version]) for version in (4, 6)]
        peer.add_tunnel(self.guest, OUTSIDE.host[outer], OUTSIDE.gateway[outer], inbound=outbound, outbound=inbound,
                        networks=networks, esn=esn)


class KernelAgreesWithOracle(KernelCase):
    """The kernel and our oracle understand each other, so neither is wrong in its own way."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wire = Wire(cls.gateway_side, "veth-out")
        for version in (4, 6):
            peer.add_neighbour(cls.guest, OUTSIDE.gateway[version], cls.wire.mac)


def _agreement(outer, inner, esn):
    def check(self):
        inbound, outbound = peer.Keys(0x1001, os.urandom(20)), peer.Keys(0x2001, os.urandom(20))
        self.tunnel(outer, inbound, outbound, esn=esn)
        self.wire.drain()
        request = packets.echo(INSIDE.host[inner], GUEST_INNER[inner], 7, 1, b"question")
        esp = GcmSa(outbound.spi, outbound.keymat, esn=esn).seal(
            request, packets.IPV4 if inner == 4 else packets.IPV6, 1)
        outer_packet = wrap(esp, OUTSIDE.gateway[outer], OUTSIDE.host[outer], udp_encapsulated=False)
        self.wire.send(packets.ethernet(GUEST_MAC, self.wire.mac, outer_packet))
        frame = self.wire.expect(lambda frame: outer_of(frame) is not None, 5)
        self.assertIsNotNone(frame, f"no answer; the kernel's errors: {peer.errors(self.guest)}")
        opened = GcmSa(inbound.spi, inbound.keymat, esn=esn).open(
            unwrap(packets.ip_of(frame), udp_encapsulated=False))
        reply = packets.parse_ip(opened.payload)
        self.assertEqual((reply.source, reply.destination), (GUEST_INNER[inner], INSIDE.host[inner]))
        self.assertTrue(reply.payload.endswith(b"question"))

    return check


for _outer in (4, 6):
    for _inner in (4, 6):
        for _esn in (False, True):
            setattr(KernelAgreesWithOracle, f"test_{_inner}in{_outer}_{'esn' if _esn else 'seq32'}",
                    _agreement(_outer, _inner, _esn))


class KernelBehindGateway(KernelCase):
    """The guest, the gateway's outside, and a host inside with a kernel of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.inside = netns.Namespace("inside")
        netns.cable(cls.gateway_side, "veth-in", cls.inside, "eth0")
        netns.silence(cls.gateway_side, "veth-in")
        for version, bits in ((4, 24), (6, 64)):
            cls.inside.ip("addr", "add", f"{INSIDE.host[version]}/{bits}", "dev", "eth0",
                          *(["nodad"] if version == 6 else []))

    def start(self, connections):
        gateway = Gateway(self.gateway_side, self.workdir, configuration.gateway(standard_ports(), connections=connections))
        gateway.start()
        return gateway


class EverySuite(KernelBehindGateway):
    """Pings both ways through a tunnel of each suite, every other one with ESN; all tunnels stand side by side.

    A mode and hash come with keys of three sizes, an odd number of suites apart, so each is tried with ESN and without.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tunnels = [(number, suite, number % 2 == 0) for number, suite in enumerate(SUITES.values(), 1)]
        cls.inside.ip("route", "add", "10.2.0.0/16", "via", INSIDE.gateway[4])
        cls.guest.run("; ".join(f"ip addr add 10.2.{number}.1 dev lo" for number, *_ in cls.tunnels))

    def test_every_suite(self):
        connections = []
        for number, suite, esn in self.tunnels:
            inbound = peer.Keys(0x1000 + number, os.urandom(suite.keymat), suite)
            outbound = peer.Keys(0x2000 + number, os.urandom(suite.keymat), suite)
            network = f"10.2.{number}.0/24"
            connections.append(configuration.connection(
                f"guest-{number}", OUTSIDE.gateway[4], OUTSIDE.host[4], [INSIDE_NETWORKS[4]], [network],
                inbound=(inbound.spi, inbound.keymat), outbound=(outbound.spi, outbound.keymat), suite=suite.name, esn=esn))
            peer.add_tunnel(self.guest, OUTSIDE.host[4], OUTSIDE.gateway[4], inbound=outbound, outbound=inbound,
                            networks=[(network, INSIDE_NETWORKS[4])], esn=esn, number=number)
        gateway = self.start(connections)
        # The first packets meet unresolved neighbours on every hop.
        self.inside.exec("ping", "-c", 5, "-i", "0.2", "-W", 1, "10.2.1.1", check=False)
        for number, suite, esn in self.tunnels:
            with self.subTest(suite.name, esn=esn):
                address = f"10.2.{number}.1"
                # One at a time: once ping has had an answer, it waits for the next no longer than for two such.
                for size in (number, 1200 + number):
                    _, text, _ = self.inside.exec("ping", "-c", 1, "-W", 5, "-s", size, address, check=False)
                    self.assertIn(" 0% packet loss", text, peer.errors(self.guest))
                code, text = self.guest.run(f"ping -c 1 -W 2 -I {address} {INSIDE.host[4]}", check=False)
                self.assertEqual(code, 0, text)
        counters = gateway.counters()
        self.assertTrue(counters.holds)
        self.assertEqual(counters.of("IN_CD_SW_IPSEC_MAC_EXCEPTION"), 0)
        gateway.stop()


class KernelThroughGateway(KernelBehindGateway):
    """Ping and TCP between the guest and an inside host, through espgated."""

    KEYS = {outer: (peer.Keys(0x1000 + outer, os.urandom(20)), peer.Keys(0x2000 + outer, os.urandom(20)))
            for outer in (4, 6)}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for version in (4, 6):
            # The first version of espgate tells nobody about path MTUs: hosts inside must know.
            cls.inside.ip("route", "add", GUEST_NETWORKS[version], "via", INSIDE.gateway[version], "mtu", INNER_MTU)

    def gateway(self, outer):
        """espgated with a tunnel over this outer family; the guest set up alike."""
        inbound, outbound = self.KEYS[outer]
        gateway = self.start([configuration.connection(
            "guest", OUTSIDE.gateway[outer], OUTSIDE.host[outer], INSIDE_NETWORKS.values(), GUEST_NETWORKS.values(),
            inbound=(inbound.spi, inbound.keymat), outbound=(outbound.spi, outbound.keymat))])
        self.tunnel(outer, inbound, outbound)
        return gateway

    def ping(self, inner):
        # The first packets meet unresolved neighbours on every hop; what counts is that it settles.
        self.inside.exec("ping", "-c", 5, "-i", "0.2", "-W", 1, GUEST_INNER[inner], check=False)
        _, text, _ = self.inside.exec("ping", "-c", 10, "-i", "0.05", "-W", 2, GUEST_INNER[inner], check=False)
        self.assertIn(" 0% packet loss", text, peer.errors(self.guest))
        code, text = self.guest.run(f"ping -c 5 -W 2 -I {GUEST_INNER[inner]} {INSIDE.host[inner]}", check=False)
        self.assertEqual(code, 0, text)
        self.assertTrue(re.search(r"\b0% packet loss", text), text)

    def check(self, outer):
        gateway = self.gateway(outer)
        for inner in (4, 6):
            with self.subTest(f"ping {inner} in {outer}"):
                self.ping(inner)
            with self.subTest(f"TCP {inner} in {outer}"):
                port = 5000 + 10 * outer + inner
                size = TRANSFER_BYTES if inner == outer else TRANSFER_ACROSS_BYTES
                to_s = transfer.to_guest(self.guest, self.inside, GUEST_INNER[inner], port, size)
                from_s = transfer.from_guest(self.guest, self.inside, INSIDE.host[inner], port, size)
                print(f"\n{size >> 20} MB over TCP, IPv{inner} in IPv{outer}: {to_s:.1f} s to the kernel, {from_s:.1f} s from it")
        counters = gateway.counters()
        self.assertTrue(counters.holds)
        self.assertEqual(counters.of("IN_CD_SW_IPSEC_MAC_EXCEPTION"), 0)
        self.assertEqual(counters.of("IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL"), 0)
        gateway.stop()

    def test_outer_ipv4(self):
        self.check(4)

    def test_outer_ipv6(self):
        self.check(6)

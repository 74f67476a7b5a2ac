"""The Linux kernel's own IPsec as the other end: Debian's kernel in QEMU, keys set by `ip xfrm`."""

import os
import re

from lib import configuration, packets
from lib.encapsulation import outer_of, unwrap, wrap
from lib.esp import GcmSa
from lib.testbed import INSIDE, OUTSIDE
from lib.wire import Wire
from qemu import peer, transfer
from qemu.kernel_case import GUEST_INNER, GUEST_MAC, GUEST_NETWORKS, INSIDE_NETWORKS, KernelBehindGateway, KernelCase

TRANSFER_BYTES = transfer.TIMES * 10 << 20
TRANSFER_ACROSS_BYTES = transfer.TIMES << 20  # where the inner family is not the outer one
INNER_MTU = 1400


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


class KernelThroughGateway(KernelBehindGateway):
    """Ping and TCP between the guest and an inside host, through espgated."""

    KEYS = {outer: (peer.Keys(0x1000 + outer, os.urandom(20)), peer.Keys(0x2000 + outer, os.urandom(20)))
            for outer in (4, 6)}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for version in (4, 6):
            # What happens to larger packets is test_kernel_sizes' matter.
            cls.inside.ip("route", "add", GUEST_NETWORKS[version], "via", INSIDE.gateway[version], "mtu", INNER_MTU)

    def gateway(self, outer, encap="", **settings):
        """espgated with a tunnel over this outer family; the guest set up alike."""
        inbound, outbound = self.KEYS[outer]
        gateway = self.start([configuration.connection(
            "guest", OUTSIDE.gateway[outer], OUTSIDE.host[outer], INSIDE_NETWORKS.values(), GUEST_NETWORKS.values(),
            inbound=(inbound.spi, inbound.keymat), outbound=(outbound.spi, outbound.keymat), **settings)])
        self.tunnel(outer, inbound, outbound, encap=encap)
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

    def check_udp_encapsulated(self, outer):
        peer.take_udp_encapsulated(self.guest, OUTSIDE.host[outer])
        nowhere = "0.0.0.0" if outer == 4 else "::"
        gateway = self.gateway(outer, f"encap espinudp 4500 4500 {nowhere}", encapsulation="udp")
        for inner in (4, 6):
            with self.subTest(f"ping {inner} in UDP over {outer}"):
                self.ping(inner)
        counters = gateway.counters()
        self.assertTrue(counters.holds)
        self.assertEqual(counters.of("IN_CD_SW_IPSEC_MAC_EXCEPTION"), 0)
        gateway.stop()

    def test_udp_encapsulated_over_ipv4(self):
        self.check_udp_encapsulated(4)

    def test_udp_encapsulated_over_ipv6(self):
        self.check_udp_encapsulated(6)

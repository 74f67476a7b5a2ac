"""Large packets between the Linux kernel's own IPsec and hosts inside that know nothing of the tunnel's overhead, and
between both gateways' kernels in transport mode.

Nobody is given an MTU: fragmentation and path MTU discovery have to make it work. The ports are DPDK's pcap
ports, since the kernel reassembles IPv4 in front of af_packet ports.
"""

import os

from lib import configuration, packets
from lib.gateway import Gateway
from lib.suites import SUITES
from lib.testbed import INSIDE, OUTSIDE
from lib.wire import Wire
from qemu import peer, transfer
from qemu.kernel_case import GUEST_INNER, GUEST_MAC, GUEST_NETWORKS, INSIDE_NETWORKS, KernelBehindGateway
from test_sizes import outside_port, pcap_port

TRANSFER_BYTES = transfer.TIMES << 20
NARROW_MTU = 1400


class KernelSizes(KernelBehindGateway):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Sockets without an opinion of their own send with DF clear, so that the kernel fragments what it encrypted.
        cls.guest.run("sysctl -w net.ipv4.ip_no_pmtu_disc=1")
        for version in (4, 6):
            cls.inside.ip("route", "add", GUEST_NETWORKS[version], "via", INSIDE.gateway[version])
            cls.guest.run(f"ip route replace {INSIDE_NETWORKS[version]} via {OUTSIDE.gateway[version]} dev eth0 "
                          f"src {GUEST_INNER[version]}")

    def start(self, connections):
        gateway = Gateway(self.gateway_side, self.workdir, configuration.gateway(
            [outside_port(), pcap_port("inside", 1, "veth-in", INSIDE)], connections=connections))
        return gateway.start()

    def ping(self, inner, size):
        # The first packets meet unresolved neighbours, and senders that have to be told.
        self.inside.exec("ping", "-c", 4, "-i", "0.2", "-W", 1, "-s", size, GUEST_INNER[inner], check=False)
        _, text, _ = self.inside.exec("ping", "-c", 3, "-i", "0.2", "-W", 3, "-s", size, GUEST_INNER[inner], check=False)
        self.assertIn(" 0% packet loss", text, peer.errors(self.guest))
        self.guest.run(f"ping -c 2 -W 1 -s {size} -I {GUEST_INNER[inner]} {INSIDE.host[inner]}", check=False)
        code, text = self.guest.run(f"ping -c 3 -W 3 -s {size} -I {GUEST_INNER[inner]} {INSIDE.host[inner]}", check=False)
        self.assertIn(" 0% packet loss", text, f"{code} {peer.errors(self.guest)}")

    def fragments_seen(self, action):
        """Outer fragments from the guest that reached the gateway's port meanwhile."""
        wire = Wire(self.gateway_side, "veth-out")
        action()
        packets_seen = [frame[14:] for frame in wire.drain()]
        wire.close()
        return sum(packet[9] == packets.ESP and packet[6] & 0x3F != 0 or packet[6:8] == b"\x2c\x40"
                   for packet in packets_seen if len(packet) > 20)

    def check(self, outer):
        inbound, outbound = peer.Keys(0x1000 + outer, os.urandom(20)), peer.Keys(0x2000 + outer, os.urandom(20))
        gateway = self.start([configuration.connection(
            "guest", OUTSIDE.gateway[outer], OUTSIDE.host[outer], INSIDE_NETWORKS.values(), GUEST_NETWORKS.values(),
            inbound=(inbound.spi, inbound.keymat), outbound=(outbound.spi, outbound.keymat))])
        self.tunnel(outer, inbound, outbound)
        fragments = 0
        for path_mtu in (1500, NARROW_MTU):
            if path_mtu != 1500:
                bits = 32 if outer == 4 else 128
                self.gateway_side.ip("route", "replace", f"{OUTSIDE.host[outer]}/{bits}", "dev", "outside", "mtu", path_mtu)
            for inner in (4, 6):
                with self.subTest(f"ping {inner} in {outer}, path {path_mtu}"):
                    fragments += self.fragments_seen(lambda: self.ping(inner, 8000))
                with self.subTest(f"TCP {inner} in {outer}, path {path_mtu}"):
                    number = 6000 + path_mtu + 10 * outer + inner
                    transfer.to_guest(self.guest, self.inside, GUEST_INNER[inner], number, TRANSFER_BYTES)
                    transfer.from_guest(self.guest, self.inside, INSIDE.host[inner], number, TRANSFER_BYTES)
        counters = gateway.counters()
        print(f"\nouter IPv{outer}: {fragments} outer fragments from the kernel, {counters.made} packets made, {counters.outcomes['consumed']} consumed, "
              f"{ {name: count for name, count in counters.drops.items() if count} }")
        self.assertTrue(counters.holds)
        self.assertGreater(counters.made, 100)
        self.assertGreater(fragments, 10)
        self.assertGreater(counters.of("OUT_CANNOT_FRAG_DF_SET_PKT"), 0)
        self.assertEqual(counters.of("IN_CD_SW_IPSEC_MAC_EXCEPTION"), 0)
        self.assertEqual(gateway.ask("show", "sa", "--spi", f"{outbound.spi:#x}")["sas"][0]["path_mtu"], NARROW_MTU)
        gateway.stop()

    def test_outer_ipv4(self):
        self.check(4)

    def test_outer_ipv6(self):
        self.check(6)

    def check_transport(self, version, suite):
        """Between the two gateways themselves. Ours fragments before ESP is there: it has to be undone (RFC 4303 3.3.4)."""
        ours, theirs = OUTSIDE.gateway[version], OUTSIDE.host[version]
        inbound, outbound = (peer.Keys(spi + version, os.urandom(suite.keymat), suite) for spi in (0x3000, 0x4000))
        connection = configuration.connection(
            "guest", ours, theirs, [], [], mode="transport", suite=suite.name,
            inbound=(inbound.spi, inbound.keymat), outbound=(outbound.spi, outbound.keymat))
        gateway = self.start([connection])
        peer.remove_tunnels(self.guest)
        peer.add_tunnel(self.guest, theirs, ours, inbound=outbound, outbound=inbound, networks=[(theirs, ours)],
                        mode="transport")
        # To the guest's kernel what asks for neighbours is traffic to be protected, too.
        peer.add_neighbour(self.guest, ours, self.gateway_side.mac("outside"))
        self.gateway_side.ip("neigh", "replace", theirs, "lladdr", GUEST_MAC, "dev", "outside", "nud", "permanent")
        fragments = 0
        for path_mtu in (1500, NARROW_MTU):
            if path_mtu != 1500:
                self.gateway_side.ip("route", "replace", f"{theirs}/{32 if version == 4 else 128}", "dev", "outside",
                                     "mtu", path_mtu)
            for size in (1450, 8000, 60_000):
                with self.subTest(f"{size} bytes over IPv{version}, {suite.name}, path {path_mtu}"):
                    fragments += self.fragments_seen(lambda: self.ping_between_gateways(ours, theirs, size))
        counters = gateway.counters()
        gateway.stop()
        drops = {name: count for name, count in counters.drops.items() if count}
        print(f"\ntransport IPv{version}, {suite.name}: {fragments} outer fragments from the kernel, {counters.made} packets "
              f"made, {drops}")
        self.assertTrue(counters.holds)
        self.assertGreater(counters.made, 100)
        self.assertGreater(fragments, 100)
        self.assertLessEqual(set(drops), {"OUT_CANNOT_FRAG_DF_SET_PKT"})  # of senders that are told, and obey

    def ping_between_gateways(self, ours, theirs, size):
        # The first may be told how large packets may be.
        self.gateway_side.exec("ping", "-c", 1, "-W", 1, "-s", size, theirs, check=False)
        _, text, _ = self.gateway_side.exec("ping", "-c", 3, "-i", "0.2", "-W", 3, "-s", size, theirs, check=False)
        self.assertIn(" 0% packet loss", text, peer.errors(self.guest))
        code, text = self.guest.run(f"ping -c 3 -W 3 -s {size} {ours}", check=False)
        self.assertIn(" 0% packet loss", text, f"{code} {peer.errors(self.guest)}")

    def test_transport_ipv4(self):
        self.check_transport(4, SUITES["aes128-gcm16"])

    def test_transport_ipv6(self):
        self.check_transport(6, SUITES["aes128-gcm16"])

    def test_transport_ipv4_with_a_separate_hash(self):
        self.check_transport(4, SUITES["aes256-cbc-sha256"])

    def test_transport_ipv6_with_a_separate_hash(self):
        self.check_transport(6, SUITES["aes256-cbc-sha256"])

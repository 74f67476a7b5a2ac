"""Every cipher suite that the Linux kernel has, between it and the gateway: tunnel and transport, IPv4 and IPv6."""

import os

from lib import configuration
from lib.suites import SUITES
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE
from qemu import peer
from qemu.kernel_case import GUEST_MAC, KernelBehindGateway

_CASES = [(number, suite, number % 2 == 0) for number, suite in enumerate(SUITES.values(), 1)]


def _beyond(number, version):
    """A network of the guest's for each suite, and the guest's address in it."""
    return ((f"10.2.{number}.0/24", f"10.2.{number}.1") if version == 4 else
            (f"2001:db8:2:{number:x}::/64", f"2001:db8:2:{number:x}::1"))


def _host(number, version):
    """An outer address of the guest's for each suite, for transport mode."""
    return f"192.0.2.{100 + number}" if version == 4 else f"2001:db8:f::{100 + number:x}"


class EverySuite(KernelBehindGateway):
    """Pings both ways through an SA pair of each suite, every other one with ESN; all stand side by side.

    A mode and hash come with keys of three sizes, an odd number of suites apart, so each is tried with ESN and without.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.inside.ip("route", "add", "10.2.0.0/16", "via", INSIDE.gateway[4])
        cls.inside.ip("route", "add", "2001:db8:2::/48", "via", INSIDE.gateway[6])
        cls.guest.run("; ".join(
            f"ip addr add {_beyond(number, version)[1]} dev lo; ip addr add {_host(number, version)} dev eth0"
            for number, *_ in _CASES for version in (4, 6)))

    def connect(self, mode, version):
        """Starts the gateway with a connection for each suite, and gives the guest the same SAs."""
        peer.remove_tunnels(self.guest)
        connections = []
        for number, suite, esn in _CASES:
            inbound = peer.Keys(0x1000 + number, os.urandom(suite.keymat), suite)
            outbound = peer.Keys(0x2000 + number, os.urandom(suite.keymat), suite)
            remote = OUTSIDE.host[version] if mode == "tunnel" else _host(number, version)
            network = _beyond(number, version)[0]
            connection = configuration.connection(
                f"guest-{number}", OUTSIDE.gateway[version], remote, [INSIDE_NETWORKS[version]], [network],
                inbound=(inbound.spi, inbound.keymat), outbound=(outbound.spi, outbound.keymat), suite=suite.name,
                esn=esn, mode=mode)
            networks = [(network, INSIDE_NETWORKS[version])]
            if mode == "transport":
                del connection["local_networks"], connection["remote_networks"]
                networks = [(remote, OUTSIDE.gateway[version])]
            connections.append(connection)
            peer.add_tunnel(self.guest, remote, OUTSIDE.gateway[version], inbound=outbound, outbound=inbound,
                            networks=networks, esn=esn, number=number, mode=mode)
        return self.start(connections)

    def check(self, mode, version):
        gateway = self.connect(mode, version)
        if mode == "tunnel":
            here, ours = self.inside, INSIDE.host[version]
            # The first packets meet unresolved neighbours on every hop.
            here.exec("ping", "-c", 5, "-i", "0.2", "-W", 1, _beyond(1, version)[1], check=False)
        else:
            # The gateway's own kernel. What asks for neighbours would have to be protected, too.
            here, ours = self.gateway_side, OUTSIDE.gateway[version]
            mac = here.mac("outside")
            peer.add_neighbour(self.guest, ours, mac)
            for number, *_ in _CASES:
                here.ip("neigh", "replace", _host(number, version), "lladdr", GUEST_MAC, "dev", "outside", "nud",
                        "permanent")
        for number, suite, esn in _CASES:
            with self.subTest(suite.name, esn=esn):
                address = _beyond(number, version)[1] if mode == "tunnel" else _host(number, version)
                # One at a time: once ping has had an answer, it waits for the next no longer than for two such.
                for size in (number, 1200 + number):
                    _, text, _ = here.exec("ping", "-c", 1, "-W", 5, "-s", size, address, check=False)
                    self.assertIn(" 0% packet loss", text, peer.errors(self.guest))
                code, text = self.guest.run(f"ping -c 1 -W 2 -I {address} {ours}", check=False)
                self.assertEqual(code, 0, text)
        counters = gateway.counters()
        self.assertTrue(counters.holds)
        self.assertEqual(counters.of("IN_CD_SW_IPSEC_MAC_EXCEPTION"), 0)
        gateway.stop()

    def test_tunnel_over_ipv4(self):
        self.check("tunnel", 4)

    def test_tunnel_over_ipv6(self):
        self.check("tunnel", 6)

    def test_transport_over_ipv4(self):
        self.check("transport", 4)

    def test_transport_over_ipv6(self):
        self.check("transport", 6)

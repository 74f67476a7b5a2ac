"""One of two gateways crashes and comes back, the other goes on sending: each kind of connection, over both IP
versions. Nobody but the stray packets can heal it: no side asks the other whether it is there, or begins by itself.
"""

import unittest

from lib import pair
from lib.ike_case import PSK, connection, gateway
from lib.invalid_spi_case import BEGUN, DYNAMIC_S, RETIRED, TOKEN, InvalidSpiCase, packets_of

QUIET = {"start": "passive", "liveness": 0}


def site(name, version, **more):
    """Over and for one IP version."""
    found = connection(name, f"site{version}", ike=QUIET, versions=(version,), **more)
    return {**found, "local": pair.OUTER[name][version], "remote": pair.OUTER[pair.other(name)][version]}


class Crash(InvalidSpiCase):
    """With policies."""

    @classmethod
    def settings(cls, name):
        return gateway(name, [site(name, version) for version in (4, 6)])

    def recovers(self, version, begins="a", lost="b", repairs=BEGUN, most_s=None):
        of, sender = f"site{version}", pair.other(lost)
        self.gateway(begins).ask("initiate", of)
        self.until(lambda: self.pair.ping(begins, version, count=1) == 1)

        def crash():
            self.stale = self.outbound_spi(sender, of)
            self.crash(lost)
        self.assert_recovers(crash, sender, version, most_s,
                             f"{type(self).__name__}, IPv{version}, {begins} began, {lost} crashed")
        flow = self.assert_explained(self.stale, "before restart", repairs, lost)
        self.assertEqual(flow["source"], pair.OUTER[sender][version])
        self.assertEqual(self.gateway(lost).counters().of(RETIRED), packets_of(self.gateway(lost), flow))
        # Both ways, and of the IKE SA before nothing is left.
        self.assertEqual(self.pair.ping(lost, version), 3, self.logs())
        self.until(lambda: all(len(self.up_of(name, of)) == 1 for name in pair.NAMES))

    def up_of(self, name, of):
        return [sa for sa in self.gateway(name).ask("show", "ike")["ike_sas"]
                if sa["connection"].split("#")[0] == of and sa["state"] == "up"]

    def test_ipv4(self):
        self.recovers(4)

    def test_ipv6(self):
        self.recovers(6)


class BothRoles(Crash):
    """Whichever of them began what the crash ended."""

    def test_ipv4(self):
        self.recovers(4, begins="b")

    def test_ipv6(self):
        self.recovers(6, begins="b", lost="a")


class AnyPeer(Crash):
    """b's peers may be anywhere, so only a can begin, and b has a token for it."""

    @classmethod
    def settings(cls, name):
        sites = [site(name, version) for version in (4, 6)]
        if name == "b":
            for each in sites:
                each.update(remote="any", ike={"psk": PSK, "remote_id": "%any", "liveness": 0})
        return gateway(name, sites)

    def test_ipv4(self):
        self.recovers(4, repairs=TOKEN, most_s=DYNAMIC_S)
        self.assertIn("as its token proves (RFC 6290)", self.gateway("a").log.read_text())

    def test_ipv6(self):
        self.recovers(6, repairs=TOKEN, most_s=DYNAMIC_S)

    def test_the_dynamic_end_crashes(self):
        self.recovers(4, lost="a")


def ends(name, version):
    """A tunnel's address here, and the peer's."""
    numbers = {"a": 1, "b": 2}
    form = "10.255.0.{}" if version == 4 else "2001:db8:ff::{}"
    return form.format(numbers[name]), form.format(numbers[pair.other(name)])


class Vti(Crash):
    """Routes lead into a tunnel over IPv4, and into one over IPv6."""

    KIND, MODE = "vti", "tunnel"

    @classmethod
    def settings(cls, name):
        sites = [site(name, version, mode=cls.MODE) for version in (4, 6)]
        for each in sites:
            del each["local_networks"], each["remote_networks"]
        routes = [{"to": pair.NETWORK[pair.other(name)][version], "via": ends(name, version)[1]} for version in (4, 6)]
        return gateway(name, sites, tunnels=cls.tunnels(name), routes=routes)

    @classmethod
    def tunnels(cls, name):
        return [{"name": f"tun{version}", "kind": cls.KIND, "connection": f"site{version}",
                 "addresses": [f"{ends(name, version)[0]}/{24 if version == 4 else 64}"]} for version in (4, 6)]


class Gre(Vti):
    KIND, MODE = "gre", "transport"


class GreMultipoint(Vti):
    """One link; the next hop says which connection a packet takes."""

    MODE = "transport"

    @classmethod
    def tunnels(cls, name):
        return [{"name": "gre0", "kind": "gre-multipoint", "addresses": [f"{ends(name, 4)[0]}/24", f"{ends(name, 6)[0]}/64"],
                 "peers": [{"connection": f"site{version}", "next_hops": [ends(name, version)[1]]} for version in (4, 6)]}]


if __name__ == "__main__":
    unittest.main()

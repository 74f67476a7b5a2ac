"""The same in UDP: gateway a is behind a NAT, b is not; either crashes, or the NAT changes its mind. Keepalives hold the
mapping of port 4500 alone, as it is after hours: by port 500 nobody reaches a.
"""

import time
import unittest

from lib import pair
from lib.ike_case import PSK, connection, gateway
from lib.invalid_spi_case import BEGUN, DYNAMIC_S, RETIRED, TOKEN, InvalidSpiCase, packets_of
from lib.router import TRANSLATED, Router
from lib.stream import Stream

FORGETS_AFTER_S = 3  # the NAT, without traffic
IDENTITIES = {name: {"local_id": f"{name}.example", "remote_id": f"{pair.other(name)}.example"} for name in pair.NAMES}


def site(name, version, remote):
    found = connection(name, f"site{version}", versions=(version,), nat_keepalive=1,
                       ike={"start": "passive", "liveness": 0, **IDENTITIES[name]})
    return {**found, "local": pair.OUTER[name][version], "remote": remote}


class Configured(InvalidSpiCase):
    """b knows by which address the NAT is seen."""

    BETWEEN = Router
    REPAIRS, MOST_S = BEGUN, None

    @classmethod
    def remote_of_b(cls, version):
        return TRANSLATED[version]

    @classmethod
    def settings(cls, name):
        return gateway(name, [site(name, version, cls.remote_of_b(version) if name == "b" else pair.OUTER["b"][version])
                              for version in (4, 6)])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        router = cls.pair.between
        router.translate()
        router.namespace.exec("sysctl", "-qw", *(f"net.netfilter.nf_conntrack_udp_timeout{kind}={FORGETS_AFTER_S}"
                                                 for kind in ("", "_stream")))

    def recovers(self, version, lost):
        of, sender = f"site{version}", pair.other(lost)
        self.gateway("a").ask("initiate", of)
        self.until(lambda: self.pair.ping("a", version, count=1) == 1)

        def crash():
            time.sleep(FORGETS_AFTER_S + 1)
            self.stale = self.outbound_spi(sender, of)
            self.crash(lost)
        self.assert_recovers(crash, sender, version, self.MOST_S if lost == "b" else None,
                             f"{type(self).__name__}, UDP, IPv{version}, {lost} crashed")
        flow = self.assert_explained(self.stale, "before restart", self.REPAIRS if lost == "b" else BEGUN, lost, prot=17)
        self.assertEqual(flow["source"], TRANSLATED[version] if lost == "b" else pair.OUTER["b"][version])
        self.assertEqual(self.gateway(lost).counters().of(RETIRED), packets_of(self.gateway(lost), flow))
        self.assertEqual(self.pair.ping(lost, version), 3, self.logs())

    def test_ipv4_b_crashes(self):
        self.recovers(4, "b")

    def test_ipv6_b_crashes(self):
        self.recovers(6, "b")

    def test_ipv4_a_crashes(self):
        self.recovers(4, "a")

    def test_ipv6_a_crashes(self):
        self.recovers(6, "a")


class AnyPeer(Configured):
    """b's peers may be anywhere."""

    REPAIRS, MOST_S = TOKEN, DYNAMIC_S

    @classmethod
    def remote_of_b(cls, version):
        return "any"


class Rebinding(AnyPeer):
    """The NAT forgets its mappings while traffic flows, and gives other ports."""

    test_ipv4_b_crashes = test_ipv6_b_crashes = test_ipv4_a_crashes = test_ipv6_a_crashes = None

    def test_traffic_goes_on(self):
        hosts = {name: (self.pair.host[name], pair.HOST[name][4]) for name in pair.NAMES}
        self.gateway("a").ask("initiate", "site4")
        self.until(lambda: self.pair.ping("a", 4, count=1) == 1)
        spi = self.outbound_spi("a", "site4")
        with Stream(hosts["a"], hosts["b"], 9001) as forth, Stream(hosts["b"], hosts["a"], 9002) as back:
            for ports in (":7000-7100", ":8000-8100"):
                time.sleep(0.5)
                self.pair.between.translate(ports)
                self.pair.between.forget()
            time.sleep(0.5)
            came = len(back.numbers)
            self.until(lambda: len(back.numbers) > came + 50)
        print(f"\nrebinding under traffic: {len(forth.missing)} of {forth.sent} lost towards b, "
              f"{len(back.missing)} of {back.sent} back", end="")
        # Towards the NAT those are lost that are sent before b has heard of a's new port.
        self.assertLess(len(forth.missing), 10)
        self.assertLess(len(back.missing), 50)
        self.assertEqual(self.outbound_spi("a", "site4"), spi)
        for name in pair.NAMES:
            self.assertEqual(self.gateway(name).ask("show", "invalid-spi")["flows"], [])


if __name__ == "__main__":
    unittest.main()

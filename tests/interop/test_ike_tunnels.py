"""Tunnel interfaces whose keys are negotiated: routes lead into them."""

import time
import unittest

from lib import pair
from lib.ike_case import IkeCase, connection, gateway

ENDS = {"a": {4: "10.255.0.1", 6: "2001:db8:ff::1"}, "b": {4: "10.255.0.2", 6: "2001:db8:ff::2"}}


def _settings(name, kind=None, start="always", **more):
    site = connection(name, ike={"start": start}, **more)
    for networks in ("local_networks", "remote_networks"):
        del site[networks]
    tunnel = {"name": "tun0", "connection": "site", "addresses": [f"{ENDS[name][4]}/30", f"{ENDS[name][6]}/64"]}
    if kind:
        tunnel["kind"] = kind
    peer = pair.other(name)
    routes = [{"to": pair.NETWORK[peer][version], "via": ENDS[peer][version]} for version in (4, 6)]
    return gateway(name, [site], tunnels=[tunnel], routes=routes)


class Vti(IkeCase):
    @classmethod
    def settings(cls, name):
        return _settings(name)

    def tunnel(self, name):
        return self.gateway(name).ask("show", "tunnels")["tunnels"][0]

    def test_1_routes_lead_into_what_was_negotiated(self):
        for name in pair.NAMES:
            self.until(lambda: self.tunnel(name)["state"] == "up")
        for version in (4, 6):
            self.assert_passes("a", version)
            self.assert_passes("b", version)
        self.assertGreaterEqual(self.tunnel("a")["tx"]["packets"], 6)

    def test_2_new_keys_lose_no_packet(self):
        before = self.up("a")["children"][0]["inbound_spi"]
        self.gateway("a").ask("rekey", "site")
        self.assertEqual(self.pair.ping("a", count=25, interval_s=0.04), 25, self.logs())
        self.until(lambda: self.up("a")["children"][0]["inbound_spi"] != before)

    def test_3_without_an_sa_the_tunnel_is_down_and_says_why(self):
        self.gateway("a").ask("terminate", "site")
        self.until(lambda: self.tunnel("a")["state"] == "down")
        self.assertEqual(self.pair.ping("a", count=2), 0)
        self.gateway("a").ask("initiate", "site")
        self.assert_passes("a")


class Gre(Vti):
    @classmethod
    def settings(cls, name):
        return _settings(name, kind="gre", mode="transport")


class OnDemand(IkeCase):
    @classmethod
    def settings(cls, name):
        return _settings(name, start="on-demand" if name == "a" else "passive")

    def test_a_packet_that_is_routed_into_it_brings_it_up(self):
        time.sleep(1)
        self.assertEqual({sa["state"] for sa in self.ike_sas("a")}, {"down"})
        self.assert_passes("a")


if __name__ == "__main__":
    unittest.main()

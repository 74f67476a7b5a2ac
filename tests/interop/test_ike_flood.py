"""A flood of IKE_SA_INITs that seem to come from a gateway's peers: its memory stays as it is, its tunnel gets new
keys at once, and a real peer comes in by COOKIE.

ESPGATE_FLOOD says how many there are at least (`scripts/long-tests --only flood`: a million).
"""

import ipaddress
import os
import time
import unittest

from lib import pair
from lib.ike_case import IkeCase, connection, gateway
from lib.ike_flood import Flood
from lib.loop_times import Reading
from lib.stream import Stream

COUNT = int(os.environ.get("ESPGATE_FLOOD", "50000"))
PER_SECOND = 20_000  # twice what a worker hands to control
PEERS, FIRST_PEER = 1_000, ipaddress.ip_address("198.18.0.1")
COOKIES_FROM = 500  # limits.ike-cookies-from
WARM = 20_000  # so many touch each packet buffer, which are memory that was reserved before
MOST_GROWTH_BYTES = 16 << 20
MOST_LOST = 0.01  # of the traffic: when a crowded machine lets the worker wait, its port overflows
IN_TIME_S = 10


def peer(number):
    return {"name": f"peer{number}", "local": pair.OUTER["b"][4], "remote": str(FIRST_PEER + number),
            "local_networks": [pair.NETWORK["b"][4]], "remote_networks": [f"10.{100 + number // 256}.{number % 256}.0/24"],
            "ike": {"psk": f"the key of peer {number}", "start": "passive"}}


class UnderFlood(IkeCase):
    """site is up before it begins; late begins meanwhile. b is flooded."""

    @classmethod
    def settings(cls, name):
        late = connection(name, "late", ike={"start": "passive"}, versions=(6,))
        late["local"], late["remote"] = pair.OUTER[name][6], pair.OUTER[pair.other(name)][6]
        connections = [connection(name, versions=(4,)), late]
        more = {}
        if name == "b":
            connections += [peer(number) for number in range(PEERS)]
            more["routes"] = [{"to": "198.18.0.0/15", "via": pair.OUTER["a"][4]}]
        return gateway(name, connections, log_level="info", **more)

    def half_open(self):
        return self.gateway("b").ask("show", "ike")["half_open"]

    def inbound_spi(self, name="b"):
        return self.up(name)["children"][0]["inbound_spi"]

    def test_flood(self):
        spi = self.inbound_spi()
        self.assert_passes()
        self.pair.ping("b", version=6, count=1)  # neighbours know each other
        flood = Flood(self.pair.namespace["a"], "veth-out", (self.pair.namespace["b"].mac("outside"), pair.OUTER["b"][4]),
                      str(FIRST_PEER), PEERS, PER_SECOND)
        hosts = [(self.pair.host[name], pair.HOST[name][4]) for name in pair.NAMES]
        with flood:
            self.until(lambda: flood.sent >= WARM)
            before, before_loop = self.gateway("b").resident_bytes(), Reading(self.gateway("b"))
            self.assertGreaterEqual(self.half_open(), COOKIES_FROM)
            with Stream(hosts[0], hosts[1], 7000) as stream:
                took = {}
                for name, words in (("b", ("rekey", "site")), ("a", ("rekey", "site"))):
                    began = time.monotonic()
                    self.gateway(name).ask(*words)
                    self.until(lambda: self.inbound_spi() != spi, IN_TIME_S)
                    took[f"child by {name}"] = time.monotonic() - began
                    spi = self.inbound_spi()
                for name in pair.NAMES:
                    ike_spi = self.up("b")["initiator_spi"]
                    began = time.monotonic()
                    self.gateway(name).ask("rekey", "site", "--ike")
                    self.until(lambda: self.up("b")["initiator_spi"] != ike_spi, IN_TIME_S)
                    took[f"IKE by {name}"] = time.monotonic() - began
                self.assertGreaterEqual(self.half_open(), COOKIES_FROM)
                began = time.monotonic()
                self.gateway("a").ask("initiate", "late")
                self.until(lambda: self.up("b", "late"), 120)
                took["a peer comes in"] = time.monotonic() - began
                self.until(lambda: flood.sent >= COUNT, COUNT / PER_SECOND * 5)
            after = self.gateway("b").resident_bytes()
            loop = Reading(self.gateway("b")).since(before_loop)
        lost = len(stream.missing)
        print(f"\n{flood.sent:,} forged IKE_SA_INITs: {(after - before) / 1e6:.1f} MB more; {lost} of {stream.sent} "
              "packets lost; " + ", ".join(f"{what} {seconds:.2f} s" for what, seconds in took.items()))
        self.assertLess(after - before, MOST_GROWTH_BYTES)
        self.assertLessEqual(lost, stream.sent * MOST_LOST)
        print(f"control loop of the flooded one: median {loop['median_us']} us, p99 {loop['p99_us']} us, longest "
              f"{loop['max_us']} us; {loop['over_1_ms']} of {loop['rounds']} rounds over 1 ms, "
              f"{loop['work']['over_1_ms']} by CPU time")
        self.assert_passes()


if __name__ == "__main__":
    unittest.main()

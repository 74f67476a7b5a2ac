"""IKEv2 between two gateways: tunnels come up, carry traffic, get new keys and go."""

import time
import unittest

from lib import cleanup, configuration, pair

PSK = "a key that both gateways have"


def _settings(name, ike=None, **settings):
    peer = pair.other(name)
    connection = {"name": "site", "local": pair.OUTER[name][4], "remote": pair.OUTER[peer][4],
                  "local_networks": list(pair.NETWORK[name].values()),
                  "remote_networks": list(pair.NETWORK[peer].values()),
                  "ike": {"psk": PSK, **(ike or {})}, **settings}
    return configuration.gateway(pair.ports(name), connections=[connection], hugepages=False)


class Ike(unittest.TestCase):
    @classmethod
    def start(cls, a=None, b=None):
        cls.pair = pair.Pair({"a": _settings("a", a), "b": _settings("b", b)})
        cls.addClassCleanup(cleanup.now)
        cls.pair.start()

    def logs(self):
        return "".join(f"--- {name}\n{gateway.log_text()}" for name, gateway in self.pair.gateway.items())

    def ike_sas(self, name):
        return self.pair.gateway[name].ask("show", "ike")["ike_sas"]

    def until(self, holds, timeout_s=15.0):
        deadline = time.monotonic() + timeout_s
        while not (found := holds()):
            self.assertLess(time.monotonic(), deadline, f"not within {timeout_s} s\n{self.logs()}")
            time.sleep(0.05)
        return found

    def up(self, name):
        return self.until(lambda: next((sa for sa in self.ike_sas(name) if sa["state"] == "up" and sa["children"]), None))

    def assert_passes(self, name="a", version=4):
        self.until(lambda: self.pair.ping(name, version, count=1) == 1)
        self.assertEqual(self.pair.ping(name, version), 3, self.logs())


class AlwaysUp(Ike):
    @classmethod
    def setUpClass(cls):
        cls.start()

    def test_1_comes_up_by_itself_and_carries_both_families(self):
        first, second = self.up("a"), self.up("b")
        self.assertEqual(first["initiator_spi"], second["initiator_spi"], self.logs())
        for version in (4, 6):
            self.assert_passes("a", version)
            self.assert_passes("b", version)

    def test_2_child_gets_new_keys_under_traffic(self):
        for name in pair.NAMES:
            before = self.up(name)["children"][0]["inbound_spi"]
            self.pair.gateway[name].ask("rekey", "site")
            self.until(lambda: self.up(name)["children"][0]["inbound_spi"] != before)
            self.assertEqual(self.pair.ping("a", count=5), 5, self.logs())

    def test_3_ike_sa_gets_new_keys_under_traffic(self):
        for name in pair.NAMES:
            before = self.up(name)["initiator_spi"]
            self.pair.gateway[name].ask("rekey", "site", "--ike")
            self.until(lambda: self.up(name)["initiator_spi"] != before)
            self.assertEqual(self.pair.ping("b", count=5), 5, self.logs())

    def test_4_terminated_it_drops_and_initiated_it_is_back(self):
        self.pair.gateway["a"].ask("terminate", "site")
        self.until(lambda: all(sa["state"] == "down" for sa in self.ike_sas("a")))
        self.assertEqual(self.pair.ping("a", count=2), 0)
        self.pair.gateway["a"].ask("initiate", "site")
        self.up("a")
        self.assert_passes("a")

    def test_5_a_gateway_that_comes_back_is_up_again(self):
        self.up("a")
        self.pair.gateway["b"].stop()
        self.pair.start("b")
        self.assert_passes("b")


class OnDemand(Ike):
    @classmethod
    def setUpClass(cls):
        cls.start({"start": "on-demand"}, {"start": "passive"})

    def test_traffic_brings_it_up(self):
        time.sleep(1)
        self.assertEqual({sa["state"] for sa in self.ike_sas("a")}, {"down"})
        self.assert_passes("a")


class WrongKey(Ike):
    @classmethod
    def setUpClass(cls):
        cls.start({}, {"psk": "another key, which does not fit", "start": "passive"})

    def test_both_sides_say_so(self):
        def reason(name):
            return next((sa["reason"] for sa in self.ike_sas(name) if sa["reason"]), None)
        self.assertRegex(self.until(lambda: reason("a")), "(?i)authentication")
        self.until(lambda: "site" in self.pair.gateway["b"].log_text() and "key" in self.pair.gateway["b"].log_text())
        self.assertEqual(self.pair.ping("a", count=1), 0)


if __name__ == "__main__":
    unittest.main()

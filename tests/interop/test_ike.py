"""IKEv2 between two gateways: tunnels come up, carry traffic, get new keys and go."""

import time
import unittest

from lib import pair
from lib.ike_case import IkeCase, connection, gateway


class AlwaysUp(IkeCase):
    def test_1_comes_up_by_itself_and_carries_both_families(self):
        first, second = self.up("a"), self.up("b")
        self.assertEqual(first["initiator_spi"], second["initiator_spi"], self.logs())
        for version in (4, 6):
            self.assert_passes("a", version)
            self.assert_passes("b", version)
        for name in pair.NAMES:
            for sa in self.pair.gateway[name].ask("show", "sa", "--connection", "site")["sas"]:
                self.assertEqual(sa["rekey_in_s"] is not None, sa["direction"] == "in")

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


class OnDemand(IkeCase):
    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike={"start": "on-demand" if name == "a" else "passive"})])

    def test_traffic_brings_it_up(self):
        time.sleep(1)
        self.assertEqual({sa["state"] for sa in self.ike_sas("a")}, {"down"})
        self.assert_passes("a")


class WrongKey(IkeCase):
    @classmethod
    def settings(cls, name):
        wrong = {"psk": "another key, which does not fit", "start": "passive"}
        return gateway(name, [connection(name, ike=wrong if name == "b" else None)])

    def test_both_sides_say_so(self):
        def reason(name):
            return next((sa["reason"] for sa in self.ike_sas(name) if sa["reason"]), "")
        self.until(lambda: "AUTHENTICATION_FAILED" in reason("a"))
        self.until(lambda: "site" in self.pair.gateway["b"].log_text() and "key" in self.pair.gateway["b"].log_text())
        self.assertEqual(self.pair.ping("a", count=1), 0)


class MoreKeyExchanges(IkeCase):
    """Each set-up and each new key has a second key exchange, and the child comes after IKE (RFC 9370, RFC 6023)."""

    @classmethod
    def settings(cls, name):
        more = {"additional_key_exchanges": ["ecp384"], "childless": name == "a",
                "start": "always" if name == "a" else "passive"}
        return gateway(name, [connection(name, ike=more)])

    def test_1_comes_up(self):
        self.up("a")
        self.assert_passes("a")

    def test_2_new_keys_by_either_side_under_traffic(self):
        for name in pair.NAMES:
            for what in ((), ("--ike",)):
                before = self.up(name)
                self.pair.gateway[name].ask("rekey", "site", *what)
                self.until(lambda: (now := self.up(name))["initiator_spi"] != before["initiator_spi"] if what else
                           self.up(name)["children"][0]["inbound_spi"] != before["children"][0]["inbound_spi"])
                self.assertEqual(self.pair.ping("a", count=5), 5, self.logs())

    def test_3_proposals_list_them(self):
        self.assertEqual(self.gateway("a").ask("show", "proposals", "site")["additional"],
                         [{"for": whose, "exchange": 2, "methods": ["ecp384"]} for whose in ("ike", "traffic")])
        self.assertEqual(self.gateway("a").ask("show", "proposals")["additional"], [])


if __name__ == "__main__":
    unittest.main()

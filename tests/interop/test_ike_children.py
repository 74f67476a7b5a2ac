"""Child SAs of one IKE SA over reloads, and the end of a gateway, between two that negotiate."""

import threading
import time
import unittest

from lib import pair
from lib.ike_case import IkeCase, connection, gateway


def _family(name, voice=True, **changed):
    """Connection site for IPv4, and voice for IPv6 by the same IKE SA."""
    connections = [connection(name, "site", versions=(4,))]
    if voice:
        connections.append({**connection(name, "voice", versions=(6,)), "ike": {"child_of": "site"}, **changed})
    return gateway(name, connections)


class Family(IkeCase):
    @classmethod
    def settings(cls, name):
        return _family(name)

    def spis(self, of):
        found = self.connection("a", of)
        return found["inbound_spi"], found["outbound_spi"]

    def setUp(self):
        for name in pair.NAMES:
            self.until(lambda name=name: self.connection(name)["state"] == "up")
        self.assert_passes("a", 4)

    def under_ping(self, act, count=150):
        answered = []
        pinger = threading.Thread(target=lambda: answered.append(self.pair.ping("a", 4, count, interval_s=0.02)))
        pinger.start()
        time.sleep(0.5)
        act()
        pinger.join(60)
        return answered[0]

    def reload_both(self, expected, **settings):
        for name in ("b", "a"):
            answer = self.reload(name, _family(name, **settings))["ike"]
            self.assertEqual({key: answer[key] for key in expected}, expected)

    def test_one_ike_sa_goes_on_while_its_children_come_go_and_change(self):
        self.until(lambda: None not in self.spis("voice"))
        self.assert_passes("a", 6)
        site, voice = self.spis("site"), self.spis("voice")
        ike_sa = self.up("a")["initiator_spi"]

        def changes():
            self.reload_both({"kept": 1, "changed": 1, "added": 0, "removed": 0}, replay_window=64)
            self.until(lambda: None not in self.spis("voice") and self.spis("voice") != voice)
            self.assert_passes("a", 6)
            self.reload_both({"kept": 1, "changed": 0, "added": 0, "removed": 1}, voice=False)
            self.assertEqual(self.pair.ping("a", 6, count=1), 0)
            self.reload_both({"kept": 1, "changed": 0, "added": 1, "removed": 0})
            self.until(lambda: None not in self.spis("voice"))
            self.assert_passes("a", 6)
        self.assertEqual(self.under_ping(changes, 400), 400, self.logs())
        self.assertEqual(self.spis("site"), site)
        self.assertEqual(self.up("a")["initiator_spi"], ike_sa)


class Narrowed(IkeCase):
    """b allows less than a asks for."""

    @classmethod
    def settings(cls, name):
        settings = connection(name, versions=(4,))
        if name == "b":
            settings["local_networks"] = ["10.2.0.0/25"]
        return gateway(name, [settings])

    def test_what_was_agreed_on_is_shown_and_what_was_cut_off_is_said(self):
        self.up("a")
        steps = {step["step"]: step for step in self.gateway("a").ask("explain", "site")["steps"]}
        self.assertRegex(steps["child SA"]["detail"], r"; between 10\.1\.0\.0/\d+ and 10\.2\.0\.0/25$")
        self.assertIn("child site is between 10.1.0.0/", self.gateway("a").log_text())


class Leaving(IkeCase):
    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike={"liveness": 0, "start": "always" if name == "a" else "passive"})])

    def test_who_stops_tells_its_peer(self):
        self.up("b")
        started = time.monotonic()
        self.gateway("a").stop()
        self.until(lambda: self.connection("b")["state"] == "down", 3.0)
        self.assertLess(time.monotonic() - started, 10.0)
        self.assertIn("the peer closed it", self.connection("b")["reason"])


if __name__ == "__main__":
    unittest.main()

"""`diagnose` in real situations: which cause it names, and by what."""

import subprocess
import time

from lib import pair
from lib.bridge import Bridge
from lib.ike_case import IkeCase, connection, gateway

QUICK = {"tries": 3, "liveness": 2}  # so that silence is found out within seconds


class DiagnoseCase(IkeCase):
    IKE = {"a": QUICK, "b": QUICK}

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike=cls.IKE[name])])

    def diagnosis(self, name="a"):
        (one,) = self.gateway(name).ask("diagnose", "site")["connections"]
        return one

    def assert_cause(self, cause, evidence, name="a", timeout_s=40.0):
        """The likeliest one, at once or before long."""
        def likeliest():
            first = self.diagnosis(name)["causes"][0]
            return first if first["cause"] == cause and any(evidence in piece for piece in first["evidence"]) else None
        found = self.until(likeliest, timeout_s)
        print(f"\n{cause}: {found['weight']}%, {found['evidence']}; {found['remedy']}")
        return found

    def assert_listed(self, name="a"):
        listed = self.gateway(name).ask("diagnose")
        self.assertEqual([one["connection"] for one in listed["connections"]], ["site"])
        self.assertEqual((listed["looked_at"], listed["left_off"]), (1, 0))


class Healthy(DiagnoseCase):
    def test_all_is_well(self):
        self.up("a")
        self.assert_passes("a")
        for name in pair.NAMES:
            found = self.assert_cause("all well", "its SAs are in place", name)
            self.assertGreaterEqual(found["weight"], 70)
            self.assertEqual(self.gateway(name).ask("diagnose"), {"connections": [], "looked_at": 1, "left_off": 0})

    def test_a_connection_that_is_not_there(self):
        code, _, err = self.gateway("a").ctl("diagnose", "nobody")
        self.assertEqual(code, 1)
        self.assertIn("no connection is called nobody", err)


class WrongKey(DiagnoseCase):
    IKE = {"a": QUICK, "b": {**QUICK, "psk": "another key than that of a", "start": "passive"}}

    def test_it_is_the_configuration(self):
        found = self.assert_cause("configuration mismatch", "AUTHENTICATION_FAILED")
        self.assertIn("keys", found["remedy"])
        self.assertNotIn("another key than", str(found))
        self.assert_listed()
        self.assert_cause("configuration mismatch", "not made with our shared key", "b")


class BlockedIke(DiagnoseCase):
    BETWEEN = Bridge
    BLOCKED = ("udp dport 500",)

    def test_it_is_a_firewall_and_heals(self):
        found = self.assert_cause("firewall", "nothing came back")
        self.assertIn("UDP port 500", found["remedy"])
        self.assert_listed()
        self.pair.between.block()
        self.assert_cause("all well", "its SAs are in place")


class BlockedEsp(DiagnoseCase):
    BETWEEN = Bridge

    def test_it_is_a_firewall_for_esp(self):
        self.up("a")
        self.assert_passes("a")
        self.pair.between.block("ip protocol esp")
        with self.pair.host["a"].popen("ping", "-i", "0.3", pair.HOST["b"][4], stdout=subprocess.DEVNULL) as ping:
            self.addCleanup(ping.terminate)
            found = self.assert_cause("firewall", "IKE gets through")
            self.assertIn("IP protocol 50", found["remedy"])
            self.assert_listed()
            ping.terminate()


class Killed(DiagnoseCase):
    def test_the_peer_is_gone(self):
        self.up("a")
        self.assert_passes("a")
        self.gateway("b").kill()
        self.assert_cause("peer down", "")
        self.assert_listed()
        # It comes back, and says that it started anew.
        self.gateway("b").start()
        self.up("b")
        self.assert_passes("a")
        self.assert_cause("all well", "its SAs are in place")


class Lossy(DiagnoseCase):
    BETWEEN = Bridge

    def test_a_fifth_of_the_packets_is_lost(self):
        self.up("a")
        self.assert_passes("a")
        self.pair.between.block("ip protocol esp numgen random mod 5 0")
        self.pair.ping("a", count=300, interval_s=0.01)
        time.sleep(0.5)
        found = self.assert_cause("loss", "never came")
        self.assertGreaterEqual(found["weight"], 40)

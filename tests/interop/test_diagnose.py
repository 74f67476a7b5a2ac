"""`diagnose` in real situations: which cause it names, and by what."""

import json
import time

from lib import pair
from lib.bridge import Bridge
from lib.ike_case import IkeCase, connection, gateway
from lib.stream import Stream

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


    def test_an_event_says_so_once(self):
        """However often it is tried, and at both ends what `show connections` says."""
        self.until(lambda: self.gateway("a").log_text().count("IKE SA is gone") >= 3, 30)
        for name in pair.NAMES:
            failed = [event for event in self.gateway(name).ask("show", "events")["events"]
                      if event["event"] == "connection-failed"]
            self.assertEqual([(event["subject"], event["text"]) for event in failed],
                             [("site", self.connection(name)["reason"])])


class NoRoom(DiagnoseCase):
    @classmethod
    def settings(cls, name):
        limits = {"inbound_sas": 2, "tombstones": 0} if name == "a" else {}
        return gateway(name, [connection(name, ike=QUICK)], limits=limits)

    def fill(self):
        """Every place for an inbound SA of a's."""
        self.up("a")
        self.assert_passes("a")
        spis = []
        while len(spis) < 100 and (found := self.gateway("a").ctl("--json", "sa", "reserve"))[0] == 0:
            spis.append(json.loads(found[1])["spi"])
        return spis

    def test_it_is_no_mismatch(self):
        spis = self.fill()
        self.gateway("a").ask("rekey", "site")
        found = self.assert_cause("no room", "limits.inbound-sas")
        self.assertIn("raise the limit", found["remedy"])
        self.assertNotIn("configuration mismatch", [cause["cause"] for cause in self.diagnosis()["causes"]])
        for spi in spis:
            self.gateway("a").ask("sa", "delete", spi)
        self.gateway("a").ask("rekey", "site")
        self.assert_cause("all well", "its SAs are in place")

    def test_nor_at_the_peer(self):
        spis = self.fill()
        self.gateway("b").ask("rekey", "site")
        self.assert_cause("no room at the peer", "NO_ADDITIONAL_SAS", "b")
        self.assert_cause("no room", "limits.inbound-sas")
        for name in pair.NAMES:
            causes = [cause["cause"] for cause in self.diagnosis(name)["causes"]]
            self.assertNotIn("configuration mismatch", causes)
        for spi in spis:
            self.gateway("a").ask("sa", "delete", spi)
        self.gateway("b").ask("rekey", "site")
        for name in pair.NAMES:
            self.assert_cause("all well", "its SAs are in place", name)


class BothTry(DiagnoseCase):
    """Both sides start = "always", and were up; then a is given something that does not fit."""

    WHAT = {}  # of a's ike, from then on

    @classmethod
    def settings(cls, name, **ike):
        return gateway(name, [connection(name, ike={**cls.IKE[name], **ike})])

    def make_misfit(self):
        for name in pair.NAMES:
            self.up(name)
        self.reload("a", self.settings("a", **self.WHAT))

    def assert_told(self, name, words, cause="configuration mismatch"):
        """By `show connections`, `explain` and `diagnose` alike, and for as long as it lasts."""
        self.until(lambda: words in (self.connection(name)["reason"] or ""), 20.0)
        self.assert_cause(cause, words, name)
        for _ in range(10):
            self.assertIn(words, self.connection(name)["reason"])
            self.assertIn(words, str(self.gateway(name).ask("explain", "site")["steps"]))
            self.assert_listed(name)
            time.sleep(0.7)


class WrongKeyOfOne(BothTry):
    WHAT = {"psk": "another key than that of b"}

    def test_both_know(self):
        self.make_misfit()
        self.until(lambda: "not made with our shared key" in (self.connection("b")["reason"] or ""), 20.0)
        for name in pair.NAMES:
            self.assert_cause("configuration mismatch", "", name)
            self.assert_listed(name)


class AlgorithmsApart(BothTry):
    IKE = {name: {**QUICK, "suites": ["aes128-gcm16"]} for name in pair.NAMES}
    WHAT = {"suites": ["aes256-gcm16"]}

    def test_both_know_which_comparison_failed(self):
        self.make_misfit()
        for name in pair.NAMES:
            self.assert_told(name, "in common is no encryption; it offered 1: ")


class Disbelieved(BothTry):
    """As initiator a finds out only once b has answered, and says so with INFORMATIONAL."""

    IKE = {"a": {**QUICK, "remote_id": "*.example"}, "b": {**QUICK, "local_id": "b.example", "start": "passive"}}
    WHAT = {"remote_id": "*.example.org"}

    def test_both_know(self):
        self.make_misfit()
        self.assert_told("b", "does not accept that we are b.example")
        self.assert_told("a", "the configuration expects *.example.org")


class BlockedIke(DiagnoseCase):
    BETWEEN = Bridge
    BLOCKED = ("udp dport 500",)

    def test_it_is_a_firewall_and_heals(self):
        found = self.assert_cause("firewall", "nothing came back")
        self.assertIn("UDP port 500", found["remedy"])
        self.assert_listed()
        self.pair.between.block()
        self.assert_cause("all well", "its SAs are in place")


class OnlyWeSend(DiagnoseCase):
    """The host behind a goes on sending, and nobody answers."""

    def sending(self):
        return Stream(*((self.pair.host[name], pair.HOST[name][4]) for name in pair.NAMES), 9001, per_second=20)


class BlockedEsp(OnlyWeSend):
    BETWEEN = Bridge
    BLOCKED = ("ip protocol esp",)

    def test_it_is_a_firewall_for_esp(self):
        self.up("a")
        with self.sending():
            found = self.assert_cause("firewall", "IKE gets through")
            self.assertIn("IP protocol 50", found["remedy"])
            self.assert_listed()
            second = self.diagnosis()["causes"][1]
            self.assertEqual(second["cause"], "one-way traffic")
            self.assertLess(second["weight"] + 20, found["weight"])


class OneWay(OnlyWeSend):
    def test_it_is_one_way_traffic_and_no_firewall(self):
        self.up("a")
        self.assert_passes("a")
        with self.sending() as stream:
            found = self.assert_cause("one-way traffic", "ESP got through")
            self.assertIn("only this side has to send", found["remedy"])
            self.assertNotIn("firewall", [cause["cause"] for cause in self.diagnosis()["causes"]])
            self.assert_listed()
            self.assertEqual(self.diagnosis("b")["causes"][0]["cause"], "all well")
        self.assertEqual(stream.missing, [])


class OneWayInUdp(OnlyWeSend):
    """Where ESP goes as IKE does, it needs not to have come before."""

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike=QUICK, encapsulation="udp")])

    def test_it_is_one_way_traffic_and_no_firewall(self):
        self.up("a")
        with self.sending():
            self.assert_cause("one-way traffic", "by the ports of IKE")
            self.assertNotIn("firewall", [cause["cause"] for cause in self.diagnosis()["causes"]])


class OneOfTwoChildren(OnlyWeSend):
    """ESP of the peer's comes in by the other one."""

    @classmethod
    def settings(cls, name):
        voice = {**connection(name, "voice", versions=(6,)), "ike": {"child_of": "site"}}
        return gateway(name, [connection(name, ike=QUICK, versions=(4,)), voice])

    def test_it_is_one_way_traffic_and_no_firewall(self):
        self.up("a")
        self.assert_passes("a", 6)
        with self.sending():
            self.assert_cause("one-way traffic", "came in by other SAs of its IKE SA")
            self.assertNotIn("firewall", [cause["cause"] for cause in self.diagnosis()["causes"]])


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

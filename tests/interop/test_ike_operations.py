"""What an operator does to gateways that negotiate: reloads, looks, explanations, logs."""

import os
import pathlib
import re
import threading
import time
import unittest

from lib import pair, shapes
from lib.gateway import ROOT, program
from lib.ike_case import IkeCase, connection, gateway
from lib.shell import run


def _identities(name, of):
    return {"local_id": f"{of}.{name}.example.org", "remote_id": f"{of}.{pair.other(name)}.example.org"}


def _two(name, changed=None):
    """Connection site for IPv4 and another for IPv6, with `changed` in its ike group."""
    return gateway(name, [connection(name, "site", _identities(name, "site"), versions=(4,)),
                          connection(name, "another", {**_identities(name, "another"), **(changed or {})},
                                     versions=(6,))])


class Reload(IkeCase):
    @classmethod
    def settings(cls, name):
        return _two(name)

    def spis(self, name, of):
        found = self.connection(name, of)
        return found["inbound_spi"], found["outbound_spi"]

    def under_ping(self, act, count=150):
        """How many of so many pings over the unchanged connection were answered while `act` was done."""
        answered = []
        pinger = threading.Thread(target=lambda: answered.append(self.pair.ping("a", 4, count, interval_s=0.02)))
        pinger.start()
        time.sleep(0.5)
        act()
        pinger.join(60)
        return answered[0]

    def setUp(self):
        for of in ("site", "another"):
            for name in pair.NAMES:
                self.up(name, of)
        self.assert_passes("a", 4)
        self.assert_passes("a", 6)

    def test_1_what_did_not_change_keeps_its_sas_and_loses_no_packet(self):
        before = [self.spis(name, of) for name in pair.NAMES for of in ("site", "another")]

        def act():
            for name in pair.NAMES:
                self.assertEqual(self.reload(name, _two(name))["ike"],
                                 {"what": "ike", "added": 0, "removed": 0, "changed": 0, "kept": 2})
        self.assertEqual(self.under_ping(act), 150, self.logs())
        self.assertEqual([self.spis(name, of) for name in pair.NAMES for of in ("site", "another")], before)

    def test_2_what_changed_is_negotiated_anew_beside_what_did_not(self):
        kept, changed = self.spis("a", "site"), self.spis("a", "another")

        def act():
            for name in pair.NAMES:
                answer = self.reload(name, _two(name, {"psk": "quite another key for both"}))
                self.assertEqual((answer["ike"]["kept"], answer["ike"]["changed"]), (1, 1))
        self.assertEqual(self.under_ping(act), 150, self.logs())
        self.assertEqual(self.spis("a", "site"), kept)
        self.until(lambda: None not in self.spis("a", "another") and self.spis("a", "another") != changed)
        self.assert_passes("a", 6)
        self.assert_passes("b", 6)

    def test_3_what_left_the_file_goes_and_what_came_back_is_negotiated(self):
        for name in pair.NAMES:
            answer = self.reload(name, gateway(name, _two(name)["connections"][:1]))
            self.assertEqual((answer["ike"]["removed"], answer["ike"]["kept"]), (1, 1))
        self.assertEqual(self.pair.ping("a", 6, count=1), 0)
        self.assertEqual(self.pair.ping("a", 4, count=3), 3, self.logs())
        for name in pair.NAMES:
            self.assertEqual(self.reload(name, _two(name))["ike"]["added"], 1)
        self.assert_passes("a", 6)


def _threads_called(pid, name):
    """{CPUs that the kernel lets it run on} of each thread of that name."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            allowed = re.search(r"^Cpus_allowed_list:\s*(\S+)$", (task / "status").read_text(), re.MULTILINE)[1]
            ranges = [part.split("-") for part in allowed.split(",")]
            found.append({cpu for part in ranges for cpu in range(int(part[0]), int(part[-1]) + 1)})
    return found


class KeyThreads(IkeCase):
    """The worker of gateway a shares the control core's CPU; that of b has one of its own, if there are two."""

    @classmethod
    def settings(cls, name):
        settings = super().settings(name)
        return dict(settings, worker_cpus=[settings["control_cpu"]]) if name == "a" else settings

    def test_public_key_work_runs_where_nothing_else_does(self):
        for name in pair.NAMES:
            self.up(name)
            settings = self.settings(name)
            spare = os.sched_getaffinity(0) - {settings["control_cpu"], *settings["worker_cpus"]}
            threads = _threads_called(self.gateway(name).pid, "IKE keys")
            with self.subTest(name):
                self.assertEqual(len(threads), max(1, min(8, len(spare))))
                for cpus in threads:
                    self.assertEqual(cpus, spare or {settings["control_cpu"]})


class Looks(IkeCase):
    """Everything is up."""

    LOOKS = [("show", "ike"), ("show", "connections"), ("show", "proposals"), ("show", "proposals", "site"),
             ("explain", "site"), ("show", "sa"), ("show", "status")]
    DEEDS = [("log", "level", "info", "ike"), ("log", "level", "debug"), ("rekey", "site"), ("rekey", "site", "--ike"),
             ("terminate", "site"), ("initiate", "site")]

    def assert_documented(self, words):
        command = max((path for path in shapes.DOCUMENTED if list(words)[:len(path.split())] == path.split()), key=len)
        self.assertEqual(shapes.differences(command, self.gateway("a").ask(*words)), [])

    def setUp(self):
        self.up("a")

    def test_every_look_as_text_and_json(self):
        for words in self.LOOKS:
            with self.subTest(" ".join(words)):
                code, out, err = self.gateway("a").ctl(*words)
                self.assertEqual((code, err), (0, ""))
                self.assertTrue(out.strip())
                self.assert_documented(words)

    def test_show_ike_has_algorithms_age_and_what_comes_next(self):
        sa = self.up("a")
        self.assertRegex(sa["algorithms"], "^aes.*prf.*x25519")
        self.assertLess(sa["age_s"], 600)
        self.assertGreater(sa["rekey_in_s"], 0.9 * 14_000 - 600)
        self.assertLessEqual(sa["rekey_in_s"], 14_000 - sa["age_s"])
        self.assertGreater(sa["expires_in_s"], sa["rekey_in_s"])

    def test_explain_shows_every_step_done(self):
        self.assert_passes("a")
        explained = self.gateway("a").ask("explain", "site")
        self.assertEqual({step["state"] for step in explained["steps"]}, {"done"}, explained["steps"])
        self.assertEqual([step["step"] for step in explained["steps"]],
                         ["address", "IKE_SA_INIT", "IKE_AUTH", "child SA", "traffic"])
        self.assertIsNone(explained["reason"])
        values = {setting["setting"]: setting["value"] for setting in explained["settings"]}
        self.assertEqual((values["start"], values["invalid-spi-recovery"]), ("always", "full"))
        self.assertNotIn("a key that both", str(explained))
        self.assertRegex(str(explained["log"]), "connection site is up")

    def test_events_tell_of_it(self):
        events = self.gateway("a").ask("show", "events")["events"]
        self.assertIn(("connection-up", "site"), [(event["event"], event["subject"]) for event in events])

    def test_the_log_says_of_which_zone_its_times_are(self):
        self.assertRegex(self.gateway("a").log.read_text(), r"(?m)^[0-9-]{10}T[0-9:.]{12}[+-]\d\d:\d\d info: ready: ")

    def test_an_unknown_connection_is_an_error(self):
        for words in (("explain", "nobody"), ("show", "proposals", "nobody"), ("initiate", "nobody")):
            code, _, err = self.gateway("a").ctl(*words)
            self.assertEqual(code, 1, words)
            self.assertIn("nobody", err)

    def test_x_the_log_level_of_ike_is_one_of_its_own(self):
        self.gateway("a").ask("log", "level", "warning", "ike")
        before = len(self.gateway("a").log.read_text())
        self.gateway("a").ask("terminate", "site")
        self.gateway("a").ask("initiate", "site")
        self.up("a")
        said = self.gateway("a").log.read_text()[before:]
        self.assertNotIn("connection site is up", said)
        self.assertIn("connection site is down", said)
        self.assertEqual(self.gateway("a").ask("log", "level", "debug")["before"], "debug")

    def test_y_every_deed_as_json(self):
        for words in self.DEEDS:
            with self.subTest(" ".join(words)):
                self.up("a") if words[0] != "initiate" else None
                self.assert_documented(words)

    def test_z_a_deleted_sa_is_made_again(self):
        before = self.connection("a")["inbound_spi"] or self.up("a")["children"][0]["inbound_spi"]
        self.assert_documented(("sa", "delete", before))
        self.until(lambda: self.connection("a")["inbound_spi"] not in (None, before))
        self.assert_passes("a")


class Mismatch(IkeCase):
    """Both sides say what they offered."""

    @classmethod
    def settings(cls, name):
        only = {"a": "aes128-gcm16", "b": "aes256-gcm16"}[name]
        return gateway(name, [connection(name, ike={"suites": [only], "start": "always" if name == "a" else "passive"})])

    def test_why_it_is_down(self):
        self.until(lambda: "it offered" in (self.connection("b")["reason"] or ""))
        reason = self.connection("b")["reason"]
        self.assertRegex(reason, "it offered 1: aes128-gcm16 .*connection site allows 1: aes256-gcm16 ")
        self.assertRegex(self.gateway("b").log_text(), re.escape(reason))
        self.until(lambda: "NO_PROPOSAL_CHOSEN" in (self.connection("a")["reason"] or ""), 60)
        found = self.connection("a")
        self.assertIn(found["state"], ("down", "connecting"))
        self.assertIn("aes128-gcm16", found["reason"])
        steps = {step["step"]: step for step in self.gateway("a").ask("explain", "site")["steps"]}
        self.assertEqual((steps["address"]["state"], steps["IKE_SA_INIT"]["state"], steps["IKE_AUTH"]["state"]),
                         ("done", "failed", "waits"))
        ranks = {entry["name"]: entry for entry in self.gateway("a").ask("show", "proposals", "site")["algorithms"]}
        self.assertEqual((ranks["aes128-gcm16"]["ike"], ranks["aes256-gcm16"]["ike"]), (1, None))
        self.assertIn("SHA-1", ranks["aes128-cbc-sha1"]["refused"])


class ChildMismatch(IkeCase):
    """The IKE SA is up, and its child is not made; then it is made, and its keys cannot be replaced."""

    @classmethod
    def settings(cls, name, **ike):
        ike = ike or {"child_suites": ["aes128-gcm16" if name == "a" else "aes256-gcm16"]}
        return gateway(name, [connection(name, ike={"start": "passive", **ike})])

    def look(self, name, words, *parts):
        text = self.gateway(name).ctl(*words)[1]
        for part in parts:
            self.assertIn(part, text)
        return text

    def test_1_why_the_child_is_not_there(self):
        self.gateway("a").ask("initiate", "site")
        offer, allowed = ("1: aes128-gcm16 esn no-esn in tunnel mode between 10.1.0.0/24",
                          "1: aes256-gcm16 esn no-esn in tunnel mode between 10.1.0.0/24")
        for name, parts in (("a", (f"NO_PROPOSAL_CHOSEN (14); we offered {offer}",)),
                            ("b", (f"it offered {offer}", f"we allow {allowed}", "in common is no encryption"))):
            self.until(lambda: parts[0] in (self.connection(name)["reason"] or ""))
            self.look(name, ("show", "connections"), "site is down: ", *parts)
            self.look(name, ("show", "ike"), "site is up, but child site: ", *parts)
            text = self.look(name, ("explain", "site"), *parts)
            self.assertRegex(text, r"IKE_AUTH +done .*\nchild SA +failed ")
            self.look(name, ("diagnose", "site"), "likeliest: configuration mismatch", *parts)
        code, _, err = self.gateway("a").ctl("rekey", "site")
        self.assertEqual((code, "no child SA to replace" in err), (1, True), err)

    def test_2_keys_that_cannot_be_replaced(self):
        for name, method in (("a", "ecp384"), ("b", "x25519")):
            self.reload(name, self.settings(name, pfs=[method]))
        self.until(lambda: all(sa["state"] == "down" for name in pair.NAMES for sa in self.ike_sas(name)))
        self.gateway("a").ask("initiate", "site")
        self.assert_passes("a")
        self.assertIsNone(self.connection("a")["reason"])
        self.gateway("a").ask("rekey", "site")
        for name, part in (("a", "ecp384"), ("b", "in common is no key exchange")):
            self.until(lambda: part in (self.connection(name)["reason"] or ""))
            self.look(name, ("show", "connections"), "site is up, but its keys were not replaced: ", part)
            self.look(name, ("diagnose", "site"), "likeliest: configuration mismatch", part, "make pfs alike")
        self.assertEqual(self.pair.ping("a"), 3)


class Steps(IkeCase):
    """What `log level debug ike` adds."""

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike={"start": "passive"})], log_level="info")

    def test_each_step_is_in_the_log(self):
        for name in pair.NAMES:
            self.gateway(name).ask("log", "level", "debug", "ike")
        self.gateway("a").ask("initiate", "site")
        sa = self.up("a")
        self.gateway("a").ask("rekey", "site", "--ike")
        self.until(lambda: self.up("a")["initiator_spi"] != sa["initiator_spi"])
        choice = "aes256-gcm16, prf-sha256, x25519; no NAT on the way"
        for name in pair.NAMES:
            peer = re.escape(pair.OUTER[pair.other(name)][4])
            is_up = rf"IKE SA 0x[0-9a-f]{{16}} 0x[0-9a-f]{{16}} is up: the peer is {peer}\n"
            asks, answers = ("to", "from") if name == "a" else ("from", "to")
            request, answer = (rf"debug: {way} {peer}:500: IKE_SA_INIT {what} 0, \d+ bytes, of IKE SA 0x"
                               for way, what in ((asks, "request"), (answers, "answer")))
            begun = [request, answer, rf"IKE_SA_INIT is through: {choice}"] if name == "a" else \
                [request, rf"IKE_SA_INIT has come: {choice}", answer]
            steps = [*begun, rf"{asks} {peer}:500: IKE_AUTH request 1, ", is_up, "connection site is up",
                     rf"{asks} {peer}:500: CREATE_CHILD_SA request", is_up]
            self.assertRegex(self.gateway(name).log.read_text(), "(?s)" + ".*".join(steps))


class Example(IkeCase):
    """The shortest file of a site-to-site tunnel, as docs/examples has it."""

    def test_espgated_accepts_it(self):
        text = pathlib.Path(ROOT, "docs/examples/site-to-site.conf").read_text()
        self.assertLess(text.count("\n"), 12)
        for number, interface in enumerate(("veth-out", "veth-in")):
            text = text.replace(f"0000:3b:00.{number}", f"net_af_packet{number},iface={interface}")
        workdir = pathlib.Path(self.gateway("a").workdir)
        file = workdir / "site-to-site.conf"
        file.write_text(text)
        (workdir / "branch.psk").write_text("Hm0Vn7cYb2c5l3a8x9P1mJ5e7t0w4R6q\n")
        (workdir / "branch.psk").chmod(0o600)
        code, out, err = self.pair.namespace["a"].exec(program("espgated"), "--check", file, "--no-huge", check=False)
        self.assertEqual(code, 0, out + err)
        self.assertIn("good: 2 ports, 1 connection", out)


if __name__ == "__main__":
    unittest.main()

"""The keys of IKE for Wireshark: tshark decrypts a rekey, and a negotiation that failed."""

import os
import pathlib
import subprocess
import time

from lib import pair
from lib.gateway import program
from lib.ike_case import IkeCase, connection, gateway


def _tshark(test, capture, config, field):
    """(exchange type, `field`) of each IKE message of a capture, with the keys in that folder."""
    result = subprocess.run(
        ["tshark", "-r", capture, "-Y", "isakmp", "-T", "fields", "-e", "isakmp.exchangetype", "-e", field],
        env=dict(os.environ, WIRESHARK_CONFIG_DIR=config), capture_output=True, text=True, timeout=60, check=False)
    test.assertEqual(result.returncode, 0, result.stderr)
    test.assertNotIn("ikev2_decryption_table", result.stderr)
    return [line.split("\t") for line in result.stdout.splitlines()]


class Wireshark(IkeCase):
    @classmethod
    def settings(cls, name):
        # One side begins, or each may, and the one IKE SA that is too many goes while it is captured.
        return gateway(name, [connection(name, ike={"start": "always" if name == "a" else "passive"})],
                       debug_keys_export=name == "a")

    def test_1_tshark_reads_a_capture_with_the_exported_keys(self):
        a = self.gateway("a")
        folder = pathlib.Path(a.workdir, "wireshark")
        folder.mkdir()
        capture = str(folder / "ike.pcap")
        # The keys of the IKE SA that the rekey of the child goes through.
        before = self.up("a")["children"][0]["inbound_spi"]
        with self.pair.namespace["a"].popen(program("espgatectl"), "--socket", a.socket, "capture", "--port", "outside",
                                            "--write", capture, stderr=subprocess.DEVNULL) as process:
            time.sleep(0.5)
            a.ask("rekey", "site")
            self.until(lambda: self.up("a")["children"][0]["inbound_spi"] != before)
            time.sleep(0.5)
            process.terminate()
            process.wait(10)
        written = a.ask("export", "wireshark", "--ike", "--write", str(folder / "ikev2_decryption_table"))
        self.assertGreaterEqual(written["written"], 1)
        self.assertEqual(written["left_out"], [])

        encrypted, readable = (_tshark(self, capture, config, "isakmp.ts.start_ipv4")
                               for config in ("/nonexistent", str(folder)))
        self.assertEqual({selectors for kind, selectors in encrypted}, {""})
        create_child_sa = [selectors for kind, selectors in readable if kind == "36"]
        self.assertEqual(len(create_child_sa), 2, readable)
        for selectors in create_child_sa:
            self.assertEqual(set(selectors.split(",")), {"10.1.0.0", "10.2.0.0"})

    def test_2_who_does_not_allow_it_gives_no_key(self):
        file = pathlib.Path(self.gateway("b").workdir, "table")
        code, _, err = self.gateway("b").ctl("export", "wireshark", "--ike", "--write", str(file))
        self.assertEqual(code, 1)
        self.assertIn("debug-keys-export", err)
        self.assertFalse(file.exists())


class WiresharkOfAFailure(IkeCase):
    """The two sides have different keys: nothing ever is up, and that is what is to be read."""

    @classmethod
    def settings(cls, name, allowed=True):
        return gateway(name, [connection(name, ike={"start": "passive", "psk": f"another key each, here {name}'s"})],
                       debug_keys_export=allowed)

    def export(self, folder):
        folder.mkdir()
        file = folder / "ikev2_decryption_table"
        return self.gateway("a").ask("export", "wireshark", "--ike", "--write", str(file)), file

    def test_1_its_messages_are_decrypted_afterwards(self):
        a = self.gateway("a")
        folder = pathlib.Path(a.workdir, "failed")
        capture = os.path.join(a.workdir, "failed.pcap")
        with self.pair.namespace["a"].popen(program("espgatectl"), "--socket", a.socket, "capture", "--port", "outside",
                                            "--write", capture, stderr=subprocess.DEVNULL) as process:
            time.sleep(0.5)
            a.ask("initiate", "site")
            self.until(lambda: "AUTHENTICATION_FAILED" in a.log_text())
            time.sleep(0.5)
            process.terminate()
            process.wait(10)
        self.assertEqual([sa["state"] for sa in self.ike_sas("a")], ["down"])
        written, file = self.export(folder)
        self.assertEqual((written["written"], written["ended"]), (1, 1))
        remark, row = file.read_text().splitlines()
        self.assertRegex(remark, r"^# an IKE SA of connection site, ended \d+ s ago$")
        for key in row.split(",")[2:4]:
            self.assertNotIn(key, a.log_text())
        failed = {config: [notify for kind, notify in _tshark(self, capture, config, "isakmp.notify.msgtype")
                           if kind == "35"] for config in ("/nonexistent", str(folder))}
        self.assertEqual(failed["/nonexistent"], ["", ""])
        self.assertEqual(failed[str(folder)][1], "24", failed)  # AUTHENTICATION_FAILED
        identities = _tshark(self, capture, str(folder), "isakmp.id.data.ipv4_addr")
        self.assertIn(["35", pair.OUTER["a"][4]], [[kind, shown.split(",")[0]] for kind, shown in identities])

    def test_2_a_reload_that_takes_the_permission_away_forgets_them(self):
        a = self.gateway("a")
        self.assertEqual(self.export(pathlib.Path(a.workdir, "before"))[0]["ended"], 1)
        self.reload("a", self.settings("a", allowed=False))
        code, _, err = a.ctl("export", "wireshark", "--ike", "--write", os.path.join(a.workdir, "none"))
        self.assertEqual(code, 1)
        self.assertIn("debug-keys-export", err)
        self.reload("a", self.settings("a"))
        written, file = self.export(pathlib.Path(a.workdir, "after"))
        self.assertEqual((written["written"], file.read_text()), (0, ""))

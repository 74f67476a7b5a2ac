"""What an operator is told of drops: the last minutes, thresholds, events."""

import subprocess
import time

from lib import configuration, drop_case
from lib.drop_case import DELETED, PLAIN4
from lib.gateway import program


class Thresholds(drop_case.EspDropCase):
    @classmethod
    def settings(cls):
        return dict(super().settings(), thresholds=[{"reason": "62", "per_minute": 20},
                                                    {"reason": "IpsecInvalidSa", "per_minute": 1000}])

    def forged(self, count):
        esp = bytearray(self.esp())
        esp[-1] ^= 1
        return [self.outer(bytes(esp))] * count

    def events(self, kind):
        return [event for event in self.gateway.ask("show", "events")["events"] if event["event"] == kind]

    def test_a_threshold_that_is_crossed_warns_once_and_shows(self):
        self.testbed.send("outside", *self.forged(30))
        self.testbed.until(lambda: self.events("threshold-crossed"), 5)
        time.sleep(2.5)
        (event,) = self.events("threshold-crossed")
        self.assertEqual(event["subject"], "IN_CD_SW_IPSEC_MAC_EXCEPTION")
        self.assertEqual(self.gateway.log.read_text().count("drops as IN_CD_SW_IPSEC_MAC_EXCEPTION"), 1)
        thresholds = {row["name"]: row for row in self.gateway.ask("show", "thresholds")["thresholds"]}
        self.assertTrue(thresholds["IN_CD_SW_IPSEC_MAC_EXCEPTION"]["crossed"])
        self.assertGreaterEqual(thresholds["IN_CD_SW_IPSEC_MAC_EXCEPTION"]["last_minute"], 30)
        self.assertFalse(thresholds["IpsecInvalidSa"]["crossed"])

    def test_history_has_what_was_dropped(self):
        self.testbed.send("outside", self.outer(self.esp(spi=0xDEADBEEF)))

        def reasons():
            history = self.gateway.ask("show", "drops", "history", "--nonzero")
            return {row["number"]: row for row in history["reasons"]}
        self.testbed.until(lambda: 4 in reasons(), 5)
        row = reasons()[4]
        self.assertGreaterEqual(row["last_1_min"], 1)
        self.assertLessEqual(row["last_1_min"], row["last_5_min"])
        self.assertLessEqual(row["last_5_min"], row["last_30_min"])
        totals = {row["name"]: row for row in self.gateway.ask("show", "drops", "history")["totals"]}
        self.assertGreater(totals["rx_packets"]["last_1_min"], 0)
        self.assertGreater(totals["rx_bytes"]["last_1_min"], totals["rx_packets"]["last_1_min"])

    def test_events_can_be_followed(self):
        command = [program("espgatectl"), "--socket", self.gateway.socket, "show", "events", "--follow"]
        follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            self.gateway.ask("reload")
            line = ""
            while " reload " not in line:
                line = follower.stdout.readline()
                self.assertNotEqual(line, "", "the stream ended")
        finally:
            follower.terminate()
            follower.communicate(timeout=10)

    def test_reload_changes_thresholds_and_says_so(self):
        settings = dict(self.gateway.settings, thresholds=[{"reason": "62", "per_minute": 20}])
        self.gateway.file.write_text(configuration.text(settings))
        (change,) = [row for row in self.gateway.ask("reload")["changes"] if row["what"] == "thresholds"]
        self.assertEqual(change["removed"] + change["kept"], 2)
        self.assertEqual(len(self.gateway.ask("show", "thresholds")["thresholds"]), 1)

    def test_connections_keep_what_deleted_sas_carried(self):
        self.gateway.ask("sa", "delete", f"{0x1000 + DELETED:#x}")
        self.testbed.send("outside", self.outer(self.esp(DELETED)))

        def faults():
            return {fault["number"] for row in self.gateway.ask("show", "connections")["connections"]
                    if row["connection"] == f"c{DELETED}" for fault in row["in"]["faults"]}
        self.testbed.until(lambda: 202 in faults(), 5)
        code, text, _ = self.gateway.ctl("show", "connections")
        self.assertEqual(code, 0)
        self.assertIn(f"c{PLAIN4}", text)

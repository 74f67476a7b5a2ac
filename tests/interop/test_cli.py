"""The operator's CLI against a running gateway with traffic: every command, as text and as JSON."""

import json
import os
import pathlib
import re
import struct

from lib import drop_case, packets, shapes
from lib.shell import run
from lib.gateway import program

LOOKS = [("show", "drops"), ("show", "drops", "ipsec"), ("show", "drops", "ipsec", "--nonzero"), ("show", "sa"),
         ("show", "sa", "--connection", "c1"), ("show", "spi", "0x1001"), ("show", "spi", "0x2001"),
         ("show", "spi", "0xdeadbeef"), ("show", "invalid-spi"), ("show", "events"), ("export", "evidence", "0xdeadbeef"),
         ("show", "ports"), ("show", "workers"),
         ("show", "routes"), ("show", "status"), ("show", "version"), ("trace", "show")]
# Those that change something, in an order that works.
DEEDS = [("trace", "add", "2", "--port", "inside"), ("trace", "clear"), ("sa", "reserve", "0x3005"), ("sa", "reserve"),
         ("sa", "delete", "0x3005"), ("sa", "delete", "0x2003"), ("clear", "drops"), ("reload",)]

_SOURCES = pathlib.Path(__file__).resolve().parents[2]
RECOMMENDED = {match for folder in ("control", "datapath", "drivers") for path in (_SOURCES / folder).rglob("*.[cd]*")
               for match in re.findall(r"`((?:show|sa|trace|capture|clear) [^`{\"]+)`", path.read_text())}


class Cli(drop_case.EspDropCase):
    def setUp(self):
        super().setUp()
        flipped = bytearray(self.esp())
        flipped[-1] ^= 1
        self.testbed.send("outside", self.outer(self.esp()), self.outer(bytes(flipped)),
                          self.outer(self.esp(spi=0xDEADBEEF)))

    def test_every_look_as_text_and_json(self):
        for words in LOOKS:
            with self.subTest(" ".join(words)):
                code, out, err = self.gateway.ctl(*words)
                self.assertEqual((code, err), (0, ""))
                self.assertTrue(out.strip())
                self.assert_documented(words, self.gateway.ask(*words))

    def test_zx_every_deed_as_json(self):
        for words in DEEDS:
            with self.subTest(" ".join(words)):
                self.assert_documented(words, self.gateway.ask(*words))

    def assert_documented(self, words, answer):
        command = max((path for path in shapes.DOCUMENTED if list(words)[:len(path.split())] == path.split()), key=len)
        self.assertEqual(shapes.differences(command, answer), [])

    def test_commands_that_messages_recommend_exist(self):
        self.assertGreater(len(RECOMMENDED), 10)
        for command in sorted(RECOMMENDED):
            with self.subTest(command):
                self.assertTrue(any(f"{command} ".startswith(f"{path} ") for path in shapes.DOCUMENTED), command)

    def test_errors_are_one_json_document(self):
        for words, expected in ((("show", "nothing"), 2), (("show", "spi", "zebra"), 2), (("show",), 2),
                                (("capture",), 2), (("trace", "add", "-1"), 2), (("sa", "delete", "0x99999999"), 1)):
            with self.subTest(" ".join(words)):
                code, out, err = self.gateway.ctl("--json", *words)
                self.assertEqual(code, expected, out + err)
                self.assertIn("error", json.loads(out))

    def test_drops_name_the_reasons(self):
        answer = self.gateway.ask("show", "drops", "ipsec", "--nonzero")
        reasons = {reason["name"]: reason for reason in answer["reasons"]}
        self.assertIn("IN_CD_SW_IPSEC_MAC_EXCEPTION", reasons)
        self.assertEqual(reasons["IN_CD_SW_IPSEC_MAC_EXCEPTION"]["number"], 62)
        groups = {group["group"]: group["packets"] for group in self.gateway.ask("show", "drops")["groups"]}
        self.assertEqual(groups["IpsecInvalidSa"],
                         sum(reason["packets"] for reason in reasons.values() if reason["group"] == "IpsecInvalidSa"))

    def test_invalid_spi_names_the_flow(self):
        self.testbed.until(lambda: self.gateway.ask("show", "invalid-spi")["flows"])
        flow = next(flow for flow in self.gateway.ask("show", "invalid-spi")["flows"] if flow["spi"] == "0xdeadbeef")
        self.assertEqual((flow["source"], flow["class"], flow["protocol"]), ("192.0.2.2", "never issued", 50))
        self.assertEqual(self.gateway.log.read_text().count("%CRYPTO-4-RECVD_PKT_INV_SPI"), 1,
                         "one line a minute a flow")

    def test_sa_counts_its_packets(self):
        (sa,) = [sa for sa in self.gateway.ask("show", "sa", "--spi", "0x1001")["sas"] if sa["direction"] == "in"]
        self.assertGreaterEqual(sa["packets"], 1)
        faults = {fault["number"]: fault["packets"] for fault in sa["faults"]}
        self.assertGreaterEqual(faults[62], 1)
        self.assertIsNotNone(sa["last"])
        self.assertIsNone(sa["lifetime"])
        self.assertEqual(sa["sequence"], self.sequence - 1, "the last but the one with an unknown SPI")

    def test_spi_tells_its_story(self):
        self.assertEqual(self.gateway.ask("show", "spi", "0x1001")["state"], "active")
        self.assertEqual(self.gateway.ask("show", "spi", "0xdeadbeef")["state"], "unknown")

    def test_trace_shows_the_stages(self):
        self.gateway.ask("trace", "add", "2")
        self.testbed.send("outside", self.outer(self.esp()), self.outer(self.esp(spi=0xDEADBEEF)))
        self.testbed.until(lambda: len(self.gateway.ask("trace", "show")["packets"]) == 2)
        good, bad = self.gateway.ask("trace", "show")["packets"]
        self.assertEqual((good["verdict"], bad["verdict"]), ("FORWARDED", "IN_US_V4_PKT_SA_NOT_FOUND_SPI"))
        self.assertGreater(len(good["stages"]), len(bad["stages"]))

    def capture(self, *words, sends):
        path = f"{self.testbed.workdir}/capture.pcap"
        process = self.testbed.namespace.popen(program("espgatectl"), "--socket", self.gateway.socket, "capture",
                                               *words, "--write", path)
        try:
            for _ in range(50):
                self.testbed.send("outside", *sends())
                if process.poll() is not None:
                    break
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(10)
        with open(path, "rb") as file:
            data = file.read()
        self.assertIn(data[:4], (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"))
        frames, offset = [], 24
        while offset < len(data):
            length = struct.unpack_from("<I", data, offset + 8)[0]
            frames.append(data[offset + 16:offset + 16 + length])
            offset += 16 + length
        os.unlink(path)
        return frames

    def test_capture_of_a_drop_reason_holds_only_that(self):
        frames = self.capture("--drop", "4", "--count", "2",
                              sends=lambda: (self.outer(self.esp()), self.outer(self.esp(spi=0xDEADBEEF))))
        self.assertEqual([packets.ip_of(frame).payload[:4] for frame in frames], [b"\xde\xad\xbe\xef"] * 2)

    def test_capture_of_a_port(self):
        frames = self.capture("--port", "outside", "--count", "3", sends=lambda: (self.outer(self.esp()),))
        self.assertEqual(len(frames), 3)

    def test_clear_drops_starts_over(self):
        self.assertGreater(self.gateway.ask("show", "drops")["total"], 0)
        self.gateway.ask("clear", "drops")
        self.assertEqual(self.gateway.ask("show", "drops")["total"], 0)

    def test_zy_conservation_survives_clear(self):
        self.assertTrue(self.settled().conserved())

    def test_zz_conservation(self):
        """As elsewhere, except that `clear drops` has moved what the reasons add up to."""
        self.assertTrue(self.settled().holds)

    def test_client_is_quick_and_has_no_dpdk(self):
        _, libraries, _ = run("ldd", program("espgatectl"))
        self.assertNotIn("librte_", libraries)

"""`espgatectl export wireshark`: who gets the keys, and whether tshark decrypts a capture with them."""

import json
import os
import pathlib
import stat
import subprocess
import time

from lib import case, configuration, packets, suites
from lib.esp import GcmSa, keymat
from lib.encapsulation import wrap
from lib.gateway import program
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, standard_ports

GCM, CBC, CHACHA = "aes128-gcm16", "aes256-cbc-sha256", "chacha20-poly1305"
NOBODY = 65534


def _connection(number, suite):
    length = suites.SUITES[suite].keymat - 4  # keymat() adds the four bytes of a salt
    return configuration.connection(
        f"c{number}", OUTSIDE.gateway[4], OUTSIDE.host[4], [INSIDE_NETWORKS[4]], [f"10.2.{number}.0/24"], suite=suite,
        inbound=(0x1000 + number, keymat(0x1000 + number, length)),
        outbound=(0x2000 + number, keymat(0x2000 + number, length)))


class Wireshark(case.GatewayCase):
    @classmethod
    def settings(cls):
        return configuration.gateway(
            standard_ports(), debug_keys_export=True,
            connections=[_connection(number, suite) for number, suite in enumerate((GCM, CBC, CHACHA), 1)])

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.testbed.workdir, "wireshark")
        self.folder.mkdir(exist_ok=True)
        self.file = self.folder / "esp_sa"
        self.file.unlink(missing_ok=True)

    def keys(self):
        return [sa[direction]["key"].hex() for sa in self.gateway.settings["connections"]
                for direction in ("inbound", "outbound")]

    def test_the_file_is_the_owners_alone_and_never_an_old_one(self):
        before = os.umask(0)
        try:
            answer = self.gateway.ask("export", "wireshark", "--write", str(self.file))
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(answer["written"], 4)
        self.assertEqual([sa["suite"] for sa in answer["left_out"]], [CHACHA, CHACHA])
        self.assertFalse([key for key in self.keys() if key in json.dumps(answer)])
        code, _, err = self.gateway.ctl("export", "wireshark", "--write", str(self.file))
        self.assertEqual(code, 1)
        self.assertIn("exists", err)

    def test_without_a_file_no_key_is_shown(self):
        code, out, _ = self.gateway.ctl("export", "wireshark")
        self.assertEqual((code, out), (2, ""))

    def test_zy_the_log_tells_who_asked_and_has_no_keys(self):
        self.gateway.ask("export", "wireshark", "--write", str(self.file))
        log = self.gateway.log.read_text()
        self.assertRegex(log, r"warning.*keys of all SAs are exported for Wireshark to pid \d+, uid 0")
        shown = log + json.dumps(self.gateway.ask("show", "sa"))
        self.assertFalse([key for key in self.keys() if key in shown])

    def test_others_than_root_are_refused(self):
        os.chmod(self.gateway.socket, 0o666)
        folders = [folder for folder in self.gateway.socket.parents if folder != pathlib.Path("/")]
        modes = [stat.S_IMODE(folder.stat().st_mode) for folder in folders]
        try:
            for folder, mode in zip(folders, modes):
                folder.chmod(mode | 0o011)
            process = subprocess.run(
                [program("espgatectl"), "--socket", str(self.gateway.socket), "export", "wireshark", "--write",
                 f"/dev/shm/esp_sa-{os.getpid()}"], user=NOBODY, group=NOBODY, capture_output=True, text=True,
                timeout=20, check=False)
        finally:
            os.chmod(self.gateway.socket, 0o600)
            for folder, mode in zip(folders, modes):
                folder.chmod(mode)
        self.assertEqual(process.returncode, 1, process.stdout)
        self.assertIn("keys are exported to root only", process.stderr)
        self.assertFalse(os.path.exists(f"/dev/shm/esp_sa-{os.getpid()}"))
        self.assertRegex(self.gateway.log.read_text(), rf"warning.*refused to pid \d+, uid {NOBODY}")

    def test_tshark_reads_a_capture_of_a_gcm_and_a_cbc_tunnel(self):
        pcap = str(self.folder / "capture.pcap")
        with self.testbed.namespace.popen(program("espgatectl"), "--socket", self.gateway.socket, "capture", "--port",
                                          "outside", "--count", "30", "--write", pcap, stderr=subprocess.DEVNULL) as capture:
            deadline = time.monotonic() + 20
            while capture.poll() is None and time.monotonic() < deadline:
                esp = GcmSa(0x1001, keymat(0x1001)).seal(
                    packets.udp_packet("10.2.1.9", INSIDE.host[4], 5, 6, b"from the peer"), packets.IPV4, 77)
                self.testbed.send("outside", wrap(esp, OUTSIDE.host[4], OUTSIDE.gateway[4], udp_encapsulated=False))
                for number in (1, 2):
                    self.testbed.send("inside", packets.udp_packet(INSIDE.host[4], f"10.2.{number}.9", 7, 8,
                                                                   b"from the inside"))
                time.sleep(0.02)
            capture.terminate()
            capture.wait(10)
        self.gateway.ask("export", "wireshark", "--write", str(self.file))
        tshark = subprocess.run(
            ["tshark", "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", "-r",
             pcap, "-Y", "esp", "-T", "fields", "-e", "esp.spi", "-e", "udp.payload", "-e", "esp.icv_good"],
            env=dict(os.environ, WIRESHARK_CONFIG_DIR=str(self.folder)), capture_output=True, text=True, timeout=60,
            check=False)
        self.assertEqual(tshark.returncode, 0, tshark.stderr)
        lines = tshark.stdout.splitlines()  # the capture may also hold what the kernels say to each other
        payloads = {"0x00001001": b"from the peer", "0x00002001": b"from the inside", "0x00002002": b"from the inside"}
        for line in lines:
            spi, payload, good = line.split("\t")
            self.assertEqual((bytes.fromhex(payload), good), (payloads[spi], "1"), line)
        self.assertEqual({line[:10] for line in lines}, set(payloads))

    def test_zz_a_reload_takes_the_permission_away(self):
        for allowed in (False, True):
            settings = dict(self.gateway.settings, debug_keys_export=allowed)
            self.gateway.file.write_text(configuration.text(settings))
            self.gateway.ask("reload")
            code, _, err = self.gateway.ctl("export", "wireshark", "--write", str(self.file))
            self.assertEqual(code, 0 if allowed else 1, err)
            self.assertEqual(self.file.exists(), allowed)
            if not allowed:
                self.assertIn("debug-keys-export", err)

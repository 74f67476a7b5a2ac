"""What is left of an invalid SPI for the operator: events as they happen, packets, history, and a program that is told."""

import json
import pathlib
import stat
import subprocess
import tempfile
import time

from lib import cleanup, pair
from lib.gateway import program
from lib.shell import run
from test_invalid_spi import Restart

# As it is run: its environment, its rights, what it reads.
PROGRAM = """#!/bin/sh
echo "told: $ESPGATE_CLASS, $ESPGATE_SPI, $ESPGATE_SOURCE, $ESPGATE_DESTINATION, $ESPGATE_CONNECTION, $ESPGATE_REPAIR"
echo "as: $(id -u) $(id -G), $(pwd), $(env | wc -l)"
echo "evidence: $ESPGATE_EVIDENCE"
echo "read: $(wc -c)"
"""


class Hook(Restart):
    """As the crash of b in test_invalid_spi, of which a program is told."""

    PROGRAM = PROGRAM

    @classmethod
    def settings(cls, name):
        settings = super().settings(name)
        if name == "a":
            return settings
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="espgate-hook-"))
        cls.folder.chmod(0o755)
        cleanup.later(run, "rm", "-r", cls.folder)
        cls.program = cls.folder / "program"
        cls.program.write_text(cls.PROGRAM)
        cls.program.chmod(0o755)
        return {**settings, "on_invalid_spi": str(cls.program), "hook_user": "nobody"}


class Hanging(Hook):
    """It does not end, does not want to be ended, and talks all the while."""

    PROGRAM = "#!/bin/sh\ntrap '' TERM\n(trap '' TERM; exec sleep 100) &\nyes\n"

    def running(self):
        """It, and what it began: the processes whose command names it, and their children."""
        def text(process, name):
            try:
                return (process / name).read_text()
            except OSError:  # it has ended
                return ""
        processes = [process for process in pathlib.Path("/proc").iterdir() if process.name.isdigit()]
        groups = {process.name for process in processes if text(process, "cmdline").startswith("/usr/bin/timeout")
                  and str(self.program) in text(process, "cmdline")}
        return [process.name for process in processes
                if (stat := text(process, "stat").rpartition(") ")[2].split()) and stat[0] != "Z" and stat[2] in groups]

    def test_it_ends_with_espgated_and_holds_nobody_up(self):
        self.until(lambda: self.pair.ping("a", count=1) == 1)
        began = self.until(lambda: len(found := self.running()) >= 4 and found, 10)
        stopped = time.monotonic()
        self.gateway("b").stop()
        self.assertLess(time.monotonic() - stopped, 3)
        self.assertEqual([each for each in began if pathlib.Path(f"/proc/{each}").exists()
                          and "Z (" not in pathlib.Path(f"/proc/{each}/status").read_text()], [])


class Evidence(Hook):
    """With somebody who looks."""

    def setUp(self):
        super().setUp()
        self.monitors = {kinds: self.monitor(*kinds) for kinds in ((), ("invalid-spi",), ("port-up",))}
        self.until(lambda: self.clients() == len(self.monitors))
        self.gateway("b").ask("show", "status")  # behind their requests
        self.spi = int(self.stale, 16)
        self.until(lambda: self.pair.ping("a", count=1) == 1)

    def monitor(self, *kinds):
        """A running `espgatectl monitor`."""
        process = subprocess.Popen([program("espgatectl"), "--socket", self.gateway("b").socket, "monitor", *kinds],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        return process

    def clients(self):
        """Connections of this namespace that the daemon has accepted, or is about to, and not closed."""
        connected = "03"
        sockets = pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]
        return sum(fields[-1] == str(self.gateway("b").socket) and fields[5] == connected
                   for fields in map(str.split, sockets))

    def evidence(self):
        return self.gateway("b").ask("show", "spi", self.stale)["evidence"]

    def test_everything_of_the_first_event(self):
        written = self.until(lambda: [one for one in self.evidence() if one["file"]])[0]
        self.assertEqual((written["class"], written["connection"], written["port"]),
                         ("before restart", "site", "outside"))
        self.assertEqual((written["source"], written["destination"]), (pair.OUTER["a"][4], pair.OUTER["b"][4]))
        self.check_history(written)
        self.check_files(written)
        self.check_export()
        self.check_program(written)
        self.check_monitors(written)

    def check_history(self, written):
        events = [line["event"] for line in written["ike"]]
        self.assertIn("SA made", events, written)
        exchanges = [line["detail"] for line in written["ike"] if line["event"] == "exchange"]
        self.assertTrue(any(line.startswith("IKE_SA_INIT begun by us: 1 begun, 1 answered") for line in exchanges), written)
        self.assertTrue(any("is up" in line["detail"] for line in written["ike"] if line["event"] == "log"), written)
        code, text, _ = self.gateway("b").ctl("show", "spi", self.stale)
        self.assertEqual(code, 0)
        self.assertIn("IKE_SA_INIT begun by us", text)

    def check_files(self, written):
        path = pathlib.Path(written["file"])
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)
        for ending in (".pcap", ".json"):
            file = path.with_name(path.name + ending)
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
            self.assertEqual(file.stat().st_uid, 0)
        self.assertEqual(json.loads(path.with_name(path.name + ".json").read_text())["spi"], self.stale)
        self.assert_esp(path.with_name(path.name + ".pcap"), written["packets"])

    def check_export(self):
        file = self.folder / "export.pcap"
        code, _, err = self.gateway("b").ctl("export", "evidence", self.stale, "--write", file)
        self.assertEqual(code, 0, err)
        self.assert_esp(file, self.evidence()[0]["packets"])
        code, _, err = self.gateway("b").ctl("export", "evidence", "0x0bad0bad")
        self.assertEqual(code, 1)
        self.assertIn("no packet with SPI 0x0bad0bad is kept", err)
        for command in (("export", "evidence"), ("show", "spi")):
            self.assertIn(f"{self.stale}\t", self.gateway("b").ctl("complete", *command, "")[1])

    def assert_esp(self, file, count):
        """tshark reads it: ESP with that SPI, from a to b."""
        _, out, _ = run("tshark", "-n", "-r", file, "-T", "fields", "-e", "ip.src", "-e", "ip.dst", "-e", "esp.spi",
                        "-e", "frame.len")
        rows = [line.split("\t") for line in out.splitlines()]
        self.assertEqual(len(rows), count)
        self.assertGreaterEqual(count, 1)
        for source, destination, spi, length in rows:
            self.assertEqual((source, destination, int(spi, 16)), (pair.OUTER["a"][4], pair.OUTER["b"][4], self.spi))
            self.assertGreater(int(length), 100)

    def check_program(self, written):
        log = self.until(lambda: self.said("ended with status 0"))
        for line in (f"told: before restart, {self.stale}, {pair.OUTER['a'][4]}, {pair.OUTER['b'][4]}, site, "
                     "an IKE SA with the peer was begun",
                     "as: 65534 65534, /, 10", f"evidence: {written['file']}.pcap"):
            self.assertIn(f"on-invalid-spi for SPI {self.stale} from {pair.OUTER['a'][4]}: it says: {line}\n", log)
        self.assertNotIn("read: 0", log)
        self.assertEqual(log.count("the program ended"), 1)

    def said(self, text):
        log = self.gateway("b").log.read_text()
        return log if text in log else None

    def check_monitors(self, written):
        self.gateway("b").stop()
        texts = {}
        for kinds, process in self.monitors.items():
            out, err = process.communicate(timeout=10)
            self.assertEqual(process.returncode, 1)  # the daemon went, not the operator
            self.assertIn("espgated was stopped", err)
            texts[kinds] = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(texts[("port-up",)], [])
        [event] = texts[("invalid-spi",)]
        self.assertEqual((event["event"], event["subject"]), ("invalid-spi", "site"))
        flow = event["flow"]
        self.assertEqual((flow["spi"], flow["source"], flow["class"], flow["repair"], flow["evidence"]),
                         (self.stale, pair.OUTER["a"][4], "before restart", "an IKE SA with the peer was begun",
                          written["number"]))
        self.assertLessEqual({"invalid-spi", "connection-up"}, {each["event"] for each in texts[()]})
        self.gateway("b").start()


class Check(Restart):
    """--check refuses a program that others could change, without starting anything."""

    def setUp(self):
        pass

    def test_programs_that_others_can_write_to_are_refused(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="espgate-hook-"))
        self.addCleanup(run, "rm", "-r", folder)
        folder.chmod(0o755)
        hook = folder / "program"
        hook.write_text("#!/bin/sh\n")
        hook.chmod(0o777)
        file = folder / "espgate.conf"
        file.write_text(self.gateway("b").file.read_text() + f'on-invalid-spi = "{hook}";\n')
        file.chmod(0o600)
        code, out, err = run(program("espgated"), "--check", file, check=False)
        self.assertEqual(code, 1)
        self.assertIn("others than root can write to", out + err)

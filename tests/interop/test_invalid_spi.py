"""A gateway starts anew while its peer goes on sending: what it says in full, and what configuration changes about it."""

import pathlib
import tempfile
import unittest

from lib import cleanup, configuration, pair
from lib.ike_case import PSK, connection, gateway
from lib.invalid_spi_case import BEGUN, TOKEN, InvalidSpiCase
from lib.shell import run


class Restart(InvalidSpiCase):
    """b crashes and comes back; a knows of nothing, and goes on sending."""

    # a asks nobody whether it is there, and b begins nothing by itself: only the stray packets can heal it.
    SETTINGS = {"a": {"start": "passive", "liveness": 0}, "b": {"start": "passive"}}
    RECOVERY = {}

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike=cls.SETTINGS[name], **cls.RECOVERY)])

    def setUp(self):
        self.gateway("a").ask("initiate", "site")
        self.assert_passes("a")
        self.stale = self.outbound_spi("a")
        self.crash("b")


class Crash(Restart):
    def test_what_the_operator_reads(self):
        self.until(lambda: self.pair.ping("a", count=1, interval_s=0.01) == 1)
        flow = self.assert_explained(self.stale, "before restart", BEGUN)
        self.assertEqual(flow["source"], pair.OUTER["a"][4])
        spi = self.gateway("b").ask("show", "spi", self.stale)
        self.assertEqual((spi["state"], spi["connection"]), ("before restart", "site"))
        self.assertIn("an espgated before this one", spi["explanation"])
        self.assertRegex(self.lines(self.stale)[0], r"spi=0x[0-9A-F]+\(\d+\), srcaddr=192\.0\.2\.1, .*before restart, "
                                                    r"connection site, 1 packet since .*; an IKE SA with the peer was begun$")
        self.assertEqual(self.pair.ping("b"), 3)


class Forbidden(Restart):
    RECOVERY = {"invalid_spi_recovery": "existing-ike-only"}

    def test_nothing_is_begun_and_the_line_says_what_to_do(self):
        self.gateway("b").ask("trace", "add", "10")
        self.assertEqual(self.pair.ping("a", count=20, interval_s=0.1), 0)
        flow = self.flow(self.stale)
        self.assertEqual((flow["class"], flow["repair"]),
                         ("before restart", "invalid-spi-recovery forbids to repair it"))
        traced = self.gateway("b").ask("trace", "show")["packets"]
        texts = [stage["text"] for packet in traced for stage in packet["stages"]]
        self.assertIn("an SPI of before the restart", texts)
        self.assertFalse([text for text in texts if "SA entry" in text])
        self.assertEqual([sa["state"] for sa in self.ike_sas("b")], ["down"])
        self.assertEqual(len(self.lines(self.stale)), 1)
        self.assertIn("rekey or reload the connection there", self.lines(self.stale)[0])
        # The operator does it.
        self.gateway("b").ask("initiate", "site")
        self.assert_passes("a")


class NoState(Restart):
    """b keeps nothing: it does not know the SPI, but the peer."""

    @classmethod
    def settings(cls, name):
        settings = super().settings(name)
        return {**settings, "state_directory": ""} if name == "b" else settings

    def test_a_peer_that_is_configured_is_reached_all_the_same(self):
        self.until(lambda: self.pair.ping("a", count=1) == 1)
        flow = self.flow(self.stale)
        self.assertEqual((flow["class"], flow["repair"]), ("never issued", "an IKE SA with the peer was begun"))


class FullDisk(Restart):
    """b crashes, and then its disk is full. What it had noted is known all the same, also that only a can begin."""

    ROOM = "4m"  # for one journal, and not for a new one beside it
    SAID = "No space left on device"

    @classmethod
    def settings(cls, name):
        settings = super().settings(name)
        if name == "a":
            return settings
        settings["connections"][0].update(remote="any", ike={"psk": PSK, "remote_id": "%any", "liveness": 0})
        cls.disk = tempfile.mkdtemp(prefix="espgate-disk-")
        run("mount", "-t", "tmpfs", "-o", f"size={cls.ROOM},mode=0700", "none", cls.disk)
        cleanup.later(pathlib.Path(cls.disk).rmdir)
        cleanup.later(run, "umount", cls.disk)
        return {**settings, "state_directory": cls.disk}

    def test_what_was_noted_heals_it(self):
        self.until(lambda: self.pair.ping("a", count=1, interval_s=0.01) == 1)
        self.assert_explained(self.stale, "before restart", TOKEN)
        said = self.gateway("b").log.read_text()
        # The connection has peers at any address, and this is one of them.
        for name in ("site", "site#1"):
            flow, = self.gateway("b").ask("show", "invalid-spi", "--connection", name)["flows"]
            self.assertEqual((flow["spi"], flow["connection"]), (self.stale, "site#1"))
        self.assertIn(f"{self.SAID}; after the next restart, packets of SAs", said)
        self.assertNotIn("is damaged", said)


class ReadOnlyDisk(FullDisk):
    """As a file system that the kernel found errors in."""

    ROOM, SAID = "16m", "Read-only file system"

    def crash(self, name):
        self.gateway(name).kill()
        run("mount", "-o", "remount,ro", self.disk)
        self.gateway(name).start()


class StateDirectory(InvalidSpiCase):
    """It is where it was until the next start, and a reload says so."""

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike=Restart.SETTINGS[name])])

    def test_it_changes_at_the_next_start(self):
        b = self.gateway("b")
        other = b.workdir / "other"
        before = b.file.read_text()
        after = configuration.text({**b.settings, "state_directory": str(other)})
        self.assertNotEqual(before, after)
        b.file.write_text(after)
        code, out, err = b.ctl("reload")
        self.assertEqual(code, 0, err)
        self.assertIn("restart needed for: state-directory", out)
        self.assertFalse(other.exists())
        # What is given out from here on is remembered where it was.
        self.gateway("a").ask("initiate", "site")
        self.assert_passes("a")
        stale = self.connection("b")["inbound_spi"]
        b.file.write_text(before)
        self.crash("b")
        self.until(lambda: self.pair.ping("a", count=1) == 1)
        self.assert_explained(stale, "before restart", BEGUN)
        self.assertFalse(other.exists())
        b.file.write_text(after)
        b.stop()
        b.start()
        self.assertTrue(any(other.iterdir()))


if __name__ == "__main__":
    unittest.main()

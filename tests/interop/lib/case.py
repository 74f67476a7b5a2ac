"""Test cases around one running gateway, and what holds for every one of them at the end."""

import time
import unittest

from . import cleanup
from .testbed import Testbed


class GatewayCase(unittest.TestCase):
    """Subclasses say what `settings()` to start the gateway with; all their tests share it."""

    @classmethod
    def settings(cls):
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        cls.testbed = Testbed(cls.settings())
        cls.addClassCleanup(cleanup.now)
        cls.testbed.start()
        cls.gateway = cls.testbed.gateway
        cls.baseline = cls.gateway.counters()

    def setUp(self):
        self.assertTrue(self.gateway.alive(), self.gateway.log_text())
        self.testbed.outside.drain()
        self.testbed.inside.drain()

    def settled(self, timeout_s=2.0):
        """Counters once every packet taken in has its verdict."""
        deadline = time.monotonic() + timeout_s
        while True:
            counters = self.gateway.counters()
            if counters.conserved() or time.monotonic() > deadline:
                return counters

    def test_zz_conservation(self):
        """received + from_host = sum of all verdicts, and no buffer was lost."""
        counters = self.settled()
        self.assertEqual(counters.taken_in(), counters.accounted())
        self.assertTrue(counters.holds, "the gateway's own balance")
        self.assertEqual(counters.outcomes["drops"] + counters.control_drops, sum(counters.drops.values()))
        deadline = time.monotonic() + 2
        while self.gateway.counters().buffers_in_use > self.baseline.buffers_in_use and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertLessEqual(self.gateway.counters().buffers_in_use, self.baseline.buffers_in_use)

    def test_zzz_stops_cleanly(self):
        self.gateway.stop()
        self.assertFalse(self.gateway.socket.exists(), "the socket must go with the daemon")

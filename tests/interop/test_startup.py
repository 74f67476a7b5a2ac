"""Start-up with many SAs: time from the start to forwarding, and that large files load."""

import os
import signal
import time
import unittest

from lib import cleanup, configuration, packets
from lib.encapsulation import wrap
from lib.esp import GcmSa, keymat
from lib.gateway import program
from lib.testbed import INSIDE, OUTSIDE, Testbed, standard_ports

LIMIT_S_10K = 3.0
TIMEOUT_S_100K = 60.0


def settings(sas):
    """`sas` SAs: half as many connections, each with an SA in and one out."""
    pairs = sas // 2
    connections = [
        configuration.connection(
            f"c{number}", OUTSIDE.gateway[4], OUTSIDE.host[4], ["10.1.0.0/24"], [f"{network(number)}.0/24"],
            inbound=keys(0x10000 + number), outbound=keys(0x1000000 + number))
        for number in range(pairs)]
    limits = {"inbound_sas": max(pairs, 1000), "outbound_sas": max(pairs, 1000), "policies": max(2 * pairs, 1000)}
    return configuration.gateway(standard_ports(), connections=connections, limits=limits, log_level="info")


def keys(spi):
    return spi, keymat(spi)


def network(number):
    """The first three bytes of a /24 for each of up to 131,072 connections, outside the testbed's own."""
    return f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}"


class StartUp(unittest.TestCase):
    def started(self, sas, timeout_s):
        testbed = Testbed(settings(sas))
        self.addCleanup(cleanup.now)
        testbed.gateway.start(timeout_s)
        started_in_s = testbed.gateway.started_in_s
        testbed.attach()
        return testbed, started_in_s

    def forwards(self, testbed, number):
        inner = packets.udp_packet(f"{network(number)}.9", INSIDE.host[4], 5, 6, b"first light")
        esp = GcmSa(*keys(0x10000 + number)).seal(inner, packets.IPV4, 1)
        testbed.send("outside", wrap(esp, OUTSIDE.host[4], OUTSIDE.gateway[4], udp_encapsulated=False))
        frame = testbed.inside.expect(packets.is_ip(destination=INSIDE.host[4]))
        self.assertEqual(packets.ip_of(frame).payload, packets.parse_ip(inner).payload)

    def test_10_000_sas_in_under_3_s(self):
        testbed, started_in_s = self.started(10_000, 30)
        self.forwards(testbed, 0)
        self.forwards(testbed, 4_999)
        busy_s = testbed.gateway.cpu_s()
        print(f"\n10,000 SAs: ready after {started_in_s:.2f} s, {busy_s:.2f} s of it at work")
        crowded = os.getloadavg()[0] > os.cpu_count()  # then the clock says more about the others
        if crowded:
            print("limit on the clock not checked: machine crowded; that on processor time was")
        self.assertLess(busy_s if crowded else started_in_s, LIMIT_S_10K)
        testbed.gateway.stop()

    def test_100_000_sas_load(self):
        testbed, started_in_s = self.started(100_000, TIMEOUT_S_100K)
        for number in (0, 12_345, 49_999):
            self.forwards(testbed, number)
        print(f"\n100,000 SAs: ready after {started_in_s:.2f} s")
        testbed.gateway.stop()


class StoppedStart(unittest.TestCase):
    """A signal in the middle of a start with many SAs: nothing is left, and soon."""

    def stops(self, with_signal, after_s, *, said):
        testbed = Testbed(settings(100_000))
        self.addCleanup(cleanup.now)
        gateway = testbed.gateway
        with open(gateway.log, "ab") as log:
            process = testbed.namespace.popen(program("espgated"), "--config", gateway.file, stdout=log, stderr=log)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        testbed.until(gateway.socket.exists, 30)  # from here on it has something to clean up
        time.sleep(after_s)
        begun = time.monotonic()
        process.send_signal(with_signal)
        self.assertEqual(process.wait(20), 0, gateway.log_text())
        took_s = time.monotonic() - begun
        crowded = os.getloadavg()[0] > os.cpu_count()
        if crowded:
            print("\nlimit on the clock not checked: machine crowded; 10 s instead of 2 s")
        self.assertLess(took_s, 10 if crowded else 2)
        self.assertIn(said, gateway.log_text())
        self.assertNotIn("ready:", gateway.log_text())
        self.assertFalse(gateway.socket.exists())
        _, links, _ = testbed.namespace.ip("-o", "link")
        self.assertEqual([line for line in links.splitlines() if "veth" not in line and ": lo:" not in line], [])

    def test_sigterm_at_once(self):
        self.stops(signal.SIGTERM, 0, said="stopping: Terminated")

    def test_ctrl_c_while_sas_are_set_up(self):
        self.stops(signal.SIGINT, 0.5, said="stopping: Interrupt")

"""What an operator does to a running gateway: reload it, watch it, pull a cable out of it, stop it under load."""

import json
import os
import signal
import subprocess
import threading
import time
import unittest

from lib import cleanup, configuration, drop_case, packets
from lib.drop_case import PLAIN4, host
from lib.gateway import program
from lib.testbed import INSIDE, OUTSIDE, Testbed
from lib.wire import Wire


class Reload(drop_case.EspDropCase):
    def rewrite(self, **changes):
        """The file with other values, in the same place."""
        self.gateway.file.write_text(configuration.text(dict(self.gateway.settings, **changes)))

    def setUp(self):
        super().setUp()
        self.rewrite()
        self.gateway.ask("reload")

    def changes(self, answer):
        return {change.pop("what"): change for change in answer["changes"]}

    def test_nothing_changed(self):
        changes = self.changes(self.gateway.ask("reload"))
        connections = len(self.gateway.settings["connections"])
        self.assertEqual(changes["connections"], {"added": 0, "removed": 0, "changed": 0, "kept": connections})

    def test_an_unchanged_sa_keeps_its_window(self):
        packet = self.outer(self.esp())
        self.testbed.send("outside", packet)
        self.rewrite(policies=[])
        self.gateway.ask("reload")
        self.expect("IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL", "outside", packet)

    def test_a_policy_comes_and_goes(self):
        packet = self.from_inside(OUTSIDE.host[4])
        self.expect("OUT_V4_POST_OUTPUT_POLICY_FAIL", "inside", packet)
        self.rewrite(policies=[{"to": "192.0.2.0/24", "action": "bypass"}])
        changes = self.changes(self.gateway.ask("reload"))
        self.assertEqual((changes["policies"]["added"], changes["policies"]["removed"]), (1, 2))
        self.testbed.send("inside", packet)
        passed = self.testbed.outside.expect(packets.is_ip(source=INSIDE.host[4]))
        self.assertIsNotNone(passed)

    def test_a_connection_goes_and_comes(self):
        connections = self.gateway.settings["connections"]
        packet = self.outer(self.esp())
        self.rewrite(connections=connections[1:])
        self.assertEqual(self.changes(self.gateway.ask("reload"))["connections"]["removed"], 1)
        self.expect("IN_SA_RETIRED", "outside", packet)
        self.expect("OUT_V4_POST_OUTPUT_POLICY_FAIL", "inside", self.from_inside(host(PLAIN4, 4)))
        self.rewrite()
        self.assertEqual(self.changes(self.gateway.ask("reload"))["connections"]["added"], 1)
        before = self.settled()
        self.testbed.send("outside", packet)
        self.assertEqual(self.settled().since(before).drops, {})

    def test_a_route_comes_and_goes(self):
        self.rewrite(routes=[{"to": "10.55.0.0/16", "via": INSIDE.host[4]}])
        self.assertEqual(self.changes(self.gateway.ask("reload"))["routes"]["added"], 1)
        self.testbed.until(lambda: "10.55.0.0/16" in str(self.gateway.ask("show", "routes")))
        self.rewrite()
        self.assertEqual(self.changes(self.gateway.ask("reload"))["routes"]["removed"], 1)
        self.testbed.until(lambda: "10.55.0.0/16" not in str(self.gateway.ask("show", "routes")))

    def test_a_route_that_was_removed_or_added_by_hand_is_as_wanted(self):
        self.rewrite(routes=[{"to": "10.55.0.0/16", "via": INSIDE.host[4]}])
        self.gateway.ask("reload")
        self.testbed.namespace.ip("route", "del", "10.55.0.0/16")
        self.rewrite()
        self.assertEqual(self.changes(self.gateway.ask("reload"))["routes"]["removed"], 1)
        self.testbed.namespace.ip("route", "add", "10.56.0.0/16", "via", INSIDE.host[4])
        self.rewrite(routes=[{"to": "10.56.0.0/16", "via": INSIDE.host[4]}])
        self.assertEqual(self.changes(self.gateway.ask("reload"))["routes"]["added"], 1)
        self.testbed.namespace.ip("route", "del", "10.56.0.0/16")

    def test_a_route_that_fails_keeps_nothing_else_back(self):
        self.rewrite(routes=[{"to": "10.57.0.0/16", "via": "172.31.255.1"}], policies=[
            {"to": "192.0.2.0/24", "action": "bypass"}])
        code, _, err = self.gateway.ctl("reload")
        self.assertEqual(code, 1)
        for word in ("10.57.0.0/16", "172.31.255.1", "everything else"):
            self.assertIn(word, err)
        self.testbed.send("inside", self.from_inside(OUTSIDE.host[4]))
        self.assertIsNotNone(self.testbed.outside.expect(packets.is_ip(source=INSIDE.host[4])))

    def test_what_needs_a_restart_is_named(self):
        self.rewrite(idle_sleep_us=60, control_cpu=1)
        needed = self.gateway.ask("reload")["restart_needed"]
        self.assertIn("idle-sleep-us", needed)
        self.assertIn("control-cpu", needed)
        code, out, _ = self.gateway.ctl("reload")
        self.assertEqual(code, 0)
        self.assertIn("restart needed for: ", out)

    def test_with_an_error_nothing_changes(self):
        self.rewrite(policies=[{"to": "10.300.0.0/16", "action": "bypass"}], connections=[])
        code, _, err = self.gateway.ctl("reload")
        self.assertEqual(code, 1)
        for word in ("espgate.conf:", "10.300.0.0/16", "nothing"):
            self.assertIn(word, err)
        before = self.settled()
        self.testbed.send("outside", self.outer(self.esp()))
        self.assertEqual(self.settled().since(before).drops, {})

    def test_sighup_does_the_same_and_logs_it(self):
        seen = len(self.gateway.log.read_text())
        self.gateway.send_signal(signal.SIGHUP)
        self.testbed.until(lambda: "configuration reloaded" in self.gateway.log.read_text()[seen:])
        self.rewrite(policies=[{"to": "10.300.0.0/16", "action": "bypass"}])
        self.gateway.send_signal(signal.SIGHUP)
        self.testbed.until(lambda: "10.300.0.0/16" in self.gateway.log.read_text()[seen:])
        self.assertTrue(self.gateway.alive())


class Watching(drop_case.EspDropCase):
    def client(self, *words, **streams):
        process = self.testbed.namespace.popen(program("espgatectl"), "--socket", self.gateway.socket, *words,
                                               **streams)
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        return process

    def send_until(self, holds):
        def attempt():
            self.testbed.send("outside", self.outer(self.esp()))
            return holds()

        self.testbed.until(attempt, 20)

    def test_capture_into_a_pipe(self):
        capture = self.client("capture", "--port", "outside", "--count", "5", "--write", "-", stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        self.addCleanup(capture.stdout.close)
        self.send_until(lambda: capture.poll() is not None)
        read = subprocess.run(["tshark", "-n", "-r", "-"], input=capture.stdout.read(), check=True,
                              capture_output=True)
        self.assertEqual(len(read.stdout.splitlines()), 5)
        self.assertIn(b"ESP (SPI=0x00001001)", read.stdout)
        self.assertEqual(capture.returncode, 0)

    def test_ctrl_c_leaves_a_complete_capture(self):
        path = f"{self.testbed.workdir}/interrupted.pcap"
        capture = self.client("capture", "--port", "outside", "--write", path, stderr=subprocess.DEVNULL)
        self.send_until(lambda: os.path.exists(path) and os.path.getsize(path) > 24)
        capture.send_signal(signal.SIGINT)
        self.assertEqual(capture.wait(10), 0)
        frames = subprocess.run(["tshark", "-n", "-r", path], check=True, capture_output=True).stdout
        self.assertGreater(len(frames.splitlines()), 0)

    def test_one_capture_at_a_time(self):
        path = f"{self.testbed.workdir}/first.pcap"
        first = self.client("capture", "--port", "outside", "--write", path, stderr=subprocess.DEVNULL)
        self.send_until(lambda: os.path.exists(path) and os.path.getsize(path) > 24)
        code, _, err = self.gateway.ctl("capture", "--port", "inside", "--count", "1")
        self.assertEqual(code, 1)
        self.assertIn("another capture is running", err)
        first.send_signal(signal.SIGINT)
        self.assertEqual(first.wait(10), 0)

    def test_a_reason_that_no_worker_has_cannot_be_captured(self):
        for reason in ("342", "HOST_INJECT_FULL"):
            code, _, err = self.gateway.ctl("capture", "--drop", reason, "--count", "1", "--write",
                                            f"{self.testbed.workdir}/none.pcap", timeout_s=5)
            self.assertEqual(code, 1)
            self.assertIn("cannot be captured", err)
            self.assertIn("tcpdump", err)

    def test_a_reader_that_goes_away_ends_the_capture(self):
        capture = self.client("capture", "--port", "outside", "--write", "-", stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        capture.stdout.close()
        self.send_until(lambda: capture.poll() is not None)
        self.assertTrue(self.gateway.alive())

    def test_trace_as_text(self):
        self.gateway.ask("trace", "clear")
        self.assertIn("no traced packets", self.gateway.ctl("trace", "show")[1])
        self.gateway.ask("trace", "add", "5")
        self.assertIn("waiting for 5", self.gateway.ctl("trace", "show")[1])
        self.testbed.send("outside", *(self.outer(self.esp()) for _ in range(5)))
        self.testbed.until(lambda: len(self.gateway.ask("trace", "show")["packets"]) == 5)
        text = self.gateway.ctl("trace", "show")[1]
        self.assertEqual(text.count("verdict             FORWARDED"), 5)
        self.assertEqual(text.count("IPv4 192.0.2.2 > 192.0.2.1, ESP, SPI 0x00001001"), 5)
        self.assertEqual(text.count("inner IPv4 10.2.1.9 > 10.1.0.10"), 5)

    def test_trace_follows_until_ctrl_c(self):
        follower = self.client("--json", "trace", "show", "--follow", stdout=subprocess.PIPE)
        self.addCleanup(follower.stdout.close)
        self.gateway.ask("trace", "add", "1")
        self.testbed.send("outside", self.outer(self.esp()))
        time.sleep(0.3)
        follower.send_signal(signal.SIGINT)
        out, _ = follower.communicate(timeout=10)
        self.assertEqual(follower.returncode, 0)
        self.assertGreaterEqual(len(json.loads(out)["packets"]), 1)


def _machine_state():
    """What daemons have outside of their namespaces and folders, and could leave behind."""
    folders = ("/run/espgate", "/run/dpdk", "/dev/hugepages")
    return {name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder) if "espgate" in name}


class Stopping(unittest.TestCase):
    def stops_under_load(self, with_signal, workers):
        settings = drop_case.EspDropCase.settings()
        settings["worker_cpus"] = [1] * workers
        before = _machine_state()
        self.addCleanup(cleanup.now)
        testbed = Testbed(settings)
        testbed.gateway.start()
        instances = _machine_state() - before  # its own; tests side by side have others, which come and go
        self.assertNotEqual(instances, set())
        testbed.attach()
        over = threading.Event()
        frames = [testbed.frame("inside", packets.udp_packet(INSIDE.host[4], host(PLAIN4, 4), port, 5, bytes(100)))
                  for port in range(1, 65)]

        def load():
            while not over.is_set():
                testbed.inside.send(*frames)

        sender = threading.Thread(target=load)
        sender.start()
        try:
            testbed.until(lambda: testbed.gateway.received() > 1000)
            begun = time.monotonic()
            testbed.gateway.stop(with_signal)
            took_s = time.monotonic() - begun
        finally:
            over.set()
            sender.join()
        crowded = os.getloadavg()[0] > os.cpu_count()
        self.assertLess(took_s, 5 if crowded else 1)
        self.assertFalse(testbed.gateway.socket.exists())
        _, links, _ = testbed.namespace.ip("-o", "link")
        self.assertEqual([line for line in links.splitlines() if "veth" not in line and ": lo:" not in line], [])
        self.assertEqual([name for name in _machine_state() if any(instance in name for instance in instances)], [])

    def test_clients_in_flight_are_told(self):
        self.addCleanup(cleanup.now)
        testbed = Testbed(drop_case.EspDropCase.settings())
        testbed.start()
        commands = {"capture": ["capture", "--port", "outside", "--write", f"{testbed.workdir}/cut.pcap"],
                    "follow": ["--json", "trace", "show", "--follow"]}
        clients = {}
        for name, words in commands.items():
            clients[name] = testbed.namespace.popen(program("espgatectl"), "--socket", testbed.gateway.socket, *words,
                                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(lambda client=clients[name]: client.poll() is None and client.kill())
        frame = packets.echo(OUTSIDE.host[4], OUTSIDE.gateway[4], 1, 1)
        testbed.until(lambda: testbed.send("outside", frame) or os.path.exists(f"{testbed.workdir}/cut.pcap"))
        testbed.until(lambda: os.path.getsize(f"{testbed.workdir}/cut.pcap") > 24)
        testbed.gateway.ask("trace", "add", "1")
        testbed.send("outside", frame)
        said = clients["follow"].stdout.readline()  # it is connected
        begun = time.monotonic()
        testbed.gateway.stop()
        self.assertLess(time.monotonic() - begun, 5)
        for name, client in clients.items():
            out, err = client.communicate(timeout=5)
            self.assertEqual(client.returncode, 1, name)
            self.assertIn(b"espgated was stopped; the answer ends here", out + err)
        json.loads(said + out)  # of "follow": a document all the same
        subprocess.run(["tshark", "-n", "-r", f"{testbed.workdir}/cut.pcap"], check=True, capture_output=True)

    def test_sigterm(self):
        self.stops_under_load(signal.SIGTERM, 1)

    def test_ctrl_c_with_two_workers(self):
        self.stops_under_load(signal.SIGINT, 2)


class Killed(unittest.TestCase):
    def test_it_starts_at_once_though_the_killed_one_has_not_ended(self):
        self.addCleanup(cleanup.now)
        testbed = Testbed(drop_case.EspDropCase.settings())
        gateway = testbed.gateway.start()
        for _ in range(3):
            killed = gateway.pid
            gateway.send_signal(signal.SIGKILL)
            gateway.start()
            self.assertNotEqual(gateway.pid, killed)
        self.assertNotIn("another espgated", gateway.log_text())
        testbed.attach()
        testbed.send("inside", packets.udp_packet(INSIDE.host[4], host(PLAIN4, 4), 4, 5, b"again"))
        self.assertIsNotNone(testbed.outside.expect(packets.is_ip(destination=OUTSIDE.host[4])))
        gateway.stop()


class PulledPort(drop_case.EspDropCase):
    def test_a_port_that_vanishes_is_reported_and_survived(self):
        self.testbed.namespace.ip("link", "del", "veth-out")
        self.testbed.until(lambda: "port outside" in self.gateway.log_text() and "is gone" in self.gateway.log_text())
        (outside,) = [port for port in self.gateway.ask("show", "ports")["ports"] if port["name"] == "outside"]
        self.assertEqual(outside["link"], "gone")
        self.expect("PORT_DOWN", "inside", self.from_inside(host(PLAIN4, 4)))
        self.testbed.inside.drain()
        self.testbed.send("inside", packets.echo(INSIDE.host[4], INSIDE.gateway[4], 1, 1))
        self.assertIsNotNone(self.testbed.inside.expect(packets.is_ip(source=INSIDE.gateway[4])))


class Twins(drop_case.EspDropCase):
    def test_a_decrypted_packet_to_our_own_address_comes_to_the_twin_that_has_it(self):
        twin = Wire(self.testbed.namespace, "inside")
        self.addCleanup(twin.close)
        for version in (4, 6):
            address = INSIDE.gateway[version]
            inner = self.inner(version=version, destination=address)
            esp = self.esp(payload=inner, next_header=packets.IPV4 if version == 4 else packets.IPV6)
            self.testbed.send("outside", self.outer(esp))
            self.assertIsNotNone(twin.expect(packets.is_ip(destination=address)))


class RemovedTwin(drop_case.EspDropCase):
    def test_a_twin_that_is_removed_is_reported_once_and_survived(self):
        self.testbed.namespace.ip("link", "del", "inside")
        self.testbed.until(lambda: "port inside: cannot read from inside" in self.gateway.log_text())
        before_s = self.gateway.cpu_s()
        time.sleep(1)
        self.assertLess(self.gateway.cpu_s() - before_s, 0.5, "the control core must not spin")
        self.assertEqual(self.gateway.log_text().count("cannot read from inside"), 1)
        ports = {port["name"]: port for port in self.gateway.ask("show", "ports")["ports"]}
        self.assertEqual({name: port["twin_gone"] for name, port in ports.items()},
                         {"outside": False, "inside": True})
        self.assertIn("Restart espgated", self.gateway.ctl("show", "ports")[1])
        # What needs no address of the inside goes on: from inside into the tunnel, and the other port's twin.
        self.testbed.outside.drain()
        self.testbed.send("inside", self.from_inside(host(PLAIN4, 4)))
        sent = self.testbed.outside.expect(packets.is_ip(destination=OUTSIDE.host[4]))
        self.assertIsNotNone(sent)
        self.testbed.send("outside", packets.echo(OUTSIDE.host[4], OUTSIDE.gateway[4], 1, 1))
        self.assertIsNotNone(self.testbed.outside.expect(packets.is_ip(source=OUTSIDE.gateway[4])))

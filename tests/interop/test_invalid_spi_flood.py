"""ESP with random SPIs, half of it in the names of real peers, beside good traffic of their tunnels, which get new keys
meanwhile.

ESPGATE_SPI_FLOOD_SECONDS says how long (`scripts/long-tests --only spi-flood`: a minute). Once as fast as one sender can, on
the cable that the good traffic comes by: the same frames to an address that is not the gateway's show what its port loses by
itself. And once by a port of its own that always has more of them than the worker takes.
"""

import ipaddress
import os
import random
import struct
import time
import unittest

from lib import flood, pair, packets, pcap_port, wire
from lib.ike_case import IkeCase, connection, gateway
from lib.invalid_spi_case import TOLD, flow_of, lines_of
from lib.loop_times import Reading
from lib.stream import Stream

SECONDS = int(os.environ.get("ESPGATE_SPI_FLOOD_SECONDS", "20"))
REKEY_EACH_S = min(10, SECONDS / 2)
PEERS = 4
FIRST_STRANGER, STRANGERS = int(ipaddress.ip_address("198.18.0.1")), 60_000
NOISE_TO = "192.0.2.99"
MOST_GROWTH_BYTES = 8 << 20  # with packet buffers that were never used before, which are reserved
MOST_HEAP_BYTES = 2 << 20  # of control's
MOST_MORE_LOST = 0.02  # of the good traffic, than beside noise: which frames the port drops is chance
IN_TIME_S = 5
LINGER_S = 2
ANSWERS_PER_S = 200  # limits.invalid-spi-repairs, and as many unprotected
LINES_PER_S = 20  # ten of SPIs that were ours, and ten of others
DIFFERENT_FRAMES = 8192  # of the port that never ends: twice the flows that are kept
MOST_WORK_US = 3_000  # of CPU time in one round of the control loop, so that all flows are never shown in one
BUSY = 0.99  # of a worker's cycles: it is at its limit


def outer(number):
    """Of gateway a, for that tunnel."""
    return pair.OUTER["a"][4] if number == 0 else f"192.0.2.{10 + number}"


def inner(number):
    """Of the host behind it."""
    return f"10.1.0.{10 + number}"


def site(number):
    return f"site{number or ''}"


def tunnel(name, number):
    ours, theirs = ("local", "remote") if name == "a" else ("remote", "local")
    return connection(name, site(number), **{ours: outer(number), f"{ours}_networks": [f"{inner(number)}/32"],
                                             f"{theirs}_networks": [pair.NETWORK["b"][4]]})


def made_up(frame, number, chance):
    """To gateway b: a random SPI, every other in the name of a peer."""
    peer = int(ipaddress.ip_address(outer(number // 2 % PEERS)))
    flood.Flood.set_source(frame, peer if number % 2 else FIRST_STRANGER + number // 2 % STRANGERS)
    struct.pack_into("!I", frame, 34, chance.randrange(256, 1 << 32))


def esp(destination_mac, source_mac, source, to, spi):
    return packets.ethernet(destination_mac, source_mac,
                            packets.ipv4(source, to, packets.ESP, struct.pack("!II", spi, 1) + bytes(72)))


class OnTheCable(flood.Flood):
    def __init__(self, between, to):
        a, b = (between[name] for name in pair.NAMES)
        super().__init__(a, "veth-out", esp(b.mac("outside"), a.mac("veth-out"), outer(0), to, 256), 10**6)
        self._random = random.Random(1)

    def vary(self, frame, number):
        made_up(frame, number, self._random)


class Tunnels(IkeCase):
    """From each of a's addresses one to b, which is flooded."""

    @classmethod
    def settings(cls, name):
        settings = gateway(name, [tunnel(name, number) for number in range(PEERS)], log_level="info",
                           limits={"linger_seconds": LINGER_S},
                           routes=[{"to": "198.18.0.0/15", "via": pair.OUTER["a"][4]}] if name == "b" else [])
        if name == "a":
            settings["ports"][0]["addresses"] += [f"{outer(number)}/24" for number in range(1, PEERS)]
        return settings

    def setUp(self):
        for number in range(1, PEERS):
            self.pair.host["a"].ip("address", "add", f"{inner(number)}/24", "dev", "lan")
        self.rekeyed_in_s = []
        self.cable = wire.Wire(self.pair.namespace["a"], "veth-out")
        self.addCleanup(self.cable.close)

    def inbound_spi(self, number):
        return self.up("b", site(number))["children"][0]["inbound_spi"]

    def rekey(self, number):
        """The SPI before."""
        before, asked = self.inbound_spi(number), time.monotonic()
        self.gateway("a").ask("rekey", site(number))
        self.until(lambda: self.inbound_spi(number) != before, IN_TIME_S)
        self.rekeyed_in_s.append(time.monotonic() - asked)
        return before

    def beside(self, seconds, meanwhile=lambda: None):
        """How much of the good traffic of all tunnels is sent and lost; each gets new keys now and then."""
        to = self.pair.host["b"], pair.HOST["b"][4]
        ends, streams = time.monotonic() + seconds, []
        try:
            for number in range(PEERS):
                stream = Stream((self.pair.host["a"], inner(number)), to, 9001 + number, per_second=250)
                streams.append(stream.__enter__())
            meanwhile()
            while (left_s := ends - time.monotonic()) > 0:
                time.sleep(min(REKEY_EACH_S, left_s))
                for number in range(PEERS):
                    self.rekey(number)
        finally:
            for stream in streams:
                stream.__exit__()
        return sum(stream.sent for stream in streams), sum(len(stream.missing) for stream in streams)

    def answers(self):
        """IKE messages that b has sent."""
        frames = [packets.ip_of(frame) for frame in self.cable.drain(0.3)]
        return sum(packet is not None and packet.protocol == packets.UDP for packet in frames)

    def lines(self):
        return sum("%CRYPTO-4-RECVD_PKT_INV_SPI" in line for line in self.gateway("b").log.read_text().splitlines())


class OnTheirCable(Tunnels):
    def test_flood(self):
        self.assert_passes()
        b = self.gateway("b")
        with OnTheCable(self.pair.namespace, NOISE_TO):
            sent, missing = self.beside(4)
            lost_by_port = missing / sent
        self.cable.drain()
        resident, before, began = b.resident_bytes(), b.counters(), time.monotonic()
        with OnTheCable(self.pair.namespace, pair.OUTER["b"][4]) as frames:
            sent, missing = self.beside(SECONDS)
            per_s = frames.sent / (time.monotonic() - began)
        took_s, grown = time.monotonic() - began, b.resident_bytes() - resident
        moved, lost, answers = b.counters().since(before), missing / sent, self.answers()
        print(f"\n{per_s:,.0f} random SPIs a second on the cable: {100 * lost:.2f} % of {sent:,} good packets lost, beside other "
              f"frames {100 * lost_by_port:.2f} %; {grown / 1e6:.1f} MB more; {answers} IKE messages in {took_s:.0f} s; "
              f"{len(self.rekeyed_in_s)} rekeys within {max(self.rekeyed_in_s):.2f} s", end="")
        # Nothing that the port delivered is lost for any other reason.
        self.assertEqual(set(moved.drops), {"IN_US_V4_PKT_SA_NOT_FOUND_SPI"})
        self.assertLess(lost, lost_by_port + MOST_MORE_LOST)
        self.assertLess(grown, MOST_GROWTH_BYTES)
        self.assertLess(answers, ANSWERS_PER_S * took_s)
        self.assertIn("invalid SPI: a flood: more than 200 new flows a second", b.log.read_text())
        self.assertLess(self.lines(), LINES_PER_S * took_s)
        self.until(lambda: "the flood is over" in b.log.read_text())
        self.assert_passes()
        self.look_at_flows()

    def look_at_flows(self):
        """A full table is shown while the control loop goes on with other things."""
        b, loop = self.gateway("b"), Reading(self.gateway("b"))
        shown = b.ask("show", "invalid-spi")
        b.ask("show", "spi", shown["flows"][0]["spi"])
        loop = Reading(b).since(loop)
        print(f"\n{len(shown['flows'])} flows shown; control loop: longest {loop['max_us']} us, {loop['work']['max_us']} us of work", end="")
        self.assertEqual((len(shown["flows"]), shown["found"]), (shown["limit"], shown["limit"]))
        self.assertLess(loop["work"]["max_us"], MOST_WORK_US)
        self.assertEqual(len({flow["spi"] for flow in shown["flows"]}), shown["limit"])
        top = b.ask("show", "invalid-spi", "--top", 5)["flows"]
        self.assertEqual([flow["packets"] for flow in top], sorted((flow["packets"] for flow in shown["flows"]), reverse=True)[:5])
        of_peer = b.ask("show", "invalid-spi", "--connection", site(1))["flows"]
        self.assertGreater(len(of_peer), 0)
        self.assertEqual({(flow["connection"], flow["source"]) for flow in of_peer}, {(site(1), outer(1))})


class WorkerAtItsLimit(Tunnels):
    @classmethod
    def settings(cls, name):
        settings = super().settings(name)
        if name == "a":
            return settings
        path, chance, frames = f"/tmp/espgate-{os.getpid()}-flood.pcap", random.Random(1), []
        frame = bytearray(esp(pcap_port.MAC, "02:00:00:00:00:02", outer(0), pair.OUTER["b"][4], 256))
        for number in range(DIFFERENT_FRAMES):
            made_up(frame, number, chance)
            frames.append(bytes(frame))
        pcap_port.capture_file(path, frames)
        cls.addClassCleanup(os.unlink, path)
        settings["ports"].append({"name": "flood", "device": f"net_pcap0,rx_pcap={path},infinite_rx=1", "ipsec": True,
                                  "addresses": ["203.0.113.1/24"]})
        return settings

    def load(self):
        worker, = self.gateway("b").ask("show", "workers")["workers"]
        return worker["busy_cycles"], worker["idle_cycles"], worker["conservation"]["received"]

    def keep_to(self, number, spi, kind):
        """That peer keeps to an SA that is gone; b finds out beside all that is made up, and tells it."""
        b, began = self.gateway("b"), time.monotonic()
        frame = esp(self.pair.namespace["b"].mac("outside"), self.cable.mac, outer(number), pair.OUTER["b"][4], int(spi, 16))

        def is_told():
            self.cable.send(frame)
            flow = flow_of(b, spi)
            return flow is not None and flow["repair"] in TOLD
        self.until(is_told, IN_TIME_S)
        self.found_in_s.append(time.monotonic() - began)
        self.heap = b.heap_bytes()  # with what the longest answer took
        line, = self.until(lambda: lines_of(b, spi), 1)
        self.assertIn(f"espgate: {kind}, connection {site(number)}, ", line)
        self.assertIn(TOLD[0], line)

    def all_up(self):
        self.assert_passes()
        for number in range(PEERS):
            self.until(lambda of=site(number): self.up("b", of))

    def test_flood(self):
        self.all_up()
        b = self.gateway("b")
        left_behind, self.found_in_s = self.inbound_spi(PEERS - 2), []
        b.kill()
        b.start()
        self.all_up()
        stale = self.rekey(PEERS - 1)
        time.sleep(LINGER_S + 2)
        self.cable.drain()
        lines = self.lines()
        before, loop, load, began = b.counters(), Reading(b), self.load(), time.monotonic()

        def keep_to_both():
            self.keep_to(PEERS - 1, stale, "just rekeyed")
            self.keep_to(PEERS - 2, left_behind, "before restart")
        sent, missing = self.beside(SECONDS, keep_to_both)
        took_s, grown, answers = time.monotonic() - began, b.heap_bytes() - self.heap, self.answers()
        busy, idle, received = (now - then for now, then in zip(self.load(), load))
        moved, loop, share = b.counters().since(before), Reading(b).since(loop), busy / (busy + idle)
        print(f"\n{received / took_s:,.0f} random SPIs a second by a port of their own, the worker busy for {100 * share:.1f} % of its "
              f"cycles: {missing} of {sent:,} good packets lost; {grown / 1e6:.1f} MB more on control's heap; {answers} IKE "
              f"messages in {took_s:.0f} s; {len(self.rekeyed_in_s)} rekeys within {max(self.rekeyed_in_s):.2f} s; peers that keep to an SA "
              f"of before a rekey or restart found out in {' and '.join(f'{s:.2f}' for s in self.found_in_s)} s; control loop: p99 {loop['p99_us']} us, longest {loop['max_us']} us",
              end="")
        self.assertGreater(share, BUSY)
        self.assertEqual(missing, 0)
        self.assertEqual(set(moved.drops), {"IN_US_V4_PKT_SA_NOT_FOUND_SPI", "IN_SA_RETIRED"})
        self.assertLess(grown, MOST_HEAP_BYTES)
        self.assertLess(answers, ANSWERS_PER_S * took_s)
        self.assertLess(self.lines() - lines, LINES_PER_S * (took_s + 1))
        self.assert_passes()


if __name__ == "__main__":
    unittest.main()

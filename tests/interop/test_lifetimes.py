"""Lifetimes by real frames: exactly as many packets pass as may, what comes afterwards is dropped by name and never
leaves in clear, and the operator is told of both.
"""

import collections
import time

from lib import case, configuration, drop_case, packets
from lib.coverage import fires
from lib.encapsulation import wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, standard_ports

HARD_PACKETS = 1000
COUNTED, TIMED, BYTES = 1, 2, 3


class Lifetimes(case.GatewayCase):
    @classmethod
    def settings(cls):
        lifetimes = {COUNTED: {"soft_packets": 900, "hard_packets": HARD_PACKETS},
                     TIMED: {"soft_seconds": 1, "hard_seconds": "3 s"},
                     BYTES: {"soft_bytes": "1 kB", "hard_bytes": "2 kB"}}
        return configuration.gateway(
            standard_ports(), workers=2,
            connections=[configuration.connection(
                f"c{number}", OUTSIDE.gateway[4], OUTSIDE.host[4], INSIDE_NETWORKS.values(),
                [drop_case.network(number, 4)], inbound=(0x1000 + number, keymat(0x1000 + number)),
                outbound=(0x2000 + number, keymat(0x2000 + number)), lifetime=lifetime)
                for number, lifetime in lifetimes.items()])

    def inbound(self, number, sequences):
        sa = GcmSa(0x1000 + number, keymat(0x1000 + number))
        inner = packets.udp_packet(drop_case.host(number, 4), INSIDE.host[4], 5, 6, bytes(72))
        return [wrap(sa.seal(inner, packets.IPV4, sequence), OUTSIDE.host[4], OUTSIDE.gateway[4],
                     udp_encapsulated=False) for sequence in sequences]

    def outbound(self, number, count):
        return [packets.udp_packet(INSIDE.host[4], drop_case.host(number, 4), 6, 5, bytes(72))] * count

    def sa(self, spi):
        (found,) = self.gateway.ask("show", "sa", "--spi", f"{spi:#x}")["sas"]
        return found

    def events(self, kind, number):
        return [event for event in self.gateway.ask("show", "events")["events"]
                if event["event"] == kind and event["subject"] == f"c{number}"]

    def left_outside(self):
        """How many packets of each protocol left for the peer or its networks since the last look."""
        found = [packets.ip_of(frame) for frame in self.testbed.outside.drain(0.3)]
        return dict(collections.Counter(packet.protocol for packet in found if packet is not None and
                                        packet.destination in (OUTSIDE.host[4], drop_case.host(COUNTED, 4))))

    @fires("IN_CD_SW_IPSEC_HARD_EXPIRY")
    def test_18(self):
        before = self.settled()
        self.testbed.send("outside", *self.inbound(COUNTED, range(1, HARD_PACKETS + 51)))
        moved = self.settled().since(before)
        self.assertEqual(moved.drops, {"IN_CD_SW_IPSEC_HARD_EXPIRY": 50})
        sa = self.sa(0x1000 + COUNTED)
        self.assertEqual((sa["packets"], sa["state"]), (HARD_PACKETS, "expired"))
        self.assertEqual(sa["faults"],
                         [{"number": 18, "name": "IN_CD_SW_IPSEC_HARD_EXPIRY", "packets": 50}])
        self.assertEqual(sa["lifetime"]["hard_packets"], HARD_PACKETS)
        self.assertIn("expired", self.gateway.ask("show", "spi", f"{0x1000 + COUNTED:#x}")["state"])

    @fires("OUT_CD_SW_IPSEC_HARD_EXPIRY")
    def test_44(self):
        before = self.settled()
        self.testbed.outside.drain()
        self.testbed.send("inside", *self.outbound(COUNTED, HARD_PACKETS + 50))
        moved = self.settled().since(before)
        self.assertEqual(moved.drops, {"OUT_CD_SW_IPSEC_HARD_EXPIRY": 50})
        self.assertEqual(self.sa(0x2000 + COUNTED)["packets"], HARD_PACKETS)
        self.assertEqual(self.left_outside(), {packets.ESP: HARD_PACKETS})
        self.testbed.send("inside", *self.outbound(COUNTED, 3))
        self.assertEqual(self.settled().since(before).drops, {"OUT_CD_SW_IPSEC_HARD_EXPIRY": 53})
        self.assertEqual(self.left_outside(), {})

    def test_44_told_and_kept_over_a_reload(self):
        self.testbed.until(lambda: len(self.events("hard-expiry", COUNTED)) == 2)
        self.assertEqual(len(self.events("soft-expiry", COUNTED)), 2, "each direction is told of once")
        self.assertIn("is past its hard lifetime", self.gateway.log.read_text())
        self.gateway.ask("reload")
        self.assertEqual(self.sa(0x2000 + COUNTED)["state"], "expired")
        before = self.settled()
        self.testbed.send("inside", *self.outbound(COUNTED, 2))
        self.assertEqual(self.settled().since(before).drops, {"OUT_CD_SW_IPSEC_HARD_EXPIRY": 2})

    def test_bytes(self):
        """20 packets of 100 bytes are 2 kB."""
        before = self.settled()
        self.testbed.send("outside", *self.inbound(BYTES, range(1, 26)))
        self.assertEqual(self.settled().since(before).drops, {"IN_CD_SW_IPSEC_HARD_EXPIRY": 5})
        self.assertEqual(self.sa(0x1000 + BYTES)["bytes"], 2000)

    def test_seconds(self):
        deadline = time.monotonic() + 10
        while len(self.events("hard-expiry", TIMED)) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual(len(self.events("hard-expiry", TIMED)), 2)
        self.assertEqual(len(self.events("soft-expiry", TIMED)), 2)
        before = self.settled()
        self.testbed.send("outside", *self.inbound(TIMED, [1]))
        self.testbed.send("inside", *self.outbound(TIMED, 1))
        self.assertEqual(self.settled().since(before).drops,
                         {"IN_CD_SW_IPSEC_HARD_EXPIRY": 1, "OUT_CD_SW_IPSEC_HARD_EXPIRY": 1})

    def test_z_a_deleted_sa_comes_back_with_the_lifetime_that_its_key_has_left(self):
        self.gateway.ask("sa", "delete", f"{0x2000 + COUNTED:#x}")
        self.gateway.ask("reload")
        before = self.settled()
        self.testbed.outside.drain()
        self.testbed.send("inside", *self.outbound(COUNTED, 2))
        self.assertEqual(self.settled().since(before).drops, {"OUT_CD_SW_IPSEC_HARD_EXPIRY": 2})
        self.assertEqual(self.left_outside(), {})

    def test_zx_another_key_makes_it_live_again_and_the_connection_keeps_its_totals(self):
        """After all others: the configuration changes."""
        connections = [dict(connection) for connection in self.gateway.settings["connections"]]
        connections[0]["inbound"] = dict(connections[0]["inbound"], key=keymat(0x3001))
        connections[0]["outbound"] = dict(connections[0]["outbound"], key=keymat(0x4001))
        settings = dict(self.gateway.settings, connections=connections)
        self.gateway.file.write_text(configuration.text(settings))
        self.gateway.ask("reload")
        self.assertEqual(self.sa(0x1000 + COUNTED)["state"], "active")
        self.testbed.send("inside", *self.outbound(COUNTED, 1))
        totals = {entry["connection"]: entry for entry in self.gateway.ask("show", "connections")["connections"]}
        self.assertEqual(totals[f"c{COUNTED}"]["in"]["packets"], HARD_PACKETS)
        self.testbed.until(lambda: next(
            entry for entry in self.gateway.ask("show", "connections")["connections"]
            if entry["connection"] == f"c{COUNTED}")["out"]["packets"] == HARD_PACKETS + 1)

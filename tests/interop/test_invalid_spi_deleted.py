"""An SA that one gateway has deleted, and the other has not heard of it: by a lost DELETE, an operator, a rekey."""

import time
import unittest

from lib import pair, packets, wire
from lib.ike_case import connection, gateway
from lib.invalid_spi_case import BEGUN, TOLD, InvalidSpiCase
from lib.router import Router
from lib.stream import Stream

BETWEEN_TRIES_S = 2.4  # behind the second, by default, and when a child that is deleted so soon may be made again
IN_FLIGHT_S = 1  # of packets that were sent before the peer heard of anything


class Unheard(InvalidSpiCase):
    """Of a deletion the other side does not hear."""

    BETWEEN = Router
    IKE = {"start": "passive", "liveness": 0}

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike=cls.IKE)])

    def tearDown(self):
        self.pair.between.refuse_nothing()

    def begin(self):
        self.gateway("a").ask("initiate", "site")
        self.assert_passes()

    def retired(self, spi, name):
        return self.gateway(name).ask("show", "spi", spi)["state"] == "retired"


class OneSide(Unheard):
    IKE = Unheard.IKE | {"tries": 1}

    def delete_unheard(self, lost):
        """That side deletes it, says so in vain, and gives the IKE SA up as well."""
        sender = pair.other(lost)
        self.begin()
        self.stale = self.outbound_spi(sender)
        self.pair.between.refuse_informational(lost)
        self.gateway(lost).ask("sa", "delete", self.stale)
        self.until(lambda: [sa["state"] for sa in self.ike_sas(lost)] == ["down"])
        self.until(lambda: self.retired(self.stale, lost))
        self.pair.between.refuse_nothing()
        time.sleep(IN_FLIGHT_S)
        self.assertEqual(self.outbound_spi(sender), self.stale)
        self.before = self.gateway(lost).counters()

    def recovers(self, lost):
        sender = pair.other(lost)
        self.begin()
        self.assert_recovers(lambda: self.delete_unheard(lost), sender, what=f"{lost} deleted, {sender} did not hear of it")
        flow = self.assert_explained(self.stale, "deleted", BEGUN, lost)
        self.assertEqual(self.gateway(lost).counters().since(self.before).of("IN_SA_RETIRED"), flow["packets"])
        self.assertEqual(self.pair.ping(lost), 3, self.logs())

    def test_by_the_responder(self):
        self.recovers("b")

    def test_by_the_initiator(self):
        self.recovers("a")

    def terminated(self, lost):
        """By an operator, whose word stands until another."""
        sender = pair.other(lost)
        self.begin()
        stale = self.outbound_spi(sender)
        self.pair.between.refuse_informational(lost)
        self.gateway(lost).ask("terminate", "site")
        shown = self.gateway(lost).ask("show", "connections")["connections"][0]
        self.assertEqual((shown["state"], shown["outbound_spi"]), ("closing", None))
        self.until(lambda: self.retired(stale, lost))
        time.sleep(IN_FLIGHT_S)
        self.assertEqual(self.pair.ping(sender, count=3), 0)
        flow = self.flow(stale, lost)
        self.assertEqual((flow["class"], flow["repair"]), ("deleted", "the connection was terminated by an operator"))
        self.assertEqual(len(self.lines(stale, lost)), 1)
        self.assertIn("the peer did not hear of the deletion", self.lines(stale, lost)[0])
        self.pair.between.refuse_nothing()
        self.gateway(lost).ask("initiate", "site")
        self.assert_passes(sender)

    def test_terminated_by_the_responder(self):
        self.terminated("b")

    def test_terminated_by_the_initiator(self):
        self.terminated("a")


class WithIkeSa(Unheard):
    """The same where the IKE SA is there. What the peer sends is still taken, and tells that it has not heard."""

    IKE = {"liveness": 0}

    def delete(self, ours):
        """That side says so in vain, and does not go on saying it for a while; nothing is sent meanwhile."""
        self.begin()
        inbound = self.outbound_spi(pair.other(ours))
        self.pair.between.refuse_informational(ours)
        self.gateway(ours).ask("sa", "delete", inbound)
        time.sleep(BETWEEN_TRIES_S)
        self.pair.between.refuse_nothing()
        self.assertEqual(self.outbound_spi(pair.other(ours)), inbound)
        self.assertIn("up", [sa["state"] for sa in self.ike_sas(ours)])

    def recovery_s(self, sender, version=4, timeout_s=15):
        """From the first packet that this side's host sends to the first that comes back, of those sent all the time."""
        hosts = [(self.pair.host[name], pair.HOST[name][version]) for name in (sender, pair.other(sender))]
        with Stream(*reversed(hosts), 9002, per_second=1000) as back:
            self.until(lambda: back.sent > 50)
            self.assertIsNone(back.first_came_s)
            with Stream(*hosts, 9001, per_second=1000) as out:
                self.until(lambda: back.first_came_s is not None, timeout_s)
        return back.began + back.first_came_s - out.began

    def recovers(self, ours):
        peer = pair.other(ours)
        self.begin()
        self.assert_recovers(lambda: self.delete(ours), peer, what=f"{peer} did not hear of a DELETE so far")

    def test_by_the_responder(self):
        self.recovers("b")

    def test_by_the_initiator(self):
        self.recovers("a")


class Stray(InvalidSpiCase):
    """Single packets from a's side of the cable, while everything is up. What b says, it says by IKE."""

    LINGER_S = 1

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike={"start": "always" if name == "a" else "passive", "liveness": 0},
                                         follow_peer=False)], limits={"linger_seconds": cls.LINGER_S})

    def setUp(self):
        self.assert_passes()
        self.cable = wire.Wire(self.pair.namespace["a"], "veth-out")
        self.addCleanup(self.cable.close)
        self.sas = self.outbound_spi("a"), self.outbound_spi("b")

    def stray(self, spi, source=pair.OUTER["a"][4], destination=pair.OUTER["b"][4]):
        """What b counts, and how often it says something within a moment."""
        before = self.gateway("b").counters()
        self.cable.drain()
        esp = int(spi, 16).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes(64)
        self.cable.send(packets.ethernet(self.pair.namespace["b"].mac("veth-out"), self.cable.mac,
                                         packets.ipv4(source, destination, packets.ESP, esp)))
        drops = self.until(lambda: self.gateway("b").counters().since(before).drops)
        frames = [packets.ip_of(frame) for frame in self.cable.drain(0.3)]
        return drops, sum(packet is not None and packet.protocol == packets.UDP for packet in frames)

    def assert_unharmed(self):
        self.assertEqual((self.outbound_spi("a"), self.outbound_spi("b")), self.sas)
        self.assertEqual(self.pair.ping("a"), 3, self.logs())

    def lines_from_a(self, spi):
        return [line for line in self.lines(spi) if f"srcaddr={pair.OUTER['a'][4]}," in line]

    def test_an_spi_whose_sa_is_not_in_place_yet(self):
        spi = self.gateway("b").ask("sa", "reserve")["spi"]
        self.assertEqual(self.stray(spi), ({"IN_SA_LARVAL": 1}, 0))
        flow = self.flow(spi)
        self.assertEqual((flow["class"], flow["repair"], flow["logged"]), ("larval", "nothing was done", False))
        self.assertEqual(self.lines(spi), [])
        self.gateway("b").ask("sa", "delete", spi)
        self.assert_unharmed()

    def test_late_after_a_rekey(self):
        stale = self.outbound_spi("a")
        self.gateway("a").ask("rekey", "site")
        self.until(lambda: self.outbound_spi("a") != stale)
        self.until(lambda: self.gateway("b").ask("show", "spi", stale)["state"] == "retired")
        self.sas = self.outbound_spi("a"), self.outbound_spi("b")
        self.assertEqual(self.stray(stale), ({"IN_SA_RETIRED": 1}, 0))
        flow = self.flow(stale)
        self.assertEqual((flow["class"], flow["repair"]), ("just rekeyed", "nothing was done"))
        self.assertEqual(self.lines_from_a(stale), [])
        # Later it is told, as one who has not followed the rekey, and the line says so.
        time.sleep(IN_FLIGHT_S)
        drops, said = self.stray(stale)
        self.assertEqual(drops, {"IN_SA_RETIRED": 1})
        self.assertGreaterEqual(said, 1)
        self.assertIn(self.flow(stale)["repair"], TOLD)
        line, = self.lines_from_a(stale)
        self.assertTrue("espgate: just rekeyed, " in line and line.endswith(f"; {TOLD[0]}"), line)
        self.assert_unharmed()

    def test_an_spi_that_was_never_given_out(self):
        drops, said = self.stray("0x00badbad")
        self.assertEqual(drops, {"IN_US_V4_PKT_SA_NOT_FOUND_SPI": 1})
        self.assertGreaterEqual(said, 1)
        self.assert_explained("0x00badbad", "never issued", TOLD)
        self.assert_unharmed()

    def test_the_peers_spi_comes_to_us(self):
        """As from a sender that took the one for the other: a DELETE for it must not hit what has that number there."""
        mine = self.outbound_spi("b")  # a's
        drops, _ = self.stray(mine)
        self.assertEqual(drops, {"IN_US_V4_PKT_SA_NOT_FOUND_SPI": 1})
        flow = self.flow(mine)
        self.assertEqual((flow["source"], flow["class"], flow["repair"]),
                         (pair.OUTER["a"][4], "wrong destination", "nothing was done"))
        self.assert_unharmed()

    def test_a_stranger(self):
        drops, said = self.stray("0x00c0ffee", source="192.0.2.77")
        self.assertEqual((drops, said), ({"IN_US_V4_PKT_SA_NOT_FOUND_SPI": 1}, 0))
        flow = self.flow("0x00c0ffee")
        self.assertEqual((flow["class"], flow["repair"]), ("stranger", "nothing was done"))
        self.assertIn("stranger, unknown peer, 1 packet", self.lines("0x00c0ffee")[0])
        self.assert_unharmed()

    def test_to_somebody_else(self):
        drops, said = self.stray("0x00facade", destination="192.0.2.99")
        self.assertEqual((drops, said), ({"IN_TRANS_V4_IPSEC_PKT_NOT_FOUND_SPI": 1}, 0))
        self.assertIsNone(self.flow("0x00facade"))
        self.assert_unharmed()

    def test_to_another_address_of_ours(self):
        self.stray(self.sas[0], destination="10.2.0.1")
        flow = self.flow(self.sas[0])
        self.assertEqual((flow["class"], flow["repair"]), ("wrong destination", "nothing was done"))
        self.assertIn("its SA is from 192.0.2.1, plain, to 192.0.2.2", self.gateway("b").log.read_text())
        self.assert_unharmed()

    def test_from_an_address_that_the_peer_may_not_move_to(self):
        self.stray(self.sas[0], source="192.0.2.77")
        flow = next(flow for flow in self.gateway("b").ask("show", "invalid-spi")["flows"] if flow["source"] == "192.0.2.77")
        self.assertEqual((flow["class"], flow["repair"]), ("peer moved", "nothing was done"))
        self.assertIn("follow-peer", flow["explanation"])
        self.assert_unharmed()


class BeforeARestart(InvalidSpiCase):
    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name)], limits={"linger_seconds": 0})

    def state(self, spi):
        return self.gateway("b").ask("show", "spi", spi)["state"]

    def test_what_was_deleted_is_told_from_what_was_in_use(self):
        self.assert_passes()
        deleted = self.outbound_spi("a")
        self.gateway("a").ask("rekey", "site")
        self.until(lambda: self.state(deleted) == "retired")
        in_use = self.outbound_spi("a")
        self.crash("b")
        self.assertEqual((self.state(deleted), self.state(in_use)), ("retired", "before restart"))


if __name__ == "__main__":
    unittest.main()

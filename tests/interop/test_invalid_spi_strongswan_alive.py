"""strongSwan is there, and what comes from its side fits no SA here: what we count, say and do, and when traffic flows."""

import re
import time
import unittest

from lib import middle, packets
from lib.encapsulation import wrap
from lib.invalid_spi_case import BEGUN, TOKEN, TOLD, WORK_S, flow_of, lines_of
from lib.swan_case import GATEWAY, ROUTER_LEFT, SwanCase, inner, ours, outer, theirs
from lib.wire import Wire

LINGER_S = 1
IN_FLIGHT_S = 1  # of packets that were sent before the peer heard of anything
ROUND_TRIP_S = 0.005  # kernel-libipsec and a machine with other things to do
LIVENESS_S, TRY_S, AGAIN_S = 1, 1, 5
OTHER_LEFT = "192.0.2.253"  # of the NAT
NOTHING = ("nothing was done",)
PASSIVE = {"start": "passive", "liveness": 0, "tries": 1}


def _behind_nat(name, number, address, **settings):
    return {**ours(name, number, {"remote_id": outer(number)}, **settings), "remote": address}


class AliveCase(SwanCase):
    LIMITS = {"linger_seconds": LINGER_S}

    def setUp(self):
        self.cable = Wire(self.net.router, "left")
        self.addCleanup(self.cable.close)
        self.addCleanup(middle.lose, self.net.router)

    def send(self, packet):
        """To the gateway, as from the router."""
        self.cable.send(packets.ethernet(self.net.gateway.mac("veth-out"), self.cable.mac, packet))

    def stray(self, spi, source, destination=GATEWAY):
        esp = int(spi, 16).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes(64)
        self.send(wrap(esp, source, destination, udp_encapsulated=True))

    def spis(self, name):
        child = self.ike_sa(name)["children"][0]
        return child["inbound_spi"], child["outbound_spi"]

    def assert_explained(self, spi, kind, repairs, counter, before, lines=1, source=None):
        flow = self.until(lambda: next((each for each in self.gateway.ask("show", "invalid-spi")["flows"]
                                        if each["spi"] == spi and source in (None, each["source"])), None), what=f"a flow of {spi}")
        self.assertEqual((flow["class"], flow["protocol"]), (kind, 17), self.logs())
        self.assertIn(flow["repair"], repairs, self.logs())
        self.assertEqual(self.gateway.counters().since(before).of(counter), flow["packets"], self.logs())
        said = [line for line in lines_of(self.gateway, spi) if f"srcaddr={flow['source']}," in line]
        self.assertEqual(len(said), lines, self.logs())
        for line in said:
            self.assertRegex(line, rf"prot=17, .*input interface=outside; espgate: {kind}, ")
        return flow


class Alive(AliveCase):
    @classmethod
    def connections(cls):
        asking = {"start": "always", "liveness": LIVENESS_S, "tries": 1}
        return {"lost": (1, ours("lost", 1, PASSIVE), theirs("lost", 1)),
                "asking": (2, ours("asking", 2, asking), theirs("asking", 2)),
                "late": (3, ours("late", 3, PASSIVE), theirs("late", 3))}

    # strongSwan gives up soon what is not answered.
    CHARON = {"retransmit_timeout": 0.2, "retransmit_tries": 1}

    def test_we_deleted_and_it_did_not_hear(self):
        self.gateway_begins("lost")
        self.assert_passes("lost")
        stale, _ = self.spis("lost")
        middle.lose(self.net.router, *middle.informational("left"))
        self.gateway.ask("sa", "delete", stale)
        self.until(lambda: [sa["state"] for sa in self.ike_sas("lost")] == ["down"])
        self.until(lambda: self.gateway.ask("show", "spi", stale)["state"] == "retired")
        middle.lose(self.net.router)
        time.sleep(IN_FLIGHT_S)
        before = self.gateway.counters()
        took_s = self.recovery_s("lost", from_us=False)
        print(f"\nwe deleted, strongSwan did not hear of it: {1000 * took_s:.0f} ms", end="")
        self.assert_explained(stale, "deleted", BEGUN, "IN_SA_RETIRED", before)
        self.assertLess(took_s, WORK_S + 3 * ROUND_TRIP_S, self.logs())
        self.assert_passes("lost")
        self.assertEqual(self.charon.listing("lost").count("ESTABLISHED"), 1)

    def test_it_deleted_and_we_did_not_hear(self):
        """It says nothing of our SPI, so that only our question finds out."""
        self.wait_up("asking")
        self.assert_passes("asking")
        stale = self.spis("asking")
        middle.lose(self.net.router, *middle.informational("right"))
        self.charon.terminate_child("asking")
        self.until(lambda: not self.charon.is_up("asking"), what="strongSwan without it")
        middle.lose(self.net.router)
        began = time.monotonic()
        self.recovery_s("asking", from_us=True)
        took_s = time.monotonic() - began
        print(f"\nstrongSwan deleted, we did not hear of it, and asked after {LIVENESS_S} s: {took_s:.1f} s", end="")
        self.assertLess(took_s, LIVENESS_S + TRY_S + AGAIN_S + 1)
        self.assertTrue(set(stale).isdisjoint(self.spis("asking")))
        self.assertEqual(self.gateway.ask("show", "spi", stale[0])["state"], "retired")
        self.assert_passes("asking")

    def held_back(self, name, spi):
        """A packet of the peer's for that SPI, which has not come to us yet."""
        number = self.numbers[name]
        right = Wire(self.net.router, "right")
        self.addCleanup(right.close)
        middle.lose(self.net.router, middle.esp_in_udp(spi))
        self.net.peer.exec("ping", "-c", 1, "-W", 1, "-I", inner(2, number), inner(1, number), check=False)
        frame = right.expect(lambda each: int(spi, 16).to_bytes(4, "big") == each[42:46])
        self.assertIsNotNone(frame, self.logs())
        middle.lose(self.net.router)
        return frame[14:]

    def test_late_after_a_rekey(self):
        for begin in (self.gateway_begins, self.peer_begins):
            with self.subTest(begin.__name__):
                begin("late")
                self.assert_passes("late")
                stale, _ = self.spis("late")
                packet = self.held_back("late", stale)
                if begin == self.peer_begins:
                    self.charon.rekey_child("late")
                else:
                    self.gateway.ask("rekey", "late")
                self.until(lambda: (sa := self.ike_sa("late")) and sa["children"][0]["inbound_spi"] != stale)
                before = self.gateway.counters()
                with self.stream("late", from_us=False, per_second=200) as stream:
                    self.until(lambda: self.gateway.ask("show", "spi", stale)["state"] == "retired")
                    self.send(packet)
                    self.assert_explained(stale, "just rekeyed", NOTHING, "IN_SA_RETIRED", before, lines=0)
                    time.sleep(IN_FLIGHT_S)
                    spis = self.spis("late")
                    self.send(packet)
                    self.until(lambda: flow_of(self.gateway, stale)["repair"] in TOLD)
                    self.assert_explained(stale, "just rekeyed", TOLD, "IN_SA_RETIRED", before)
                    time.sleep(0.5)
                self.assertEqual(stream.missing, [], "what it was told is about another SA")
                self.assertEqual(self.spis("late"), spis)
                self.assertTrue("[ N(INVAL_SPI) D ]" in self.charon.said(), self.logs())
                self.gateway.ask("terminate", "late")
                self.wait_down("late")

    def unharmed_by(self, kind, counter, spi, **stray):
        before, spis = self.gateway.counters(), self.spis("late")
        with self.stream("late", from_us=False, per_second=200) as stream:
            self.stray(spi, **stray)
            self.assert_explained(spi, kind, NOTHING, counter, before, source=stray["source"])
            time.sleep(0.3)
        self.assertEqual(stream.missing, [])
        self.assertEqual(self.spis("late"), spis)

    def test_not_meant_for_us_and_a_stranger(self):
        self.gateway_begins("late")
        self.assert_passes("late")
        ours_in, theirs_in = self.spis("late")
        not_found, peer = "IN_US_V4_PKT_SA_NOT_FOUND_SPI", outer(3)
        # It took the one SPI for the other, or a NAT sent it back.
        self.unharmed_by("wrong destination", not_found, theirs_in, source=peer)
        self.unharmed_by("wrong destination", "IN_V4_PKT_HIT_INVALID_SA", ours_in, source=peer, destination="10.1.0.1")
        self.unharmed_by("stranger", not_found, "0x00c0ffee", source="192.0.2.77")
        self.gateway.ask("terminate", "late")
        self.wait_down("late")


class Rebinding(AliveCase):
    """The NAT before strongSwan forgets, and gives other ports, under traffic."""

    CHARON = {"keep_alive": "0s"}

    @classmethod
    def connections(cls):
        return {"followed": (1, _behind_nat("followed", 1, ROUTER_LEFT), theirs("followed", 1, encap=False)),
                "fixed": (2, _behind_nat("fixed", 2, OTHER_LEFT, follow_peer=False), theirs("fixed", 2, encap=False))}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.net.router.ip("address", "add", f"{OTHER_LEFT}/24", "dev", "left")
        cls.rebind()

    @classmethod
    def rebind(cls, ports=""):
        cls.net.translate([f"ip saddr {outer(number)} {udp}snat ip to {address}{ports if udp else ''}"
                           for number, address in ((1, ROUTER_LEFT), (2, OTHER_LEFT))
                           for udp in (("udp sport 4500 ", "") if ports else ("",))])
        middle.forget(cls.net.router)

    def test_followed(self):
        self.peer_begins("followed")
        self.assert_passes("followed")
        spis = self.spis("followed")
        with self.stream("followed", True, 500) as forth, self.stream("followed", False, 500) as back:
            time.sleep(0.5)
            self.rebind(":7000-7100")
            time.sleep(0.5)
            came = len(forth.numbers)
            self.until(lambda: len(forth.numbers) > came + 50)
        print(f"\nNAT rebinding: {len(back.missing)} of {back.sent} lost towards us, {len(forth.missing)} of {forth.sent} back", end="")
        # Lost is what we send before a packet of the peer's has come by its new port.
        self.assertLess(len(back.missing), 10)
        self.assertLess(len(forth.missing), 50)
        self.assertEqual(self.spis("followed"), spis)
        self.assertRegex(self.gateway.log.read_text(), rf"connection followed.*{re.escape(ROUTER_LEFT)}.* 70\d\d")
        self.assertEqual([flow for flow in self.gateway.ask("show", "invalid-spi")["flows"] if flow["spi"] == spis[0]], [])

    def test_not_followed(self):
        self.rebind()
        self.peer_begins("fixed")
        self.assert_passes("fixed")
        spi, _ = self.spis("fixed")
        before = self.gateway.counters()
        self.rebind(":8000-8100")
        with self.stream("fixed", False, 100) as back:
            time.sleep(1)
        self.assertEqual(len(back.numbers), 0)
        flow = self.assert_explained(spi, "peer moved", NOTHING, "IN_SA_ENCAP_MISMATCH", before)
        self.assertIn("follow-peer", flow["explanation"])
        self.assertIn(f"its SA is from {OTHER_LEFT} by UDP port 4500 to {GATEWAY}", lines_of(self.gateway, spi)[0])
        # The NAT finds its way back, or its mapping was made to stay.
        self.rebind()
        self.assertLess(self.recovery_s("fixed", from_us=False), WORK_S)
        self.assertEqual(self.spis("fixed")[0], spi)


class AnyPeer(AliveCase):
    """strongSwan may be at any address: we cannot begin."""

    CHARON = {"retransmit_timeout": 0.2, "retransmit_tries": 2}
    DPD_DELAY_S = 1

    @classmethod
    def connections(cls):
        hub = {**ours("hub", 1, {"remote_id": "%any"}), "remote": "any", "remote_networks": ["10.2.0.0/16"]}
        return {"eager": (1, hub, theirs("eager", 1, dpd_delay=f"{cls.DPD_DELAY_S}s",
                                         child={"start_action": "start", "dpd_action": "restart"}))}

    def peers(self):
        return [sa for sa in self.ike_sas() if sa["state"] == "up" and sa["children"]]

    def wait_for_it(self):
        self.until(lambda: len(self.peers()) == 1 and self.charon.is_up("eager"), what="strongSwan at any address")
        self.assert_passes("eager")
        return self.peers()[0]["children"][0]["inbound_spi"]

    def test_1_it_crashes_and_begins_anew(self):
        stale = self.wait_for_it()
        self.charon.kill()
        began = time.monotonic()
        self.charon.start()
        self.recovery_s("eager", from_us=True)
        took_s = time.monotonic() - began
        print(f"\nstrongSwan at any address crashed and began anew: {took_s:.2f} s with its start", end="")
        self.assertLess(took_s, 3)
        self.assertNotEqual(self.wait_for_it(), stale)

    def test_2_we_crash(self):
        """It has our token, and knows nothing of RFC 6290: its own question finds out."""
        stale = self.wait_for_it()
        self.gateway.kill()
        self.gateway.start()
        before = self.gateway.counters()
        took_s = self.recovery_s("eager", from_us=False, per_second=200)  # within the limit of one SPI
        print(f"\nwe crashed, strongSwan at any address asked after {self.DPD_DELAY_S} s: {took_s:.1f} s", end="")
        self.assert_explained(stale, "before restart", TOKEN, "IN_SA_RETIRED", before)
        self.assertLess(took_s, 10)
        self.wait_for_it()


if __name__ == "__main__":
    unittest.main()

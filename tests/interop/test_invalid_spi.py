"""Invalid SPIs between two gateways: what each says about the cause, does about it, and how long that takes."""

import re
import time

from lib import packets, pair, wire
from lib.ike_case import PSK, IkeCase, connection, gateway


class Restart(IkeCase):
    """b crashes and comes back; a knows of nothing, and goes on sending."""

    # a asks nobody whether it is there, and b begins nothing by itself: only the stray packets can heal it.
    SETTINGS = {"a": {"start": "passive", "liveness": 0}, "b": {"start": "passive"}}
    RECOVERY = {}

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, ike=cls.SETTINGS[name], **cls.RECOVERY)])

    def setUp(self):
        self.gateway("a").ask("initiate", "site")
        for name in pair.NAMES:
            self.up(name)
        self.assert_passes("a")
        self.stale = self.connection("b")["inbound_spi"]
        self.crash("b")

    def crash(self, name):
        self.gateway(name).kill()
        self.gateway(name).start()

    def flow(self, name="b"):
        flows = self.gateway(name).ask("show", "invalid-spi")["flows"]
        return next((flow for flow in flows if flow["spi"] == self.stale), None)

    def lines(self, name="b"):
        return [line for line in self.gateway(name).log.read_text().splitlines() if "%CRYPTO-4-RECVD_PKT_INV_SPI" in line]

    def healed_after_s(self):
        """Between b's line about the SPI and the one that the connection is up, by their times."""
        def seconds(line):
            hours, minutes, rest = re.search(r"(\d\d):(\d\d):(\d\d\.\d+)", line).groups()
            return int(hours) * 3600 + int(minutes) * 60 + float(rest)
        text = self.gateway("b").log.read_text().splitlines()
        bad = next(i for i, line in enumerate(text) if "RECVD_PKT_INV_SPI" in line)
        up = next(line for line in text[bad:] if re.search("connection site(#1)? is up", line))
        took = seconds(up) - seconds(text[bad])
        print(f"from the line about the SPI to the new SA: {1000 * took:.1f} ms")
        return took % 86400


class Crash(Restart):
    def test_traffic_flows_again_after_the_first_packets(self):
        begun = time.monotonic()
        while self.pair.ping("a", count=1, interval_s=0.01) == 0:
            self.assertLess(time.monotonic() - begun, 10, self.logs())
        took_s = time.monotonic() - begun
        print(f"\nafter the crash: traffic passed again after {took_s:.2f} s, waiting for a lost ping included")
        flow = self.flow()
        self.assertEqual((flow["class"], flow["source"]), ("before restart", pair.OUTER["a"][4]))
        self.assertIn(flow["repair"], ("an IKE SA with the peer was begun", "an IKE SA with the peer is being begun"))
        spi = self.gateway("b").ask("show", "spi", self.stale)
        self.assertEqual((spi["state"], spi["connection"]), ("before restart", "site"))
        self.assertIn("an espgated before this one", spi["explanation"])
        self.assertEqual(len(self.lines()), 1, self.logs())
        self.assertRegex(self.lines()[0], r"spi=0x[0-9A-F]+\(\d+\), srcaddr=192\.0\.2\.1, .*before restart, connection site,"
                                          r" 1 packet since .*; an IKE SA with the peer was begun$")
        # How long it was from the first bad packet to the new SA, by b's own log.
        self.assertLess(self.healed_after_s(), 0.3, self.logs())
        # One IKE SA at both ends: a has let go of the one before.
        self.until(lambda: all(len(self.ike_sas(name)) == 1 for name in pair.NAMES))
        self.assertEqual(self.pair.ping("b"), 3)


class Forbidden(Restart):
    RECOVERY = {"invalid_spi_recovery": "existing-ike-only"}

    def test_nothing_is_begun_and_the_line_says_what_to_do(self):
        self.assertEqual(self.pair.ping("a", count=20, interval_s=0.1), 0)
        flow = self.flow()
        self.assertEqual((flow["class"], flow["repair"]),
                         ("before restart", "invalid-spi-recovery forbids to repair it"))
        self.assertEqual([sa["state"] for sa in self.ike_sas("b")], ["down"])
        self.assertEqual(len(self.lines()), 1)
        self.assertIn("rekey or reload the connection there", self.lines()[0])
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
        flow = self.flow()
        self.assertEqual((flow["class"], flow["repair"]), ("never issued", "an IKE SA with the peer was begun"))


class AnyPeer(Restart):
    """b's peers may be anywhere, so only a can begin, and b has a token for it (RFC 6290)."""

    @classmethod
    def settings(cls, name):
        settings = super().settings(name)
        if name == "b":
            settings["connections"][0].update(remote="any")
            settings["connections"][0]["ike"] = {"psk": PSK, "remote_id": "%any"}
        return settings

    def setUp(self):
        self.gateway("a").ask("initiate", "site")
        self.up("a")
        self.assert_passes("a")
        self.stale = self.connection("a")["outbound_spi"]
        self.crash("b")

    def test_the_peer_hears_of_it_and_begins_anew(self):
        begun = time.monotonic()
        while self.pair.ping("a", count=1) == 0:
            self.assertLess(time.monotonic() - begun, 10, self.logs())
        flow = self.flow()
        self.assertEqual((flow["class"], flow["repair"]),
                         ("before restart", "the peer was sent a token by which it knows that it has to begin anew"))
        self.assertIn("as its token proves (RFC 6290)", self.gateway("a").log.read_text())
        self.assertLess(self.healed_after_s(), 0.3, self.logs())


class Stray(IkeCase):
    """Everything is up, and ESP of nobody's comes in a's name."""

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, follow_peer=False)])

    def test_with_an_ike_sa_the_peer_is_told(self):
        self.up("a")
        self.up("b")
        self.assert_passes("a")
        stranger = 0x00badbad
        before = self.connection("a")["inbound_spi"]
        # ESP with an SPI that b never gave out, from a's address.
        self.send_stray(stranger)
        flow = self.until(lambda: next((flow for flow in self.gateway("b").ask("show", "invalid-spi")["flows"]
                                        if int(flow["spi"], 16) == stranger), None))
        self.assertEqual((flow["class"], flow["repair"]), ("never issued", "the peer was told"))
        # a does not send with it, and keeps what it has.
        self.assertEqual(self.pair.ping("a"), 3)
        self.assertEqual(self.connection("a")["inbound_spi"], before)

    def stray_flow(self, spi, **ends):
        self.send_stray(int(spi, 16), **ends)
        source = ends.get("source", pair.OUTER["a"][4])
        return self.until(lambda: next((flow for flow in self.gateway("b").ask("show", "invalid-spi")["flows"]
                                        if flow["spi"] == spi and flow["source"] == source), None))

    def test_what_is_not_meant_for_here_is_told_from_what_is_unknown(self):
        self.up("b")
        ours = self.until(lambda: self.connection("b")["inbound_spi"])
        # An SPI that b sends with: its own packets come back.
        flow = self.stray_flow(self.connection("b")["outbound_spi"])
        self.assertEqual((flow["class"], flow["repair"]), ("wrong destination", "nothing was done"))
        # One that b receives with, to another address of b's.
        flow = self.stray_flow(ours, destination="10.2.0.1")
        self.assertEqual((flow["class"], flow["repair"]), ("wrong destination", "nothing was done"))
        self.assertIn("its SA is from 192.0.2.1, plain, to 192.0.2.2", self.gateway("b").log.read_text())
        self.assert_passes("a")

    def test_a_peer_that_may_not_move_and_does(self):
        self.up("b")
        flow = self.stray_flow(self.until(lambda: self.connection("b")["inbound_spi"]), source="192.0.2.77")
        self.assertEqual((flow["class"], flow["repair"]), ("peer moved", "nothing was done"))
        self.assertIn("follow-peer", flow["explanation"])
        self.assert_passes("a")

    def send_stray(self, spi, source=pair.OUTER["a"][4], destination=pair.OUTER["b"][4]):
        cable = wire.Wire(self.pair.namespace["a"], "veth-out")
        self.addCleanup(cable.close)
        esp = spi.to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes(64)
        cable.send(packets.ethernet(self.pair.namespace["b"].mac("veth-out"), cable.mac,
                                    packets.ipv4(source, destination, 50, esp)))

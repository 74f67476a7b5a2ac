"""Traffic with an SPI that its receiver does not have: what that one counts, says and does, and how long it takes."""

import re

from . import pair
from .ike_case import IkeCase
from .stream import Stream

RETIRED = "IN_SA_RETIRED"
BEGUN = ("an IKE SA with the peer was begun", "an IKE SA with the peer is being begun")
TOKEN = ("the peer was sent a token by which it knows that it has to begin anew",
         "the peer is being sent a token by which it knows that it has to begin anew")
TOLD = ("the peer was told",)

ROUND_TRIPS, WORK_S = 3, 0.05  # what recovery may take where either end can begin
DYNAMIC_S = 1.0  # and where a token has to make the peer begin
_CHANCES = 3  # on a machine that is busy with something else


def flow_of(gateway, spi):
    return next((flow for flow in gateway.ask("show", "invalid-spi")["flows"] if flow["spi"] == spi), None)


def packets_of(gateway, flow):
    """Of the only flow since it started: those that were reported, and those beyond the limit of one SPI."""
    return flow["packets"] + gateway.ask("show", "invalid-spi")["unsampled"]


def lines_of(gateway, spi):
    """What the log says about that SPI, in the operators' form."""
    said = f"spi=0x{int(spi, 16):X}("
    return [line for line in gateway.log.read_text().splitlines()
            if "%CRYPTO-4-RECVD_PKT_INV_SPI" in line and said in line]


class InvalidSpiCase(IkeCase):
    """Between two gateways."""

    def flow(self, spi, name="b"):
        return flow_of(self.gateway(name), spi)

    def lines(self, spi, name="b"):
        return lines_of(self.gateway(name), spi)

    def outbound_spi(self, name, of="site"):
        """Of what that gateway sends with, to whichever peer."""
        connections = self.gateway(name).ask("show", "connections")["connections"]
        return next(each["outbound_spi"] for each in connections
                    if each["connection"].split("#")[0] == of and each["outbound_spi"])

    def crash(self, name):
        self.gateway(name).kill()
        self.gateway(name).start()

    def assert_explained(self, spi, kind, repairs, name="b", prot=50):
        """One flow of that class, one line that says so and what was done."""
        flow = self.flow(spi, name)
        self.assertIsNotNone(flow, self.logs())
        self.assertEqual((flow["class"], flow["protocol"]), (kind, prot), self.logs())
        self.assertIn(flow["repair"], repairs, self.logs())
        lines = self.lines(spi, name)
        self.assertEqual(len(lines), 1, self.logs())
        self.assertRegex(lines[0], rf"prot={prot}, .*input interface=outside; espgate: {kind}, .*; ({'|'.join(repairs)})$")
        return flow

    def round_trip_s(self, sender, version):
        """Through the tunnel."""
        _, out, _ = self.pair.host[sender].exec("ping", "-c", 5, "-i", "0.02", pair.HOST[pair.other(sender)][version])
        return float(re.search(r"= [\d.]+/([\d.]+)/", out)[1]) / 1000

    def recovery_s(self, sender, version=4, timeout_s=15):
        """From the first packet that this side's host sends to the first that arrives."""
        hosts = [(self.pair.host[name], pair.HOST[name][version]) for name in (sender, pair.other(sender))]
        with Stream(*hosts, 9001, per_second=1000) as stream:
            self.until(lambda: stream.first_came_s is not None, timeout_s)
        return stream.first_came_s

    def assert_recovers(self, trouble, sender, version=4, most_s=None, what=""):
        """`trouble` makes that side's traffic go to an SPI that the other has no more. most_s: instead of round trips."""
        took_s = []
        while not took_s or took_s[-1] > limit_s and len(took_s) < _CHANCES:
            limit_s = most_s or ROUND_TRIPS * self.round_trip_s(sender, version) + WORK_S
            trouble()
            took_s.append(self.recovery_s(sender, version))
            self.assert_again()
        print(f"\n{what}: from the first bad packet to traffic {1000 * took_s[-1]:.0f} ms, at most {1000 * limit_s:.0f}", end="")
        self.assertLess(took_s[-1], limit_s, f"{took_s}\n{self.logs()}")

    def assert_again(self):
        """What has to hold after each recovery."""

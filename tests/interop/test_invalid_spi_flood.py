"""ESP with random SPIs, as fast as one sender can, beside good traffic of a tunnel that gets new keys meanwhile.

ESPGATE_SPI_FLOOD_SECONDS says how long (`scripts/long-tests --only spi-flood`: a minute). The same frames to an address
that is not the gateway's show what its port loses by itself.
"""

import ipaddress
import os
import random
import struct
import time
import unittest

from lib import flood, pair, packets, wire
from lib.ike_case import IkeCase, connection, gateway
from lib.stream import Stream

SECONDS = int(os.environ.get("ESPGATE_SPI_FLOOD_SECONDS", "20"))
REKEY_EACH_S = min(10, SECONDS / 2)
FIRST_STRANGER, STRANGERS = int(ipaddress.ip_address("198.18.0.1")), 60_000
NOISE_TO = "192.0.2.99"
MOST_GROWTH_BYTES = 8 << 20
MOST_MORE_LOST = 0.02  # of the good traffic, than beside noise: which frames the port drops is chance
IN_TIME_S = 5
ANSWERS_PER_S = 200  # limits.invalid-spi-repairs, and as many unprotected


class RandomSpis(flood.Flood):
    """To that address, each with an SPI of its own; every other in the name of gateway a."""

    def __init__(self, between, to):
        a, b = (between[name] for name in pair.NAMES)
        super().__init__(a, "veth-out", packets.ethernet(
            b.mac("outside"), a.mac("veth-out"), packets.ipv4(pair.OUTER["a"][4], to, packets.ESP, bytes(80))), 10**6)
        self._random = random.Random(1)
        self._a = int(ipaddress.ip_address(pair.OUTER["a"][4]))

    def vary(self, frame, number):
        self.set_source(frame, self._a if number % 2 else FIRST_STRANGER + number // 2 % STRANGERS)
        struct.pack_into("!I", frame, 34, self._random.randrange(256, 1 << 32))


class UnderFlood(IkeCase):
    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, versions=(4,))], log_level="info",
                       routes=[{"to": "198.18.0.0/15", "via": pair.OUTER["a"][4]}] if name == "b" else [])

    def inbound_spi(self):
        return self.up("b")["children"][0]["inbound_spi"]

    def beside(self, to, seconds):
        """Share of the good traffic that is lost; frames sent a second."""
        hosts = [(self.pair.host[name], pair.HOST[name][4]) for name in pair.NAMES]
        began = time.monotonic()
        with RandomSpis(self.pair.namespace, to) as frames, Stream(*hosts, 9001) as stream:
            while (left_s := began + seconds - time.monotonic()) > 0:
                time.sleep(min(REKEY_EACH_S, left_s))
                spi, asked = self.inbound_spi(), time.monotonic()
                self.gateway("a").ask("rekey", "site")
                self.until(lambda: self.inbound_spi() != spi, IN_TIME_S)
                self.rekeyed_in_s.append(time.monotonic() - asked)
        return len(stream.missing) / stream.sent, frames.sent / (time.monotonic() - began)

    def test_flood(self):
        self.assert_passes()
        self.rekeyed_in_s = []
        b, cable = self.gateway("b"), wire.Wire(self.pair.namespace["a"], "veth-out")
        self.addCleanup(cable.close)
        lost_by_port, noise_per_s = self.beside(NOISE_TO, 4)
        cable.drain()
        resident, before, began = b.resident_bytes(), b.counters(), time.monotonic()
        lost, per_s = self.beside(pair.OUTER["b"][4], SECONDS)
        took_s, grown = time.monotonic() - began, b.resident_bytes() - resident
        moved = b.counters().since(before)
        frames = [packets.ip_of(frame) for frame in cable.drain(0.3)]
        answers = sum(packet is not None and packet.protocol == packets.UDP for packet in frames)
        print(f"\n{per_s:,.0f} random SPIs a second: {100 * lost:.2f} % of the good traffic lost, beside {noise_per_s:,.0f} "
              f"other frames {100 * lost_by_port:.2f} %; {grown / 1e6:.1f} MB more; {answers} IKE messages in {took_s:.0f} s; "
              f"new keys within {max(self.rekeyed_in_s):.2f} s", end="")
        # Nothing that the port delivered is lost for any other reason.
        self.assertEqual(set(moved.drops), {"IN_US_V4_PKT_SA_NOT_FOUND_SPI"})
        self.assertLess(lost, lost_by_port + MOST_MORE_LOST)
        self.assertLess(grown, MOST_GROWTH_BYTES)
        self.assertLess(answers, ANSWERS_PER_S * took_s)
        self.assertIn("invalid SPI: a flood: more than 200 new flows a second", b.log.read_text())
        self.assertLess(sum("%CRYPTO-4-RECVD_PKT_INV_SPI" in line for line in b.log.read_text().splitlines()), 10 * took_s)
        self.until(lambda: "the flood is over" in b.log.read_text())
        self.assert_passes()


if __name__ == "__main__":
    unittest.main()

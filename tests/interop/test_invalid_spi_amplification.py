"""What a gateway that has just started anew says unprotected, to whoever sends it old SPIs: never more bytes than came.

ESPGATE_SPOOFED says from how many made-up addresses (`scripts/long-tests --only amplification`: 100,000).
"""

import collections
import ipaddress
import os
import random
import struct
import time
import unittest

from lib import pair, packets, wire
from lib.ike_case import PSK, IkeCase, connection, gateway

SOURCES = int(os.environ.get("ESPGATE_SPOOFED", "10000"))
PER_SECOND = 4000
FIRST = int(ipaddress.ip_address("198.18.0.1"))
ANSWERS_PER_S = 100  # to old SPIs, and as many to stray IKE messages
REKEYS = 20  # each leaves an SPI behind
_INFORMATIONAL, _ENCRYPTED = 37, 46


def _esp(spi, size):
    return struct.pack("!II", spi, 1) + bytes(size)


def _ike(initiator, responder, size):
    """A request in that IKE SA, of which nobody here has the keys."""
    return struct.pack("!QQBBBBII", initiator, responder, _ENCRYPTED, 0x20, _INFORMATIONAL, 0x08, 7, 28 + 4 + size) + (
        struct.pack("!BxH", 0, 4 + size) + bytes(size))


class Amplification(IkeCase):
    """b has peers at any address, and tokens for them; a is gone."""

    @classmethod
    def settings(cls, name):
        site = connection(name, versions=(4,), ike={"start": "passive"})
        if name == "b":
            site.update(remote="any", ike={"psk": PSK, "remote_id": "%any"})
        return gateway(name, [site], routes=[{"to": "198.18.0.0/15", "via": pair.OUTER["a"][4]}] if name == "b" else [])

    def setUp(self):
        self.gateway("a").ask("initiate", "site")
        self.assert_passes("a")
        sa = self.up("a")
        self.stale = [self.outbound_spi()]
        for _ in range(REKEYS):
            self.gateway("a").ask("rekey", "site")
            self.stale.append(self.until(lambda: next(iter({self.outbound_spi()} - {self.stale[-1]}), None)))
        self.ike_spis = int(sa["initiator_spi"], 16), int(sa["responder_spi"], 16)
        for name in pair.NAMES:
            self.gateway(name).kill()
        self.gateway("b").start()
        self.cable = wire.Wire(self.pair.namespace["a"], "veth-out")
        self.addCleanup(self.cable.close)
        b = self.pair.namespace["b"]
        b.ip("neigh", "replace", pair.OUTER["a"][4], "lladdr", self.cable.mac, "dev", "outside", "nud", "permanent")
        self.to_b = b.mac("outside"), self.cable.mac
        time.sleep(0.5)

    def outbound_spi(self):
        return int(self.connection("a")["outbound_spi"], 16)

    def packet(self, source, number, size):
        """ESP and IKE, plain and for port 4500, in turns."""
        b = pair.OUTER["b"][4]
        stale = self.stale[number // 4 % len(self.stale)]
        if number % 4 == 0:
            return packets.ipv4(source, b, packets.ESP, _esp(stale, size))
        body, port = ((_esp(stale, size), 4500), (_ike(*self.ike_spis, size), 500),
                      (bytes(4) + _ike(*self.ike_spis, size), 4500))[number % 4 - 1]
        return packets.ipv4(source, b, packets.UDP, packets.udp(source, b, port, port, body, with_checksum=False))

    def take(self, answered):
        """Notes what b has said meanwhile: bytes by address."""
        for frame in self.cable.drain():
            packet = packets.ip_of(frame)
            if packet is not None and ipaddress.ip_address(packet.destination) in ipaddress.ip_network("198.18.0.0/15"):
                answered[packet.destination] += len(packet.whole)

    def test_no_answer_is_longer_than_what_it_answers(self):
        sizes, sent, answered, by_esp = random.Random(2), {}, collections.Counter(), set()
        began = time.monotonic()
        for number in range(SOURCES):
            source = str(ipaddress.ip_address(FIRST + number))
            packet = self.packet(source, number, 4 * sizes.randrange(0, 40))
            sent[source] = len(packet)
            if number % 4 < 2:
                by_esp.add(source)
            self.cable.send(packets.ethernet(*self.to_b, packet))
            if number % 100 == 99:
                self.take(answered)
                time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        time.sleep(0.3)
        self.take(answered)
        took_s = time.monotonic() - began
        print(f"\n{SOURCES:,} made-up addresses, {sum(sent.values()):,} bytes: {len(answered)} answered within {took_s:.0f} s, "
              f"{len(by_esp & answered.keys())} of them for ESP, {sum(answered.values()):,} bytes", end="")
        self.assertGreaterEqual(len(by_esp & answered.keys()), REKEYS, self.logs())
        self.assertGreater(len(answered.keys() - by_esp), 0, self.logs())
        self.assertEqual({source: (out, sent[source]) for source, out in answered.items() if out > sent[source]}, {})
        for those in (by_esp & answered.keys(), answered.keys() - by_esp):
            self.assertLessEqual(len(those), ANSWERS_PER_S * (took_s + 1))


if __name__ == "__main__":
    unittest.main()

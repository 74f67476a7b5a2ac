"""Static keys against two independent implementations: every suite, 32- and 64-bit sequence numbers; every
family in every family, plain and in UDP, for some; scapy and our own oracle take turns and check each other.
"""

import itertools
import os
import signal

from lib import case, configuration, packets
from lib.encapsulation import outer_of, unwrap, wrap
from lib.esp import EspSa
from lib.scapy_esp import ScapySa
from lib.suites import SUITES
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, standard_ports

IN_ALL_COMBINATIONS = ("aes128-gcm16", "aes192-gcm16", "aes256-gcm16", "aes256-cbc-sha256", "chacha20-poly1305", "null-sha1")
PAYLOADS = [b"", b"a", bytes(46 - 28), os.urandom(63), os.urandom(1300)]


class Tunnel:
    """One connection of the configuration and its far end."""

    def __init__(self, number, outer, suite, esn, udp):
        self.outer, self.esn, self.udp = outer, esn, udp
        self.name = f"v{outer}-{suite}-{'esn' if esn else 'seq32'}-{'udp' if udp else 'plain'}"
        self.suite = SUITES[suite]
        self.networks = {4: f"10.2.{number}.0/24", 6: f"2001:db8:2:{number:x}::/64"}
        self.host = {4: f"10.2.{number}.9", 6: f"2001:db8:2:{number:x}::9"}
        self.inbound_spi, self.outbound_spi = 0x1000 + number, 0x2000 + number
        self.inbound_keymat, self.outbound_keymat = os.urandom(self.suite.keymat), os.urandom(self.suite.keymat)
        self.sequence = 0
        self.settings = configuration.connection(
            self.name, OUTSIDE.gateway[outer], OUTSIDE.host[outer], INSIDE_NETWORKS.values(), self.networks.values(),
            inbound=(self.inbound_spi, self.inbound_keymat), outbound=(self.outbound_spi, self.outbound_keymat),
            encapsulation="udp" if udp else "none", suite=suite, esn=esn)

    def ours(self, spi, keymat):
        return EspSa(spi, keymat, self.suite, esn=self.esn)

    def scapy(self, spi, keymat, source, destination):
        return ScapySa(spi, keymat, self.suite, source, destination, esn=self.esn, udp_encapsulated=self.udp)

    def build(self, inner, with_scapy):
        """The next outer packet to the gateway, by scapy if wanted and able."""
        self.sequence += 1
        source, destination = OUTSIDE.host[self.outer], OUTSIDE.gateway[self.outer]
        if with_scapy and self.suite.scapy_does(self.esn):
            return self.scapy(self.inbound_spi, self.inbound_keymat, source, destination).build(inner, self.sequence)
        esp = self.ours(self.inbound_spi, self.inbound_keymat).seal(
            inner, packets.IPV6 if inner[0] >> 4 == 6 else packets.IPV4, self.sequence)
        return wrap(esp, source, destination, udp_encapsulated=self.udp)

    def open(self, outer):
        """(inner packet, sequence) of a packet from the gateway; both oracles must agree where there are two."""
        source, destination = OUTSIDE.gateway[self.outer], OUTSIDE.host[self.outer]
        assert (outer.source, outer.destination) == (source, destination), outer
        opened = self.ours(self.outbound_spi, self.outbound_keymat).open(unwrap(outer, udp_encapsulated=self.udp))
        result = opened.payload, opened.sequence
        if self.suite.scapy_does(self.esn):
            theirs = self.scapy(self.outbound_spi, self.outbound_keymat, source, destination)
            assert theirs.open(outer.whole) == result
        return result


_CASES = [*itertools.product((4, 6), IN_ALL_COMBINATIONS, (False, True), (False, True)),
          *((4, suite, esn, False) for suite in SUITES if suite not in IN_ALL_COMBINATIONS for esn in (False, True))]
TUNNELS = [Tunnel(number, *case) for number, case in enumerate(_CASES, 1)]


class StaticKeys(case.GatewayCase):
    @classmethod
    def settings(cls):
        return configuration.gateway(standard_ports(), connections=[tunnel.settings for tunnel in TUNNELS])

    def expect_inside(self, sent):
        frame = self.testbed.inside.expect(packets.is_ip(source=sent.source))
        self.assertIsNotNone(frame, f"nothing came out inside\n{self.gateway.log_text()}")
        self.assertEqual(frame[:6], packets.mac_bytes(self.testbed.inside.mac))
        received = packets.ip_of(frame)
        self.assertEqual((received.destination, received.protocol, received.payload),
                         (sent.destination, sent.protocol, sent.payload))
        self.assertEqual(received.hops, sent.hops - 1)

    def expect_outside(self, tunnel, sent):
        frame = self.testbed.outside.expect(lambda frame: outer_of(frame) is not None)
        self.assertIsNotNone(frame, f"no ESP came out outside\n{self.gateway.log_text()}")
        self.assertEqual(frame[:6], packets.mac_bytes(self.testbed.outside.mac))
        inner, sequence = tunnel.open(packets.ip_of(frame))
        received = packets.parse_ip(inner)
        self.assertEqual((received.source, received.destination, received.protocol, received.payload),
                         (sent.source, sent.destination, sent.protocol, sent.payload))
        self.assertEqual(received.hops, sent.hops - 1)
        return sequence

    def test_extended_sequence_crosses_32_bits(self):
        """A jump to the end of the first 2^32 and over it: the high half is guessed right (RFC 4303 A)."""
        for name in ("aes128-gcm16", "chacha20-poly1305", "aes256-cbc-sha256", "aes128-ctr-sha512", "aes128-gmac"):
            tunnel = next(tunnel for tunnel in TUNNELS
                          if tunnel.esn and not tunnel.udp and tunnel.outer == 4 and tunnel.suite.name == name)
            for sequence in (0xFFFF0000, 0xFFFFFFFF, 0x1_0000_0000, 0x1_0000_0001):
                tunnel.sequence = sequence - 1
                inner = packets.udp_packet(tunnel.host[4], INSIDE.host[4], 7, 7, b"crossing")
                self.testbed.send("outside", tunnel.build(inner, with_scapy=sequence % 2))
                self.expect_inside(packets.parse_ip(inner))

    def test_extended_sequence_of_another_epoch_is_refused(self):
        tunnel = next(tunnel for tunnel in TUNNELS if tunnel.esn and not tunnel.udp and tunnel.outer == 6)
        inner = packets.udp_packet(tunnel.host[6], INSIDE.host[6], 7, 7, b"wrong epoch")
        sealed = tunnel.ours(tunnel.inbound_spi, tunnel.inbound_keymat).seal(inner, packets.IPV6, (1 << 32) + 500)
        before = self.gateway.counters()
        self.testbed.send("outside", wrap(sealed, OUTSIDE.host[6], OUTSIDE.gateway[6], udp_encapsulated=False))
        self.assertEqual(self.settled().since(before).of("IN_CD_SW_IPSEC_MAC_EXCEPTION"), 1)


def _inbound(tunnel, inner_version):
    def check(self):
        for number, payload in enumerate(PAYLOADS):
            inner = packets.udp_packet(tunnel.host[inner_version], INSIDE.host[inner_version], 1111, 2222, payload)
            self.testbed.send("outside", tunnel.build(inner, with_scapy=number % 2 == 0))
            self.expect_inside(packets.parse_ip(inner))

    return check


def _outbound(tunnel, inner_version):
    def check(self):
        sequences = []
        for payload in PAYLOADS:
            inner = packets.udp_packet(INSIDE.host[inner_version], tunnel.host[inner_version], 2222, 1111, payload)
            self.testbed.send("inside", inner)
            sequences.append(self.expect_outside(tunnel, packets.parse_ip(inner)))
        self.assertEqual(sequences, sorted(set(sequences)), "sequence numbers must rise")
        self.assertGreater(sequences[0], 0)

    return check


for _tunnel, _version in itertools.product(TUNNELS, (4, 6)):
    if _version == 6 and _tunnel.suite.name not in IN_ALL_COMBINATIONS:
        continue
    _suffix = f"{_version}in{_tunnel.name}".replace("-", "_")
    setattr(StaticKeys, f"test_in_{_suffix}", _inbound(_tunnel, _version))
    setattr(StaticKeys, f"test_out_{_suffix}", _outbound(_tunnel, _version))


class Restart(case.GatewayCase):
    """AEAD IVs of a key of the file rise over restarts, killed and at once as they are."""

    KEYMAT = os.urandom(SUITES["aes128-gcm16"].keymat)

    @classmethod
    def settings(cls):
        return configuration.gateway(standard_ports(), connections=[configuration.connection(
            "c1", OUTSIDE.gateway[4], OUTSIDE.host[4], INSIDE_NETWORKS.values(), ["10.2.1.0/24"],
            inbound=(0x1001, os.urandom(20)), outbound=(0x2001, cls.KEYMAT))])

    def ivs(self, count):
        result = []
        for _ in range(count):
            self.testbed.outside.drain()
            self.testbed.send("inside", packets.udp_packet(INSIDE.host[4], "10.2.1.9", 5, 6, b"x"))
            frame = self.testbed.outside.expect(lambda frame: outer_of(frame) is not None, 3)
            self.assertIsNotNone(frame)
            result.append(int.from_bytes(outer_of(frame).payload[8:16], "big"))
        return result

    def test_ivs_rise_over_restarts(self):
        used = self.ivs(3)
        for _ in range(4):
            self.gateway._process.send_signal(signal.SIGKILL)
            self.gateway._process.wait(10)
            self.gateway.start()
            self.testbed.attach()
            used += self.ivs(3)
        self.assertEqual(used, sorted(set(used)))

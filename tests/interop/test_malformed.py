"""Damaged frames: every truncation of a good frame, and every single-bit flip of its first 64 and last
32 bytes. Each frame gets exactly one verdict, none opens by mistake, and the gateway lives.
"""

from lib import case, configuration, packets
from lib.encapsulation import wrap
from lib.esp import GcmSa, ICV_BYTES, keymat
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, standard_ports

# (name, outer version, UDP-encapsulated, inner version)
TUNNELS = [("plain4", 4, False, 4), ("udp4", 4, True, 6), ("plain6", 6, False, 6), ("udp6", 6, True, 4)]
HEAD_BYTES, TAIL_BYTES = 64, 32
SHORTEST_FRAME = 14  # a packet socket sends nothing shorter; the parser's fuzz target and unit tests do
GROUP = 32
# What makes a fragment of an IPv4 packet, from which the kernel would wait for the others in front of an af_packet port.
FRAGMENT_BITS = {20 * 8 + bit for bit in range(6)} | {21 * 8 + bit for bit in range(8)}


def _network(number):
    return {4: f"10.2.{number}.0/24", 6: f"2001:db8:2:{number}::/64"}


def _host(number):
    return {4: f"10.2.{number}.9", 6: f"2001:db8:2:{number}::9"}


def _keys(spi):
    return spi, keymat(spi)


class Malformed(case.GatewayCase):
    sequence = 0

    @classmethod
    def settings(cls):
        connections = [
            configuration.connection(
                name, OUTSIDE.gateway[outer], OUTSIDE.host[outer], INSIDE_NETWORKS.values(), _network(number).values(),
                inbound=_keys(0x1001 + number), outbound=_keys(0x2001 + number),
                encapsulation="udp" if udp else "none")
            for number, (name, outer, udp, _) in enumerate(TUNNELS)]
        return configuration.gateway(standard_ports(), connections=connections)

    def good_frame(self, number):
        """A new good frame on tunnel `number`, or cleartext from inside for the two numbers after the last."""
        if number >= len(TUNNELS):
            version = 4 if number == len(TUNNELS) else 6
            return self.testbed.frame("inside", packets.udp_packet(
                INSIDE.host[version], _host(0)[version], 5, 6, b"malformed cleartext, some bytes of it"))
        _, outer, udp, inner = TUNNELS[number]
        type(self).sequence += 1
        packet = packets.udp_packet(_host(number)[inner], INSIDE.host[inner], 5, 6, bytes(18))
        esp = GcmSa(*_keys(0x1001 + number)).seal(packet, packets.IPV4 if inner == 4 else packets.IPV6, self.sequence)
        return self.testbed.frame(
            "outside", wrap(esp, OUTSIDE.host[outer], OUTSIDE.gateway[outer], udp_encapsulated=udp))

    def send_and_count(self, side, frames):
        """Sends in small groups; in each, as many verdicts as frames."""
        for start in range(0, len(frames), GROUP):
            group = frames[start:start + GROUP]
            before = self.settled()
            self.testbed.send_frames(side, group)
            moved = self.settled().since(before)
            self.assertEqual(moved.received, len(group))
            self.assertEqual(moved.accounted() - moved.from_host, len(group), moved)
            self.assertTrue(self.gateway.alive(), self.gateway.log_text())

    def truncations(self, number, side):
        frames = [self.good_frame(number)[:length]
                  for length in range(SHORTEST_FRAME, len(self.good_frame(number)))]
        self.send_and_count(side, frames)

    def flips(self, number, side, positions):
        frames = []
        for position in positions:
            for bit in range(8):
                frame = bytearray(self.good_frame(number))
                if frame[12:14] == b"\x08\x00" and position * 8 + bit in FRAGMENT_BITS:
                    continue
                frame[position] ^= 1 << bit
                frames.append(bytes(frame))
        self.send_and_count(side, frames)

    def opened_inside(self):
        """How many test packets came out inside."""
        found = (packets.ip_of(frame) for frame in self.testbed.inside.drain(0.1))
        return sum(1 for packet in found if packet is not None and packet.payload[:4] == b"\0\5\0\6")


def _add_cases():
    for number in range(len(TUNNELS) + 2):
        cleartext = number >= len(TUNNELS)
        name = TUNNELS[number][0] if not cleartext else f"cleartext{4 if number == len(TUNNELS) else 6}"
        side = "inside" if cleartext else "outside"

        def truncated(self, number=number, side=side, cleartext=cleartext):
            self.truncations(number, side)
            if not cleartext:
                self.assertEqual(self.opened_inside(), 0, "a cut packet must not open")

        def head(self, number=number, side=side):
            self.flips(number, side, range(HEAD_BYTES))

        def tail(self, number=number, side=side, cleartext=cleartext):
            length = len(self.good_frame(number))
            self.flips(number, side, range(length - TAIL_BYTES, length))
            if not cleartext:
                self.assertEqual(self.opened_inside(), 0, "a damaged packet must not open")

        setattr(Malformed, f"test_{name}_every_truncation", truncated)
        setattr(Malformed, f"test_{name}_every_bit_of_the_head", head)
        setattr(Malformed, f"test_{name}_every_bit_of_the_tail", tail)


assert TAIL_BYTES > ICV_BYTES
_add_cases()

"""The oracles agree: our own ESP in Python and scapy's.

A gateway measured against a wrong oracle would be wrong in the same way, so this comes first. A third,
the Linux kernel, joins them in test_kernel_peer.
"""

import itertools
import os
import unittest

from lib import packets
from lib.encapsulation import unwrap, wrap
from lib.esp import BadEsp, EspSa
from lib.scapy_esp import ScapySa
from lib.suites import GCM, SUITES

INNER = {4: ("10.2.0.1", "10.1.0.10"), 6: ("2001:db8:2::1", "2001:db8:1::10")}
OUTER = {4: ("192.0.2.2", "192.0.2.1"), 6: ("2001:db8:f::2", "2001:db8:f::1")}
SPI = 0x1001


class Agreement(unittest.TestCase):
    """Every combination of families, sequence numbers and encapsulation with AES-GCM, every suite with some."""


def _agreement(outer, inner, esn, udp, suite):
    def check(self):
        keymat, sequence = os.urandom(suite.keymat), (3 << 32 | 77) if esn else 77
        ours = EspSa(SPI, keymat, suite, esn=esn)
        theirs = ScapySa(SPI, keymat, suite, *OUTER[outer], esn=esn, udp_encapsulated=udp)
        packet = packets.udp_packet(*INNER[inner], 1000, 2000, b"payload")
        high = sequence >> 32

        built = packets.parse_ip(theirs.build(packet, sequence))
        opened = ours.open(unwrap(built, udp_encapsulated=udp), sequence_high=high)
        self.assertEqual(opened.payload, packet)
        self.assertEqual(opened.next_header, packets.IPV4 if inner == 4 else packets.IPV6)
        self.assertEqual(opened.sequence, sequence)

        sealed = wrap(ours.seal(packet, packets.IPV4 if inner == 4 else packets.IPV6, sequence), *OUTER[outer],
                      udp_encapsulated=udp)
        self.assertEqual(theirs.open(sealed, sequence_high=high), (packet, sequence))
        if esn:
            with self.assertRaises(BadEsp):
                theirs.open(sealed, sequence_high=high + 1)

    return check


_CASES = [*itertools.product((4, 6), (4, 6), (False, True), (False, True), GCM.values()),
          *((4, inner, esn, False, suite) for suite in SUITES.values() for inner in (4, 6) for esn in (False, True)
            if suite.mode != "gcm" and suite.scapy_does(esn))]
for _outer, _inner, _esn, _udp, _suite in _CASES:
    _name = f"test_{_inner}in{_outer}_{'esn' if _esn else 'seq32'}_{'udp' if _udp else 'plain'}_{_suite.name}"
    setattr(Agreement, _name.replace("-", "_"), _agreement(_outer, _inner, _esn, _udp, _suite))

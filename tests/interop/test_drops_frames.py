"""Frames that no veth carries, runts and giants, read from a capture file by DPDK's pcap port."""

import os
import struct

from lib import case, configuration, packets
from lib.coverage import fires
from lib.testbed import INSIDE, OUTSIDE, Testbed, port

# The pcap port's own address; the byte after "pcap" counts such ports.
PCAP_MAC = "02:70:63:61:70:00"
SENDER_MAC = "02:00:00:00:00:02"
GIANT_BYTES = 6000


def capture_file(path, frames):
    """A pcap file (little-endian, microseconds, Ethernet)."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


class CapturedFrames(case.GatewayCase):
    """The outside port reads this once and is then quiet; what it transmits goes to another file."""

    runts = [bytes(length) for length in (1, 6, 12, 13)]
    cut_tag = packets.mac_bytes(PCAP_MAC) + packets.mac_bytes(SENDER_MAC) + b"\x81\x00\x00"
    giants = [packets.ethernet(PCAP_MAC, SENDER_MAC, packets.ip(
        OUTSIDE.host[version], OUTSIDE.gateway[version], packets.ESP, struct.pack("!II", 0x1001, 1) + os.urandom(
            GIANT_BYTES))) for version in (4, 6)]

    @classmethod
    def setUpClass(cls):
        frames = [*cls.runts, cls.cut_tag, *cls.giants]
        read, written = f"/tmp/espgate-{os.getpid()}-in.pcap", f"/tmp/espgate-{os.getpid()}-out.pcap"
        capture_file(read, frames)
        cls.addClassCleanup(lambda: [os.path.exists(path) and os.unlink(path) for path in (read, written)])
        outside = port("outside", "", OUTSIDE, ipsec=True)
        outside["device"] = f"net_pcap0,rx_pcap={read},tx_pcap={written}"
        connection = configuration.connection(
            "giants", OUTSIDE.gateway[4], OUTSIDE.host[4], ["10.1.0.0/24"], ["10.2.0.0/24"],
            inbound=(0x1001, os.urandom(20)))
        cls.testbed = Testbed(configuration.gateway([outside, port("inside", "veth-in", INSIDE)],
                                                    connections=[connection]))
        cls.addClassCleanup(case.cleanup.now)
        cls.gateway = cls.testbed.gateway.start()
        cls.testbed.until(lambda: cls.gateway.received() >= len(frames))
        cls.baseline = cls.gateway.counters()

    @fires("ETH_RUNT")
    def test_300(self):
        self.assertEqual(self.settled().of("ETH_RUNT"), len(self.runts) + 1)

    @fires("IN_INFRA_V4_PKT_LEN_TOO_BIG", "IN_INFRA_V6_PKT_LEN_TOO_BIG")
    def test_25_26(self):
        counters = self.settled()
        self.assertEqual((counters.of("IN_INFRA_V4_PKT_LEN_TOO_BIG"), counters.of("IN_INFRA_V6_PKT_LEN_TOO_BIG")),
                         (1, 1))

"""Frames that no veth brings to the gateway, read from a capture file by DPDK's pcap port: runts, giants, and
fragments, which the kernel reassembles in front of an af_packet port.
"""

import os
import struct

from lib import case, configuration, packets, pcap_port
from lib.coverage import fires
from lib.esp import keymat
from lib.testbed import INSIDE, OUTSIDE, Testbed, port

SENDER_MAC = "02:00:00:00:00:02"
GIANT_BYTES = 65_400  # more than the largest buffer holds


class CapturedFrames(case.GatewayCase):
    """The outside port reads this once and is then quiet; what it transmits goes to another file."""

    runts = [bytes(length) for length in (1, 6, 12, 13)]
    cut_tag = packets.mac_bytes(pcap_port.MAC) + packets.mac_bytes(SENDER_MAC) + b"\x81\x00\x00"
    fragments = [packets.ethernet(pcap_port.MAC, SENDER_MAC, packets.ipv4(
        OUTSIDE.host[4], OUTSIDE.gateway[4], packets.ESP, struct.pack("!II", 0x1004, 2) + bytes(40), fragment=field))
        for field in (0x2000, 0x0010)]
    giants = [packets.ethernet(pcap_port.MAC, SENDER_MAC, packets.ip(
        OUTSIDE.host[version], OUTSIDE.gateway[version], packets.ESP, struct.pack("!II", 0x1000 + version, 1) + bytes(
            GIANT_BYTES))) for version in (4, 6)]

    @classmethod
    def setUpClass(cls):
        frames = [*cls.runts, cls.cut_tag, *cls.giants, *cls.fragments]
        read, written = f"/tmp/espgate-{os.getpid()}-in.pcap", f"/tmp/espgate-{os.getpid()}-out.pcap"
        pcap_port.capture_file(read, frames)
        cls.addClassCleanup(lambda: [os.path.exists(path) and os.unlink(path) for path in (read, written)])
        outside = port("outside", "", OUTSIDE, ipsec=True)
        outside["device"] = f"net_pcap0,rx_pcap={read},tx_pcap={written}"
        connections = [configuration.connection(
            f"v{version}", OUTSIDE.gateway[version], OUTSIDE.host[version], ["10.1.0.0/24"], [f"10.{version}.0.0/24"],
            inbound=(0x1000 + version, keymat(0x1000 + version))) for version in (4, 6)]
        cls.testbed = Testbed(configuration.gateway([outside, port("inside", "veth-in", INSIDE)],
                                                    connections=connections))
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

    @fires("IN_V4_PKT_FRAG_ERR")
    def test_70(self):
        """Between the first fragment and the last one is missing: given up when its time is over."""
        self.testbed.until(lambda: self.settled().of("IN_V4_PKT_FRAG_ERR") == 1)

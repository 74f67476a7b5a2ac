"""Drop reasons of Ethernet, IP and forwarding by real frames: exactly the counter that should move moves."""

from lib import case, configuration, packets
from lib.coverage import fires
from lib.testbed import INSIDE, OUTSIDE, standard_ports

MTU_OUTSIDE = 1400


class ForwardingDrops(case.GatewayCase):
    @classmethod
    def settings(cls):
        ports = standard_ports()
        ports[0]["mtu"] = MTU_OUTSIDE
        bypass = ("192.0.2.0/24", "2001:db8:f::/64", "198.51.100.0/24", "2001:db8:bad::/48", "10.77.0.0/16",
                  "239.0.0.0/8", "ff0e::/16")
        return configuration.gateway(ports, policies=[{"to": to, "action": "bypass"} for to in bypass])

    def expect_frames(self, reason, side, *frames):
        before = self.settled()
        self.testbed.send_frames(side, list(frames))
        self.assertEqual(self.settled().since(before).drops, {reason: len(frames)})

    def expect(self, reason, *ip_packets):
        """Packets from inside, each dropped for this reason."""
        self.expect_frames(reason, "inside", *(self.testbed.frame("inside", packet) for packet in ip_packets))

    def packet(self, version=4, destination=None, source=None, size=20, **fields):
        return packets.udp_packet(source or INSIDE.host[version], destination or OUTSIDE.host[version], 6, 5,
                                  bytes(size), **fields)

    def test_cleartext_passes_where_policy_says_bypass(self):
        for version in (4, 6):
            self.testbed.send("inside", self.packet(version))
            self.assertIsNotNone(self.testbed.outside.expect(
                lambda frame: (packet := packets.ip_of(frame)) and packet.source == INSIDE.host[version]))

    @fires("ETH_NOT_FOR_US")
    def test_301(self):
        stranger = packets.ethernet("02:00:00:00:00:99", self.testbed.inside.mac, self.packet())
        self.expect_frames("ETH_NOT_FOR_US", "inside", stranger)

    @fires("ETH_VLAN_UNKNOWN")
    def test_302(self):
        self.expect_frames("ETH_VLAN_UNKNOWN", "inside", self.testbed.frame("inside", self.packet(), vlan=77))

    @fires("IPV4_HEADER_INVALID")
    def test_310(self):
        self.expect("IPV4_HEADER_INVALID", self.packet(header_words=4))
        self.expect_frames("IPV4_HEADER_INVALID", "inside",
                           self.testbed.frame("inside", self.packet(version=4)[:19]))

    @fires("IPV4_CHECKSUM_BAD")
    def test_311(self):
        self.expect("IPV4_CHECKSUM_BAD", self.packet(header_checksum=0x1234))

    @fires("IPV4_LENGTH_INVALID")
    def test_312(self):
        self.expect("IPV4_LENGTH_INVALID", self.packet(total_length=19), self.packet(total_length=1000))

    @fires("IPV6_HEADER_INVALID")
    def test_313(self):
        self.expect_frames("IPV6_HEADER_INVALID", "inside", self.testbed.frame("inside", self.packet(6)[:39]))

    @fires("IPV6_LENGTH_INVALID")
    def test_314(self):
        self.expect("IPV6_LENGTH_INVALID", self.packet(6, payload_length=1000))

    @fires("IPV6_EXTENSION_INVALID")
    def test_315(self):
        hop_by_hop = bytes((0, 0, 1, 4, 0, 0, 0, 0))
        cut_off = packets.ipv6(INSIDE.host[6], OUTSIDE.host[6], 0, bytes((17, 200, 1, 4, 0, 0, 0, 0)))
        endless = packets.ipv6(INSIDE.host[6], OUTSIDE.host[6], 60, bytes((60,)) + hop_by_hop[1:] + (
            bytes((60,)) + hop_by_hop[1:]) * 9)
        self.expect("IPV6_EXTENSION_INVALID", cut_off, endless)

    @fires("IP_SOURCE_INVALID")
    def test_316(self):
        self.expect("IP_SOURCE_INVALID", *(self.packet(source=source) for source in (
            "127.0.0.1", "224.0.0.1", "255.255.255.255")), self.packet(6, source="::1"),
                    self.packet(6, source="ff02::1"))

    @fires("UDP_HEADER_INVALID")
    def test_317(self):
        short = packets.ipv4(OUTSIDE.host[4], OUTSIDE.gateway[4], packets.UDP, bytes.fromhex("11941194"))
        self.expect_frames("UDP_HEADER_INVALID", "outside", self.testbed.frame("outside", short))

    def assert_told(self, kind, code, version=4):
        """An ICMP error of that type and code came to the inside host from the gateway."""
        def is_it(frame):
            packet = packets.ip_of(frame)
            return (packet is not None and packet.source == INSIDE.gateway[version]
                    and packet.protocol == (packets.ICMP if version == 4 else packets.ICMPV6)
                    and tuple(packet.payload[:2]) == (kind, code))
        self.assertIsNotNone(self.testbed.inside.expect(is_it), f"no ICMP error {kind}/{code}")

    @fires("NO_ROUTE_V4", "NO_ROUTE_V6")
    def test_320_321(self):
        self.expect("NO_ROUTE_V4", self.packet(destination="198.51.100.1"))
        self.assert_told(3, 0)
        self.expect("NO_ROUTE_V6", self.packet(6, destination="2001:db8:bad::1"))
        self.assert_told(1, 0, version=6)

    @fires("TTL_EXPIRED")
    def test_322(self):
        """As traceroute asks for it: the sender is told, from the gateway's address on its side."""
        self.expect("TTL_EXPIRED", self.packet(ttl=1), self.packet(ttl=0))
        self.assert_told(11, 0)
        self.expect("TTL_EXPIRED", self.packet(6, hop_limit=1))
        self.assert_told(3, 0, version=6)

    @fires("NEIGHBOUR_UNRESOLVED")
    def test_323(self):
        """An unknown next hop: the packet is counted, and the kernel asks for the address on the wire."""
        self.expect("NEIGHBOUR_UNRESOLVED", self.packet(destination="192.0.2.222"))
        asked = self.testbed.outside.expect(
            lambda frame: frame[12:14] == b"\x08\x06" and frame[38:42] == packets.packed("192.0.2.222"))
        self.assertIsNotNone(asked, "no ARP request for the next hop came out")

    @fires("ROUTE_BLACKHOLE")
    def test_324(self):
        self.testbed.namespace.ip("route", "add", "blackhole", "10.77.0.0/16")
        self.testbed.until(lambda: "10.77.0.0/16" in str(self.gateway.ask("show", "routes")))
        self.expect("ROUTE_BLACKHOLE", self.packet(destination="10.77.1.1"))

    @fires("MTU_EXCEEDED")
    def test_325(self):
        self.expect("MTU_EXCEEDED", self.packet(size=MTU_OUTSIDE - 27), self.packet(6, size=MTU_OUTSIDE - 47))

    @fires("MULTICAST_NOT_FORWARDED")
    def test_326(self):
        groups = [self.packet(destination="239.1.2.3"), self.packet(6, destination="ff0e::1234")]
        self.expect("MULTICAST_NOT_FORWARDED", *groups)
        macs = ("01:00:5e:01:02:03", "33:33:00:00:12:34")
        self.expect_frames("MULTICAST_NOT_FORWARDED", "inside", *(
            packets.ethernet(mac, self.testbed.inside.mac, packet) for mac, packet in zip(macs, groups)))

    @fires("LINK_LOCAL_NOT_FORWARDED")
    def test_327(self):
        self.expect("LINK_LOCAL_NOT_FORWARDED", self.packet(source="169.254.7.7"),
                    self.packet(destination="169.254.7.7"), self.packet(6, source="fe80::7"))

    def test_multicast_of_the_link_is_the_kernels(self):
        before = self.settled()
        self.testbed.send_frames("inside", [packets.ethernet(
            "01:00:5e:00:00:05", self.testbed.inside.mac, self.packet(destination="224.0.0.5", ttl=1))])
        moved = self.settled().since(before)
        self.assertEqual((moved.drops, moved.outcomes["host"]), ({}, 1))

    @fires("PORT_DOWN")
    def test_zy_331_port_down(self):
        """The last case: the outside port loses its link; packets for it are counted, inside lives on."""
        self.testbed.namespace.ip("link", "set", "veth-out", "down")
        self.testbed.until(lambda: self.gateway.ask("show", "ports")["ports"][0]["link"] != "up")
        before = self.settled()
        self.testbed.send_frames("inside", [self.testbed.frame("inside", self.packet(version)) for version in (4, 6)])
        drops = self.settled().since(before).drops
        self.assertEqual(set(drops), {"PORT_DOWN"})
        # espgate's own questions for its neighbours outside, one for each family, may be among them.
        self.assertIn(drops["PORT_DOWN"], (2, 3, 4))
        self.testbed.namespace.ip("link", "set", "veth-out", "up")
        self.testbed.until(lambda: self.gateway.ask("show", "ports")["ports"][0]["link"] == "up")

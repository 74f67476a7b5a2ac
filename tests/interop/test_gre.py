"""GRE over transport mode, against GRE and ESP built here: key, checksum, and everything that is wrong with either."""

from lib import case, configuration, gre, packets
from lib.coverage import fires
from lib.encapsulation import outer_of, wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, OUTSIDE, standard_ports

PEER = {4: "192.0.2.33", 6: "2001:db8:f::33"}
KEY = {4: 0xC0FFEE, 6: None}
FAR = {4: "10.2.0.9", 6: "2001:db8:2::9"}
FAR_NETWORKS = {4: "10.2.0.0/16", 6: "2001:db8:2::/48"}


class Gre(case.GatewayCase):
    """gre4 and gre6 by the family of their outer addresses; each takes the networks of that family's number."""

    sequence = 0

    @classmethod
    def settings(cls):
        return configuration.gateway(
            standard_ports(),
            connections=[configuration.connection(
                f"peer{version}", OUTSIDE.gateway[version], PEER[version], [], [], mode="transport",
                inbound=(0x1000 + version, keymat(0x1000 + version)),
                outbound=(0x2000 + version, keymat(0x2000 + version))) for version in (4, 6)],
            tunnels=[{"name": "gre4", "kind": "gre", "connection": "peer4", "key": KEY[4], "checksum": True,
                      "addresses": ["10.255.4.1/30"]},
                     {"name": "gre6", "kind": "gre", "connection": "peer6", "addresses": ["10.255.6.1/30"]}])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for address in PEER.values():
            cls.testbed.namespace.ip("neigh", "replace", address, "lladdr", cls.testbed.outside.mac, "dev", "outside",
                                     "nud", "permanent")

    def route(self, outer, inner):
        """Packets of one inner family go through the tunnel with this outer family."""
        self.testbed.namespace.ip("route", "replace", FAR_NETWORKS[inner], "dev", f"gre{outer}")
        self.testbed.until(lambda: any(
            route["prefix"] == FAR_NETWORKS[inner] and route["port"] == f"gre{outer}"
            for route in self.gateway.ask("show", "routes")["routes"]))

    def opened(self, outer):
        frame = self.testbed.outside.expect(
            lambda frame: (packet := outer_of(frame)) is not None and (":" in packet.source) == (outer == 6), 2.0)
        self.assertIsNotNone(frame, "no ESP left")
        opened = GcmSa(0x2000 + outer, keymat(0x2000 + outer)).open(outer_of(frame).payload)
        self.assertEqual(opened.next_header, gre.PROTOCOL)
        return opened.payload

    def from_peer(self, outer, payload, next_header=gre.PROTOCOL):
        type(self).sequence += 1
        esp = GcmSa(0x1000 + outer, keymat(0x1000 + outer)).seal(payload, next_header, self.sequence)
        self.testbed.send("outside", wrap(esp, PEER[outer], OUTSIDE.gateway[outer], udp_encapsulated=False))

    def drops_of(self, payload, outer=4):
        before = self.settled()
        self.from_peer(outer, payload)
        return self.settled().since(before).drops

    def back(self, inner=4):
        return packets.udp_packet(FAR[inner], INSIDE.host[inner], 6, 5, b"back")

    def arrives(self, inner):
        return self.testbed.inside.expect(packets.is_ip(source=FAR[inner])) is not None

    def test_there_and_back_in_all_four_combinations(self):
        for outer in (4, 6):
            for inner in (4, 6):
                with self.subTest(f"{inner} in {outer}"):
                    self.route(outer, inner)
                    sent = packets.udp_packet(INSIDE.host[inner], FAR[inner], 5, 6, b"x")
                    self.testbed.send("inside", sent)
                    payload = self.opened(outer)
                    while packets.parse_ip(payload[12 if outer == 4 else 4:]).protocol != packets.UDP:
                        payload = self.opened(outer)  # the kernel's multicast goes this way, too
                    header = len(payload) - len(sent)
                    # Header, checksum and key as RFC 2784 and 2890 have them: byte for byte what we would build.
                    self.assertEqual(payload[:header],
                                     gre.wrap(payload[header:], KEY[outer], checksum=outer == 4)[:header])
                    self.from_peer(outer, gre.wrap(self.back(inner), KEY[outer], checksum=outer == 4))
                    self.assertTrue(self.arrives(inner))

    def test_a_sequence_number_is_passed_over(self):
        self.from_peer(6, gre.wrap(self.back(), sequence=17))
        self.assertTrue(self.arrives(4))

    def test_the_peer_pings_the_gateway_through_it(self):
        self.testbed.namespace.ip("route", "replace", FAR_NETWORKS[4], "dev", "gre4")
        self.from_peer(4, gre.wrap(packets.echo("10.255.4.2", "10.255.4.1", 3, 4), KEY[4], checksum=True))
        inner = None
        while inner is None or inner.protocol != packets.ICMP:
            inner = packets.parse_ip(self.opened(4)[12:])
        self.assertEqual((inner.source, inner.destination, inner.payload[0]), ("10.255.4.1", "10.255.4.2", 0))

    @fires("GRE_HEADER_INVALID")
    def test_223(self):
        self.assertEqual(self.drops_of(b"\x20\x00\x08"), {"GRE_HEADER_INVALID": 1})
        version1 = bytearray(gre.wrap(self.back(), KEY[4]))
        version1[1] |= 1
        self.assertEqual(self.drops_of(bytes(version1)), {"GRE_HEADER_INVALID": 1})

    @fires("GRE_KEY_MISMATCH")
    def test_224(self):
        for payload, outer in ((gre.wrap(self.back(), 1), 4), (gre.wrap(self.back()), 4), (gre.wrap(self.back(), 1), 6)):
            self.assertEqual(self.drops_of(payload, outer), {"GRE_KEY_MISMATCH": 1})

    @fires("GRE_CHECKSUM_BAD")
    def test_225(self):
        damaged = bytearray(gre.wrap(self.back(), KEY[4], checksum=True))
        damaged[-1] ^= 1
        self.assertEqual(self.drops_of(bytes(damaged)), {"GRE_CHECKSUM_BAD": 1})

    @fires("GRE_PROTOCOL_UNKNOWN")
    def test_226(self):
        self.assertEqual(self.drops_of(gre.wrap(self.back(), KEY[4], protocol=0x6558)), {"GRE_PROTOCOL_UNKNOWN": 1})

    def test_gre_in_clear_is_refused(self):
        before = self.settled()
        self.testbed.send("outside", packets.ip(PEER[4], OUTSIDE.gateway[4], gre.PROTOCOL,
                                                gre.wrap(self.back(), KEY[4], checksum=True)))
        self.assertEqual(self.settled().since(before).drops, {"IN_US_CL_V4_PKT_FAILED_POLICY": 1})

    def test_the_mtu_leaves_room_for_both_headers(self):
        mtus = {tunnel["name"]: tunnel["mtu"] for tunnel in self.gateway.ask("show", "tunnels")["tunnels"]}
        self.assertEqual(mtus, {"gre4": 1446 - 12, "gre6": 1426 - 4})
        self.route(4, 4)
        before = self.settled()
        self.testbed.send("inside", packets.udp_packet(INSIDE.host[4], FAR[4], 5, 6, bytes(1434 - 28)))
        self.testbed.send("inside", packets.udp_packet(INSIDE.host[4], FAR[4], 5, 6, bytes(1435 - 28)))
        self.assertEqual(self.settled().since(before).drops, {"MTU_EXCEEDED": 1})

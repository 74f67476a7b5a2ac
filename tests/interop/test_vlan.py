"""Ports with VLAN tags: two outside (QinQ), one inside. The kernel's twins see none of them."""

import struct
import subprocess

from lib import case, configuration, packets
from lib.coverage import fires
from lib.encapsulation import outer_of, wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, port
from lib.wire import tags_of

IN, OUT = 0x1001, 0x2001
FAR = {4: "10.2.0.9", 6: "2001:db8:2::9"}
SERVICE, CUSTOMER = 7, 100
MTU = 1492  # the kernel's interfaces count two tags as payload of their 1500 bytes
ESP_AROUND = 20 + 8 + 8 + 16 + 2  # IPv4, ESP, IV, ICV, trailer


class TwoTags(case.GatewayCase):
    sequence = 0

    @classmethod
    def settings(cls):
        return configuration.gateway(
            [port("outside", "veth-out", OUTSIDE, ipsec=True, service_vlan=SERVICE, vlan=CUSTOMER, mtu=MTU),
             port("inside", "veth-in", INSIDE, vlan=CUSTOMER)],
            connections=[configuration.connection(
                "branch", OUTSIDE.gateway[4], OUTSIDE.host[4], INSIDE_NETWORKS.values(), ["10.2.0.0/24", "2001:db8:2::/64"],
                inbound=(IN, keymat(IN)), outbound=(OUT, keymat(OUT)))])

    def esp(self, inner):
        type(self).sequence += 1
        sealed = GcmSa(IN, keymat(IN)).seal(inner, packets.IPV6 if inner[0] >> 4 == 6 else packets.IPV4, self.sequence)
        return wrap(sealed, OUTSIDE.host[4], OUTSIDE.gateway[4], udp_encapsulated=False)

    def test_traffic_both_ways_up_to_the_mtu(self):
        """The test's ends check and take off every frame's tags."""
        before = self.settled()
        for version, header in ((4, 28), (6, 48)):
            for size in (1, (MTU - ESP_AROUND) // 4 * 4 - header):
                with self.subTest(f"IPv{version}, {size} bytes"):
                    there = packets.udp_packet(FAR[version], INSIDE.host[version], 5, 6, bytes(size))
                    self.testbed.send("outside", self.esp(there))
                    frame = self.testbed.inside.expect(packets.is_ip(source=FAR[version]))
                    self.assertIsNotNone(frame, "nothing came out inside")
                    back = packets.udp_packet(INSIDE.host[version], FAR[version], 6, 5, bytes(size))
                    self.testbed.send("inside", back)
                    frame = self.testbed.outside.expect(lambda frame: outer_of(frame) is not None)
                    self.assertIsNotNone(frame, "no ESP came out")
                    opened = packets.parse_ip(GcmSa(OUT, keymat(OUT)).open(outer_of(frame).payload).payload)
                    self.assertEqual(opened.payload, packets.parse_ip(back).payload)
        self.assertEqual(self.settled().since(before).drops, {})

    def test_the_kernel_asks_for_neighbours_and_is_asked(self):
        """ARP: what the twin sends gets the port's tags, and it is answered without them."""
        ping = self.testbed.namespace.popen("ping", "-c", 1, "-W", 1, "192.0.2.77", stdout=subprocess.DEVNULL)
        asked = self.testbed.outside.expect(lambda frame: frame[12:14] == b"\x08\x06")
        ping.wait(5)
        self.assertEqual(asked[38:42], packets.packed("192.0.2.77"))
        request = (b"\xff" * 6 + b"\x02" * 6 + asked[12:20] + b"\0\1" + b"\x02" * 6
                   + packets.packed(OUTSIDE.host[4]) + b"\0" * 6 + packets.packed(OUTSIDE.gateway[4]))
        self.testbed.outside.send(request)
        answer = self.testbed.outside.expect(lambda frame: frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2")
        self.assertIsNotNone(answer, "no answer to ARP")

    @fires("ETH_VLAN_UNKNOWN")
    def test_302(self):
        """Without tags, with one of the two, in the wrong order, with a third."""
        frame = self.testbed.frame("outside", self.esp(packets.udp_packet(FAR[4], INSIDE.host[4], 5, 6, b"x")))
        own = tags_of({"service_vlan": SERVICE, "vlan": CUSTOMER})
        wrong = (b"", own[4:], own[:4], tags_of({"service_vlan": CUSTOMER, "vlan": SERVICE}),
                 own + struct.pack("!HH", 0x8100, CUSTOMER))
        before = self.settled()
        self.testbed.outside.send_as_they_are(*(frame[:12] + tags + frame[12:] for tags in wrong))
        self.testbed.until(lambda: self.settled().since(before).drops == {"ETH_VLAN_UNKNOWN": len(wrong)})

    def test_it_is_shown(self):
        shown = {port["name"]: port for port in self.gateway.ask("show", "ports")["ports"]}
        self.assertEqual([(shown[name]["service_vlan"], shown[name]["vlan"]) for name in ("outside", "inside")],
                         [(SERVICE, CUSTOMER), (0, CUSTOMER)])
        self.assertIn(f" {SERVICE}.{CUSTOMER} ", self.gateway.ctl("show", "ports")[1])

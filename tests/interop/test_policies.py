"""Policies by real frames: order, ranges, protocols, ports and fragments, in both directions, and what is shown."""

import socket
import struct

from lib import configuration, drop_case, packets
from lib.coverage import fires
from lib.encapsulation import wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, standard_ports

WEB, SITE = 1, 2
NEIGHBOUR = "192.0.2.20"  # of the gateway


def tcp(source, destination, source_port, destination_port, **fields):
    return packets.ip(source, destination, packets.TCP, struct.pack("!HH", source_port, destination_port) + bytes(16),
                      **fields)


def _connection(number, local_networks=(), remote_networks=(), **settings):
    connection = configuration.connection(
        f"c{number}", OUTSIDE.gateway[4], OUTSIDE.host[4], local_networks, remote_networks,
        inbound=(0x1000 + number, keymat(0x1000 + number)), outbound=(0x2000 + number, keymat(0x2000 + number)),
        **settings)
    return {key: value for key, value in connection.items() if value != []}


def settings(**changes):
    parts = dict(
        connections=[
            _connection(WEB, selectors=[
                {"local": "10.1.0.0/24", "remote": "10.2.1.0/24", "protocol": "tcp", "remote_port": "443"},
                {"local": "2001:db8:1::/64", "remote": "2001:db8:2:1::/64", "protocol": "udp", "remote_port": "50-60"}]),
            _connection(SITE, [INSIDE_NETWORKS[4]], ["10.2.2.0/24"])],
        policies=[
            {"to": "203.0.113.0/24", "action": "discard"},
            {"from": "10.1.0.0/24", "to": "192.0.2.2-192.0.2.20", "protocol": "udp", "to_port": "1000-1999",
             "action": "bypass", "comment": "plain"},
            {"to": "192.0.2.2", "protocol": "icmp", "icmp_type": "8", "action": "bypass"},
            {"to": "10.2.2.66", "action": "discard", "priority": 10, "comment": "quarantine"}])
    parts.update(changes)
    return configuration.gateway(standard_ports(), **parts)


class Policies(drop_case.EspDropCase):
    identification = 0

    @classmethod
    def settings(cls):
        return settings()

    def protected(self, number, packet):
        """Sends it from inside and returns what the peer opens."""
        self.testbed.send("inside", packet)
        frame = self.testbed.outside.expect(packets.is_ip(protocol=packets.ESP))
        self.assertIsNotNone(frame, "nothing was encrypted")
        return GcmSa(0x2000 + number, keymat(0x2000 + number)).open(packets.ip_of(frame).payload)

    def passes(self, from_side, packet, protocol):
        self.testbed.send(from_side, packet)
        wire = self.testbed.outside if from_side == "inside" else self.testbed.inside
        return wire.expect(packets.is_ip(protocol=protocol))

    def policies(self, *words):
        return self.gateway.ask("show", "policies", *words)["policies"]

    def test_one_port_is_protected_and_the_others_are_not_even_sent(self):
        opened = self.protected(WEB, tcp(INSIDE.host[4], "10.2.1.9", 40000, 443))
        self.assertEqual(opened.payload[22:24], struct.pack("!H", 443))
        self.expect("OUT_V4_POST_OUTPUT_POLICY_FAIL", "inside", tcp(INSIDE.host[4], "10.2.1.9", 40000, 444),
                    packets.udp_packet(INSIDE.host[4], "10.2.1.9", 40000, 443, b""))
        udp6 = packets.udp_packet(INSIDE.host[6], "2001:db8:2:1::9", 40000, 60, b"six")
        self.assertEqual(self.protected(WEB, udp6).next_header, packets.IPV6)
        self.expect("OUT_V6_POST_OUTPUT_POLICY_FAIL", "inside",
                    packets.udp_packet(INSIDE.host[6], "2001:db8:2:1::9", 40000, 61, b""))

    def test_a_lower_priority_number_comes_first(self):
        self.expect("OUT_V4_PKT_HIT_DENY_DROP_SP", "inside", self.from_inside("10.2.2.66"))
        self.protected(SITE, self.from_inside("10.2.2.65"))

    def test_ranges_end_where_they_say(self):
        def to(address, port):
            return packets.udp_packet(INSIDE.host[4], address, 5, port, b"plain")

        self.assertIsNotNone(self.passes("inside", to(OUTSIDE.host[4], 1999), packets.UDP))
        self.expect("OUT_V4_POST_OUTPUT_POLICY_FAIL", "inside", to(OUTSIDE.host[4], 2000), to(OUTSIDE.host[4], 999),
                    to("192.0.2.21", 1500))

    def test_icmp_types(self):
        self.assertIsNotNone(
            self.passes("inside", packets.echo(INSIDE.host[4], OUTSIDE.host[4], 1, 1), packets.ICMP))
        self.expect("OUT_V4_POST_OUTPUT_POLICY_FAIL", "inside",
                    packets.echo(INSIDE.host[4], OUTSIDE.host[4], 1, 1, reply=True))

    def fragments6(self, destination, port, size, protocol=packets.UDP):
        """Of a datagram from inside. (The kernel below the port's driver puts IPv4 fragments together before it hands
        them on, so these are IPv6.)"""
        type(self).identification += 1
        upper = packets.udp(INSIDE.host[6], destination, 5, port, bytes(range(256)) * (size // 256 + 1))
        return packets.fragments(packets.ip(INSIDE.host[6], destination, protocol, upper), 1000, self.identification)

    def test_fragments_are_made_whole_where_ports_decide(self):
        """RFC 4301 7: in any order, and then under the SA in one packet; the outer one is cut instead."""
        web = "2001:db8:2:1::9"
        for order in ((0, 1, 2), (2, 0, 1)):
            parts = self.fragments6(web, 53, 2500)
            self.testbed.send("inside", *(parts[i] for i in order))
            outer = []
            for _ in range(2):
                frame = self.testbed.outside.expect(packets.is_ip(protocol=packets.ESP))
                self.assertIsNotNone(frame, "nothing was encrypted")
                outer.append(packets.ip_of(frame).whole)
            opened = GcmSa(0x2000 + WEB, keymat(0x2000 + WEB)).open(packets.parse_ip(packets.joined(outer)).payload)
            inner = packets.parse_ip(opened.payload)
            self.assertEqual((inner.protocol, inner.payload),
                             (packets.UDP, b"".join(part[48:] for part in parts)))
        before = self.settled()
        self.testbed.send("inside", *self.fragments6(web, 61, 2500))
        self.assertEqual(self.settled().since(before).drops, {"OUT_V6_POST_OUTPUT_POLICY_FAIL": 1})
        self.assertEqual(self.gateway.ask("show", "workers")["workers"][0]["reassembling"], 0)

    def test_what_the_kernel_fragments_leaves_in_fragments_where_ports_decide(self):
        """By the policy for one port, and as what no policy names."""
        datagram = bytes(range(256)) * 16
        for port in (1500, 2500):
            with self.testbed.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((INSIDE.gateway[4], 0))
                sender.sendto(datagram, (OUTSIDE.host[4], port))
            parts = []
            for _ in range(3):
                frame = self.testbed.outside.expect(packets.is_ip(protocol=packets.UDP))
                self.assertIsNotNone(frame, f"{len(parts)} of 3 fragments came")
                parts.append(packets.ip_of(frame).whole)
            self.assertEqual(packets.parse_ip(packets.joined(parts)).payload[8:], datagram)

    def test_fragments_that_never_become_a_packet_are_given_up(self):
        before = self.settled()
        self.testbed.send("inside", *self.fragments6("2001:db8:2:1::9", 53, 2500)[1:])
        self.testbed.until(lambda: self.settled().since(before).drops == {"IN_V6_PKT_FRAG_ERR": 1})

    @fires("SELECTOR_FIELDS_OPAQUE")
    def test_216(self):
        """Nothing without ports goes anywhere where ports decide."""
        self.expect("SELECTOR_FIELDS_OPAQUE", "inside", packets.ip(INSIDE.host[4], "10.2.1.9", packets.TCP, bytes(3)))
        # A fragment of another protocol is none of that policy's business, and nobody else's.
        self.expect("OUT_V6_POST_OUTPUT_POLICY_FAIL", "inside",
                    self.fragments6("2001:db8:2:1::9", 53, 2500, packets.TCP)[1])

    def arriving(self, payload, number=WEB, next_header=packets.IPV4):
        type(self).sequence += 1
        sa = GcmSa(0x1000 + number, keymat(0x1000 + number))
        return wrap(sa.seal(payload, next_header, self.sequence), OUTSIDE.host[4], OUTSIDE.gateway[4],
                    udp_encapsulated=False)

    def test_decrypted_packets_are_held_to_protocol_and_ports(self):
        good = tcp("10.2.1.9", INSIDE.host[4], 443, 40000)
        self.assertIsNotNone(self.passes("outside", self.arriving(good), packets.TCP))
        self.expect("IN_V4_POST_INPUT_POLICY_FAIL", "outside",
                    self.arriving(tcp("10.2.1.9", INSIDE.host[4], 444, 40000)),
                    self.arriving(packets.udp_packet("10.2.1.9", INSIDE.host[4], 443, 40000, b"")),
                    self.arriving(good, SITE))
        self.expect("IN_V6_POST_INPUT_POLICY_FAIL", "outside", self.arriving(
            packets.udp_packet("2001:db8:2:1::9", INSIDE.host[6], 61, 5, b""), next_header=packets.IPV6))
        self.expect("SELECTOR_FIELDS_OPAQUE", "outside",
                    self.arriving(packets.ip("10.2.1.9", INSIDE.host[4], packets.TCP, bytes(3))))

    def test_fragments_out_of_an_sa_for_ports_are_judged_as_their_packet(self):
        """In any order; they go on in parts no larger than they came."""
        payload = bytes(range(200))
        whole = packets.ip("10.2.1.9", INSIDE.host[4], packets.TCP, tcp("10.2.1.9", INSIDE.host[4], 443, 40000)[20:] + payload)
        for identification, order in ((1, (0, 1, 2)), (2, (2, 0, 1))):
            parts = packets.fragments(whole, 80, identification)
            self.testbed.send("outside", *(self.arriving(parts[i]) for i in order))
            found = []
            for _ in parts:
                frame = self.testbed.inside.expect(packets.is_ip(protocol=packets.TCP))
                self.assertIsNotNone(frame, f"{len(found)} of {len(parts)} fragments came")
                found.append(packets.ip_of(frame).whole)
            self.assertEqual(packets.parse_ip(packets.joined(found)).payload, packets.parse_ip(whole).payload)
        other = packets.ip("10.2.1.9", INSIDE.host[4], packets.TCP, tcp("10.2.1.9", INSIDE.host[4], 444, 40000)[20:] + payload)
        before = self.settled()
        self.testbed.send("outside", *(self.arriving(part) for part in packets.fragments(other, 80, 3)))
        self.testbed.until(lambda: self.settled().since(before).drops == {"IN_V4_POST_INPUT_POLICY_FAIL": 1})

    def test_what_arrives_in_clear_meets_the_policy_of_its_answers(self):
        self.expect("IN_TRANS_CL_V4_PKT_FAILED_POLICY", "outside", tcp("10.2.1.9", INSIDE.host[4], 443, 40000),
                    packets.udp_packet("10.2.2.9", INSIDE.host[4], 1, 2, b""),
                    packets.udp_packet("203.0.113.9", INSIDE.host[4], 1, 2, b""))
        self.expect("IN_US_CL_V4_PKT_FAILED_POLICY", "outside",
                    packets.udp_packet("203.0.113.9", OUTSIDE.gateway[4], 1, 2, b""))
        self.expect("SELECTOR_FIELDS_OPAQUE", "outside",
                    packets.ip("10.2.1.9", INSIDE.host[4], packets.TCP, bytes(3)))

    def test_answers_of_bypassed_traffic_come_in(self):
        def answer(source_port):
            return packets.udp_packet(OUTSIDE.host[4], INSIDE.host[4], source_port, 5, b"answer")

        self.assertIsNotNone(self.passes("outside", answer(1500), packets.UDP))
        self.expect("OUT_V4_POST_OUTPUT_POLICY_FAIL", "outside", answer(2000))

    def test_they_are_shown_in_order_with_what_they_decided(self):
        shown = self.policies()
        self.assertEqual([policy["priority"] for policy in shown], [10, 1000, 1000, 1000, 2000, 2000, 2000])
        self.assertEqual([policy["comment"] for policy in shown if policy["comment"]], ["quarantine", "plain"])
        quarantine = self.policies("--to", "10.2.2.66")
        self.assertEqual([(policy["action"], policy["connection"]) for policy in quarantine],
                         [("discard", None), ("protect", "c2")])
        before = quarantine[0]["packets"]
        self.testbed.send("inside", self.from_inside("10.2.2.66"), self.from_inside("10.2.2.66"))
        self.assertEqual(self.policies("--to", "10.2.2.66")[0]["packets"], before + 2)
        web = self.policies("--connection", "c1")[0]
        self.assertEqual((web["protocol"], web["to_ports"], web["spi"]), ("tcp", "443", "0x00002001"))

    def test_the_policy_that_a_packet_meets_is_told(self):
        def match(*words):
            return self.gateway.ask("show", "policy-match", *words)

        self.assertEqual(match("10.1.0.10", "10.2.1.9", "tcp", "40000", "443")["policy"]["connection"], "c1")
        self.assertIsNone(match("10.1.0.10", "10.2.1.9", "tcp", "40000", "80")["policy"])
        self.assertIn("without ports", match("10.1.0.10", "10.2.1.9", "tcp")["explanation"])
        self.assertEqual(match("10.1.0.10", "10.2.2.66")["policy"]["comment"], "quarantine")
        self.assertEqual(match("10.1.0.10", "192.0.2.2", "icmp", "8", "0")["policy"]["action"], "bypass")
        code, _, err = self.gateway.ctl("show", "policy-match", "10.1.0.10", "2001:db8::1")
        self.assertEqual(code, 1)
        self.assertIn("different families", err)

    def test_a_reload_changes_what_changed_and_keeps_the_counts_of_the_rest(self):
        self.testbed.send("inside", self.from_inside("203.0.113.9"))
        before = {policy["to"]: policy["packets"] for policy in self.policies()}
        self.assertGreater(before["203.0.113.0/24"], 0)
        policies = list(self.gateway.settings["policies"])
        policies.insert(0, {"to": "203.0.113.7", "action": "bypass"})
        self.gateway.file.write_text(configuration.text(dict(self.gateway.settings, policies=policies)))
        changes = {change["what"]: change for change in self.gateway.ask("reload")["changes"]}
        self.assertEqual((changes["policies"]["added"], changes["policies"]["kept"]), (1, 4))
        self.assertEqual(changes["connections"]["kept"], 2)
        shown = self.policies()
        self.assertEqual([policy["to"] for policy in shown][4:6], ["203.0.113.7/32", "203.0.113.0/24"])
        self.assertEqual({policy["to"]: policy["packets"] for policy in shown if policy["to"] in before}, before)
        self.expect("NO_ROUTE_V4", "inside", self.from_inside("203.0.113.7"))
        self.gateway.file.write_text(configuration.text(self.gateway.settings))
        self.gateway.ask("reload")
        self.expect("OUT_V4_PKT_HIT_DENY_DROP_SP", "inside", self.from_inside("203.0.113.7"))


class Refused(drop_case.EspDropCase):
    """More policies that differ in ranges only than there is room for: 256."""

    @classmethod
    def settings(cls):
        return settings(policies=[
            {"to": NEIGHBOUR, "protocol": "udp", "to_port": f"{port}-{port + 1}", "action": "discard"}
            for port in range(2000, 2600, 2)] + [{"action": "bypass", "priority": 65000}])

    def leaves(self, port):
        """What the gateway's own kernel sends."""
        with self.testbed.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"own", (NEIGHBOUR, port))
        return self.testbed.outside.expect(
            lambda frame: (found := packets.ip_of(frame)) is not None and found.protocol == packets.UDP and
            found.payload[8:] == b"own", timeout_s=0.5) is not None

    def test_what_a_refused_policy_discards_does_not_leave(self):
        self.testbed.namespace.ip("neigh", "replace", NEIGHBOUR, "lladdr", "02:00:00:00:00:20", "dev", "outside")
        self.assertIn("more than 256 policies such as", self.gateway.log_text())
        for port in (2000, 2511, 2512, 2599, 3000):  # the first and last of those in force, refused, and behind them
            self.assertFalse(self.leaves(port), port)
        self.assertFalse(self.passes_from_inside(2599))
        told = self.gateway.ask("show", "policy-match", OUTSIDE.gateway[4], NEIGHBOUR, "udp", "5", "2599")
        self.assertIn("no room for a policy", told["explanation"])
        few = dict(self.gateway.settings, policies=self.gateway.settings["policies"][-1:])
        self.gateway.file.write_text(configuration.text(few))
        self.gateway.ask("reload")
        self.assertTrue(self.leaves(2599))
        self.assertTrue(self.passes_from_inside(2599))

    def passes_from_inside(self, port):
        self.testbed.send("inside", packets.udp_packet(INSIDE.host[4], NEIGHBOUR, 5, port, b"transit"))
        return self.testbed.outside.expect(
            lambda frame: (found := packets.ip_of(frame)) is not None and found.payload[8:] == b"transit",
            timeout_s=0.5) is not None

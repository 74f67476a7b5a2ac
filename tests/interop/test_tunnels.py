"""Tunnels as interfaces of the kernel: routes lead into them, and nothing of theirs leaves in clear."""

import json
import subprocess
import time

from lib import case, configuration, packets
from lib.coverage import fires
from lib.encapsulation import outer_of, wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, standard_ports

IN, OUT = 0x1001, 0x2001
FAR = {4: "10.2.0.9", 6: "2001:db8:2::9"}
FAR_NETWORKS = {4: "10.2.0.0/16", 6: "2001:db8:2::/48"}
OURS, THEIRS = {4: "10.255.0.1", 6: "2001:db8:ff::1"}, {4: "10.255.0.2", 6: "2001:db8:ff::2"}


def _connection(name="branch", number=1, remote=OUTSIDE.host[4], networks=((), ()), **settings):
    return configuration.connection(name, OUTSIDE.gateway[4], remote, *networks,
                                    inbound=(0x1000 + number, keymat(0x1000 + number)),
                                    outbound=(0x2000 + number, keymat(0x2000 + number)), **settings)


def _tunnel(**settings):
    return {"name": "tun0", "connection": "branch",
            "addresses": [f"{OURS[4]}/30", f"{OURS[6]}/64"], **settings}


class Tunnels(case.GatewayCase):
    sequence = 0

    @classmethod
    def settings(cls):
        return configuration.gateway(standard_ports(), connections=[_connection()], tunnels=[_tunnel()],
                                     policies=[{"to": "10.2.66.0/24", "action": "discard"},
                                               {"to": "10.2.77.0/24", "action": "bypass"}])

    def setUp(self):
        super().setUp()
        for version in (4, 6):
            self.ip("route", "replace", FAR_NETWORKS[version], "dev", "tun0", "proto", "186")
        self.until_route("10.2.0.0/16", "tunnel")
        self.until_route("2001:db8:2::/48", "tunnel")

    def ip(self, *words):
        return self.testbed.namespace.ip(*words)[1]

    def until_route(self, prefix, state):
        def holds():
            routes = {route["prefix"]: route for route in self.gateway.ask("show", "routes")["routes"]}
            found = routes.get(prefix)
            return (found["state"] if found else None) == state
        self.testbed.until(holds)

    def tunnel(self, name="tun0"):
        return {tunnel["name"]: tunnel for tunnel in self.gateway.ask("show", "tunnels")["tunnels"]}[name]

    def opened(self, timeout_s=2.0):
        """The next packet that left as ESP, decrypted."""
        frame = self.testbed.outside.expect(lambda frame: outer_of(frame) is not None, timeout_s)
        self.assertIsNotNone(frame, "no ESP left")
        return GcmSa(OUT, keymat(OUT)).open(outer_of(frame).payload).payload

    def from_peer(self, packet):
        type(self).sequence += 1
        esp = GcmSa(IN, keymat(IN)).seal(packet, packets.IPV6 if packet[0] >> 4 == 6 else packets.IPV4, self.sequence)
        self.testbed.send("outside", wrap(esp, OUTSIDE.host[4], OUTSIDE.gateway[4], udp_encapsulated=False))

    def out(self, version=4, destination=None, **fields):
        self.testbed.send("inside", packets.udp_packet(INSIDE.host[version], destination or FAR[version], 5, 6, b"x",
                                                       **fields))

    def drops_of(self, act):
        before = self.settled()
        act()
        return self.settled().since(before).drops

    def test_a_kernel_route_steers_traffic_into_the_tunnel_and_back(self):
        for version in (4, 6):
            self.assertEqual(self.drops_of(lambda: self.out(version)), {})
            inner = packets.parse_ip(self.opened())
            self.assertEqual((inner.source, inner.destination), (INSIDE.host[version], FAR[version]))
            self.from_peer(packets.udp_packet(FAR[version], INSIDE.host[version], 6, 5, b"back"))
            frame = self.testbed.inside.expect(packets.is_ip(source=FAR[version]))
            self.assertIsNotNone(frame, "nothing came out of the tunnel")

    def test_policy_comes_first(self):
        self.assertEqual(self.drops_of(lambda: self.out(destination="10.2.66.1")), {"OUT_V4_PKT_HIT_DENY_DROP_SP": 1})
        self.assertEqual(self.drops_of(lambda: self.out(destination="10.2.77.1")), {})
        self.assertEqual(packets.parse_ip(self.opened()).destination, "10.2.77.1")

    def test_without_the_route_there_is_no_way(self):
        self.ip("route", "del", FAR_NETWORKS[4], "dev", "tun0")
        self.until_route("10.2.0.0/16", None)
        self.assertEqual(self.drops_of(self.out), {"OUT_V4_POST_OUTPUT_POLICY_FAIL": 1})

    def test_the_gateway_itself_pings_through_the_tunnel(self):
        for version in (4, 6):
            ping = self.testbed.namespace.popen("ping", "-c", "1", "-W", "5", THEIRS[version],
                                                stdout=subprocess.DEVNULL)
            request = None
            while request is None:  # the kernel's multicast goes this way, too
                candidate = self.opened()
                inner = packets.parse_ip(candidate)
                if inner.payload[:1] in (b"\x08", b"\x80") and inner.destination == THEIRS[version]:
                    request = inner
            self.assertEqual(request.source, OURS[version])
            number, sequence = int.from_bytes(request.payload[4:6], "big"), int.from_bytes(request.payload[6:8], "big")
            self.from_peer(packets.echo(THEIRS[version], OURS[version], number, sequence, reply=True,
                                        payload=request.payload[8:]))
            self.assertEqual(ping.wait(8), 0)

    def test_the_peer_pings_the_gateways_inside_address(self):
        """It came in by the tunnel, so the kernel's answer goes back by it."""
        self.from_peer(packets.echo(FAR[4], INSIDE.gateway[4], 3, 4))
        inner = packets.parse_ip(self.opened())
        self.assertEqual((inner.source, inner.destination), (INSIDE.gateway[4], FAR[4]))

    def test_a_source_behind_the_tunnel_does_not_come_in_clear(self):
        spoofed = packets.udp_packet(FAR[4], INSIDE.host[4], 5, 6, b"x")
        self.assertEqual(self.drops_of(lambda: self.testbed.send("outside", spoofed)),
                         {"IN_TRANS_CL_V4_PKT_FAILED_POLICY": 1})

    def test_show_tells_where_the_route_leads(self):
        match = lambda to: self.gateway.ask("show", "policy-match", INSIDE.host[4], to)["explanation"]
        for to in ("10.2.0.9", "10.2.77.1"):
            self.assertEqual(match(to), "encrypted by tunnel tun0, which the route leads into")
        self.assertEqual(match("10.2.66.1"), "discarded")
        self.assertIn("no policy matches", match("10.99.0.9"))

    def test_x_link_down_is_no_way_either(self):
        """Late: with the link the kernel takes its IPv6 address away."""
        self.ip("link", "set", "tun0", "down")
        self.until_route("10.2.0.0/16", None)
        self.assertEqual(self.tunnel()["state"], "down")
        self.assertIn("ip link set tun0 up", self.tunnel()["reason"])
        self.assertEqual(self.drops_of(self.out), {"OUT_V4_POST_OUTPUT_POLICY_FAIL": 1})
        self.ip("link", "set", "tun0", "up")

    def test_x_link_down_lets_nothing_out_by_a_wider_route(self):
        """But what a policy bypasses, and then a blackhole route behind the tunnel's sees to that."""
        self.ip("route", "add", "default", "via", OUTSIDE.host[4], "dev", "outside")
        self.ip("link", "set", "tun0", "down")
        self.until_route("10.2.0.0/16", None)
        self.until_route("0.0.0.0/0", "resolved")
        self.assertEqual(self.drops_of(self.out), {"OUT_V4_POST_OUTPUT_POLICY_FAIL": 1})
        self.assertEqual(self.drops_of(lambda: self.out(destination="10.2.77.1")), {})
        self.assertTrue(self.left_in_clear("10.2.77.1"))
        self.ip("route", "add", "blackhole", "10.2.0.0/16", "metric", "4000")
        self.until_route("10.2.0.0/16", "blackhole")
        self.assertEqual(self.drops_of(lambda: self.out(destination="10.2.77.1")), {"ROUTE_BLACKHOLE": 1})
        code, _, _ = self.testbed.namespace.exec("ping", "-c", 1, "-W", 1, FAR[4], check=False)
        self.assertNotEqual(code, 0)
        self.assertFalse(self.left_in_clear("10.2.77.1", FAR[4]))
        self.ip("link", "set", "tun0", "up")
        self.ip("route", "add", "10.2.0.0/16", "dev", "tun0", "proto", "186")
        self.until_route("10.2.0.0/16", "tunnel")
        for route in ("blackhole 10.2.0.0/16", "default"):
            self.ip("route", "del", *route.split())

    def left_in_clear(self, *destinations):
        return self.testbed.outside.expect(lambda frame: (packet := packets.ip_of(frame)) is not None
                                           and packet.destination in destinations, 0.3) is not None

    def test_it_is_shown_and_traced(self):
        shown = self.tunnel()
        self.assertEqual((shown["kind"], shown["state"]), ("vti", "up"))
        self.assertEqual([(peer["connection"], peer["next_hops"], peer["state"]) for peer in shown["peers"]],
                         [("branch", [], "up")])
        # 1500 less IPv4, ESP, IV and ICV is 1448; padded with the trailer to 4: 1446.
        self.assertEqual(shown["mtu"], 1446)
        self.assertIn("mtu 1446", self.ip("link", "show", "tun0"))
        self.gateway.ask("trace", "add", "1")
        self.out()
        text = json.dumps(self.gateway.ask("trace", "show"))
        self.assertIn("tunnel tun0", text)
        before = self.tunnel()
        self.out()
        after = self.tunnel()
        self.assertEqual(after["tx"]["packets"], before["tx"]["packets"] + 1)
        code, out, _ = self.gateway.ctl("show", "tunnels")
        self.assertEqual(code, 0)
        self.assertIn("tun0", out)

    def test_y_without_its_sa_the_tunnel_drops(self):
        """Late: the next test brings the SA back."""
        connection = _connection()
        del connection["outbound"]
        self.reload(connections=[connection], tunnels=[_tunnel()])
        self.testbed.until(lambda: self.tunnel()["state"] == "down")
        self.assertEqual(self.tunnel()["reason"], "connection branch has no active outbound SA")
        self.testbed.until(lambda: "NO-CARRIER" in self.ip("link", "show", "tun0"))
        drops = self.tunnel()["drops"]
        self.testbed.outside.drain()
        self.assertEqual(self.drops_of(self.out), {"OUT_V4_PKT_HIT_IKE_START_SP": 1})
        self.assertEqual(self.drops_of(lambda: self.out(6)), {"OUT_V6_PKT_HIT_IKE_START_SP": 1})
        self.assertEqual(self.drops_of(lambda: self.out(destination="10.2.77.1")), {"OUT_V4_PKT_HIT_IKE_START_SP": 1})
        self.assertEqual(self.tunnel()["drops"], drops + 3)
        self.assertFalse(self.left_in_clear(*FAR.values(), "10.2.77.1"))

    def test_yy_tunnels_come_change_and_go(self):
        connections = [_connection(), _connection("second", 2, "192.0.2.3")]
        self.reload(connections=connections, tunnels=[_tunnel(mtu=1300), _tunnel(
            name="tun1", connection="second", addresses=["10.254.0.1/30"])])
        self.testbed.until(lambda: self.tunnel()["state"] == "up" and self.tunnel("tun1")["state"] == "up")
        self.assertIn("mtu 1300", self.ip("link", "show", "tun0"))
        self.assertIn("10.2.0.0/16 dev tun0", self.ip("route"))  # the change left it alone
        self.testbed.until(lambda: self.sends_through_tun0())
        self.reload(connections=connections[:1], tunnels=[_tunnel(mtu=1300)])
        self.assertEqual([tunnel["name"] for tunnel in self.gateway.ask("show", "tunnels")["tunnels"]], ["tun0"])
        self.assertNotIn("tun1", self.ip("link"))
        self.testbed.until(lambda: self.sends_through_tun0())

    @fires("OUT_SELECTOR_MISMATCH")
    def test_yyy_228(self):
        """The connection's networks are the peer's selectors too: it would drop what they do not take."""
        self.reload(connections=[_connection(networks=([INSIDE_NETWORKS[4]], ["10.2.0.0/24"]))],
                    tunnels=[_tunnel()])
        self.assertEqual(self.drops_of(self.out), {})
        self.assertEqual(packets.parse_ip(self.opened()).destination, FAR[4])
        drops = self.tunnel()["drops"]
        self.assertEqual(self.drops_of(lambda: self.out(destination="10.2.9.9")), {"OUT_SELECTOR_MISMATCH": 1})
        self.assertEqual(self.drops_of(lambda: self.out(6)), {"OUT_SELECTOR_MISMATCH": 1})
        self.assertEqual(self.tunnel()["drops"], drops + 2)
        sa = [sa for sa in self.gateway.ask("show", "sa")["sas"] if sa["direction"] == "out"]
        self.assertIn("OUT_SELECTOR_MISMATCH", json.dumps(sa))

    def sends_through_tun0(self):
        self.testbed.outside.drain()
        self.out()
        return self.testbed.outside.expect(lambda frame: outer_of(frame) is not None, 0.2) is not None

    def reload(self, **changes):
        settings = dict(self.settings(), socket=str(self.gateway.socket), **changes)
        settings["hugepages"] = self.gateway.settings["hugepages"]
        self.gateway.file.write_text(configuration.text(settings))
        self.gateway.ask("reload")


class Expired(case.GatewayCase):
    """A tunnel whose SAs are past their hard lifetime is down, so that routing goes elsewhere."""

    @classmethod
    def settings(cls):
        return configuration.gateway(standard_ports(), connections=[
            _connection(lifetime={"soft_seconds": 1, "hard_seconds": 3})], tunnels=[_tunnel()])

    def test_it_goes_down(self):
        deadline = time.monotonic() + 8
        while (tunnel := self.gateway.ask("show", "tunnels")["tunnels"][0])["state"] == "up":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.assertEqual(tunnel["reason"], "connection branch has no active inbound or outbound SA")
        self.assertIn("NO-CARRIER", self.testbed.namespace.ip("link", "show", "tun0")[1])

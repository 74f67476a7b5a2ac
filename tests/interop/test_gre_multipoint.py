"""One GRE link with two peers behind it: kernel routes say by their next hop which of them gets a packet.

Multicast of the gateway's own is for both.
"""

import ipaddress
import socket
import subprocess

from lib import case, configuration, gre, packets
from lib.coverage import fires
from lib.encapsulation import outer_of, wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, OUTSIDE, standard_ports

# Peer b has an IPv4 address outside, c an IPv6 one; each has both families inside.
PEERS = {"b": "192.0.2.33", "c": "2001:db8:f::34"}
NUMBER = {"b": 2, "c": 3}
VERSION = {"b": 4, "c": 6}  # outside
OURS = {4: "10.255.0.1", 6: "2001:db8:ff::1"}
KEY = 0xBEEF


def next_hop(name, version):
    return f"10.255.0.{NUMBER[name]}" if version == 4 else f"2001:db8:ff::{NUMBER[name]}"


def network(name, version):
    return f"10.{NUMBER[name]}.0.0/16" if version == 4 else f"2001:db8:{NUMBER[name]}::/48"


def host(name, version):
    return f"10.{NUMBER[name]}.0.9" if version == 4 else f"2001:db8:{NUMBER[name]}::9"


def connection(name, **settings):
    version = VERSION[name]
    return configuration.connection(
        name, OUTSIDE.gateway[version], PEERS[name], [], [], mode="transport",
        inbound=(0x1000 + NUMBER[name], keymat(0x1000 + NUMBER[name])),
        outbound=(0x2000 + NUMBER[name], keymat(0x2000 + NUMBER[name])), **settings)


def peer(name):
    return {"connection": name, "next_hops": [next_hop(name, 4), next_hop(name, 6)]}


def tunnel(*names, **settings):
    return {"name": "gre0", "kind": "gre-multipoint", "key": KEY, "checksum": True,
            "addresses": [f"{OURS[4]}/24", f"{OURS[6]}/64"], "peers": [peer(name) for name in names], **settings}


class Multipoint(case.GatewayCase):
    sequence = 0

    @classmethod
    def settings(cls):
        return configuration.gateway(standard_ports(), connections=[connection("b"), connection("c")],
                                     tunnels=[tunnel("b", "c")])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for address in PEERS.values():
            cls.testbed.namespace.ip("neigh", "replace", address, "lladdr", cls.testbed.outside.mac, "dev", "outside",
                                     "nud", "permanent")
        # Else the kernel looks for routers now and then, which counts as a drop where a peer is down.
        cls.testbed.namespace.exec("sysctl", "-qw", "net.ipv6.conf.gre0.router_solicitations=0")
        for name in PEERS:
            for version in (4, 6):
                cls.testbed.namespace.ip("route", "add", network(name, version), "via", next_hop(name, version),
                                         "dev", "gre0")

    def setUp(self):
        super().setUp()
        prefixes = [network(name, version) for name in PEERS for version in (4, 6)]
        self.testbed.until(lambda: all(self.route(prefix).get("port") == "gre0" for prefix in prefixes))

    def route(self, prefix):
        return {route["prefix"]: route for route in self.gateway.ask("show", "routes")["routes"]}.get(prefix, {})

    def shown(self):
        return self.gateway.ask("show", "tunnels")["tunnels"][0]

    def opened(self, name, group=None):
        """The next packet that left for this peer, out of ESP and GRE. The kernel's multicast, of which it has some of its
        own, is passed over, or that to other groups."""
        while True:
            frame = self.testbed.outside.expect(
                lambda frame: (packet := outer_of(frame)) is not None and packet.destination == PEERS[name], 2.0)
            self.assertIsNotNone(frame, f"nothing left for {name}")
            spi = 0x2000 + NUMBER[name]
            payload = GcmSa(spi, keymat(spi)).open(outer_of(frame).payload).payload
            inner = payload[12:]
            self.assertEqual(payload[:12], gre.wrap(inner, KEY, checksum=True)[:12])
            inner = packets.parse_ip(inner)
            if inner.destination == group or not ipaddress.ip_address(inner.destination).is_multicast:
                return inner

    def from_peer(self, name, packet, key=KEY):
        type(self).sequence += 1
        spi = 0x1000 + NUMBER[name]
        esp = GcmSa(spi, keymat(spi)).seal(gre.wrap(packet, key, checksum=True), gre.PROTOCOL, self.sequence)
        self.testbed.send("outside", wrap(esp, PEERS[name], OUTSIDE.gateway[VERSION[name]], udp_encapsulated=False))

    def drops_of(self, act):
        before = self.settled()
        act()
        return self.settled().since(before).drops

    def out(self, destination, version=4):
        self.testbed.send("inside", packets.udp_packet(INSIDE.host[version], destination, 5, 6, b"x"))

    def test_the_route_says_which_peer(self):
        for name in PEERS:
            for version in (4, 6):
                with self.subTest(f"IPv{version} to {name}"):
                    self.assertEqual(self.drops_of(lambda: self.out(host(name, version), version)), {})
                    inner = self.opened(name)
                    self.assertEqual((inner.source, inner.destination), (INSIDE.host[version], host(name, version)))
                    self.from_peer(name, packets.udp_packet(host(name, version), INSIDE.host[version], 6, 5, b"back"))
                    self.assertIsNotNone(self.testbed.inside.expect(
                        lambda frame: (packet := packets.ip_of(frame)) is not None
                        and packet.source == host(name, version)))

    def test_a_route_that_moves_takes_its_traffic_along(self):
        self.testbed.namespace.ip("route", "add", "10.77.0.0/16", "via", next_hop("b", 4), "dev", "gre0")
        self.testbed.until(lambda: self.route("10.77.0.0/16").get("via") == next_hop("b", 4))
        self.out("10.77.0.1")
        self.assertEqual(self.opened("b").destination, "10.77.0.1")
        self.testbed.namespace.ip("route", "replace", "10.77.0.0/16", "via", next_hop("c", 4), "dev", "gre0")
        self.testbed.until(lambda: self.route("10.77.0.0/16").get("via") == next_hop("c", 4))
        self.out("10.77.0.1")
        self.assertEqual(self.opened("c").destination, "10.77.0.1")
        self.testbed.namespace.ip("route", "del", "10.77.0.0/16")

    def test_the_gateway_itself_pings_each_peer_and_what_is_behind(self):
        for name in PEERS:
            for version in (4, 6):
                for address in (next_hop(name, version), host(name, version)):
                    with self.subTest(address):
                        ping = self.testbed.namespace.popen("ping", "-c", "1", "-W", "5", address,
                                                            stdout=subprocess.DEVNULL)
                        request = self.opened(name)
                        self.assertEqual((request.source, request.destination), (OURS[version], address))
                        number, sequence = (int.from_bytes(request.payload[at:at + 2], "big") for at in (4, 6))
                        self.from_peer(name, packets.echo(address, OURS[version], number, sequence, reply=True,
                                                          payload=request.payload[8:]))
                        self.assertEqual(ping.wait(8), 0)

    def test_each_peer_pings_the_gateway(self):
        for name in PEERS:
            self.from_peer(name, packets.echo(next_hop(name, 4), OURS[4], 3, 4))
            reply = self.opened(name)
            self.assertEqual((reply.source, reply.destination), (OURS[4], next_hop(name, 4)))

    def test_multicast_goes_to_each_peer(self):
        for version, group in ((4, "224.0.0.5"), (6, "ff02::5")):
            with self.subTest(group), self.testbed.namespace.socket(
                    socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as talker:
                talker.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"gre0")
                before = self.settled()
                talker.sendto(b"hello", (group, 7000))
                for name in PEERS:
                    inner = self.opened(name, group)
                    self.assertEqual((inner.destination, inner.hops, inner.payload[8:]), (group, 1, b"hello"))
                self.testbed.until(lambda: self.settled().since(before).outcomes["consumed"] >= 1)
                self.assertEqual(self.settled().since(before).drops, {})
                self.testbed.outside.drain()

    def test_multicast_of_a_peer_is_the_kernels(self):
        with self.testbed.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.settimeout(3)
            listener.bind(("224.0.0.9", 520))
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                                packets.packed("224.0.0.9") + packets.packed(OURS[4]))
            for name in PEERS:
                self.from_peer(name, packets.udp_packet(next_hop(name, 4), "224.0.0.9", 520, 520, name.encode(), ttl=1))
                self.assertEqual(listener.recv(100), name.encode())

    def test_spokes_reach_each_other_through_the_gateway(self):
        self.from_peer("b", packets.udp_packet(host("b", 4), host("c", 4), 5, 6, b"x"))
        inner = self.opened("c")
        self.assertEqual((inner.source, inner.destination), (host("b", 4), host("c", 4)))

    @fires("GRE_NEXT_HOP_UNKNOWN")
    def test_227(self):
        """Nobody has the address: on the link's network, behind a route, from inside or from the gateway itself."""
        self.assertEqual(self.drops_of(lambda: self.out("10.255.0.9")), {"GRE_NEXT_HOP_UNKNOWN": 1})
        self.assertEqual(self.drops_of(lambda: self.out("2001:db8:ff::9", 6)), {"GRE_NEXT_HOP_UNKNOWN": 1})
        self.testbed.namespace.ip("route", "add", "10.9.0.0/16", "via", "10.255.0.9", "dev", "gre0")
        self.testbed.until(lambda: self.route("10.9.0.0/16"))
        before = self.shown()["drops"]
        self.assertEqual(self.drops_of(lambda: self.out("10.9.0.1")), {"GRE_NEXT_HOP_UNKNOWN": 1})
        self.assertEqual(self.shown()["drops"], before + 1)
        before = self.settled()
        self.testbed.namespace.exec("ping", "-c", 1, "-W", 1, "10.255.0.9", check=False)
        self.assertEqual(self.settled().since(before).drops, {"GRE_NEXT_HOP_UNKNOWN": 1})
        self.testbed.namespace.ip("route", "del", "10.9.0.0/16")

    def test_a_wrong_key_counts_at_its_peer(self):
        before = {peer["connection"]: peer["drops"] for peer in self.shown()["peers"]}
        wrong = packets.udp_packet(host("c", 4), INSIDE.host[4], 6, 5, b"back")
        self.assertEqual(self.drops_of(lambda: self.from_peer("c", wrong, KEY + 1)), {"GRE_KEY_MISMATCH": 1})
        after = {peer["connection"]: peer["drops"] for peer in self.shown()["peers"]}
        self.assertEqual(after, {**before, "c": before["c"] + 1})

    def test_it_is_shown(self):
        shown = self.shown()
        self.assertEqual((shown["kind"], shown["state"], shown["key"]), ("gre-multipoint", "up", KEY))
        self.assertEqual([(peer["connection"], peer["next_hops"], peer["state"]) for peer in shown["peers"]],
                         [(name, [next_hop(name, 4), next_hop(name, 6)], "up") for name in PEERS])
        self.assertEqual(shown["mtu"], 1426 - 12)  # what the narrower of the two, over IPv6, takes
        def more_to_c():  # multicast is for both
            sent = {peer["connection"]: peer["tx"]["packets"] for peer in self.shown()["peers"]}
            return sent["c"] - sent["b"]

        before = more_to_c()
        self.out(host("c", 4))
        self.opened("c")
        self.assertEqual(more_to_c(), before + 1)
        code, text, _ = self.gateway.ctl("show", "tunnels")
        self.assertEqual(code, 0)
        self.assertIn(next_hop("c", 6), text)

    def test_y_peers_come_and_go(self):
        """Late: other tests want both peers. The link and its routes stay."""
        self.reload(connections=[connection("b")], tunnels=[tunnel("b")])
        self.assertEqual([peer["connection"] for peer in self.shown()["peers"]], ["b"])
        self.out(host("b", 4))
        self.assertEqual(self.opened("b").destination, host("b", 4))
        self.assertEqual(self.drops_of(lambda: self.out(host("c", 4))), {"GRE_NEXT_HOP_UNKNOWN": 1})
        inbound_only = connection("c")
        del inbound_only["outbound"]
        self.reload(connections=[connection("b"), inbound_only], tunnels=[tunnel("b", "c")])
        self.assertEqual(self.shown()["state"], "up")
        self.assertEqual([peer["state"] for peer in self.shown()["peers"]], ["up", "down"])
        # The kernel's own multicast, such as IGMP, has a copy for c as well.
        self.assertIn("OUT_V4_PKT_HIT_IKE_START_SP", self.drops_of(lambda: self.out(host("c", 4))))
        self.reload()
        self.out(host("c", 4))
        self.assertEqual(self.opened("c").destination, host("c", 4))

    def reload(self, **changes):
        settings = dict(self.settings(), socket=str(self.gateway.socket), **changes)
        settings["hugepages"] = self.gateway.settings["hugepages"]
        self.gateway.file.write_text(configuration.text(settings))
        self.gateway.ask("reload")

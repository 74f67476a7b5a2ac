"""The Linux kernel as the other end of route-based tunnels: an xfrm interface, and GRE over transport mode."""

import os

from lib import configuration
from lib.gateway import Gateway
from lib.testbed import INSIDE, OUTSIDE, standard_ports
from qemu import peer
from qemu.kernel_case import GUEST_INNER, GUEST_MAC, GUEST_NETWORKS, INSIDE_NETWORKS, KernelBehindGateway

OURS, THEIRS = {4: "10.255.0.1", 6: "2001:db8:ff::1"}, {4: "10.255.0.2", 6: "2001:db8:ff::2"}
KEY = 0xC0FFEE


class KernelTunnels(KernelBehindGateway):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for version in (4, 6):
            cls.inside.ip("route", "add", GUEST_NETWORKS[version], "via", INSIDE.gateway[version])
            cls.guest.run(f"ip route del {INSIDE_NETWORKS[version]}")

    def connect(self, outer, mode, **tunnel):
        """The gateway with tun0 and kernel routes through it, by the guest's address if the tunnel has several peers."""
        inbound, outbound = peer.Keys(0x1000 + outer, os.urandom(20)), peer.Keys(0x2000 + outer, os.urandom(20))
        connection = configuration.connection(
            "guest", OUTSIDE.gateway[outer], OUTSIDE.host[outer], [], [], mode=mode,
            inbound=(inbound.spi, inbound.keymat), outbound=(outbound.spi, outbound.keymat))
        gateway = Gateway(self.gateway_side, self.workdir, configuration.gateway(
            standard_ports(), connections=[connection],
            tunnels=[{"name": "tun0", "addresses": [f"{OURS[4]}/30", f"{OURS[6]}/64"],
                      **({} if "peers" in tunnel else {"connection": "guest"}), **tunnel}]))
        gateway.start()
        for version in (4, 6):
            via = ("via", THEIRS[version]) if "peers" in tunnel else ()
            self.gateway_side.ip("route", "add", GUEST_NETWORKS[version], *via, "dev", "tun0", "proto", "186")
        self.gateway_side.ip("neigh", "replace", OUTSIDE.host[outer], "lladdr", GUEST_MAC, "dev", "outside", "nud",
                             "permanent")
        peer.add_neighbour(self.guest, OUTSIDE.gateway[outer], self.gateway_side.mac("outside"))
        return gateway, inbound, outbound

    def bring_up(self, device):
        self.guest.run(f"ip link set {device} up mtu 1380")
        for version in (4, 6):
            self.guest.run(f"ip addr add {THEIRS[version]}/{30 if version == 4 else 64} dev {device} "
                           f"{'nodad' if version == 6 else ''}")
            self.guest.run(f"ip route add {INSIDE_NETWORKS[version]} dev {device} src {GUEST_INNER[version]}")

    def check(self, gateway, device):
        for version in (4, 6):
            # The first packets meet unresolved neighbours on the inside.
            self.inside.exec("ping", "-c", 5, "-i", "0.2", "-W", 1, GUEST_INNER[version], check=False)
            for here, address in ((self.inside, GUEST_INNER[version]), (self.gateway_side, THEIRS[version])):
                _, text, _ = here.exec("ping", "-c", 5, "-i", "0.1", "-W", 3, "-s", 1000, address, check=False)
                self.assertIn(" 0% packet loss", text, peer.errors(self.guest))
            for address in (INSIDE.host[version], OURS[version]):
                code, text = self.guest.run(f"ping -c 3 -W 3 -s 1000 {address}", check=False)
                self.assertEqual(code, 0, text)
        counters = gateway.counters()
        self.assertTrue(counters.holds)
        for reason in ("IN_CD_SW_IPSEC_MAC_EXCEPTION", "GRE_CHECKSUM_BAD", "GRE_KEY_MISMATCH"):
            self.assertEqual(counters.of(reason), 0)
        gateway.stop()
        self.guest.run(f"ip link del {device}")
        peer.remove_tunnels(self.guest)

    def check_xfrm_interface(self, outer):
        gateway, inbound, outbound = self.connect(outer, "tunnel")
        peer.remove_tunnels(self.guest)
        local, remote = OUTSIDE.host[outer], OUTSIDE.gateway[outer]
        for source, destination, keys in ((local, remote, inbound), (remote, local, outbound)):
            self.guest.run(f"ip xfrm state add src {source} dst {destination} proto esp spi {keys.spi:#x} if_id 7 "
                           f"mode tunnel replay-window 64 flag af-unspec {keys.suite.xfrm(keys.keymat)}")
        for everything in ("0.0.0.0/0", "::/0"):
            for direction, source, destination in (("out", local, remote), ("in", remote, local), ("fwd", remote, local)):
                self.guest.run(f"ip xfrm policy add src {everything} dst {everything} dir {direction} if_id 7 "
                               f"tmpl src {source} dst {destination} proto esp mode tunnel")
        self.guest.run("ip link add ipsec0 type xfrm dev eth0 if_id 7")
        self.bring_up("ipsec0")
        self.check(gateway, "ipsec0")

    def test_xfrm_interface_over_ipv4(self):
        self.check_xfrm_interface(4)

    def test_xfrm_interface_over_ipv6(self):
        self.check_xfrm_interface(6)

    def check_gre(self, outer, **tunnel):
        gateway, inbound, outbound = self.connect(outer, "transport", **{"kind": "gre", **tunnel}, key=KEY, checksum=True)
        peer.remove_tunnels(self.guest)
        local, remote = OUTSIDE.host[outer], OUTSIDE.gateway[outer]
        peer.add_tunnel(self.guest, local, remote, inbound=outbound, outbound=inbound, networks=[(local, remote)],
                        mode="transport")
        kind = "gre" if outer == 4 else "ip6gre"
        more = "ttl 64" if outer == 4 else "encaplimit none"
        self.guest.run(f"ip link add tun1 type {kind} local {local} remote {remote} key {KEY} csum {more}")
        self.bring_up("tun1")
        self.check(gateway, "tun1")

    def test_gre_over_ipv4(self):
        self.check_gre(4)

    def test_gre_over_ipv6(self):
        self.check_gre(6)

    def check_multipoint_gre(self, outer):
        """The guest's end is point to point: what is multipoint is the gateway's alone."""
        self.check_gre(outer, kind="gre-multipoint",
                       peers=[{"connection": "guest", "next_hops": [THEIRS[4], THEIRS[6]]}])

    def test_multipoint_gre_over_ipv4(self):
        self.check_multipoint_gre(4)

    def test_multipoint_gre_over_ipv6(self):
        self.check_multipoint_gre(6)

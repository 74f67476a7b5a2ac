"""strongSwan and espgated with a NAT between them, on either side, that also changes its mind."""

import time
import unittest

from lib.swan_case import GATEWAY, ROUTER_LEFT, ROUTER_RIGHT, SwanCase, ours, outer, theirs

FORGETS_AFTER_S = 2  # the NAT, without traffic
BEHIND, BEFORE, MOVED = 1, 2, 3  # the peer is behind the NAT, we are, the peer moves by itself


class Nat(SwanCase):
    # Silence is broken by nobody but whom a test wants to.
    CHARON = {"keep_alive": "0s"}

    @classmethod
    def connections(cls):
        behind = dict(ours("behind", BEHIND, {"local_id": "gw.example.org", "remote_id": "swan.example.org"}),
                      remote=ROUTER_LEFT)
        before = ours("before", BEFORE, {"local_id": "gw.example.org", "remote_id": outer(BEFORE)}, nat_keepalive=1)
        named = {"local": {"id": "swan.example.org"}, "remote": {"id": "gw.example.org"}}
        # `encap` pretends a NAT; here there is a real one, so nothing has to be pretended.
        return {
            "behind": (BEHIND, behind, theirs("behind", BEHIND, **named, encap=False)),
            "before": (BEFORE, before, theirs("before", BEFORE, remote={"id": "gw.example.org"}, encap=False,
                                              remote_addrs=f"{ROUTER_RIGHT}, {GATEWAY}")),
            "moved": (MOVED, ours("moved", MOVED),
                      theirs("moved", MOVED, mobike=True, local_addrs=f"{outer(MOVED)}, 198.51.100.0/24")),
        }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.nat()
        cls.net.router.exec("sysctl", "-qw", *(f"net.netfilter.nf_conntrack_udp_timeout{kind}={FORGETS_AFTER_S}"
                                               for kind in ("", "_stream")))

    @classmethod
    def nat(cls, ports=""):
        cls.net.translate([
            f"ip saddr {outer(BEHIND)} udp sport 4500 snat ip to {ROUTER_LEFT}{ports}" if ports else
            f"ip saddr {outer(BEHIND)} snat ip to {ROUTER_LEFT}",
            f"ip saddr {outer(BEHIND)} snat ip to {ROUTER_LEFT}",
            f"ip daddr {outer(BEFORE)} snat ip to {ROUTER_RIGHT}",
        ])

    def test_1_peer_behind_a_nat_begins(self):
        self.peer_begins("behind")
        self.assert_passes("behind")
        sa = self.ike_sa("behind")
        self.assertEqual((sa["local_port"], sa["remote"]), (4500, ROUTER_LEFT))
        self.assertIn("local host is behind NAT", self.charon.said())

    def test_2_the_nat_gives_the_peer_another_port(self):
        before = self.ike_sa("behind")["remote_port"]
        self.nat(":7000-7100")
        time.sleep(FORGETS_AFTER_S + 1)
        self.assertEqual(self.net.peer.exec("ping", "-c", 2, "-I", "10.2.1.10", "10.1.1.10", check=False)[0], 0, self.logs())
        self.charon.rekey_child("behind")  # a message of the peer's tells IKE, too
        self.until(lambda: (sa := self.ike_sa("behind")) and 7000 <= sa["remote_port"] <= 7100)
        self.assertNotEqual(self.ike_sa("behind")["remote_port"], before)
        self.assert_passes("behind")
        self.gateway.ask("terminate", "behind")
        self.wait_down("behind")

    def test_3_we_are_behind_a_nat_and_begin(self):
        self.gateway_begins("before")
        self.assert_passes("before")
        sa = self.ike_sa("before")
        self.assertEqual((sa["local_port"], sa["remote_port"]), (4500, 4500))
        self.assertIn("remote host is behind NAT", self.charon.said())

    def test_4_keepalives_hold_the_mapping(self):
        time.sleep(2.5 * FORGETS_AFTER_S)
        # The peer begins, so a mapping that is gone would not come back.
        answered = self.net.peer.exec("ping", "-c", 1, "-W", 1, "-I", "10.2.2.10", "10.1.2.10", check=False)[0] == 0
        self.assertTrue(answered, self.logs())

    def test_5_they_hold_it_without_a_child_as_well(self):
        def initiator_spi():
            return next((sa["initiator_spi"] for sa in self.ike_sas("before") if sa["state"] == "up"), None)
        self.charon.terminate_child("before")
        self.until(lambda: self.ike_sa("before") is None, what="an IKE SA without a child")
        before = initiator_spi()
        self.assertIsNotNone(before, self.logs())
        time.sleep(2.5 * FORGETS_AFTER_S)
        self.charon.rekey("before")
        self.until(lambda: initiator_spi() not in (None, before), 8, "the peer's rekey")

    def test_6_the_peer_moves_to_another_address(self):
        self.peer_begins("moved")
        self.assert_passes("moved")
        spi = self.ike_sa("moved")["initiator_spi"]
        self.net.peer.ip("address", "del", f"{outer(MOVED)}/24", "dev", "wan")
        self.until(lambda: (sa := self.ike_sa("moved")) and sa["remote"] != outer(MOVED), what="the move")
        self.assert_passes("moved")
        self.assertEqual(self.ike_sa("moved")["initiator_spi"], spi)


if __name__ == "__main__":
    unittest.main()

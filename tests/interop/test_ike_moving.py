"""Our address goes and comes back, and the tunnel with us: MOBIKE as the one that moves, under traffic; and a NAT that changes its mind."""

import contextlib
import time
import unittest

from lib import ike_case, pair, router, swan_case
from lib.stream import Stream

PER_SECOND = 500
LONGEST_GAP_S = 1.0


class Moves:
    """What both peers have in common."""

    @contextlib.contextmanager
    def streams(self, what, ends):
        """Traffic both ways, which may be interrupted by the move and then goes on. ends: two of (namespace, address)."""
        with Stream(ends[0], ends[1], 9001, PER_SECOND) as forth, Stream(ends[1], ends[0], 9002, PER_SECOND) as back:
            time.sleep(0.5)
            yield
            time.sleep(0.5)
        for stream, way in ((forth, "to the peer"), (back, "from the peer")):
            missing = stream.missing
            self.assertLess(len(missing) / PER_SECOND, LONGEST_GAP_S, f"{way}\n{self.logs()}")
            self.assertNotIn(stream.sent - 1, missing, way)
            print(f"\n{what}: {way} {1000 * len(missing) // PER_SECOND} ms interrupted", end="")

    def move(self, namespace, change, address, device="outside"):
        namespace.ip("address", change, f"{address}/24", "dev", device)


class Gateways(Moves, ike_case.IkeCase):
    """b knows nothing of a's other address."""

    OTHER = {"a": "192.0.3.1", "b": "192.0.3.2"}

    @classmethod
    def settings(cls, name):
        ike = {"liveness": 5, **({"other_addresses": [cls.OTHER["a"]]} if name == "a" else {"start": "passive"})}
        settings = ike_case.gateway(name, [ike_case.connection(name, ike=ike, versions=(4,))])
        settings["ports"][0]["addresses"].append(f"{cls.OTHER[name]}/24")
        if name == "a":
            settings["routes"] = [{"to": f"{pair.OUTER['b'][4]}/32", "via": cls.OTHER["b"]}]
        return settings

    def is_at(self, address):
        return any(sa["state"] == "up" and sa["children"] and sa["local"] == address for sa in self.ike_sas("a"))

    def test_the_address_goes_and_comes_back(self):
        first = pair.OUTER["a"][4]
        before = self.up("a")["initiator_spi"]
        self.assert_passes()
        ends = [(self.pair.host[name], pair.HOST[name][4]) for name in pair.NAMES]
        for change, address in (("del", self.OTHER["a"]), ("add", first)):
            with self.streams(f"address {change}", ends):
                self.move(self.pair.namespace["a"], change, first)
                self.until(lambda at=address: self.is_at(at))
            self.assert_passes()
        self.assertEqual(self.up("a")["initiator_spi"], before, self.logs())
        self.assertEqual({sa["remote"] for sa in self.ike_sas("b") if sa["state"] == "up"}, {first})


class BehindNat(ike_case.IkeCase):
    """a is behind a NAT that one day has another port for it, and no packets come to tell of it."""

    @staticmethod
    def BETWEEN(gateways):
        nat = router.Router(gateways)
        nat.translate()
        return nat

    @classmethod
    def settings(cls, name):
        ike = {"liveness": 2, "local_id": f"{name}.example.org", "remote_id": f"{pair.other(name)}.example.org"}
        ike |= {"other_addresses": ["192.0.3.1"]} if name == "a" else {"start": "passive"}
        remote = {"remote": router.TRANSLATED[4]} if name == "b" else {}
        return ike_case.gateway(name, [ike_case.connection(name, ike=ike, versions=(4,), **remote)])

    def test_the_peer_is_told_of_the_mapping(self):
        before = self.up("a")
        self.assertEqual(self.up("b")["remote_port"], 4500)
        self.assert_passes()
        self.pair.between.translate(":7000-7100")
        self.pair.between.forget()
        self.until(lambda: 7000 <= self.up("b")["remote_port"] <= 7100)
        self.assert_passes("b")
        self.gateway("b").ask("rekey", "site")
        self.until(lambda: self.up("a")["children"][0]["inbound_spi"] != before["children"][0]["inbound_spi"])
        self.assert_passes("b")
        self.assertEqual(self.up("a")["initiator_spi"], before["initiator_spi"], self.logs())


class StrongSwan(Moves, swan_case.SwanCase):
    OTHER, ROUTER_OTHER = "192.0.3.1", "192.0.3.254"
    ROUTES = {"198.51.100.0/24": ROUTER_OTHER}

    @classmethod
    def connections(cls):
        ids = {"local_id": "gw.example.org", "remote_id": "swan.example.org"}
        return {"moving": (1, swan_case.ours("moving", 1, {**ids, "other_addresses": [cls.OTHER], "liveness": 1}),
                           swan_case.theirs("moving", 1, mobike=True, remote_addrs=f"{swan_case.GATEWAY}, {cls.OTHER}",
                                            local={"id": "swan.example.org"}, remote={"id": "gw.example.org"}))}

    @classmethod
    def settings(cls, connections):
        settings = super().settings(connections)
        settings["ports"][0]["addresses"].append(f"{cls.OTHER}/24")
        return settings

    @classmethod
    def prepare(cls, charon, folder):
        cls.net.router.ip("address", "add", f"{cls.ROUTER_OTHER}/24", "dev", "left")

    def cut(self, is_cut):
        """The way to our first address, at the router."""
        rules = "".join(f"  ip {end} {swan_case.GATEWAY} drop\n" for end in ("saddr", "daddr")) if is_cut else ""
        self.net.router.exec("nft", "-f", "-", stdin=(
            "table ip cut\nflush table ip cut\ntable ip cut {\n chain forward {\n"
            f"  type filter hook forward priority 0;\n{rules} }}\n}}\n"))

    def is_at(self, address):
        sa = self.ike_sa("moving")
        return sa is not None and sa["local"] == address

    def test_1_the_address_goes_and_comes_back(self):
        self.gateway_begins("moving")
        self.assert_passes("moving")
        before = self.ike_sa("moving")["initiator_spi"]
        ends = [(self.net.host, swan_case.inner(1, 1)), (self.net.peer, swan_case.inner(2, 1))]
        for change, address in (("del", self.OTHER), ("add", swan_case.GATEWAY)):
            with self.streams(f"address {change}", ends):
                self.cut(change == "del")
                self.move(self.net.gateway, change, swan_case.GATEWAY)
                self.until(lambda at=address: self.is_at(at), what=f"the move to {address}")
            self.assert_passes("moving")
        self.assertEqual(self.ike_sa("moving")["initiator_spi"], before, self.logs())

    def test_2_nothing_comes_through(self):
        before = self.ike_sa("moving")["initiator_spi"]
        self.cut(True)
        self.until(lambda: self.is_at(self.OTHER), 25, "the move")
        self.assert_passes("moving")
        self.cut(False)
        self.assertEqual(self.ike_sa("moving")["initiator_spi"], before, self.logs())


if __name__ == "__main__":
    unittest.main()

"""strongSwan as several peers of one connection, at any address: each with what it asks for, or an address given."""

import re
import unittest

from lib.swan_case import GATEWAY, PSK, ROUTER_LEFT, SwanCase, inner, network, theirs

SITES = {"one": 1, "two": 2}
MOBILES = {"three": 3, "four": 4}
POOL = "10.9.0.0/24"


def hub(name, remote_networks, **ike):
    return {"name": name, "local": GATEWAY, "remote": "any", "local_networks": ["10.1.0.0/16"],
            "remote_networks": [remote_networks],
            "ike": {"liveness": 0, "remote_id": f"*.{name}.example", **({} if "ca" in ike else {"psk": PSK}), **ike}}


def site(name, number):
    return theirs(name, number, local={"id": f"{name}.site.example"}, child={"remote_ts": "10.1.0.0/16"})


def mobile(name, number):
    return theirs(name, number, vips="0.0.0.0", local={"id": f"{name}.mobile.example"},
                  child={"local_ts": "dynamic", "remote_ts": "10.1.0.0/16"})


class AnyPeer(SwanCase):
    ROUTES = {network(2, number): ROUTER_LEFT for number in SITES.values()} | {POOL: ROUTER_LEFT}

    @classmethod
    def connections(cls):
        return {name: (number, {}, site(name, number)) for name, number in SITES.items()} | {
            name: (number, {}, mobile(name, number)) for name, number in MOBILES.items()} | {
            "site": (5, hub("site", "10.2.0.0/16"), {}), "mobile": (6, hub("mobile", POOL, assign=[POOL]), {})}

    @classmethod
    def settings(cls, connections):
        return super().settings([side for side in connections if side])

    def peers(self):
        """By the peer's own name: what the gateway calls it."""
        return {sa["peer_id"].split(".")[0]: sa for sa in self.ike_sas()
                if sa["state"] == "up" and sa["children"] and sa["peer_id"]}

    def all_begin(self):
        names = [*SITES, *MOBILES]
        down = [name for name in names if name not in self.peers()]
        self.assertEqual(self.charon.initiate(*down), {}, self.logs())
        return self.until(lambda: (up := self.peers()).keys() == set(names) and up, what="all peers up")

    def pings(self, source, target, namespace=None, count=2):
        _, out, _ = (namespace or self.net.peer).exec("ping", "-c", count, "-i", "0.2", "-W", 1, "-I", source, target,
                                                      check=False)
        return int(re.search(r"(\d+) received", out)[1])

    def assert_all_pass(self):
        for number in SITES.values():
            self.until(lambda: self.pings(inner(2, number), inner(1, number), count=1) == 1, what="a site's traffic")
            self.assertEqual(self.pings(inner(1, number), inner(2, number), self.net.host), 2, self.logs())
        for name in MOBILES:
            address = self.address_of(name)
            self.until(lambda: self.pings(address, inner(1, 1), count=1) == 1, what="a mobile's traffic")
            self.assertEqual(self.pings(inner(1, 1), address, self.net.host), 2, self.logs())

    def address_of(self, name):
        return re.search(r"local +(10\.9\.0\.\d+)/32", self.charon.listing(name))[1]

    def test_1_all_are_up_with_what_is_theirs(self):
        peers = self.all_begin()
        self.assertEqual(len({sa["connection"] for sa in peers.values()}), 4)
        self.assertEqual({sa["connection"].split("#")[0] for sa in peers.values()}, {"site", "mobile"})
        self.assertEqual(len({self.address_of(name) for name in MOBILES}), 2)
        self.assert_all_pass()

    def test_2_each_gets_new_keys(self):
        before = self.peers()
        self.gateway.ask("rekey", before["one"]["connection"])
        self.gateway.ask("rekey", before["three"]["connection"], "--ike")
        self.charon.rekey_child("two")
        self.charon.rekey("four")

        def new():
            now = self.peers()
            return len(now) == 4 and all(
                now[name]["children"][0]["inbound_spi"] != before[name]["children"][0]["inbound_spi"]
                for name in ("one", "two")) and all(
                now[name]["initiator_spi"] != before[name]["initiator_spi"] for name in ("three", "four"))
        self.until(new, what="new keys")
        self.assertEqual({name: sa["connection"] for name, sa in self.peers().items()},
                         {name: sa["connection"] for name, sa in before.items()})
        self.assert_all_pass()

    def test_3_what_the_operator_sees(self):
        peers = self.peers()
        rows = {row["connection"]: row for row in self.gateway.ask("show", "connections")["connections"]}
        self.assertEqual((rows["site"]["state"], rows["site"]["remote"]), ("up", "any"))
        self.assertEqual(rows[peers["one"]["connection"]]["remote"], "198.51.100.1")
        self.assertEqual(rows[peers["one"]["connection"]]["state"], "up")
        steps = {row["step"]: row["detail"] for row in self.gateway.ask("explain", "site")["steps"]}
        self.assertIn("one.site.example", steps[peers["one"]["connection"]])
        one = self.gateway.ask("explain", peers["one"]["connection"])
        self.assertEqual((one["connection"], one["state"]), (peers["one"]["connection"], "up"))
        code, _, said = self.gateway.ctl("initiate", "site")
        self.assertNotEqual(code, 0)
        self.assertIn("only the peers", said)

    def test_4_a_reload_keeps_them(self):
        spis = {name: sa["children"] for name, sa in self.peers().items()}
        ping = self.net.peer.popen("ping", "-c", 40, "-i", "0.05", "-W", 1, "-I", inner(2, 1), inner(1, 1), stdout=-1,
                                   text=True)
        self.gateway.ask("reload")
        self.assertRegex(ping.communicate(timeout=30)[0], "40 received")
        self.assertEqual({name: sa["children"] for name, sa in self.peers().items()}, spis)

    def test_5_one_is_closed_and_the_others_stay(self):
        self.gateway.ask("terminate", self.peers()["one"]["connection"])
        self.until(lambda: self.peers().keys() == {"two", "three", "four"}, what="the end of one")
        self.until(lambda: not self.charon.is_up("one"))
        # What was its own is dropped, and never leaves in clear.
        self.assertEqual(self.pings(inner(1, 1), inner(2, 1), self.net.host), 0)
        self.assertEqual(self.pings(inner(1, 2), inner(2, 2), self.net.host), 2)
        self.charon.terminate("three")
        self.until(lambda: self.peers().keys() == {"two", "four"}, what="the end of another")
        self.all_begin()
        self.assert_all_pass()

    def test_6_all_are_closed_by_the_connections_name(self):
        self.gateway.ask("terminate", "site")
        self.until(lambda: self.peers().keys() == set(MOBILES), what="the end of all sites")
        rows = {row["connection"]: row for row in self.gateway.ask("show", "connections")["connections"]}
        self.assertEqual({name for name in rows if name.startswith("site")}, {"site"})
        self.assertEqual(rows["site"]["state"], "down")


if __name__ == "__main__":
    unittest.main()

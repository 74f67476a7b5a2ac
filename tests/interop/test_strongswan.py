"""strongSwan and espgated: every cipher and key exchange both have, by either role, with new keys and deletes."""

import dataclasses
import pathlib
import re
import unittest

from lib.swan_case import ROUTER_LEFT, SwanCase, inner, network, ours, outer, theirs

# espgate's name, strongSwan's proposal, and how strongSwan prints what was chosen: of IKE, and of ESP.
SUITES = {
    "aes128-gcm16": ("aes128gcm16", "AES_GCM_16-128"),
    "aes192-gcm16": ("aes192gcm16", "AES_GCM_16-192"),
    "aes256-gcm16": ("aes256gcm16", "AES_GCM_16-256"),
    "chacha20-poly1305": ("chacha20poly1305", "CHACHA20_POLY1305"),
    "aes128-ccm16": ("aes128ccm16", "AES_CCM_16-128"),
    "aes192-ccm16": ("aes192ccm16", "AES_CCM_16-192"),
    "aes256-ccm16": ("aes256ccm16", "AES_CCM_16-256"),
    **{f"aes{bits}-cbc-sha{hash_bits}": (f"aes{bits}-sha{hash_bits}",
                                         f"AES_CBC-{bits}/HMAC_SHA2_{hash_bits}_{hash_bits // 2}")
       for bits in (128, 192, 256) for hash_bits in (256, 384, 512)},
    **{f"aes{bits}-ctr-sha{hash_bits}": (f"aes{bits}ctr-sha{hash_bits}",
                                         f"AES_CTR-{bits}/HMAC_SHA2_{hash_bits}_{hash_bits // 2}")
       for bits, hash_bits in ((128, 256), (192, 384), (256, 512))},
}
IKE_SUITES = [name for name in SUITES if "ccm" not in name and "ctr" not in name]
KEY_EXCHANGES = {"x25519": ("x25519", "CURVE_25519"), "x448": ("x448", "CURVE_448"), "ecp256": ("ecp256", "ECP_256"),
                 "ecp384": ("ecp384", "ECP_384"), "ecp521": ("ecp521", "ECP_521"),
                 "modp2048": ("modp2048", "MODP_2048"), "modp3072": ("modp3072", "MODP_3072"),
                 "modp4096": ("modp4096", "MODP_4096")}
PRFS = {"sha256": "PRF_HMAC_SHA2_256", "sha384": "PRF_HMAC_SHA2_384", "sha512": "PRF_HMAC_SHA2_512"}


@dataclasses.dataclass(frozen=True)
class Row:
    """What one connection of the table negotiates."""

    ike: str
    prf: str
    key_exchange: str
    esp: str

    def ours(self):
        return {"suites": [self.ike], "prfs": [self.prf], "key_exchanges": [self.key_exchange],
                "child_suites": [self.esp], "pfs": [self.key_exchange]}

    def proposals(self):
        method = KEY_EXCHANGES[self.key_exchange][0]
        return f"{SUITES[self.ike][0]}-prf{self.prf}-{method}", f"{SUITES[self.esp][0]}-{method}"

    def listed(self, with_pfs):
        method = KEY_EXCHANGES[self.key_exchange][1]
        esp = SUITES[self.esp][1] + (f"/{method}" if with_pfs else "")
        return (re.escape(f"{SUITES[self.ike][1]}/{PRFS[self.prf]}/{method}") + r"\n[\s\S]*" +
                re.escape(f"ESP:{esp}") + r"\n")


def _rows():
    """Each ESP suite once; IKE's suites, key exchanges and PRFs as often as that makes them."""
    ike, methods, prfs = IKE_SUITES, list(KEY_EXCHANGES), list(PRFS)
    return {f"row{number + 1}": Row(ike[number % len(ike)], prfs[number % len(prfs)], methods[number % len(methods)], esp)
            for number, esp in enumerate(SUITES)}


ROWS = _rows()


class Algorithms(SwanCase):
    """One connection for each row, all up at once."""

    @classmethod
    def connections(cls):
        table = {}
        for number, (name, row) in enumerate(ROWS.items(), 1):
            ike, esp = row.proposals()
            table[name] = number, ours(name, number, row.ours()), theirs(name, number, ike, esp)
        return table

    def assert_negotiated(self, with_pfs=False):
        for name, row in ROWS.items():
            with self.subTest(name, row=row):
                self.assertRegex(self.charon.listing(name), row.listed(with_pfs))

    def check_rekeys(self, child, ike):
        """child, ike: how whoever began asks for new keys."""
        before = {name: self.ike_sa(name) for name in ROWS}
        for name in ROWS:
            child(name)
        self.until(lambda: all((sa := self.ike_sa(name)) and sa["children"][0]["inbound_spi"] !=
                               before[name]["children"][0]["inbound_spi"] for name in ROWS), what="new child SAs")
        self.assertEqual(self.unanswered(*ROWS), [], self.logs())
        self.until(lambda: all(self.charon.is_up(name) for name in ROWS))
        self.assert_negotiated(with_pfs=True)
        for name in ROWS:
            ike(name)
        self.until(lambda: all((sa := self.ike_sa(name)) and sa["initiator_spi"] != before[name]["initiator_spi"]
                               for name in ROWS), what="new IKE SAs")
        self.assertEqual(self.unanswered(*ROWS), [], self.logs())

    def test_1_as_initiator(self):
        self.gateway_begins(*ROWS)
        self.assert_passes(*ROWS)
        self.assert_negotiated()

    def test_2_new_keys_at_our_wish(self):
        self.check_rekeys(lambda name: self.gateway.ask("rekey", name),
                          lambda name: self.gateway.ask("rekey", name, "--ike"))

    def test_3_deleted_by_us(self):
        for name in ROWS:
            self.gateway.ask("terminate", name)
        self.wait_down(*ROWS)
        self.assertEqual(len(self.unanswered(*list(ROWS)[:2], count=1)), 4)

    def test_4_as_responder(self):
        self.peer_begins(*ROWS)
        self.assert_passes(*ROWS)
        self.assert_negotiated()

    def test_5_new_keys_at_the_peers_wish(self):
        self.check_rekeys(self.charon.rekey_child, self.charon.rekey)

    def test_6_deleted_by_the_peer(self):
        for name in ROWS:
            self.charon.terminate(name)
        self.wait_down(*ROWS)

    def test_9_every_algorithm_was_there(self):
        self.assertEqual({row.ike for row in ROWS.values()}, set(IKE_SUITES))
        self.assertEqual({row.key_exchange for row in ROWS.values()}, set(KEY_EXCHANGES))
        self.assertEqual({row.prf for row in ROWS.values()}, set(PRFS))


PPK = "5b" * 32
VIRTUAL = "10.9.0.9"  # of the peer
POOL, ANOTHER_POOL = "10.8.0.0/24", "10.8.1.0/24"  # for us


class Wishes(SwanCase):
    """Connections that need more than the plain course of messages."""

    ROUTES = {network(2, 12): ROUTER_LEFT}
    POOLS = {"pool": {"addrs": POOL, "dns": "10.2.12.53"}, "another": {"addrs": ANOTHER_POOL}}

    @classmethod
    def connections(cls):
        no_common_first = {"key_exchanges": ["ecp384", "ecp256"]}
        narrow = network(1, 2).replace(".0/24", ".0/25"), network(2, 2).replace(".0/24", ".0/25")
        twins, family = theirs("twin-1", 10), theirs("family", 13)
        for side, name, child, number in ((twins, "twin-1", "twin-2", 11), (family, "family", "second", 14),
                                          (family, "family", "third", 15)):
            side["children"][child] = {**side["children"][name], "local_ts": network(2, number),
                                       "remote_ts": network(1, number)}
        ppk = {"ppk": "required", "ppk_id": "ppk.example.org", "ppk_file": "ppk.key"}
        return {
            "other-method": (1, ours("other-method", 1, no_common_first),
                             theirs("other-method", 1, "aes256gcm16-prfsha256-x25519-ecp256",
                                    "aes256gcm16-x25519-ecp256")),
            "narrow": (2, ours("narrow", 2),
                       theirs("narrow", 2, child={"remote_ts": narrow[0], "local_ts": narrow[1]})),
            "no-pfs": (3, ours("no-pfs", 3, {"pfs": []}), theirs("no-pfs", 3, esp="aes256gcm16")),
            "childless": (4, ours("childless", 4, {"childless": True}), theirs("childless", 4, childless="force")),
            "names": (5, ours("names", 5, {"local_id": "gw@example.org", "remote_id": "*.example.org"}),
                      theirs("names", 5, local={"id": "swan.example.org"}, remote={"id": "gw@example.org"})),
            "ppk": (6, ours("ppk", 6, ppk), theirs("ppk", 6, ppk_id="ppk.example.org", ppk_required=True)),
            "ppk-if-there": (7, ours("ppk-if-there", 7, {**ppk, "ppk": "optional"}), theirs("ppk-if-there", 7)),
            "ppk-theirs": (8, ours("ppk-theirs", 8), theirs("ppk-theirs", 8, ppk_id="ppk.example.org")),
            "virtual": (9, ours("virtual", 9, {"assign": [VIRTUAL], "assign_dns": ["10.1.0.53"]}) |
                        {"remote_networks": [f"{VIRTUAL}/32"]},
                        theirs("virtual", 9, vips="0.0.0.0", child={"local_ts": "dynamic"})),
            "client": (12, ours("client", 12, {"request_addresses": True}) | {"local_networks": [POOL]},
                       theirs("client", 12, pools="pool", child={"remote_ts": "dynamic"})),
            # One IKE SA with three children.
            "family": (13, ours("family", 13), family),
            "second": (14, ours("second", 14) | {"remote": outer(13), "ike": {"child_of": "family"}}, {}),
            "third": (15, ours("third", 15) | {"remote": outer(13), "ike": {"child_of": "family"}}, {}),
            # The gateway has two connections to a peer that has one with two children.
            "twin-1": (10, ours("twin-1", 10), twins),
            "twin-2": (11, ours("twin-2", 11) | {"remote": outer(10)}, {}),
            # Who answers wants proof again, and says when. strongSwan says it to whom it has given an address.
            "proof-to-us": (16, ours("proof-to-us", 16, {"reauthenticate_after": 60}), theirs("proof-to-us", 16)),
            "proof-to-them": (17, ours("proof-to-them", 17, {"request_addresses": True}) |
                              {"local_networks": [ANOTHER_POOL]},
                              theirs("proof-to-them", 17, reauth_time="20s", pools="another",
                                     child={"remote_ts": "dynamic"})),
        }

    @classmethod
    def secrets(cls):
        return {**super().secrets(), "ppk-1": {"id": "ppk.example.org", "secret": f"0x{PPK}"}}

    @classmethod
    def prepare(cls, charon, folder):
        file = pathlib.Path(folder, "ppk.key")
        file.write_text(f"0x{PPK}\n")
        file.chmod(0o600)

    def check(self, name, roles=("initiator", "responder")):
        """Up by either side, with traffic, and with new keys."""
        for role in roles:
            (self.gateway_begins if role == "initiator" else self.peer_begins)(name)
            self.assertEqual(self.ike_sa(name)["role"], role)
            self.assert_passes(name)
            spi = self.ike_sa(name)["children"][0]["inbound_spi"]
            self.gateway.ask("rekey", name)
            self.until(lambda: (sa := self.ike_sa(name)) and sa["children"][0]["inbound_spi"] != spi)
            self.assertEqual(self.unanswered(name), [], self.logs())
            self.gateway.ask("terminate", name)
            self.wait_down(name)

    def test_another_key_exchange_is_asked_for(self):
        said = len(self.charon.said())
        self.check("other-method")
        since = self.charon.said()[said:]
        self.assertRegex(since, r"peer didn't accept .*CURVE_25519, it requested ECP_256")
        self.assertRegex(since, r"ECP_384 unacceptable, requesting (ECP_256|CURVE_25519)")

    def test_proof_again_when_who_answered_wants_it(self):
        self.peer_begins("proof-to-us")
        self.assertIn("received AUTH_LIFETIME of 60s", self.charon.said())
        self.gateway_begins("proof-to-them")
        before = self.ike_sa("proof-to-them")["initiator_spi"]
        self.until(lambda: (sa := self.ike_sa("proof-to-them")) and sa["initiator_spi"] != before, 25, "proof again")
        self.assertEqual(self.ike_sa("proof-to-them")["role"], "initiator", self.logs())
        self.assertNotIn("reauthenticating IKE_SA proof-to-them", self.charon.said())
        for name in ("proof-to-us", "proof-to-them"):
            self.gateway.ask("terminate", name)
            self.wait_down(name)

    def test_narrower_selectors(self):
        self.check("narrow")

    def test_without_key_exchange_of_the_child(self):
        self.check("no-pfs")

    def test_ike_sa_without_a_first_child(self):
        said = len(self.charon.said())
        self.check("childless")
        since = self.charon.said()[said:]
        for way in ("generating", "parsed"):
            self.assertRegex(since, way + r" IKE_AUTH request 1 \[ IDi ((?! SA ).)*\]")

    def test_the_peer_gets_an_address(self):
        self.peer_begins("virtual")
        self.until(lambda: self.net.peer.exec("ping", "-c", 1, "-W", 1, "-I", VIRTUAL, inner(1, 9), check=False)[0] == 0)
        self.assertIn(f"installing new virtual IP {VIRTUAL}", self.charon.said())
        self.gateway.ask("terminate", "virtual")

    def test_we_get_an_address(self):
        self.gateway.ask("initiate", "client")
        self.wait_up("client")
        address = POOL.replace(".0/24", ".1")
        ping = ("ping", "-c", 1, "-W", 1, "-I", address, inner(2, 12))
        self.until(lambda: self.net.gateway.exec(*ping, check=False)[0] == 0, what="traffic of the address")
        self.assertIn("10.2.12.53", self.gateway.log_text())
        self.gateway.ask("terminate", "client")
        self.until(lambda: address not in self.net.gateway.ip("address", "show")[1], what="the address's end")

    def test_several_children_of_one_ike_sa(self):
        children = ("family", "second", "third")

        def spis():
            sas = self.ike_sas("family")
            return {child["name"]: child["inbound_spi"] for child in sas[0]["children"]} if len(sas) == 1 else {}
        for begin in (lambda: self.gateway.ask("initiate", "family"),
                      lambda: self.assertEqual(self.charon.initiate(*children), {}, self.logs())):
            begin()
            self.until(lambda: spis().keys() == set(children), what="three children")
            self.assert_passes(*children)
            before = spis()
            self.gateway.ask("rekey", "second")
            self.charon.rekey_child("third")
            self.until(lambda: (now := spis()) and len(now) == 3 and now["second"] != before["second"] and
                       now["third"] != before["third"], what="new keys of two")
            self.assertEqual(spis()["family"], before["family"])
            self.assertEqual(self.unanswered(*children), [], self.logs())
            self.gateway.ask("terminate", "second")
            self.until(lambda: spis().keys() == {"family", "third"}, what="the end of one")
            self.assert_passes("family", "third")
            self.charon.rekey("family")
            self.assertEqual(self.unanswered("family", "third"), [], self.logs())
            self.gateway.ask("terminate", "family")
            self.wait_down("family")

    def test_two_connections_to_one_peer(self):
        """The second does not claim to be the first contact, or the peer would end the first."""
        for name in ("twin-1", "twin-2"):
            self.gateway.ask("initiate", name)
            self.until(lambda: self.charon.is_up("twin-1", name))
        self.assert_passes("twin-1", "twin-2")
        self.assertTrue(self.ike_sa("twin-1") and self.ike_sa("twin-2"), self.logs())

    def test_identities_by_name_and_pattern(self):
        self.check("names")

    def test_ppk_required(self):
        said = len(self.charon.said())
        self.check("ppk")
        self.assertIn("using PPK for PPK_ID", self.charon.said()[said:])

    def test_ppk_that_the_peer_has_not(self):
        self.check("ppk-if-there")

    def test_ppk_that_we_have_not(self):
        self.check("ppk-theirs")


if __name__ == "__main__":
    unittest.main()

"""strongSwan and espgated prove who they are by certificates: every kind of key, chains, CRLs, large messages."""

import pathlib
import re
import unittest

from lib import authority
from lib.swan_case import SwanCase, ours, theirs

# How our key and the peer's is made, and how strongSwan is told to sign and reports what it saw.
KINDS = {
    "rsa-pss": ("rsa2048", "rsa/pss-sha256", "RSA_EMSA_PSS"),
    "rsa-pkcs1": ("rsa2048", "rsa-sha256", "RSA_EMSA_PKCS1"),
    "ecdsa256": ("ecdsa256", "ecdsa-sha256", "ECDSA_WITH_SHA256"),
    "ecdsa384": ("ecdsa384", "ecdsa-sha384", "ECDSA_WITH_SHA384"),
    "ecdsa521": ("ecdsa521", "ecdsa-sha512", "ECDSA_WITH_SHA512"),
    "ed25519": ("ed25519", "pubkey", "ED25519"),
}
LONG = 4  # authorities between the root and who shows the long chain


def _write(file, content, secret=False):
    file.write_bytes(content)
    if secret:
        file.chmod(0o600)


class Certificates(SwanCase):
    @classmethod
    def connections(cls):
        table = {}
        cls.root = authority.Certificate("root", authority=True)
        cls.ours, cls.theirs = {}, {}
        # Each side has an authority of its own below the root, which the other hears of from it only.
        left, right = (cls.root.issue(name, authority=True) for name in ("left", "right"))
        cls.authorities = {"left": left, "right": right}
        for kind, (key, scheme, _) in KINDS.items():
            cls.ours[kind], cls.theirs[kind] = (issuer.issue(f"{kind}.{side}.example.org", key) for issuer, side in
                                               ((left, "gateway"), (right, "swan")))
            table[kind] = cls.row(len(table) + 1, kind, scheme)
        long_left = long_right = cls.root
        for level in range(LONG):
            long_left = long_left.issue(f"long-left-{level}", "rsa2048", authority=True)
            long_right = long_right.issue(f"long-right-{level}", "rsa2048", authority=True)
        cls.ours["long"] = long_left.issue("long.gateway.example.org", "rsa2048")
        cls.theirs["long"] = long_right.issue("long.swan.example.org", "rsa2048")
        table["long"] = cls.row(len(table) + 1, "long", "rsa-sha256")
        # Revoked, once by the CRL that we have and once by the one that the peer has; and both have CRLs.
        for name, ours_revoked in (("revoked-theirs", False), ("revoked-ours", True), ("listed", None)):
            cls.ours[name] = left.issue(f"{name}.gateway.example.org")
            cls.theirs[name] = right.issue(f"{name}.swan.example.org")
            extra = {"crl": "crls", "revocation": "strict"}
            table[name] = cls.row(len(table) + 1, name, "ecdsa-sha256", extra, {"revocation": "strict"})
        cls.lists = {"root": cls.root.revocation_list(), "left": left.revocation_list(cls.ours["revoked-ours"]),
                     "right": right.revocation_list(cls.theirs["revoked-theirs"])}
        # One side by key, the other by certificate.
        cls.ours["half"] = left.issue("half.gateway.example.org")
        cls.theirs["half"] = right.issue("half.swan.example.org")
        number, mine, its = cls.row(len(table) + 1, "half", "ecdsa-sha256")
        del mine["ike"]["certificate"], mine["ike"]["private_key"]
        mine["ike"]["psk"] = "a key for one of both sides"
        its["remote"]["auth"] = "psk"
        table["half"] = number, mine, its
        return table

    @classmethod
    def row(cls, number, name, scheme, our_settings=None, their_remote=None):
        ike = {"certificate": f"{name}.crt", "private_key": f"{name}.key", "ca": "root.crt",
               "local_id": f"{name}.gateway.example.org", "remote_id": f"{name}.swan.example.org", **(our_settings or {})}
        swan = theirs(name, number, local={"auth": scheme, "certs": f"{name}.crt", "id": f"{name}.swan.example.org"},
                      remote={"auth": "pubkey", "id": f"{name}.gateway.example.org", **(their_remote or {})},
                      send_cert="always")
        return number, ours(name, number, ike), swan

    @classmethod
    def secrets(cls):
        return {"ike-half": {"id": "half.gateway.example.org", "secret": '"a key for one of both sides"'}}

    @classmethod
    def prepare(cls, charon, folder):
        here, there = pathlib.Path(folder), charon.workdir
        (here / "crls").mkdir()
        _write(here / "root.crt", cls.root.pem())
        _write(there / "x509ca" / "root.crt", cls.root.pem())
        for name, certificate in cls.ours.items():
            _write(here / f"{name}.crt", b"".join(each.pem() for each in [certificate, *certificate.above()]))
            _write(here / f"{name}.key", certificate.key_pem(), secret=True)
        for name, certificate in cls.theirs.items():
            _write(there / "x509" / f"{name}.crt", certificate.pem())
            _write(there / "private" / f"{name}.key", certificate.key_pem(), secret=True)
            for level, above in enumerate(certificate.above()):
                _write(there / "x509ca" / f"{name}-{level}.crt", above.pem())
        for name, content in cls.lists.items():
            _write(here / "crls" / f"{name}.crl", content)
            _write(there / "x509crl" / f"{name}.crl", content)

    def check(self, name):
        for begin, role in ((self.gateway_begins, "initiator"), (self.peer_begins, "responder")):
            begin(name)
            self.assertEqual(self.ike_sa(name)["role"], role)
            self.assert_passes(name)
            self.gateway.ask("terminate", name)
            self.wait_down(name)

    def test_kinds_of_keys(self):
        for kind, (_, _, seen) in KINDS.items():
            with self.subTest(kind):
                said = len(self.charon.said())
                self.check(kind)
                since = self.charon.said()[said:]
                # RSA is ours to sign by PSS only.
                of_ours = "RSA_EMSA_PSS" if kind.startswith("rsa") else seen
                self.assertRegex(since, rf"authentication of '{kind}\.gateway\.example\.org' with {of_ours}\w* successful")
                self.assertRegex(since, rf"authentication of '{kind}\.swan\.example\.org' \(myself\) with {seen}\w* successful")

    def test_long_chain_in_fragments(self):
        said = len(self.charon.said())
        self.check("long")
        since = self.charon.said()[said:]
        self.assertRegex(since, r"splitting IKE message .* into \d+ fragments")
        self.assertRegex(since, r"received fragment #\d+ of \d+, reassembled fragmented IKE message")

    def test_certificates_that_crls_know(self):
        self.check("listed")

    def test_crls_that_come_later_count_from_the_reload_on(self):
        self.peer_begins("listed")
        self.peer_begins("half")
        kept = self.ike_sa("half")["initiator_spi"]
        file = pathlib.Path(self.workdir, "crls", "right.crl")
        _write(file, self.authorities["right"].revocation_list(self.theirs["revoked-theirs"], self.theirs["listed"]))
        self.gateway.ask("reload")
        self.until(lambda: self.ike_sa("listed") is None, what="the end of what is revoked now")
        self.assertNotEqual(self.charon.initiate("listed", timeout_s=3), {})
        self.assertIsNone(self.ike_sa("listed"))
        self.assertEqual(self.ike_sa("half")["initiator_spi"], kept)  # it has no CRLs
        _write(file, self.lists["right"])
        self.gateway.ask("reload")
        self.peer_begins("listed")
        for name in ("listed", "half"):
            self.gateway.ask("terminate", name)
            self.wait_down(name)

    def test_peers_certificate_is_revoked(self):
        self.gateway.ask("initiate", "revoked-theirs")
        reason = self.until(lambda: next((sa["reason"] for sa in self.ike_sas("revoked-theirs") if sa["reason"]), None))
        self.assertIn("revoked", reason)
        self.assertNotEqual(self.charon.initiate("revoked-theirs", timeout_s=3), {})
        self.assertIsNone(self.ike_sa("revoked-theirs"))

    def test_our_certificate_is_revoked(self):
        self.gateway.ask("initiate", "revoked-ours")
        reason = self.until(lambda: next((sa["reason"] for sa in self.ike_sas("revoked-ours") if sa["reason"]), None))
        self.assertIn("AUTHENTICATION_FAILED", reason)
        self.assertTrue(re.search("certificate was revoked", self.charon.said()))

    def test_key_on_one_side_and_certificate_on_the_other(self):
        self.check("half")


if __name__ == "__main__":
    unittest.main()

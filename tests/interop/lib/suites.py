"""The cipher suites as the tests know them, from their RFCs: no line of this comes from the gateway's table.

Each has the names that the gateway, scapy and `ip xfrm` give its algorithms.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Suite:
    """Sizes in bytes. `hash` is hashlib's name of the HMAC's hash; None: the cipher authenticates."""

    name: str
    mode: str
    key: int
    salt: int
    iv: int
    icv: int
    align: int = 4
    hash: str | None = None
    hash_key: int = 0

    @property
    def keymat(self):
        """Cipher key, salt, integrity key (RFC 7296 section 2.17)."""
        return self.key + self.salt + self.hash_key

    @property
    def scapy(self):
        """scapy's names (cipher, integrity), or None where scapy 2.5 does not have the suite."""
        if self.mode == "gmac":
            return None
        cipher = {"gcm": "AES-GCM", "ccm": "AES-CCM", "chacha": "CHACHA20-POLY1305", "cbc": "AES-CBC",
                  "ctr": "AES-CTR", "null": "NULL"}[self.mode]
        return cipher, {None: "NULL", "sha1": "HMAC-SHA1-96", "sha256": "SHA2-256-128", "sha384": "SHA2-384-192",
                        "sha512": "SHA2-512-256"}[self.hash]

    def scapy_does(self, esn):
        """Whether scapy is an oracle: its HMACs leave out the upper half of an extended sequence number."""
        return self.scapy is not None and not (esn and self.hash)

    def xfrm(self, keymat):
        """The algorithm part of `ip xfrm state add`."""
        key = keymat[:self.key + self.salt].hex()
        if self.hash is None:
            name = {"gcm": "rfc4106(gcm(aes))", "ccm": "rfc4309(ccm(aes))", "gmac": "rfc4543(gcm(aes))",
                    "chacha": "rfc7539esp(chacha20,poly1305)"}[self.mode]
            return f"aead '{name}' 0x{key} {8 * self.icv}"
        name = {"cbc": "cbc(aes)", "ctr": "rfc3686(ctr(aes))", "null": "ecb(cipher_null)"}[self.mode]
        integrity_key = keymat[self.key + self.salt:].hex()
        return (f"enc '{name}' {'0x' + key if key else repr('')} "
                f"auth-trunc 'hmac({self.hash})' 0x{integrity_key} {8 * self.icv}")


# RFC 4868 section 2.1.1 and RFC 2404: (hash, key, ICV).
_HMACS = (("sha1", 20, 12), ("sha256", 32, 16), ("sha384", 48, 24), ("sha512", 64, 32))


def _all():
    for bits in (128, 192, 256):
        key = bits // 8
        yield Suite(f"aes{bits}-gcm16", "gcm", key, 4, 8, 16)  # RFC 4106
        yield Suite(f"aes{bits}-ccm16", "ccm", key, 3, 8, 16)  # RFC 4309
        yield Suite(f"aes{bits}-gmac", "gmac", key, 4, 8, 16)  # RFC 4543
        for name, hash_key, icv in _HMACS:
            yield Suite(f"aes{bits}-cbc-{name}", "cbc", key, 0, 16, icv, 16, name, hash_key)  # RFC 3602
            yield Suite(f"aes{bits}-ctr-{name}", "ctr", key, 4, 8, icv, 4, name, hash_key)  # RFC 3686
    yield Suite("chacha20-poly1305", "chacha", 32, 4, 8, 16)  # RFC 7634
    for name, hash_key, icv in _HMACS:
        yield Suite(f"null-{name}", "null", 0, 0, 0, icv, 4, name, hash_key)  # RFC 2410


SUITES = {suite.name: suite for suite in _all()}
GCM = {16: SUITES["aes128-gcm16"], 24: SUITES["aes192-gcm16"], 32: SUITES["aes256-gcm16"]}

"""ESP with every suite, straight from RFC 4303 and the ciphers' own: an oracle that shares no code with the
gateway, nor with scapy, which serves as the other oracle. It also builds what no honest sender would.
"""

import dataclasses
import hashlib
import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from .suites import GCM

ICV_BYTES = 16
IV_BYTES = 8
HEADER_BYTES = 8
NAT_T_PORT = 4500


_RUN_SEED = os.urandom(16)


def keymat(spi, key_bytes=16):
    """Key and salt of the SA with this SPI: of its own, because AES-GCM breaks when SAs share one."""
    return hashlib.sha512(_RUN_SEED + struct.pack("!I", spi)).digest()[:key_bytes + 4]


class BadEsp(Exception):
    """A packet that does not open."""


@dataclasses.dataclass(frozen=True)
class Opened:
    spi: int
    sequence: int
    next_header: int
    payload: bytes
    iv: bytes


class EspSa:
    """One direction of an SA.

    keymat: cipher key, salt, integrity key, as far as the suite has them (RFC 7296 section 2.17).
    """

    def __init__(self, spi, keymat, suite, *, esn=False):
        if len(keymat) != suite.keymat:
            raise ValueError(f"{suite.name} takes {suite.keymat} bytes of key, not {len(keymat)}")
        self.spi = spi
        self.keymat = keymat
        self.suite = suite
        self.esn = esn
        self._key = keymat[:suite.key]
        self._salt = keymat[suite.key:suite.key + suite.salt]
        self._integrity_key = keymat[suite.key + suite.salt:]

    def _additional_data(self, sequence):
        # RFC 4106 section 5: SPI and sequence number, all 64 bits of it with ESN.
        if self.esn:
            return struct.pack("!IQ", self.spi, sequence)
        return struct.pack("!II", self.spi, sequence)

    def _aead(self):
        if self.suite.mode == "gcm":
            return AESGCM(self._key)
        return AESCCM(self._key, tag_length=16) if self.suite.mode == "ccm" else ChaCha20Poly1305(self._key)

    def _cipher(self, iv):
        if self.suite.mode == "cbc":
            return Cipher(algorithms.AES(self._key), modes.CBC(iv))
        # RFC 3686 section 4: nonce, IV, block counter from 1.
        return Cipher(algorithms.AES(self._key), modes.CTR(self._salt + iv + bytes((0, 0, 0, 1))))

    def _mac(self, iv, ciphertext, sequence):
        # RFC 4303 section 2.2.1: the upper half of an extended sequence number follows the packet.
        covered = struct.pack("!II", self.spi, sequence & 0xFFFFFFFF) + iv + ciphertext
        if self.esn:
            covered += struct.pack("!I", sequence >> 32)
        return hmac.new(self._integrity_key, covered, self.suite.hash).digest()[:self.suite.icv]

    def _seal(self, plaintext, iv, sequence):
        """Ciphertext and ICV."""
        if self.suite.mode == "gmac":
            # RFC 4543 section 3.3: nothing is encrypted; the IV is authenticated too.
            covered = self._additional_data(sequence) + iv + plaintext
            return plaintext + AESGCM(self._key).encrypt(self._salt + iv, b"", covered)
        if self.suite.hash is None:
            return self._aead().encrypt(self._salt + iv, plaintext, self._additional_data(sequence))
        ciphertext = plaintext
        if self.suite.mode != "null":
            ciphertext = self._cipher(iv).encryptor().update(plaintext)
        return ciphertext + self._mac(iv, ciphertext, sequence)

    def _open(self, sealed, iv, sequence):
        """The plaintext of ciphertext and ICV; raises InvalidTag."""
        ciphertext, icv = sealed[:-self.suite.icv], sealed[-self.suite.icv:]
        if self.suite.mode == "gmac":
            AESGCM(self._key).decrypt(self._salt + iv, icv, self._additional_data(sequence) + iv + ciphertext)
            return ciphertext
        if self.suite.hash is None:
            return self._aead().decrypt(self._salt + iv, sealed, self._additional_data(sequence))
        if not hmac.compare_digest(icv, self._mac(iv, ciphertext, sequence)):
            raise InvalidTag
        return ciphertext if self.suite.mode == "null" else self._cipher(iv).decryptor().update(ciphertext)

    def seal(self, payload, next_header, sequence, *, pad=None, pad_length=None, tfc=b"", iv=None, spi=None):
        """The ESP packet from SPI to ICV.

        pad, pad_length: padding bytes and stated length instead of the right ones.
        tfc: traffic flow confidentiality bytes behind the payload (RFC 4303 section 2.7).
        spi: the SPI on the wire, where it shall differ from the authenticated one.
        """
        body = payload + tfc
        if pad is None:
            pad = bytes(range(1, 1 + -(len(body) + 2) % self.suite.align))  # RFC 4303 section 2.4: 1, 2, 3
        stated = len(pad) if pad_length is None else pad_length
        plaintext = body + pad + bytes((stated, next_header))
        iv = os.urandom(self.suite.iv) if iv is None else iv
        header = struct.pack("!II", self.spi if spi is None else spi, sequence & 0xFFFFFFFF)
        return header + iv + self._seal(plaintext, iv, sequence)

    def open(self, packet, *, sequence_high=0):
        """Checks and opens an ESP packet; raises BadEsp."""
        start = HEADER_BYTES + self.suite.iv
        if len(packet) < start + 2 + self.suite.icv:
            raise BadEsp("runt")
        if (len(packet) - start - self.suite.icv) % self.suite.align:
            raise BadEsp(f"ciphertext is not a multiple of {self.suite.align} bytes (RFC 4303 section 2.4)")
        spi, low = struct.unpack_from("!II", packet)
        if spi != self.spi:
            raise BadEsp(f"SPI {spi:#x}, expected {self.spi:#x}")
        sequence = sequence_high << 32 | low
        iv = packet[HEADER_BYTES:start]
        try:
            plaintext = self._open(packet[start:], iv, sequence)
        except InvalidTag as error:
            raise BadEsp("ICV wrong") from error
        pad_length, next_header = plaintext[-2:]
        if pad_length > len(plaintext) - 2:
            raise BadEsp("pad length exceeds the payload")
        end = len(plaintext) - 2 - pad_length
        if plaintext[end:-2] != bytes(range(1, 1 + pad_length)):
            raise BadEsp("padding is not 1, 2, 3, ...")
        return Opened(spi, sequence, next_header, plaintext[:end], iv)


class GcmSa(EspSa):
    """With AES-GCM-16, the key's length as keymat says."""

    def __init__(self, spi, keymat, *, esn=False):
        super().__init__(spi, keymat, GCM[len(keymat) - 4], esn=esn)

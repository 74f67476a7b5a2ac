"""ESP with AES-GCM-16, straight from RFC 4303 and RFC 4106: an oracle that shares no code with the
gateway, nor with scapy, which serves as the other oracle. It also builds what no honest sender would.
"""

import dataclasses
import hashlib
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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


class GcmSa:
    """One direction of an SA.

    keymat: AES key followed by the 4-byte salt (RFC 4106 section 8.1).
    """

    def __init__(self, spi, keymat, *, esn=False):
        self.spi = spi
        self.keymat = keymat
        self.esn = esn
        self._salt = keymat[-4:]
        self._cipher = AESGCM(keymat[:-4])

    def _additional_data(self, sequence):
        # RFC 4106 section 5: SPI and sequence number, all 64 bits of it with ESN.
        if self.esn:
            return struct.pack("!IQ", self.spi, sequence)
        return struct.pack("!II", self.spi, sequence)

    def seal(self, payload, next_header, sequence, *, pad=None, pad_length=None, tfc=b"", iv=None, spi=None):
        """The ESP packet from SPI to ICV.

        pad, pad_length: padding bytes and stated length instead of the right ones.
        tfc: traffic flow confidentiality bytes behind the payload (RFC 4303 section 2.7).
        spi: the SPI on the wire, where it shall differ from the authenticated one.
        """
        body = payload + tfc
        if pad is None:
            pad = bytes(range(1, 1 + -(len(body) + 2) % 4))  # RFC 4303 section 2.4: 1, 2, 3
        stated = len(pad) if pad_length is None else pad_length
        plaintext = body + pad + bytes((stated, next_header))
        iv = os.urandom(IV_BYTES) if iv is None else iv
        sealed = self._cipher.encrypt(self._salt + iv, plaintext, self._additional_data(sequence))
        header = struct.pack("!II", self.spi if spi is None else spi, sequence & 0xFFFFFFFF)
        return header + iv + sealed

    def open(self, packet, *, sequence_high=0):
        """Checks and opens an ESP packet; raises BadEsp."""
        if len(packet) < HEADER_BYTES + IV_BYTES + 2 + ICV_BYTES:
            raise BadEsp("runt")
        if (len(packet) - HEADER_BYTES - IV_BYTES - ICV_BYTES) % 4:
            raise BadEsp("ciphertext is not a multiple of 4 bytes (RFC 4303 section 2.4)")
        spi, low = struct.unpack_from("!II", packet)
        if spi != self.spi:
            raise BadEsp(f"SPI {spi:#x}, expected {self.spi:#x}")
        sequence = sequence_high << 32 | low
        iv = packet[HEADER_BYTES:HEADER_BYTES + IV_BYTES]
        try:
            plaintext = self._cipher.decrypt(self._salt + iv, packet[HEADER_BYTES + IV_BYTES:],
                                             self._additional_data(sequence))
        except InvalidTag as error:
            raise BadEsp("ICV wrong") from error
        pad_length, next_header = plaintext[-2:]
        if pad_length > len(plaintext) - 2:
            raise BadEsp("pad length exceeds the payload")
        end = len(plaintext) - 2 - pad_length
        if plaintext[end:-2] != bytes(range(1, 1 + pad_length)):
            raise BadEsp("padding is not 1, 2, 3, ...")
        return Opened(spi, sequence, next_header, plaintext[:end], iv)

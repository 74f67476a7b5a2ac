"""scapy as an ESP peer: one direction of a tunnel-mode SA that builds and opens whole outer packets."""

import contextlib
import io
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
with contextlib.redirect_stderr(io.StringIO()):
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ipsec import ESP, SecurityAssociation

from . import packets
from .esp import BadEsp, NAT_T_PORT


class ScapySa:
    """keymat: key, salt, integrity key. source and destination: the outer addresses."""

    def __init__(self, spi, keymat, suite, source, destination, *, esn=False, udp_encapsulated=False):
        self._spi, self._esn = spi, esn
        self._crypt, self._auth = suite.scapy
        # scapy takes the salt as the end of the cipher's key.
        self._key, self._auth_key = keymat[:suite.key + suite.salt], keymat[suite.key + suite.salt:]
        self._source, self._destination = source, destination
        self._udp = udp_encapsulated

    def _association(self, sequence):
        # scapy's association is made anew for each packet: it holds the upper half of an ESN fixed.
        header = IPv6 if ":" in self._source else IP
        return SecurityAssociation(
            ESP, spi=self._spi, seq_num=sequence & 0xFFFFFFFF, crypt_algo=self._crypt, crypt_key=self._key,
            auth_algo=self._auth, auth_key=self._auth_key,
            tunnel_header=header(src=self._source, dst=self._destination),
            nat_t_header=UDP(sport=NAT_T_PORT, dport=NAT_T_PORT) if self._udp else None,
            esn_en=self._esn, esn=sequence >> 32)

    def build(self, inner, sequence):
        """The outer packet, as bytes, around an inner packet given as bytes."""
        packet = (IPv6 if inner[0] >> 4 == 6 else IP)(inner)
        outer = self._association(sequence).encrypt(packet)
        if self._udp:
            outer[UDP].len = None  # scapy 2.5 fills it in before the datagram has its payload
        return bytes(outer)

    def open(self, outer, *, sequence_high=0):
        """(inner packet as bytes, sequence number) of an outer packet as bytes; raises BadEsp."""
        packet = (IPv6 if outer[0] >> 4 == 6 else IP)(outer)
        if ESP not in packet:
            raise BadEsp("scapy sees no ESP")
        sequence = sequence_high << 32 | packet[ESP].seq
        try:
            opened = self._association(sequence).decrypt(packet)
        except Exception as error:  # scapy's errors share no base class
            raise BadEsp(f"scapy cannot open it: {error}") from error
        whole = bytes(opened)
        return packets.parse_ip(whole).whole, sequence

"""IKE_SA_INIT requests of strangers that are not there: each of another address, port and SPI."""

import os
import struct

from . import flood, packets


def _payload(following, body):
    return struct.pack("!BxH", following, 4 + len(body)) + body


def greeting():
    """One that a gateway with the defaults would take: AES-GCM-256 with 16 bytes of ICV, HMAC-SHA2-256, x25519."""
    transforms = (struct.pack("!BxHBxHHH", 3, 12, 1, 20, 0x800E, 256) + struct.pack("!BxHBxH", 3, 8, 2, 5) +
                  struct.pack("!BxHBxH", 0, 8, 4, 31))
    proposal = struct.pack("!BxHBBBB", 0, 8 + len(transforms), 1, 1, 0, 3) + transforms
    body = (_payload(34, proposal) + _payload(40, struct.pack("!HH", 31, 0) + os.urandom(32)) +
            _payload(0, os.urandom(32)))
    return struct.pack("!QQBBBBII", 1, 0, 33, 0x20, 34, 0x08, 0, 28 + len(body)) + body


class Flood(flood.Flood):
    """`destination`: (MAC, address). They seem to come from `addresses` IPv4 addresses from `first` on."""

    def __init__(self, namespace, device, destination, first, addresses, per_second):
        mac, address = destination
        super().__init__(namespace, device, packets.ethernet(mac, namespace.mac(device), packets.ipv4(
            first, address, packets.UDP, packets.udp(first, address, 500, 500, greeting(), with_checksum=False))), per_second)
        self._first, = struct.unpack("!I", packets.packed(first))
        self._addresses = addresses

    def vary(self, frame, number):
        """Another source, port and SPI each; UDP goes without a checksum."""
        self.set_source(frame, self._first + number % self._addresses)
        struct.pack_into("!H", frame, 34, 1024 + number // self._addresses % 60_000)
        struct.pack_into("!Q", frame, 42, number + 1)

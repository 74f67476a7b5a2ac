"""IKE_SA_INIT requests of strangers that are not there: each of another address, port and SPI."""

import os
import socket
import struct
import threading
import time

from . import packets

_SO_SNDBUFFORCE = 32


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


class Flood:
    """Sends them into a device from `with` to its end, about `per_second`, on a thread of its own. `destination`: (MAC,
    address). They seem to come from `addresses` IPv4 addresses from `first` on."""

    def __init__(self, namespace, device, destination, first, addresses, per_second):
        mac, address = destination
        self._frame = bytearray(packets.ethernet(mac, namespace.mac(device), packets.ipv4(
            first, address, packets.UDP, packets.udp(first, address, 500, 500, greeting(), with_checksum=False))))
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 16 << 20)
        self._socket.bind((device, 0))
        self._first, = struct.unpack("!I", packets.packed(first))
        self._addresses, self._per_second = addresses, per_second
        self.sent = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _run(self):
        began = time.monotonic()
        while not self._ended.is_set():
            for number in range(self.sent, self.sent + 100):
                self._send(number)
            self.sent += 100
            time.sleep(max(0.0, self.sent / self._per_second - (time.monotonic() - began)))

    def _send(self, number):
        """Another source, port and SPI each; UDP goes without a checksum."""
        frame = self._frame
        struct.pack_into("!HI", frame, 24, 0, self._first + number % self._addresses)
        struct.pack_into("!H", frame, 24, packets.checksum(bytes(frame[14:34])))
        struct.pack_into("!H", frame, 34, 1024 + number // self._addresses % 60_000)
        struct.pack_into("!Q", frame, 42, number + 1)
        self._socket.send(frame)

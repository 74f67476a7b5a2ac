"""Frames that somebody makes up, thousands a second."""

import socket
import struct
import threading
import time

from . import packets

_SO_SNDBUFFORCE = 32
_IP, _SOURCE = 14, 26  # offsets in the frame


class Flood:
    """Sends `frame`, each time changed by `vary`, into a device from `with` to its end, about `per_second`, on a thread of
    its own."""

    def __init__(self, namespace, device, frame, per_second):
        self._frame = bytearray(frame)
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 16 << 20)
        self._socket.bind((device, 0))
        self._per_second = per_second
        self.sent = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def vary(self, frame, number):
        """Makes it the one of this number."""

    @staticmethod
    def set_source(frame, address):
        """address: as a number; over IPv4."""
        struct.pack_into("!HI", frame, _SOURCE - 2, 0, address)
        struct.pack_into("!H", frame, _SOURCE - 2, packets.checksum(bytes(frame[_IP:_IP + 20])))

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
                self.vary(self._frame, number)
                self._socket.send(self._frame)
            self.sent += 100
            time.sleep(max(0.0, self.sent / self._per_second - (time.monotonic() - began)))

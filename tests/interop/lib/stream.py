"""A steady stream of numbered datagrams from one namespace to another: none may be missing at the receiver."""

import socket
import struct
import threading
import time

_NUMBER = struct.Struct("!Q")
_RECEIVE_BUFFER = 8 << 20
_SO_RCVBUFFORCE = 33  # beyond the limit that others have; Python has no name for it


class Stream:
    """sender, receiver: (namespace, address). It runs from `with` to its end; then `missing` is known.

    first_came_s: from the first that was sent, at `began`, to the first that came; None while none has.
    """

    def __init__(self, sender, receiver, port, per_second=500):
        self._interval_s = 1 / per_second
        self._target = (receiver[1], port)
        family = socket.AF_INET6 if ":" in receiver[1] else socket.AF_INET
        self._in = receiver[0].socket(family, socket.SOCK_DGRAM)
        self._in.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        self._in.bind((receiver[1], port))
        self._in.setblocking(False)
        self._out = sender[0].socket(family, socket.SOCK_DGRAM)
        self._out.bind((sender[1], 0))
        self.sent = 0
        self.first_came_s = None
        self.numbers = set()
        self.copies = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        deadline = time.monotonic() + 1.0  # for what is on its way
        while time.monotonic() < deadline and len(self.numbers) < self.sent:
            self._take()
            time.sleep(0.01)
        self._in.close()
        self._out.close()

    @property
    def missing(self):
        return sorted(set(range(self.sent)) - self.numbers)

    def _take(self):
        while True:
            try:
                number, = _NUMBER.unpack(self._in.recv(64))
            except BlockingIOError:
                return
            if self.first_came_s is None:
                self.first_came_s = time.monotonic() - self.began
            self.copies += number in self.numbers
            self.numbers.add(number)

    def _run(self):
        due = self.began = time.monotonic()
        while not self._ended.is_set():
            self._out.sendto(_NUMBER.pack(self.sent), self._target)
            self.sent += 1
            self._take()
            due = max(due + self._interval_s, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))

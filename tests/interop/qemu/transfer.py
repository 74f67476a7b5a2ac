"""TCP transfers between the guest and a namespace, checked by digest."""

import hashlib
import os
import socket
import threading
import time

# scripts/long-tests moves more.
TIMES = int(os.environ.get("ESPGATE_TRANSFERS", "1"))

_BLOCK = bytes(range(256)) * 4096  # 1 MiB
_CONNECT_TIMEOUT_S = 10
_TRANSFER_TIMEOUT_S = 180


def to_guest(guest, namespace, address, port, size_bytes):
    """Sends from the namespace into the guest; returns seconds. Raises when the digests differ."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    guest.run(f"(nc -l -p {port} </dev/null | md5sum >/tmp/digest; echo done >/tmp/ended) >/dev/null 2>&1 &")
    connection = _connect(namespace, family, address, port)
    begun = time.monotonic()
    digest = hashlib.md5()
    for _ in range(size_bytes // len(_BLOCK)):
        connection.sendall(_BLOCK)
        digest.update(_BLOCK)
    connection.shutdown(socket.SHUT_WR)
    guest.run("while [ ! -e /tmp/ended ]; do sleep 0.1; done; rm /tmp/ended", timeout_s=_TRANSFER_TIMEOUT_S)
    connection.close()
    _compare(guest.run("cat /tmp/digest").split()[0], digest.hexdigest())
    return time.monotonic() - begun


def from_guest(guest, namespace, address, port, size_bytes):
    """Sends from the guest to a listener at `address` in the namespace; returns seconds."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = namespace.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(1)
    listener.settimeout(_CONNECT_TIMEOUT_S)
    received = {}
    reader = threading.Thread(target=_read_all, args=(listener, received))
    reader.start()
    begun = time.monotonic()
    blocks = size_bytes // len(_BLOCK)
    guest.run(f"dd if=/dev/urandom of=/tmp/block bs={len(_BLOCK)} count=1 2>/dev/null")
    guest.run(f"for i in $(seq {blocks}); do cat /tmp/block; done | nc {address} {port}", timeout_s=_TRANSFER_TIMEOUT_S)
    reader.join(_TRANSFER_TIMEOUT_S)
    took_s = time.monotonic() - begun
    expected = guest.run(f"for i in $(seq {blocks}); do cat /tmp/block; done | md5sum").split()[0]
    _compare(received.get("digest", "nothing"), expected)
    return took_s


def _connect(namespace, family, address, port):
    deadline = time.monotonic() + _CONNECT_TIMEOUT_S
    while True:
        connection = namespace.socket(family, socket.SOCK_STREAM)
        connection.settimeout(_TRANSFER_TIMEOUT_S)
        try:
            connection.connect((address, port))
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _read_all(listener, received):
    connection, _ = listener.accept()
    listener.close()
    connection.settimeout(_TRANSFER_TIMEOUT_S)
    digest = hashlib.md5()
    while data := connection.recv(1 << 20):
        digest.update(data)
    received["digest"] = digest.hexdigest()
    connection.close()


def _compare(seen, expected):
    if seen != expected:
        raise AssertionError(f"the data that arrived differ: digest {seen}, expected {expected}")

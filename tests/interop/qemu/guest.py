"""A Linux kernel of its own in QEMU, with a shell on a socket and the emulator's monitor beside it."""

import itertools
import json
import os
import pathlib
import re
import select
import socket
import subprocess
import time

from lib import cleanup
from . import image

_BOOT_TIMEOUT_S = 180  # a few seconds, but for a machine that builds at the same time
_MONITOR_TIMEOUT_S = 10

# Another QEMU than the installed one, such as a newer one that emulates more.
EMULATOR = os.environ.get("ESPGATE_QEMU", "qemu-system-x86_64")


class GuestError(Exception):
    """The guest did not start, did not answer, or a command in it failed."""


class Guest:
    """A running guest. It needs no KVM: an emulated CPU boots in about three seconds.

    namespace: where TAP devices named in `hardware` are. workdir: for sockets, console log and the initramfs.
    contents: image.Contents. hardware: QEMU's arguments for what is not in every guest.
    """

    def __init__(self, namespace, workdir, contents, hardware, *, memory_mb=256, kernel_arguments=()):
        self._nonces = itertools.count(1)
        self._buffer = b""
        workdir = pathlib.Path(workdir)
        self.console, self._messages = workdir / "guest-console.log", workdir / "qemu.log"
        vmlinuz, _ = image.kernel()
        commands = ["console=ttyS0", "quiet", "panic=-1", "random.trust_cpu=on", "mitigations=off",
                    "no_timer_check", *kernel_arguments]
        listeners = [_listener(workdir / name) for name in ("guest.sock", "monitor.sock")]
        self._process = namespace.popen(
            EMULATOR, "-accel", "tcg,thread=multi", "-cpu", "max", "-m", memory_mb, "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-kernel", vmlinuz,
            "-initrd", image.initramfs(workdir / "initramfs", contents), "-append", " ".join(commands),
            "-serial", f"file:{self.console}", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=shell,path={workdir / 'guest.sock'}", "-device", "virtserialport,chardev=shell",
            "-qmp", f"unix:{workdir / 'monitor.sock'}", *hardware,
            stdout=self._messages.open("wb"), stderr=subprocess.STDOUT)
        cleanup.later(self.stop)
        try:
            self._socket, monitor = (self._accepted(listener) for listener in listeners)
            self._monitor = monitor.makefile("rw")
            self._read_monitor("QMP")
            self.monitor("qmp_capabilities")
            self._read_until("ready", _BOOT_TIMEOUT_S)
        except (OSError, GuestError) as error:
            self.stop()
            raise GuestError(f"guest did not start: {error}\n{self._last_words()}") from error

    def run(self, command, *, check=True, timeout_s=30):
        """Runs a shell command in the guest; returns its output, with check=False (code, output)."""
        nonce = f"n{next(self._nonces)}"
        self._socket.sendall(f"{nonce} {command}\n".encode())
        code, output = self._read_until(nonce, timeout_s)
        if not check:
            return code, output
        if code != 0:
            raise GuestError(f"in the guest, `{command}` ended with {code}:\n{output}")
        return output

    def monitor(self, command, **arguments):
        """Runs a command of QEMU's machine protocol (QMP)."""
        self._monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._monitor.flush()
        answer = self._read_monitor("return", "error")
        if "error" in answer:
            raise GuestError(f"QEMU refused {command}: {answer['error']}")
        return answer["return"]

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _accepted(self, listener):
        deadline = time.monotonic() + _BOOT_TIMEOUT_S
        with listener:
            while not select.select([listener], [], [], 0.1)[0]:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise GuestError("QEMU did not start")
            connection = listener.accept()[0]
        connection.settimeout(_MONITOR_TIMEOUT_S)
        return connection

    def _read_monitor(self, *kinds):
        """The next message of one of these kinds; events in between are nobody's."""
        while line := self._monitor.readline():
            message = json.loads(line)
            if any(kind in message for kind in kinds):
                return message
        raise GuestError("QEMU's monitor is gone")

    def _read_until(self, nonce, timeout_s):
        mark = re.compile(rb"^=" + nonce.encode() + rb" (\d+)\n", re.MULTILINE)
        deadline = time.monotonic() + timeout_s
        while not (found := mark.search(self._buffer)):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._socket], [], [], left_s)[0]:
                raise GuestError(f"no answer in {timeout_s} s; so far: {self._buffer.decode(errors='replace')}")
            data = self._socket.recv(65536)
            if not data:
                raise GuestError("the guest is gone")
            self._buffer += data
        output, self._buffer = self._buffer[:found.start()], self._buffer[found.end():]
        return int(found.group(1)), output.decode(errors="replace")

    def _last_words(self):
        return "".join(file.read_text(errors="replace")[-2000:] for file in (self._messages, self.console)
                       if file.exists())


def _listener(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    return listener

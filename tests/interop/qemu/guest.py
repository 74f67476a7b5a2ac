"""A Linux kernel of its own in QEMU, with one network card on a TAP device and a shell on a socket."""

import itertools
import pathlib
import re
import select
import socket
import subprocess
import time

from lib import cleanup
from . import image

_BOOT_TIMEOUT_S = 60


class GuestError(Exception):
    """The guest did not start, did not answer, or a command in it failed."""


class Guest:
    """A running guest. It needs no KVM: an emulated CPU boots in about three seconds.

    namespace, tap: where the guest's eth0 comes out. workdir: for its control socket and console log.
    """

    def __init__(self, namespace, tap, workdir, *, cache, mac="52:54:00:12:34:56", memory_mb=256):
        self._nonces = itertools.count(1)
        self._buffer = b""
        self.console = pathlib.Path(workdir) / "guest-console.log"
        control = pathlib.Path(workdir) / "guest.sock"
        vmlinuz, _ = image.kernel()
        # Without checksum and segmentation features every frame on the TAP is a finished one.
        features = ",".join(f"{name}=off" for name in (
            "csum", "guest_csum", "gso", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo", "host_tso4",
            "host_tso6", "host_ecn", "host_ufo", "mrg_rxbuf"))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(control))
        listener.listen(1)
        self._process = namespace.popen(
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", memory_mb, "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-kernel", vmlinuz, "-initrd", image.initramfs(cache),
            "-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=on mitigations=off",
            "-serial", f"file:{self.console}", "-serial", f"unix:{control}",
            "-netdev", f"tap,id=wire,ifname={tap},script=no,downscript=no",
            "-device", f"virtio-net-pci,netdev=wire,mac={mac},romfile=,{features}",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        cleanup.later(self.stop)
        try:
            listener.settimeout(_BOOT_TIMEOUT_S)
            self._socket, _ = listener.accept()
            self._read_until("ready", _BOOT_TIMEOUT_S)
        except (OSError, GuestError) as error:
            self.stop()
            raise GuestError(f"guest did not start: {error}\n{self._last_words()}") from error
        finally:
            listener.close()

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

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _read_until(self, nonce, timeout_s):
        mark = re.compile(rb"^=" + nonce.encode() + rb" (\d+)\r?\n", re.MULTILINE)
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
        return int(found.group(1)), output.decode(errors="replace").replace("\r\n", "\n")

    def _last_words(self):
        emulator = self._process.stdout.read().decode(errors="replace")
        console = self.console.read_text(errors="replace") if self.console.exists() else ""
        return emulator + console[-2000:]

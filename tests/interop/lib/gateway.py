"""espgated under test: started in a namespace with a generated file, asked, and stopped."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from . import cleanup, configuration
from .counters import Counters
from .shell import run

ROOT = pathlib.Path(__file__).resolve().parents[3]
_READY_TIMEOUT_S = 30
_STOP_TIMEOUT_S = 10


class GatewayError(Exception):
    """espgated did not start, did not answer or did not stop as it must."""


def program(name):
    """A built program. ESPGATE_BUILD names another build folder, such as one with sanitizers."""
    folder = pathlib.Path(os.environ.get("ESPGATE_BUILD", ROOT / "build"))
    path = folder / {"espgated": "control/daemon/espgated", "espgatectl": "control/ctl/espgatectl"}[name]
    if not path.exists():
        raise GatewayError(f"{path} is missing; run scripts/build")
    return path.resolve()


def hugepages_free():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("HugePages_Free:"):
            return int(line.split()[1])
    return 0


class Gateway:
    """One espgated. settings: configuration.gateway(...), or the text of a file."""

    def __init__(self, namespace, workdir, settings):
        self.workdir = pathlib.Path(workdir)
        self.file = self.workdir / "espgate.conf"
        self.socket = self.workdir / "espgate.sock"
        self.log = self.workdir / "espgated.log"
        self._namespace = namespace
        self._process = None
        self.started_in_s = None
        if not isinstance(settings, str):
            settings = {"state_directory": str(self.workdir / "state"), **settings, "socket": str(self.socket)}
            settings.setdefault("hugepages", hugepages_free() >= 128)
            self.settings = settings
            settings = configuration.text(settings)
        self.file.write_text(settings)
        self.file.chmod(0o600)

    @property
    def pid(self):
        return self._process.pid

    def start(self, timeout_s=_READY_TIMEOUT_S):
        """Starts it and returns when it answers on its socket."""
        begun = time.monotonic()
        with open(self.log, "ab") as log:
            self._process = self._namespace.popen(program("espgated"), "--config", self.file, stdout=log, stderr=log)
        cleanup.later(self._end)
        while not self._answers():
            if self._process.poll() is not None:
                raise GatewayError(f"espgated ended with {self._process.returncode}:\n{self.log_text()}")
            if time.monotonic() - begun > timeout_s:
                raise GatewayError(f"espgated is not ready after {timeout_s} s:\n{self.log_text()}")
            time.sleep(0.02)
        self.started_in_s = time.monotonic() - begun
        return self

    def _answers(self):
        if not self.socket.exists():
            return False
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            probe.connect(str(self.socket))
        except OSError:
            return False
        finally:
            probe.close()
        code, _, _ = self.ctl("show", "ports")
        return code == 0

    def cpu_s(self):
        """Processor time of the control thread so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise GatewayError("no VmRSS")

    def heap_bytes(self):
        """Of its memory what control allocated bit by bit: neither packet buffers nor tables."""
        lines = iter(pathlib.Path(f"/proc/{self.pid}/smaps").read_text().splitlines())
        return sum(int(next(line for line in lines if line.startswith("Rss:")).split()[1]) * 1024
                   for line in lines if line.endswith("[heap]"))

    def alive(self):
        return self._process is not None and self._process.poll() is None

    def send_signal(self, number):
        self._process.send_signal(number)

    def stop(self, with_signal=signal.SIGTERM):
        """Asks it to end; raises unless it ends in time with exit code 0."""
        self._process.send_signal(with_signal)
        try:
            code = self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            stacks = self._kernel_stacks()
            self._process.kill()
            raise GatewayError(f"espgated did not stop:\n{self.log_text()}\n{stacks}") from error
        if code != 0:
            raise GatewayError(f"espgated ended with {code}:\n{self.log_text()}")

    def kill(self):
        """Ends it as a crash does."""
        self._process.kill()
        self._process.wait()

    def _kernel_stacks(self):
        """What the kernel is doing for each of its threads."""
        lines = []
        for task in sorted(pathlib.Path(f"/proc/{self._process.pid}/task").iterdir()):
            with contextlib.suppress(OSError):  # it may have ended
                lines.append(f"{task.name} {(task / 'comm').read_text()}{(task / 'stack').read_text()}")
        return "\n".join(lines)

    def _end(self):
        if self.alive():
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def ctl(self, *words, timeout_s=20):
        """espgatectl WORDS: (exit code, stdout, stderr)."""
        return run(program("espgatectl"), "--socket", self.socket, *words, check=False, timeout_s=timeout_s)

    def ask(self, *words):
        """espgatectl --json WORDS, parsed; raises when it fails."""
        code, out, err = self.ctl("--json", *words)
        if code != 0:
            raise GatewayError(f"espgatectl --json {' '.join(words)} ended with {code}: {out}{err}")
        return json.loads(out)

    def received(self):
        """Frames that the workers took from ports so far."""
        return sum(worker["conservation"]["received"] for worker in self.ask("show", "workers")["workers"])

    def counters(self):
        return Counters.read(self.ask)

    def log_text(self):
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

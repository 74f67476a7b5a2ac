"""strongSwan's charon as the other end of IKE: started in a namespace, configured and asked by swanctl.

ESP is done in user space by kernel-libipsec, since kernels without ESP shall do for the tests; that
works UDP-encapsulated only, so connections say `encap = yes`. Each charon has a /run, a socket and a
configuration folder of its own; it ends with the run and leaves nothing behind.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from . import cleanup
from .shell import run

CHARON = "/usr/lib/ipsec/charon"
_PLUGINS = ("random nonce openssl aes sha1 sha2 hmac kdf gcm ccm ctr chapoly curve25519 gmp pem pkcs1 pkcs8 x509 pubkey "
            "revocation constraints kernel-libipsec kernel-netlink socket-default vici updown attr")
_FOLDERS = ("private", "x509", "x509ca", "x509crl")
_READY_TIMEOUT_S = 15


class CharonError(Exception):
    """charon did not start, did not answer or did not stop as it must."""


def version():
    _, text, _ = run("dpkg-query", "-W", "-f", "${Version}", "strongswan-charon")
    return text


def text(section, indent=""):
    """strongSwan's configuration language: one setting on a line. Lists become comma-separated values."""
    lines = []
    for key, value in section.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{key} {{\n{text(value, indent + '  ')}{indent}}}\n")
        else:
            if isinstance(value, bool):
                value = "yes" if value else "no"
            elif isinstance(value, (list, tuple)):
                value = ", ".join(value)
            lines.append(f"{indent}{key} = {value}\n")
    return "".join(lines)


class Charon:
    """configuration: of swanctl.conf, as nested dictionaries. options: of charon in strongswan.conf."""

    def __init__(self, namespace, configuration, options=None):
        self._namespace = namespace
        self.workdir = pathlib.Path(tempfile.mkdtemp(prefix="espgate-test-charon-"))
        cleanup.later(shutil.rmtree, self.workdir, True)
        for folder in _FOLDERS:
            (self.workdir / folder).mkdir()
        self.log = self.workdir / "charon.log"
        self._uri = f"unix://{self.workdir}/charon.vici"
        self._process = None
        self.configuration = configuration
        charon = {
            "load": _PLUGINS,
            "threads": 64,  # each `swanctl --initiate` that waits has one
            "filelog": {"test": {"path": self.log, "flush_line": True, "append": True, "time_format": "%T",
                                 "default": 1, "ike": 2, "cfg": 2, "enc": 1, "esp": 1}},
            "plugins": {"vici": {"socket": self._uri}},
            **(options or {}),
        }
        self._environment = {**os.environ, "STRONGSWAN_CONF": str(self.workdir / "strongswan.conf"),
                             "SWANCTL_DIR": str(self.workdir)}
        (self.workdir / "strongswan.conf").write_text(text({"charon": charon}))

    @property
    def pid(self):
        return self._process.pid

    def start(self):
        """Starts it, loads the configuration and returns when it listens."""
        begun = time.monotonic()
        with open(self.log, "ab") as log:
            # The namespace's programs have mounts of their own, so this /run is charon's alone.
            self._process = self._namespace.popen(
                "sh", "-c", f"mount -t tmpfs -o mode=755 tmpfs /run && exec {CHARON}",
                stdout=log, stderr=log, env=self._environment)
        cleanup.later(self._end, self._process)
        while self._swanctl("--stats", check=False)[0] != 0:
            if self._process.poll() is not None:
                raise CharonError(f"charon ended with {self._process.returncode}:\n{self.log_text()}")
            if time.monotonic() - begun > _READY_TIMEOUT_S:
                raise CharonError(f"charon is not ready after {_READY_TIMEOUT_S} s:\n{self.log_text()}")
            time.sleep(0.05)
        self.load()
        return self

    def load(self):
        file = self.workdir / "swanctl.conf"
        file.write_text(text(self.configuration))
        self._swanctl("--load-all", "--noprompt", "--file", file)

    def stop(self):
        self._end(self._process)

    def kill(self):
        """As a crash: nobody is told."""
        self._process.kill()
        self._process.wait()

    def freeze(self, frozen=True):
        """It hears nothing for a while."""
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    @staticmethod
    def _end(process):
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _command(self, *words):
        return ["swanctl", words[0], "--uri", self._uri, *map(str, words[1:])]

    def _swanctl(self, *words, check=True, timeout_s=30):
        return run("env", *(f"{key}={self._environment[key]}" for key in ("STRONGSWAN_CONF", "SWANCTL_DIR")),
                   *self._command(*words), check=check, timeout_s=timeout_s)

    # -- what it is told --
    def begin(self, child, timeout_s=15):
        """Starts to set a child up; returns the process that waits for it."""
        return subprocess.Popen(self._command("--initiate", "--child", child, "--timeout", timeout_s),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=self._environment, text=True)

    def initiate(self, *children, timeout_s=15):
        """Sets children up, all at once. The output of those that failed, by name."""
        waiting = {child: self.begin(child, timeout_s) for child in children}
        said = {child: process.communicate(timeout=timeout_s + 15)[0] for child, process in waiting.items()}
        return {child: text for child, text in said.items() if waiting[child].returncode != 0}

    def terminate(self, connection):
        self._swanctl("--terminate", "--ike", connection)

    def terminate_child(self, child):
        self._swanctl("--terminate", "--child", child)

    def rekey(self, connection):
        self._swanctl("--rekey", "--ike", connection)

    def rekey_child(self, child):
        self._swanctl("--rekey", "--child", child)

    # -- what it says --
    def listing(self, connection=None):
        words = ["--list-sas"] if connection is None else ["--list-sas", "--ike", connection]
        return self._swanctl(*words)[1]

    def is_up(self, connection, child=None):
        listing = self.listing(connection)
        return "ESTABLISHED" in listing and bool(re.search(rf"^  {child or connection}: .* INSTALLED", listing, re.M))

    def said(self):
        """All of its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_text(self):
        return self.said()[-6000:]

"""strongSwan inside the guest: IKE by charon, ESP by the guest's kernel."""

import pathlib
import time

from lib.strongswan import CHARON, text

_PLUGINS = "random nonce openssl hmac kdf pem x509 pubkey kernel-netlink socket-default vici"
_PLUGIN_FOLDER = pathlib.Path("/usr/lib/ipsec/plugins")
_SWANCTL = pathlib.Path("/usr/sbin/swanctl")
_UNWINDER = pathlib.Path("/lib/x86_64-linux-gnu/libgcc_s.so.1")  # glibc loads it to end a thread


def files(workdir, configuration):
    """What a guest needs for it; configuration: swanctl.conf as nested dictionaries."""
    workdir = pathlib.Path(workdir)
    (workdir / "strongswan.conf").write_text(text({"charon": {
        "load": _PLUGINS, "install_routes": False,
        "filelog": {"test": {"path": "/run/charon.log", "flush_line": True, "default": 1, "cfg": 2}}},
        "swanctl": {"load": "random openssl pem x509 pubkey"}}))
    (workdir / "swanctl.conf").write_text(text(configuration))
    plugins = [_PLUGIN_FOLDER / f"libstrongswan-{name}.so" for name in _PLUGINS.split()]
    return {**{str(path): path for path in (pathlib.Path(CHARON), _SWANCTL, _UNWINDER, *plugins) if path.exists()},
            "/etc/strongswan.conf": workdir / "strongswan.conf", "/etc/swanctl/swanctl.conf": workdir / "swanctl.conf"}


class GuestCharon:
    """The one charon of a guest."""

    def __init__(self, guest):
        self._guest = guest

    def start(self, timeout_s=30):
        self._guest.run(f"{CHARON} >/run/charon.out 2>&1 &")
        deadline = time.monotonic() + timeout_s
        while self._guest.run("[ -S /run/charon.vici ]", check=False)[0] != 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"charon is not ready:\n{self.log_text()}")
            time.sleep(0.2)
        self._guest.run(f"{_SWANCTL} --load-all --noprompt", timeout_s=timeout_s)
        return self

    def initiate(self, child, timeout_s=20):
        """(exit code, output)"""
        return self._guest.run(f"{_SWANCTL} --initiate --child {child} --timeout {timeout_s}", check=False,
                               timeout_s=timeout_s + 20)

    def rekey_child(self, child):
        self._guest.run(f"{_SWANCTL} --rekey --child {child}")

    def rekey(self, connection):
        self._guest.run(f"{_SWANCTL} --rekey --ike {connection}")

    def terminate(self, connection):
        self._guest.run(f"{_SWANCTL} --terminate --ike {connection}")

    def listing(self, connection):
        return self._guest.run(f"{_SWANCTL} --list-sas --ike {connection}")

    def log_text(self):
        return self._guest.run("cat /run/charon.out /run/charon.log", check=False)[1][-6000:]

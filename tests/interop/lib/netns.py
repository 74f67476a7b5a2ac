"""Network namespaces and the virtual cables between them.

Names of namespaces carry the process id, so runs side by side do not meet. Names of devices are
private to their namespace and therefore plain.
"""

import contextlib
import ctypes
import os
import socket
import subprocess

from . import cleanup
from .shell import run

_PREFIX = "espgate"
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(descriptor):
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """One network namespace; it ends with the run. owner: the process id, unless it shall outlive it."""

    def __init__(self, role, owner=None):
        self.name = f"{_PREFIX}-{owner or os.getpid()}-{role}"
        run("ip", "netns", "add", self.name)
        cleanup.later(self.delete)
        # New addresses are usable at once: duplicate address detection would cost a second each.
        for family in ("all", "default"):
            self.exec("sysctl", "-qw", f"net.ipv6.conf.{family}.accept_dad=0")
        self.ip("link", "set", "lo", "up")

    def delete(self):
        run("ip", "netns", "del", self.name, check=False)

    def exec(self, *arguments, **options):
        """Runs a program inside; see shell.run."""
        return run("ip", "netns", "exec", self.name, *arguments, **options)

    def ip(self, *arguments, **options):
        return run("ip", "-n", self.name, *arguments, **options)

    def popen(self, *arguments, **options):
        """Starts a program inside. The caller ends it."""
        command = ["ip", "netns", "exec", self.name, *map(str, arguments)]
        return subprocess.Popen(command, stdin=options.pop("stdin", subprocess.DEVNULL), **options)

    @contextlib.contextmanager
    def entered(self):
        """This thread is inside for a moment. Sockets made there stay inside."""
        with open("/proc/thread-self/ns/net", "rb") as outside, open(
            f"/run/netns/{self.name}", "rb"
        ) as inside:
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(outside.fileno())

    def socket(self, *arguments):
        with self.entered():
            return socket.socket(*arguments)

    def mac(self, device):
        _, text, _ = self.exec("cat", f"/sys/class/net/{device}/address")
        return text.strip()


def cable(left, left_device, right, right_device):
    """A veth pair between two namespaces, up, with every offload off.

    Offloads must be off: a packet between namespaces would otherwise carry an unfinished checksum
    or be larger than any frame, and a DPDK port takes frames as they are.
    """
    run("ip", "link", "add", left_device, "netns", left.name, "type", "veth",
        "peer", "name", right_device, "netns", right.name)
    for namespace, device in ((left, left_device), (right, right_device)):
        offloads_off(namespace, device)
        namespace.ip("link", "set", device, "up")


def offloads_off(namespace, device):
    settings = [word for feature in ("rx", "tx", "sg", "tso", "gso", "gro", "rxvlan", "txvlan")
                for word in (feature, "off")]
    namespace.exec("ethtool", "-K", device, *settings, check=False)


def no_ipv6(namespace, device):
    """Keeps the kernel from sending of its own accord on the device."""
    namespace.exec("sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1")


def silence(namespace, *devices):
    """Keeps the namespace's kernel away from frames on these devices.

    Packet sockets, and so DPDK's af_packet ports, see a frame before the ingress hook that drops it.
    """
    rules = ["table netdev espgate_testbed {"]
    for number, device in enumerate(devices):
        rules += [f"  chain silence{number} {{",
                  f'    type filter hook ingress device "{device}" priority 0; policy drop;',
                  "  }"]
        no_ipv6(namespace, device)
        namespace.ip("link", "set", device, "arp", "off")
    namespace.exec("nft", "-f", "-", stdin="\n".join(rules + ["}", ""]))


def sweep():
    """Removes namespaces that a killed run left: those whose process is gone."""
    _, listing, _ = run("ip", "netns", "list")
    for line in listing.splitlines():
        name = line.split()[0]
        prefix, _, rest = name.partition("-")
        owner = rest.partition("-")[0]
        if prefix == _PREFIX and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            run("ip", "netns", "del", name, check=False)

"""Two gateways and a real host behind each.

    host a --veth-- inside | gateway a | outside ====veth==== outside | gateway b | inside --veth-- host b

The hosts' kernels answer; those of the gateways see their twins only. Between the gateways may be a bridge, which
does not let everything pass.
"""

import shutil
import tempfile

from . import cleanup, netns
from .gateway import Gateway

NAMES = ("a", "b")
OUTER = {"a": {4: "192.0.2.1", 6: "2001:db8:f::1"}, "b": {4: "192.0.2.2", 6: "2001:db8:f::2"}}
NETWORK = {"a": {4: "10.1.0.0/24", 6: "2001:db8:1::/64"}, "b": {4: "10.2.0.0/24", 6: "2001:db8:2::/64"}}
_INNER = {"a": {4: "10.1.0.1", 6: "2001:db8:1::1"}, "b": {4: "10.2.0.1", 6: "2001:db8:2::1"}}
HOST = {"a": {4: "10.1.0.10", 6: "2001:db8:1::10"}, "b": {4: "10.2.0.10", 6: "2001:db8:2::10"}}
_LENGTH = {4: 24, 6: 64}


def other(name):
    return "b" if name == "a" else "a"


def ports(name):
    def addresses(of):
        return [f"{of[name][version]}/{_LENGTH[version]}" for version in (4, 6)]
    return [{"name": "outside", "device": "net_af_packet0,iface=veth-out,framecnt=2048,blocksz=4096,framesz=2048",
             "ipsec": True, "addresses": addresses(OUTER)},
            {"name": "inside", "device": "net_af_packet1,iface=veth-in,framecnt=2048,blocksz=4096,framesz=2048",
             "mtu": 1400, "addresses": addresses(_INNER)}]


class Pair:
    """settings: by name, of each gateway. bridged: block() is wanted."""

    def __init__(self, settings, bridged=False):
        netns.sweep()
        self.namespace = {name: netns.Namespace(f"gateway-{name}") for name in NAMES}
        self.host = {name: netns.Namespace(f"host-{name}") for name in NAMES}
        if bridged:
            self._make_bridge()
        else:
            netns.cable(self.namespace["a"], "veth-out", self.namespace["b"], "veth-out")
        self.gateway = {}
        for name in NAMES:
            netns.cable(self.namespace[name], "veth-in", self.host[name], "lan")
            netns.silence(self.namespace[name], "veth-out", "veth-in")
            for version in (4, 6):
                self.host[name].ip("address", "add", f"{HOST[name][version]}/{_LENGTH[version]}", "dev", "lan")
                self.host[name].ip("route", "add", NETWORK[other(name)][version], "via", _INNER[name][version])
            workdir = tempfile.mkdtemp(prefix=f"espgate-test-{name}-")
            cleanup.later(shutil.rmtree, workdir, True)
            self.gateway[name] = Gateway(self.namespace[name], workdir, settings[name])

    def _make_bridge(self):
        self._path = netns.Namespace("path")
        self._path.ip("link", "add", "between", "type", "bridge", "mcast_snooping", "0")
        self._path.ip("link", "set", "between", "up")
        for name in NAMES:
            netns.cable(self.namespace[name], "veth-out", self._path, f"to-{name}")
            self._path.ip("link", "set", f"to-{name}", "master", "between")

    def block(self, *matches):
        """From here on packets between the gateways that match one of these nftables expressions are lost."""
        self._path.exec("nft", "flush", "ruleset")
        rules = "".join(f"  {match} drop\n" for match in matches)
        self._path.exec("nft", "-f", "-", stdin="table bridge path {\n chain forward {\n"
                        f"  type filter hook forward priority 0;\n{rules} }}\n}}\n")

    def start(self, *names):
        for name in names or NAMES:
            self.gateway[name].start()
        return self

    def ping(self, name, version=4, count=3, interval_s=0.2):
        """From the host behind that gateway to the other: how many were answered."""
        _, out, _ = self.host[name].exec("ping", "-c", str(count), "-i", str(interval_s), "-W", "1",
                                         HOST[other(name)][version], check=False, timeout_s=count * 2 + 20)
        return int(out.partition(" received")[0].rpartition(" ")[2]) if " received" in out else 0

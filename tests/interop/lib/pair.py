"""Two gateways and a real host behind each.

    host a --veth-- inside | gateway a | outside ====veth==== outside | gateway b | inside --veth-- host b

The hosts' kernels answer; those of the gateways see their twins only. Between the gateways may be something else than a cable:
a bridge.Bridge, a router.Router.
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


def _nothing(gateways):
    netns.cable(gateways["a"], "veth-out", gateways["b"], "veth-out")


class Pair:
    """settings: by name, of each gateway. between: makes what stands between their namespaces instead of a cable."""

    def __init__(self, settings, between=_nothing):
        netns.sweep()
        self.namespace = {name: netns.Namespace(f"gateway-{name}") for name in NAMES}
        self.host = {name: netns.Namespace(f"host-{name}") for name in NAMES}
        self.between = between(self.namespace)
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

    def start(self, *names):
        for name in names or NAMES:
            self.gateway[name].start()
        return self

    def ping(self, name, version=4, count=3, interval_s=0.2):
        """From the host behind that gateway to the other: how many were answered."""
        _, out, _ = self.host[name].exec("ping", "-c", str(count), "-i", str(interval_s), "-W", "1",
                                         HOST[other(name)][version], check=False, timeout_s=count * 2 + 20)
        return int(out.partition(" received")[0].rpartition(" ")[2]) if " received" in out else 0

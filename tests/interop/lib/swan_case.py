"""espgated and strongSwan with a router between them, and tests of what both negotiate.

    host --veth-- inside | gateway | outside ==== left | router | right ==== wan | peer (charon)
    10.1.0.10             10.1.0.1  192.0.2.1     .254          .254   198.51.100.N

Each connection has a number N of its own: the peer's outer address, and the networks 10.1.N.0/24 behind the
gateway and 10.2.N.0/24 behind the peer, each with a host .10. So one gateway and one charon do for a whole
table of connections. The router is where a test puts its NAT.
"""

import shutil
import tempfile
import unittest

from . import cleanup, configuration, middle, netns, waiting
from .gateway import Gateway
from .stream import Stream
from .strongswan import Charon

GATEWAY = "192.0.2.1"
ROUTER_LEFT, ROUTER_RIGHT = "192.0.2.254", "198.51.100.254"
PSK = "a key that the gateway and strongSwan have"


def outer(number):
    return f"198.51.100.{number}"


def inner(side, number):
    """The host's address: side 1 is behind the gateway, 2 behind the peer."""
    return f"10.{side}.{number}.10"


def network(side, number):
    return f"10.{side}.{number}.0/24"


def ours(name, number, ike=None, **settings):
    """The gateway's side of a connection; its peer begins unless the test says otherwise."""
    return {"name": name, "local": GATEWAY, "remote": outer(number), "local_networks": [network(1, number)],
            "remote_networks": [network(2, number)],
            "ike": {"start": "passive", "liveness": 0, **({} if _has_credentials(ike) else {"psk": PSK}), **(ike or {})},
            **settings}


def _has_credentials(ike):
    return bool({"psk", "psk_file", "certificate", "ca"} & set(ike or {}))


def theirs(name, number, proposals="aes256gcm16-prfsha256-x25519", esp="aes256gcm16-x25519", child=None, local=None,
           remote=None, **settings):
    """strongSwan's side of the same: one connection with a child of the same name."""
    return {"version": 2, "local_addrs": outer(number), "remote_addrs": GATEWAY, "encap": True, "mobike": False,
            "proposals": proposals, "rekey_time": 0, "reauth_time": 0,
            "local": {"auth": "psk", "id": outer(number), **(local or {})},
            "remote": {"auth": "psk", "id": GATEWAY, **(remote or {})},
            "children": {name: {"local_ts": network(2, number), "remote_ts": network(1, number),
                                "esp_proposals": esp, "rekey_time": 0, **(child or {})}},
            **settings}


def shared_secret(*identities, secret=PSK):
    return {**{f"id-{number}": identity for number, identity in enumerate(identities)}, "secret": f'"{secret}"'}


class Net:
    """The namespaces and what is between them."""

    def __init__(self, numbers):
        netns.sweep()
        self.gateway, self.host, self.router, self.peer = (
            netns.Namespace(role) for role in ("gateway", "host", "router", "peer"))
        netns.cable(self.gateway, "veth-out", self.router, "left")
        netns.cable(self.router, "right", self.peer, "wan")
        netns.cable(self.gateway, "veth-in", self.host, "lan")
        netns.silence(self.gateway, "veth-out", "veth-in")
        for namespace in (self.router, self.peer):
            for setting in ("ip_forward=1", "conf.all.rp_filter=0", "conf.default.rp_filter=0"):
                namespace.exec("sysctl", "-qw", f"net.ipv4.{setting}")
        self.router.ip("address", "add", f"{ROUTER_LEFT}/24", "dev", "left")
        self.router.ip("address", "add", f"{ROUTER_RIGHT}/24", "dev", "right")
        batch = {self.peer: [], self.host: ["address add 10.1.0.10/16 dev lan", "route add default via 10.1.0.1"]}
        for number in numbers:
            batch[self.peer] += [f"address add {outer(number)}/24 dev wan", f"address add {inner(2, number)}/32 dev lo"]
            batch[self.host].append(f"address add {inner(1, number)}/16 dev lan")
        batch[self.peer].append(f"route add default via {ROUTER_RIGHT}")
        for namespace, lines in batch.items():
            namespace.exec("ip", "-batch", "-", stdin="\n".join(lines) + "\n")

    def translate(self, rules):
        """Makes the router a NAT by these nftables rules, each behind a routing decision."""
        middle.translate(self.router, rules)


class SwanCase(unittest.TestCase):
    """Subclasses say what there is by `connections()`: name -> (number, ours, theirs)."""

    LIMITS = {}
    ROUTES = {}  # of the gateway: network -> next hop
    POOLS = {}  # of the peer
    CHARON = {}

    @classmethod
    def connections(cls):
        raise NotImplementedError

    @classmethod
    def secrets(cls):
        return {"ike-all": shared_secret()}

    @classmethod
    def prepare(cls, charon, folder):
        """What has to be in files before either side starts."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(cleanup.now)
        workdir = tempfile.mkdtemp(prefix="espgate-test-")
        cleanup.later(shutil.rmtree, workdir, True)
        cls.workdir = workdir
        table = cls.connections()
        cls.numbers = {name: number for name, (number, _, _) in table.items()}
        cls.net = Net(sorted(set(cls.numbers.values())))
        cls.charon = Charon(cls.net.peer, {"connections": {name: side for name, (_, _, side) in table.items() if side},
                                           "secrets": cls.secrets(), "pools": cls.POOLS}, cls.CHARON)
        cls.prepare(cls.charon, workdir)
        cls.gateway = Gateway(cls.net.gateway, workdir, cls.settings([side for _, side, _ in table.values()]))
        cls.charon.start()
        cls.gateway.start()

    @classmethod
    def settings(cls, connections):
        ports = [{"name": "outside", "device": "net_af_packet0,iface=veth-out,framecnt=2048,blocksz=4096,framesz=2048",
                  "ipsec": True, "addresses": [f"{GATEWAY}/24"]},
                 {"name": "inside", "device": "net_af_packet1,iface=veth-in,framecnt=2048,blocksz=4096,framesz=2048",
                  "mtu": 1400, "addresses": ["10.1.0.1/16"]}]
        more = {"limits": cls.LIMITS} if cls.LIMITS else {}
        return configuration.gateway(ports, connections=connections, hugepages=False,
                                     routes=[{"to": to, "via": via} for to, via in
                                             {"198.51.100.0/24": ROUTER_LEFT, **cls.ROUTES}.items()], **more)

    # -- both sides --
    def logs(self):
        return f"--- espgated\n{self.gateway.log_text()}\n--- charon\n{self.charon.log_text()}"

    def until(self, holds, timeout_s=15.0, what="that"):
        return waiting.until(holds, timeout_s, what, self.logs)

    def ike_sas(self, name=None):
        return [sa for sa in self.gateway.ask("show", "ike")["ike_sas"] if name in (None, sa["connection"])]

    def ike_sa(self, name):
        """The one that is up with a child; None: there is none."""
        return next((sa for sa in self.ike_sas(name) if sa["state"] == "up" and sa["children"]), None)

    def our_up(self, names):
        return {sa["connection"] for sa in self.ike_sas() if sa["state"] == "up" and sa["children"]} >= set(names)

    def wait_up(self, *names):
        self.until(lambda: self.our_up(names) and all(self.charon.is_up(name) for name in names),
                   what=f"{', '.join(names)} up")

    def wait_down(self, *names):
        def is_down():
            up = {sa["connection"] for sa in self.ike_sas() if sa["state"] != "down"}
            return not up & set(names) and not any(self.charon.is_up(name) for name in names)
        self.until(is_down, what=f"{', '.join(names)} down")

    def gateway_begins(self, *names):
        for name in names:
            self.gateway.ask("initiate", name)
        self.wait_up(*names)

    def peer_begins(self, *names):
        failed = self.charon.initiate(*names)
        self.assertEqual(failed, {}, self.logs())
        self.wait_up(*names)

    def unanswered(self, *names, count=2):
        """Pings of all connections at once, both ways: those without any answer."""
        running = {}
        for name in names:
            number = self.numbers[name]
            for namespace, side in ((self.net.host, 1), (self.net.peer, 2)):
                running[name, side] = namespace.popen(
                    "ping", "-c", count, "-i", "0.2", "-W", "1", "-I", inner(side, number), inner(3 - side, number),
                    stdout=-3, stderr=-3)
        return sorted(key for key, process in running.items() if process.wait(timeout=30) != 0)

    def assert_passes(self, *names):
        """After what neighbours have to learn of each other, nothing is lost."""
        self.until(lambda: not self.unanswered(*names, count=1), what=f"traffic of {', '.join(names)}")

    def stream(self, name, from_us, per_second=1000):
        """Between the hosts of a connection."""
        number = self.numbers[name]
        ends = [(self.net.host, inner(1, number)), (self.net.peer, inner(2, number))]
        return Stream(*(ends if from_us else ends[::-1]), 9001 + from_us, per_second=per_second)

    def recovery_s(self, name, from_us, timeout_s=15, per_second=1000):
        """From the first packet to the first that arrives."""
        with self.stream(name, from_us, per_second) as stream:
            self.until(lambda: stream.first_came_s is not None, timeout_s, "traffic")
        return stream.first_came_s

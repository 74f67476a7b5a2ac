"""A routing daemon over tunnels: BIRD behind two gateways speaks OSPF, traffic follows its routes, and goes by another
tunnel when one fails.

    host a ---- gateway a, bird ==== gre0, tun0, tun1 ==== gateway b, bird ---- host b

IPv4 goes by multipoint GRE first, where multicast finds the neighbours; IPv6 by tun0; both by tun1 when that fails.
"""

import shutil
import tempfile
import time
import unittest
from pathlib import Path

from lib import cleanup, configuration, pair
from lib.esp import keymat
from lib.shell import run

DEAD_S = 4
FIRST, SECOND = {4: "gre0", 6: "tun0"}, "tun1"
TUNNELS = ("gre0", "tun0", "tun1")
NUMBER = {"a": 1, "b": 2}

BIRD = """
log stderr {{ warning, error, fatal, bug }};
router id 10.255.255.{number};
protocol device {{ scan time 1; }}
protocol kernel {{ ipv4 {{ import none; export all; }}; }}
protocol kernel {{ ipv6 {{ import none; export all; }}; }}
protocol ospf v2 {{ ipv4 {{ import all; }}; area 0 {{ {interfaces[4]} }}; }}
protocol ospf v3 {{ ipv6 {{ import all; }}; area 0 {{ {interfaces[6]} }}; }}
"""


def interface(tunnel, cost):
    kind = "broadcast" if tunnel == "gre0" else "ptp"
    return f'interface "{tunnel}" {{ type {kind}; cost {cost}; hello 1; dead {DEAD_S}; }};'


INTERFACES = {version: 'interface "inside" { stub yes; };' + interface(first, 10) + interface(SECOND, 20)
              for version, first in FIRST.items()}


def spi(name, tunnel):
    """Of what that gateway receives by that tunnel."""
    return 0x1000 * NUMBER[name] + TUNNELS.index(tunnel)


def address(name, tunnel, version):
    network = f"10.255.{TUNNELS.index(tunnel)}." if version == 4 else f"2001:db8:ff:{TUNNELS.index(tunnel)}::"
    return f"{network}{NUMBER[name]}"


def settings(name):
    peer = pair.other(name)
    connections = [configuration.connection(
        f"by-{tunnel}", pair.OUTER[name][4], pair.OUTER[peer][4], [], [],
        inbound=(spi(name, tunnel), keymat(spi(name, tunnel))),
        outbound=(spi(peer, tunnel), keymat(spi(peer, tunnel))),
        **({"mode": "transport"} if tunnel == "gre0" else {})) for tunnel in TUNNELS]
    tunnels = [{"name": tunnel, "addresses": [f"{address(name, tunnel, 4)}/24", f"{address(name, tunnel, 6)}/64"],
                **({"kind": "gre-multipoint", "peers": [{"connection": "by-gre0", "next_hops": [
                    address(peer, tunnel, version) for version in (4, 6)]}]}
                   if tunnel == "gre0" else {"connection": f"by-{tunnel}"})} for tunnel in TUNNELS]
    return configuration.gateway(pair.ports(name), connections=connections, tunnels=tunnels, hugepages=False)


class Bird:
    """The daemon in a gateway's namespace."""

    def __init__(self, namespace, name):
        workdir = Path(tempfile.mkdtemp(prefix="espgate-test-"))
        cleanup.later(shutil.rmtree, workdir, True)
        self._control, self._log = workdir / "bird.ctl", workdir / "bird.log"
        file = workdir / "bird.conf"
        file.write_text(BIRD.format(number=NUMBER[name], interfaces=INTERFACES))
        with open(self._log, "wb") as log:
            self._process = namespace.popen("bird", "-f", "-c", file, "-s", self._control, "-P", workdir / "bird.pid",
                                            stdout=log, stderr=log)
        cleanup.later(self.kill)

    def kill(self):
        """Without a word to its neighbours."""
        self._process.kill()
        self._process.wait(10)

    def story(self):
        _, text, errors = run("birdc", "-s", self._control, "show", "ospf", "neighbors", check=False)
        return f"{text}{errors}\n{self._log.read_text()}"


class RoutingDaemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(cleanup.now)
        cls.pair = pair.Pair({name: settings(name) for name in pair.NAMES}).start()
        cls.birds = {name: Bird(cls.pair.namespace[name], name) for name in pair.NAMES}

    def until(self, holds, timeout_s):
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                stories = [f"{name}: {self.birds[name].story()}\n{self.pair.gateway[name].counters().drops}"
                           for name in pair.NAMES]
                self.fail(f"not within {timeout_s} s\n" + "\n".join(stories))
            time.sleep(0.1)

    def way(self, name, version):
        """The tunnel that leads to the other site's network, as that gateway's workers have it."""
        for route in self.pair.gateway[name].ask("show", "routes")["routes"]:
            if route["prefix"] == pair.NETWORK[pair.other(name)][version]:
                return route["port"] if route["state"] == "tunnel" else None
        return None

    def until_all_go_by(self, tunnels, timeout_s):
        for name in pair.NAMES:
            for version in (4, 6):
                self.until(lambda: self.way(name, version) == tunnels[version], timeout_s)

    def sent_by(self, tunnel):
        tunnels = self.pair.gateway["a"].ask("show", "tunnels")["tunnels"]
        return next(each["tx"]["packets"] for each in tunnels if each["name"] == tunnel)

    def assert_traffic_goes_by(self, tunnels):
        for version in (4, 6):
            self.until(lambda: self.pair.ping("a", version, count=1) == 1, 10)
            before = self.sent_by(tunnels[version])
            self.assertEqual(self.pair.ping("a", version, count=20, interval_s=0.02), 20)
            self.assertGreaterEqual(self.sent_by(tunnels[version]) - before, 20)

    def test_1_routes_are_learned_and_traffic_follows(self):
        self.until_all_go_by(FIRST, 30)
        self.assert_traffic_goes_by(FIRST)

    def test_2_a_tunnel_that_fails_silently_is_left_and_taken_again(self):
        """The peer drops what comes by it, which nobody but the routing daemon notices."""
        for tunnel in FIRST.values():
            self.pair.gateway["b"].ask("sa", "delete", f"{spi('b', tunnel):#x}")
        self.until_all_go_by({4: SECOND, 6: SECOND}, DEAD_S + 8)
        self.assert_traffic_goes_by({4: SECOND, 6: SECOND})
        self.pair.gateway["b"].ask("reload")
        self.until_all_go_by(FIRST, 30)
        self.assert_traffic_goes_by(FIRST)

    def test_3_nothing_is_dropped_but_by_the_change(self):
        """What came by the dead tunnel; what was first to ask for a neighbour; and what the routing daemon sent to its
        neighbour in gre0 while b, whose gre0 was down, announced that address by tun1."""
        for name in pair.NAMES:
            counters = self.pair.gateway[name].counters()
            self.assertTrue(counters.holds)
            drops = {reason: count for reason, count in counters.drops.items() if count}
            print(f"\n{name}: {drops}")
            self.assertLessEqual(set(drops), {"IN_SA_RETIRED", "OUT_V4_TX_PKT_ADJ_FAIL", "NEIGHBOUR_UNRESOLVED",
                                              "GRE_NEXT_HOP_UNKNOWN"})
            self.assertLess(drops.get("GRE_NEXT_HOP_UNKNOWN", 0), 20)

    def test_4_routes_go_with_the_daemon_that_told_them(self):
        self.birds["b"].kill()
        for version in (4, 6):
            self.until(lambda: self.way("a", version) is None, DEAD_S + 8)
            self.assertEqual(self.pair.ping("a", version, count=1), 0)

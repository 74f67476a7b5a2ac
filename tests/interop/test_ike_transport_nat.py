"""Transport mode between two gateways with a NAT on the way (RFC 7296 2.23.1): pings and TCP, begun by either end.

    gateway hub | outside ==== left | router, NAT | right ==== outside | gateway spoke
    192.0.2.1                 .254         .254                 198.51.100.1
"""

import re
import shutil
import tempfile
import threading
import time
import unittest

from lib import cleanup, configuration, netns
from lib.gateway import Gateway

HUB, SPOKE, ROUTER_LEFT, ROUTER_RIGHT = "192.0.2.1", "198.51.100.1", "192.0.2.254", "198.51.100.254"
PSK = "a key that both gateways have"


def _settings(address, route, via, connection):
    port = {"name": "outside", "device": "net_af_packet0,iface=veth-out,framecnt=2048,blocksz=4096,framesz=2048",
            "ipsec": True, "addresses": [f"{address}/24"]}
    return configuration.gateway([port], connections=[connection], hugepages=False, routes=[{"to": route, "via": via}])


class TransportNat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        netns.sweep()
        cls.addClassCleanup(cleanup.now)
        cls.hub_side, cls.router, cls.spoke_side = (netns.Namespace(role) for role in ("hub", "router", "spoke"))
        netns.cable(cls.hub_side, "veth-out", cls.router, "left")
        netns.cable(cls.spoke_side, "veth-out", cls.router, "right")
        for namespace in (cls.hub_side, cls.spoke_side):
            netns.silence(namespace, "veth-out")
        cls.router.exec("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
        cls.router.ip("address", "add", f"{ROUTER_LEFT}/24", "dev", "left")
        cls.router.ip("address", "add", f"{ROUTER_RIGHT}/24", "dev", "right")
        cls.router.exec("nft", "-f", "-", stdin=(
            "table ip nat {\n chain post {\n  type nat hook postrouting priority 100;\n"
            f"  ip saddr {SPOKE} snat to {ROUTER_LEFT}\n }}\n}}\n"))
        hub = {"name": "spokes", "local": HUB, "remote": "any", "mode": "transport",
               "ike": {"psk": PSK, "local_id": "hub.example", "remote_id": "*.spoke.example"}}
        spoke = {"name": "hub", "local": SPOKE, "remote": HUB, "mode": "transport",
                 "ike": {"psk": PSK, "local_id": "one.spoke.example", "remote_id": "hub.example", "start": "always"}}
        cls.gateways = {}
        for name, namespace, settings in (
                ("hub", cls.hub_side, _settings(HUB, "198.51.100.0/24", ROUTER_LEFT, hub)),
                ("spoke", cls.spoke_side, _settings(SPOKE, "192.0.2.0/24", ROUTER_RIGHT, spoke))):
            workdir = tempfile.mkdtemp(prefix=f"espgate-test-{name}-")
            cleanup.later(shutil.rmtree, workdir, True)
            cls.gateways[name] = Gateway(namespace, workdir, settings)
            cls.gateways[name].start()

    def logs(self):
        return "\n".join(f"--- {name}\n{gateway.log_text()}" for name, gateway in self.gateways.items())

    def until(self, holds, timeout_s=20):
        deadline = time.monotonic() + timeout_s
        while not (found := holds()):
            self.assertLess(time.monotonic(), deadline, f"not within {timeout_s} s\n{self.logs()}")
            time.sleep(0.05)
        return found

    def sa(self, name):
        return next((sa for sa in self.gateways[name].ask("show", "ike")["ike_sas"]
                     if sa["state"] == "up" and sa["children"]), None)

    def pings(self, namespace, target, count=3):
        _, out, _ = namespace.exec("ping", "-c", count, "-i", "0.2", "-W", 1, target, check=False)
        return int(re.search(r"(\d+) received", out)[1])

    def assert_passes(self):
        self.until(lambda: self.pings(self.spoke_side, HUB, count=1) == 1)
        self.assertEqual(self.pings(self.spoke_side, HUB), 3, self.logs())
        # The hub knows the spoke by the address that the NAT gives it.
        self.assertEqual(self.pings(self.hub_side, ROUTER_LEFT), 3, self.logs())

    def test_1_up_behind_the_nat_with_pings_both_ways(self):
        self.assertEqual(self.until(lambda: self.sa("hub"))["remote"], ROUTER_LEFT)
        self.until(lambda: self.sa("spoke"))
        self.assert_passes()
        sas = self.gateways["hub"].ask("show", "sa")["sas"]
        self.assertEqual({sa["connection"] for sa in sas}, {"spokes#1"})

    def test_2_tcp_checksums_are_right_behind_the_nat(self):
        payload = bytes(range(256)) * 64

        def serve(listener):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(payload)
        for server, client, target in ((self.hub_side, self.spoke_side, HUB), (self.spoke_side, self.hub_side, ROUTER_LEFT)):
            with server.socket() as listener, client.socket() as caller:
                listener.bind(("", 7000))
                listener.listen()
                listener.settimeout(10)
                caller.settimeout(10)
                thread = threading.Thread(target=serve, args=(listener,))
                thread.start()
                caller.connect((target, 7000))
                received = b""
                while len(received) < len(payload) and (part := caller.recv(65536)):
                    received += part
                thread.join(10)
                self.assertEqual(received, payload)

    def test_3_new_keys_by_either_end(self):
        for name, connection in (("hub", "spokes#1"), ("spoke", "hub")):
            before = self.sa("hub")["children"][0]["inbound_spi"]
            self.gateways[name].ask("rekey", connection)
            self.until(lambda: (sa := self.sa("hub")) and sa["children"][0]["inbound_spi"] != before)
            self.assert_passes()


if __name__ == "__main__":
    unittest.main()

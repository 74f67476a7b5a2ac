"""strongSwan with the Linux kernel's ESP, in QEMU: ESP without UDP, extended sequence numbers, transport mode."""

import re
import unittest

from lib import waiting
from lib.testbed import INSIDE, OUTSIDE
from qemu import charon, peer
from qemu.kernel_case import GUEST_INNER, GUEST_NETWORKS, INSIDE_NETWORKS, KernelBehindGateway

PSK = "a key that the gateway and the guest have"
# One address of the guest's for each connection.
GUEST = {"tunnel": OUTSIDE.host[4], "six": OUTSIDE.host[6], "transport": "192.0.2.4"}
OUR = {"tunnel": OUTSIDE.gateway[4], "six": OUTSIDE.gateway[6], "transport": OUTSIDE.gateway[4]}


def _ours(name, **settings):
    networks = {} if name == "transport" else {
        "local_networks": [INSIDE_NETWORKS[6 if name == "six" else 4]],
        "remote_networks": [GUEST_NETWORKS[6 if name == "six" else 4]]}
    return {"name": name, "local": OUR[name], "remote": GUEST[name], **networks, **settings,
            "ike": {"psk": PSK, "start": "passive"}}


def _theirs(name, esp, **child):
    version = 6 if name == "six" else 4
    selectors = {} if name == "transport" else {"local_ts": GUEST_NETWORKS[version],
                                                "remote_ts": INSIDE_NETWORKS[version]}
    return {"version": 2, "local_addrs": GUEST[name], "remote_addrs": OUR[name], "mobike": False,
            "proposals": "aes256gcm16-prfsha256-x25519", "local": {"auth": "psk", "id": GUEST[name]},
            "remote": {"auth": "psk", "id": OUR[name]},
            "children": {name: {**selectors, "esp_proposals": esp, **child}}}


class PlainEsp(KernelBehindGateway):
    @classmethod
    def files(cls):
        return charon.files(cls.workdir, {
            "connections": {"tunnel": _theirs("tunnel", "aes256gcm16-x25519-esn"),
                            "six": _theirs("six", "aes256gcm16-x25519-noesn"),
                            "transport": _theirs("transport", "aes128-sha256-x25519-esn-noesn", mode="transport")},
            "secrets": {"ike-all": {"secret": f'"{PSK}"'}}})

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for version in (4, 6):
            cls.inside.ip("route", "add", GUEST_NETWORKS[version], "via", INSIDE.gateway[version], "mtu", 1400)
        peer.add_addresses(cls.guest, [f"{GUEST['transport']}/24"], [])
        suites = {"child_suites": ["aes128-cbc-sha256"]}
        transport = _ours("transport", mode="transport")
        transport["ike"].update(suites)
        cls.gateway = cls.start([_ours("tunnel", esn=True), _ours("six"), transport])
        cls.charon = charon.GuestCharon(cls.guest).start()

    def logs(self):
        return f"--- espgated\n{self.gateway.log_text()}\n--- charon\n{self.charon.log_text()}\n{peer.errors(self.guest)}"

    def until(self, holds, timeout_s=30):
        return waiting.until(holds, timeout_s, explain=self.logs)

    def ike_sa(self, name):
        return next((sa for sa in self.gateway.ask("show", "ike")["ike_sas"]
                     if sa["connection"] == name and sa["state"] == "up" and sa["children"]), None)

    def pings(self, name, count=5):
        """How many of so many pings are answered, each way."""
        version = 6 if name == "six" else 4
        if name == "transport":
            ends = self.gateway_side, OUR[name], GUEST[name]
        else:
            ends = self.inside, INSIDE.host[version], GUEST_INNER[version]
        namespace, here, there = ends
        _, out, _ = namespace.exec("ping", "-c", count, "-i", "0.1", "-W", 1, "-I", here, there, check=False)
        _, back = self.guest.run(f"ping -A -c {count} -W 1 -I {there} {here}", check=False)
        return [int(re.search(r"(\d+) (?:packets )?received", text)[1]) for text in (out, back)]

    def check(self, name):
        for begin, role in ((lambda: self.gateway.ask("initiate", name), "initiator"),
                            (lambda: self.assertEqual(self.charon.initiate(name)[0], 0, self.logs()), "responder")):
            begin()
            sa = self.until(lambda: self.ike_sa(name))
            self.assertEqual(sa["role"], role)
            self.until(lambda: self.pings(name, count=1) == [1, 1])
            for rekey in (lambda: self.gateway.ask("rekey", name), lambda: self.charon.rekey_child(name)):
                before = self.ike_sa(name)["children"][0]["inbound_spi"]
                rekey()
                self.until(lambda: (now := self.ike_sa(name)) and now["children"][0]["inbound_spi"] != before)
                self.assertEqual(self.pings(name), [5, 5], self.logs())
            for rekey in (lambda: self.gateway.ask("rekey", name, "--ike"), lambda: self.charon.rekey(name)):
                before = self.ike_sa(name)["initiator_spi"]
                rekey()
                self.until(lambda: (now := self.ike_sa(name)) and now["initiator_spi"] != before)
                self.assertEqual(self.pings(name), [5, 5], self.logs())
            listing = self.charon.listing(name)
            self.assertNotIn("in-UDP", listing)
            self.gateway.ask("terminate", name)
            self.until(lambda: not self.charon.listing(name).strip())
        return listing

    def test_tunnel_with_extended_sequence_numbers(self):
        self.assertRegex(self.check("tunnel"), r"TUNNEL, ESP:AES_GCM_16-256/.*ESN")

    def test_tunnel_over_ipv6(self):
        self.assertNotIn("ESN", self.check("six").replace("NO_EXT_SEQ", ""))

    def test_transport_mode(self):
        self.assertRegex(self.check("transport"), r"TRANSPORT, ESP:AES_CBC-128/HMAC_SHA2_256_128")


if __name__ == "__main__":
    unittest.main()

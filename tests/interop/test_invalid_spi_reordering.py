"""Rekeys under traffic on a path that reorders: no gateway ever takes a late or an early packet for an invalid SPI.

ESPGATE_REORDERED_REKEYS says how many (`scripts/long-tests --only reordering`: 10,000). The old SA of a rekey is not kept
for late packets, which it would be by default for 30 s, so that those meet what is left of it.
"""

import contextlib
import os
import time
import unittest

from lib import pair
from lib.ike_case import IkeCase, connection, gateway
from lib.reorderer import Reorderer
from lib.stream import Stream

REKEYS = int(os.environ.get("ESPGATE_REORDERED_REKEYS", "200"))
EACH_WAY = 4  # child SAs with traffic of their own, all of one IKE SA
PORT = 9100
PER_SECOND = 150
NORMAL = {(kind, "nothing was done") for kind in ("larval", "just rekeyed")}


def _child(name, number):
    """What goes to one port at b, or, with the later numbers, at a."""
    receiver = "b" if number < EACH_WAY else "a"
    networks = {"local": pair.NETWORK[name][4], "remote": pair.NETWORK[pair.other(name)][4]}
    port = {"local_port" if receiver == name else "remote_port": str(PORT + number)}
    made = connection(name, f"c{number}", selectors=[{**networks, "protocol": "udp", **port}])
    del made["local_networks"], made["remote_networks"]
    if number > 0:
        made["ike"] = {"child_of": "c0"}
    return made


class Reordering(IkeCase):
    BETWEEN = Reorderer

    @classmethod
    def settings(cls, name):
        return gateway(name, [_child(name, number) for number in range(2 * EACH_WAY)], log_level="info",
                       limits={"linger_seconds": 0})

    def spis(self):
        """Of all children, or None while not each has exactly one at both ends."""
        found = []
        for name in pair.NAMES:
            children = [child["inbound_spi"] for sa in self.ike_sas(name, "c0") if sa["state"] == "up" for child in sa["children"]]
            if len(children) != 2 * EACH_WAY:
                return None
            found += children
        return set(found)

    def note_flows(self):
        for name in pair.NAMES:
            for flow in self.gateway(name).ask("show", "invalid-spi")["flows"]:
                self.judged.add((flow["class"], flow["repair"]))

    def test_rekeys_raise_no_alarm(self):
        self.judged = set()
        self.until(self.spis)
        hosts = {name: (self.pair.host[name], pair.HOST[name][4]) for name in pair.NAMES}
        began, done = time.monotonic(), 0
        with contextlib.ExitStack() as streams:
            running = []
            for number in range(2 * EACH_WAY):
                sender, receiver = ("a", "b") if number < EACH_WAY else ("b", "a")
                running.append(streams.enter_context(Stream(hosts[sender], hosts[receiver], PORT + number, PER_SECOND)))
            while done < REKEYS:
                before = self.spis()
                for number in range(2 * EACH_WAY):
                    self.gateway(pair.NAMES[done // (2 * EACH_WAY) % 2]).ask("rekey", f"c{number}")
                self.until(lambda: (now := self.spis()) and not now & before, 30)
                done += 2 * EACH_WAY
                self.note_flows()
        sent, lost = sum(stream.sent for stream in running), sum(len(stream.missing) for stream in running)
        late = sum(self.gateway(name).counters().of("IN_SA_RETIRED") for name in pair.NAMES)
        print(f"\n{done:,} rekeys in {time.monotonic() - began:.0f} s: {sent:,} packets, {self.pair.between.overtaken:,} times one "
              f"overtook another, {late} came for an SA that was gone, {lost} lost in all", end="")
        # There was something to take for an invalid SPI.
        self.assertGreater(self.pair.between.overtaken, REKEYS)
        self.assertGreater(late, 0)
        self.assertLessEqual(self.judged, NORMAL, self.logs())
        lines = []
        for name in pair.NAMES:
            said = self.gateway(name).log.read_text()
            self.assertNotIn("does not know SPI", said)
            lines += [line for line in said.splitlines() if "RECVD_PKT_INV_SPI" in line]
        self.assertEqual(lines, [])
        self.assertEqual(len(self.ike_sas("a", "c0")), 1)


if __name__ == "__main__":
    unittest.main()

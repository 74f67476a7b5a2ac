"""Two strongSwans, one of which crashes and comes back: only the other's DPD finds out. Its waits are a tenth of what
strongSwan has by default (4 s, of which each is 1.8 times the one before, 5 tries more than the first: 165 s), and its
dpd_delay a second, unless ESPGATE_DPD_DEFAULTS is set: then strongSwan has its own waits, and a dpd_delay of 30 s.
"""

import os
import time
import unittest

from lib import cleanup, netns
from lib.stream import Stream
from lib.strongswan import Charon
from lib.swan_case import shared_secret
from lib.waiting import until

DEFAULTS = "ESPGATE_DPD_DEFAULTS" in os.environ
DPD_DELAY_S = 30 if DEFAULTS else 1
TIMEOUT_S, BASE, TRIES = 4 if DEFAULTS else 0.4, 1.8, 5
RETRANSMISSION = {} if DEFAULTS else {"retransmit_timeout": TIMEOUT_S, "retransmit_base": BASE, "retransmit_tries": TRIES}
WAITS_S = sum(TIMEOUT_S * BASE**n for n in range(TRIES + 1))
OUTER = {"one": "198.51.100.1", "two": "198.51.100.2"}
INNER = {"one": "10.1.0.10", "two": "10.2.0.10"}


def _connection(name, other):
    return {"version": 2, "local_addrs": OUTER[name], "remote_addrs": OUTER[other], "encap": True, "mobike": False,
            "dpd_delay": f"{DPD_DELAY_S}s" if name == "one" else "0s",
            "local": {"auth": "psk", "id": OUTER[name]}, "remote": {"auth": "psk", "id": OUTER[other]},
            "children": {"net": {"local_ts": f"{INNER[name]}/32", "remote_ts": f"{INNER[other]}/32",
                                 "dpd_action": "restart"}}}


class Dpd(unittest.TestCase):
    def test_how_long_it_takes(self):
        self.addCleanup(cleanup.now)
        netns.sweep()
        spaces = {name: netns.Namespace(name) for name in OUTER}
        netns.cable(spaces["one"], "wan", spaces["two"], "wan")
        charons = {}
        for name, other in (("one", "two"), ("two", "one")):
            spaces[name].ip("address", "add", f"{OUTER[name]}/24", "dev", "wan")
            spaces[name].ip("address", "add", f"{INNER[name]}/32", "dev", "lo")
            spaces[name].ip("route", "add", "default", "via", OUTER[other])
            charons[name] = Charon(spaces[name], {"connections": {"net": _connection(name, other)},
                                                  "secrets": {"ike-all": shared_secret()}},
                                   RETRANSMISSION).start()
        self.assertEqual(charons["one"].initiate("net"), {})
        charons["two"].kill()
        charons["two"].start()
        began = time.monotonic()
        with Stream(*((spaces[name], INNER[name]) for name in OUTER), 9001, per_second=100) as stream:
            until(lambda: stream.numbers, DPD_DELAY_S + 3 * WAITS_S, explain=charons["one"].log_text)
        print(f"\ntwo strongSwans: traffic {time.monotonic() - began:.1f} s after the crash, with a dpd_delay of {DPD_DELAY_S} s and "
              f"{'its default ' if DEFAULTS else ''}waits of {WAITS_S:.1f} s", end="")
        self.assertGreater(stream.first_came_s, WAITS_S - DPD_DELAY_S)


if __name__ == "__main__":
    unittest.main()

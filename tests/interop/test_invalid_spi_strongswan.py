"""strongSwan and espgated crash in turns: how long until traffic flows again, with us as initiator and as responder.

Nobody asks whether the other is there unless the test says so.
"""

import time
import unittest

from lib.invalid_spi_case import BEGUN, WORK_S, flow_of, lines_of, packets_of
from lib.swan_case import SwanCase, ours, theirs

ROUND_TRIP_S = 0.005  # kernel-libipsec and a machine with other things to do
LIVENESS_S, TRY_S = 1, 1  # ours: of one try
AGAIN_S = 5  # before an attempt, after one or two that failed


class Crashes(SwanCase):
    @classmethod
    def connections(cls):
        patient, asking = {}, {"start": "always", "liveness": LIVENESS_S, "tries": 1}
        # After its crash strongSwan begins anew by itself, or leaves it to us.
        return {"patient": (1, ours("patient", 1, patient), theirs("patient", 1)),
                "eager": (2, ours("eager", 2, patient), theirs("eager", 2, child={"start_action": "start"})),
                "asking": (3, ours("asking", 3, asking), theirs("asking", 3))}

    def we_crash(self, begin):
        begin("patient")
        self.assert_passes("patient")
        stale = self.ike_sa("patient")["children"][0]["inbound_spi"]
        self.gateway.kill()
        self.gateway.start()
        took_s = self.recovery_s("patient", from_us=False)
        print(f"\nwe crashed, strongSwan sent: {1000 * took_s:.0f} ms", end="")
        flow = flow_of(self.gateway, stale)
        self.assertEqual((flow["class"], flow["protocol"]), ("before restart", 17))
        self.assertIn(flow["repair"], BEGUN)
        self.assertRegex(lines_of(self.gateway, stale)[0], f"before restart, connection patient, .*; ({'|'.join(BEGUN)})$")
        self.assertEqual(self.gateway.counters().of("IN_SA_RETIRED"), packets_of(self.gateway, flow))
        self.assertLess(took_s, WORK_S + 3 * ROUND_TRIP_S, self.logs())
        self.assert_passes("patient")
        # strongSwan has let go of what was before.
        self.assertEqual(self.charon.listing("patient").count("ESTABLISHED"), 1)

    def test_1_we_crash_having_begun(self):
        self.we_crash(self.gateway_begins)

    def test_2_we_crash_and_the_peer_had_begun(self):
        self.gateway.ask("terminate", "patient")
        self.wait_down("patient")
        self.we_crash(self.peer_begins)

    def peer_crashes(self, name):
        """From its restart to traffic, which begins at once."""
        self.assert_passes(name)
        self.charon.kill()
        began = time.monotonic()
        self.charon.start()
        self.recovery_s(name, from_us=True)
        took_s = time.monotonic() - began
        self.assert_passes(name)
        self.until(lambda: len([sa for sa in self.ike_sas(name) if sa["state"] == "up"]) == 1)
        return took_s

    def test_3_the_peer_crashes_and_begins_anew(self):
        """With our SA of before still there: its INITIAL_CONTACT ends it."""
        for begin in (self.gateway_begins, self.peer_begins):
            with self.subTest(begin.__name__):
                begin("eager")
                took_s = self.peer_crashes("eager")
                print(f"\nstrongSwan crashed and began anew ({begin.__name__} before): {took_s:.2f} s with its start", end="")
                self.assertLess(took_s, 3)
                self.charon.terminate("eager")
                self.wait_down("eager")

    def test_4_the_peer_crashes_and_we_ask(self):
        """It says nothing of the SPI that it has no more, so our question goes without an answer; then we begin anew."""
        self.wait_up("asking")
        took_s = self.peer_crashes("asking")
        print(f"\nstrongSwan crashed, we asked after {LIVENESS_S} s: {took_s:.1f} s", end="")
        self.assertLess(took_s, LIVENESS_S + TRY_S + AGAIN_S + 1)


if __name__ == "__main__":
    unittest.main()

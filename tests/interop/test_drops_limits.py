"""Punt limits: what exceeds them is counted under the limit's reason, and nothing is lost uncounted."""

from lib import case, configuration, packets
from lib.coverage import fires
from lib.testbed import OUTSIDE, standard_ports

SENT = 200


class Limits(case.GatewayCase):
    @classmethod
    def settings(cls):
        return configuration.gateway(standard_ports(), limits={"punt_ike_pps": 10, "punt_host_pps": 10})

    def flood(self, reason, outcome, packet):
        before = self.settled()
        self.testbed.send("outside", *[packet] * SENT)
        moved = self.settled().since(before)
        self.assertEqual(set(moved.drops), {reason})
        self.assertEqual(moved.of(reason) + moved.outcomes[outcome], SENT)
        self.assertGreater(moved.of(reason), SENT // 2)

    @fires("IKE_RATE_LIMITED")
    def test_213(self):
        self.flood("IKE_RATE_LIMITED", "control",
                   packets.udp_packet(OUTSIDE.host[4], OUTSIDE.gateway[4], 500, 500, bytes(28)))

    @fires("HOST_RATE_LIMITED")
    def test_341(self):
        self.flood("HOST_RATE_LIMITED", "host", packets.echo(OUTSIDE.host[4], OUTSIDE.gateway[4], 1, 1))

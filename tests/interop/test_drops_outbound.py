"""Outbound IPsec drop reasons by real frames: exactly the counter that should move moves, by as much."""

from lib import drop_case
from lib.coverage import fires
from lib.drop_case import DELETED, KEYLESS, NOWHERE4, NOWHERE6, PLAIN4, host


class OutboundDrops(drop_case.EspDropCase):
    @fires("OUT_V4_PKT_HIT_DENY_DROP_SP")
    def test_35(self):
        self.expect("OUT_V4_PKT_HIT_DENY_DROP_SP", "inside", self.from_inside("203.0.113.9"))

    @fires("OUT_V6_PKT_HIT_DENY_DROP_SP")
    def test_40(self):
        self.expect("OUT_V6_PKT_HIT_DENY_DROP_SP", "inside", self.from_inside("2001:db8:d15c::9", 6))

    @fires("OUT_V4_POST_OUTPUT_POLICY_FAIL")
    def test_56(self):
        self.expect("OUT_V4_POST_OUTPUT_POLICY_FAIL", "inside", self.from_inside("192.0.2.2"))

    @fires("OUT_V6_POST_OUTPUT_POLICY_FAIL")
    def test_57(self):
        self.expect("OUT_V6_POST_OUTPUT_POLICY_FAIL", "inside", self.from_inside("2001:db8:f::2", 6))

    @fires("OUT_V4_PKT_HIT_IKE_START_SP")
    def test_33(self):
        self.expect("OUT_V4_PKT_HIT_IKE_START_SP", "inside", self.from_inside(host(KEYLESS, 4)))

    @fires("OUT_V6_PKT_HIT_IKE_START_SP")
    def test_38(self):
        self.expect("OUT_V6_PKT_HIT_IKE_START_SP", "inside", self.from_inside(host(KEYLESS, 6), 6))

    @fires("OUT_V4_PKT_HIT_INVALID_SA", "OUT_V6_PKT_HIT_INVALID_SA")
    def test_32_and_37(self):
        self.gateway.ask("sa", "delete", f"{0x2000 + DELETED:#x}")
        self.expect("OUT_V4_PKT_HIT_INVALID_SA", "inside", self.from_inside(host(DELETED, 4)))
        self.expect("OUT_V6_PKT_HIT_INVALID_SA", "inside", self.from_inside(host(DELETED, 6), 6))

    @fires("OUT_V4_TX_PKT_ADJ_FAIL")
    def test_61(self):
        self.expect("OUT_V4_TX_PKT_ADJ_FAIL", "inside", self.from_inside(host(NOWHERE4, 4)))

    @fires("OUT_V6_TX_PKT_ADJ_FAIL")
    def test_211(self):
        self.expect("OUT_V6_TX_PKT_ADJ_FAIL", "inside", self.from_inside(host(NOWHERE6, 6), 6))

    @fires("OUT_CANNOT_FRAG_DF_SET_PKT")
    def test_48(self):
        self.expect("OUT_CANNOT_FRAG_DF_SET_PKT", "inside", self.from_inside(host(PLAIN4, 4), size=1460),
                    self.from_inside(host(PLAIN4, 6), 6, size=1440))

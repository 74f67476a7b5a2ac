"""The drop table and the tests agree: a reason that no real packet can raise is a defect."""

import pathlib
import unittest

import test_drops_forwarding  # noqa: F401  each import notes what its tests raise
import test_drops_frames  # noqa: F401
import test_drops_inbound  # noqa: F401
import test_drops_limits  # noqa: F401
import test_drops_outbound  # noqa: F401
import test_gre  # noqa: F401
import test_gre_multipoint  # noqa: F401
import test_lifetimes  # noqa: F401
import test_modes  # noqa: F401
import test_policies  # noqa: F401
import test_sizes  # noqa: F401
import test_tunnels  # noqa: F401
from lib.coverage import FIRED
from lib.reasons import DROPS

# What frames alone cannot raise on this testbed, and why; the unit tests of the worker do.
ELSEWHERE = {
    "OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW": "needs 2^32 packets",
    "CRYPTO_DEVICE_IPSEC_STOP": "needs a failing engine",
    "PKT_BUFFER_UNAVAILABLE": "needs an empty buffer pool",
    "IN_ESP_SHARED_BUFFER": "needs a driver with shared buffers and an empty pool",
    "OUT_INFRA_V4_PKT_LEN_TOO_BIG": "needs a frame above 65,344 bytes from inside",
    "OUT_INFRA_V6_PKT_LEN_TOO_BIG": "needs a frame above 65,344 bytes from inside",
    "PORT_TX_FULL": "af_packet waits for room instead",
}
UNIT_TESTS = pathlib.Path(__file__).resolve().parents[1] / "datapath/worker"


class Coverage(unittest.TestCase):
    def test_every_reason_is_raised_by_some_test(self):
        self.assertEqual(set(DROPS) - FIRED - set(ELSEWHERE), set())

    def test_no_test_names_a_reason_that_does_not_exist(self):
        self.assertEqual((FIRED | set(ELSEWHERE)) - set(DROPS), set())

    def test_no_excuse_is_stale(self):
        self.assertEqual(FIRED & set(ELSEWHERE), set())

    def test_every_excuse_has_a_unit_test(self):
        unit_tests = "".join(path.read_text() for path in UNIT_TESTS.glob("*_test.cpp"))
        self.assertEqual([reason for reason in ELSEWHERE if reason not in unit_tests], [])

"""The drop table and the tests agree: a reason that no real packet can raise is a defect."""

import unittest

import test_drops_forwarding  # noqa: F401  each import notes what its tests raise
import test_drops_frames  # noqa: F401
import test_drops_inbound  # noqa: F401
import test_drops_limits  # noqa: F401
import test_drops_outbound  # noqa: F401
from lib.coverage import FIRED
from lib.reasons import DROPS

# What frames alone cannot raise on this testbed, and where it is raised instead.
ELSEWHERE = {
    "OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW": "needs 2^32 packets; unit test of the outbound stage",
    "CRYPTO_DEVICE_IPSEC_STOP": "needs a failing engine; unit test of the worker",
    "PKT_BUFFER_UNAVAILABLE": "needs an empty buffer pool; unit test of the worker",
    "IN_ESP_SHARED_BUFFER": "needs a driver with shared buffers; unit test of the worker",
    "OUT_INFRA_V6_PKT_LEN_TOO_BIG": "needs a port that takes more than the outside can hold; unit test",
    "IKE_RING_FULL": "needs a stalled control core; unit test of the punt rings",
    "HOST_RING_FULL": "needs a stalled control core; unit test of the punt rings",
    "HOST_TAP_FULL": "needs a kernel that stops reading; unit test of the host path",
    "HOST_INJECT_FULL": "needs a stalled worker; unit test of the host path",
    "PORT_TX_FULL": "needs a link slower than the sender; unit test of the worker",
}


class Coverage(unittest.TestCase):
    def test_every_reason_is_raised_by_some_test(self):
        self.assertEqual(set(DROPS) - FIRED - set(ELSEWHERE), set())

    def test_no_test_names_a_reason_that_does_not_exist(self):
        self.assertEqual((FIRED | set(ELSEWHERE)) - set(DROPS), set())

    def test_no_excuse_is_stale(self):
        self.assertEqual(FIRED & set(ELSEWHERE), set())

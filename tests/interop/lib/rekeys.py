"""New keys under traffic of which nothing may be missing or come twice, counted by sequence number at the receivers."""

import contextlib
import os
import time

from .stream import Stream

REKEYS = int(os.environ.get("ESPGATE_REKEYS", "10"))  # of children, by each side; of IKE SAs a tenth
_PER_SECOND = 500


@contextlib.contextmanager
def lossless(test, left, right):
    """Traffic both ways between (namespace, address) and another."""
    with Stream(left, right, 9001, _PER_SECOND) as forth, Stream(right, left, 9002, _PER_SECOND) as back:
        time.sleep(0.2)
        yield
        time.sleep(0.2)
    for stream, way in ((forth, "to the peer"), (back, "from the peer")):
        test.assertEqual(stream.missing, [], f"{way}, of {stream.sent}\n{test.logs()}")
        test.assertEqual(stream.copies, 0, way)
        print(f"\n{stream.sent} packets {way}, none lost", end="")


def check(test, ike_sas, ends, asks):
    """ike_sas(): those of a connection with one child. `asks`: what and by whom -> (asks for it, it is the IKE SA's).

    Each rekey has to be done, and what it replaces gone, before the next.
    """
    def only():
        up = [sa for sa in ike_sas() if sa["state"] == "up"]
        return up[0] if [len(sa["children"]) for sa in up] == [1] else None
    for what, (ask, is_ike) in asks.items():
        times = max(2, REKEYS // 10) if is_ike else REKEYS
        with test.subTest(what, times=times), lossless(test, *ends):
            for _ in range(times):
                before = _spi(test.until(only), is_ike)
                ask()
                test.until(lambda: (sa := only()) and _spi(sa, is_ike) != before)


def _spi(sa, is_ike):
    return sa["initiator_spi"] if is_ike else sa["children"][0]["inbound_spi"]

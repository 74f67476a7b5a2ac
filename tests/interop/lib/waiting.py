"""Waiting for what happens within moments."""

import time


def until(holds, timeout_s, what="that", explain=lambda: ""):
    """What `holds` gives once that is true; `explain` says more where it does not come to be."""
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s\n{explain()}")
        time.sleep(0.05)
    return found

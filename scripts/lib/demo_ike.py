#!/usr/bin/python3
"""The part of the demonstration with two gateways: IKEv2 brings a tunnel up; one of them crashes, and it is repaired.

Usage: demo_ike.py NUMBER, that of its first heading. A process of its own, so that nothing of it is left in a demo that is
kept.
"""

import pathlib
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))

from demo_output import heading, require, show, told  # noqa: E402
from lib import cleanup, pair  # noqa: E402
from lib.ike_case import connection, gateway  # noqa: E402
from lib.invalid_spi_case import flow_of, lines_of  # noqa: E402
from lib.stream import Stream  # noqa: E402
from lib.waiting import until  # noqa: E402

# Neither begins by itself or asks whether the other is there: what repairs the tunnel is the packets alone.
IKE = {"start": "passive", "liveness": 0}
HOSTS = " <-> ".join(pair.HOST[name][4] for name in pair.NAMES)
PICTURE = f"""
   host a {pair.HOST["a"][4]} ---- gateway a  {pair.OUTER["a"][4]} ~~ESP~~ {pair.OUTER["b"][4]}  gateway b ---- host b {pair.HOST["b"][4]}
"""


def outbound_spi(of):
    return next(each["outbound_spi"] for each in of.ask("show", "connections")["connections"])


def comes_up(site):
    site.gateway["a"].ask("initiate", "site")
    until(lambda: site.ping("a", count=1) == 1, 15)
    require(site.ping("a") == 3, f"{HOSTS}: 3 pings of 3 went through the tunnel")
    show(site.gateway["a"], "show", "connections")


def crashes(site):
    stale = outbound_spi(site.gateway["a"])
    b = site.gateway["b"]
    b.kill()
    b.start()
    told(f"b is back after {b.started_in_s:.2f} s without any key; a goes on sending with SPI {stale}")
    with Stream(*((site.host[name], pair.HOST[name][4]) for name in pair.NAMES), 9001, per_second=1000) as stream:
        until(lambda: stream.first_came_s is not None, 15)
    require(flow_of(b, stale)["class"] == "before restart", "b knows the SPI as one of before its restart; its log says:")
    lines = until(lambda: lines_of(b, stale), 5)
    print(textwrap.fill(lines[0], 110, initial_indent="      ", subsequent_indent="        ", break_long_words=False))
    require(outbound_spi(site.gateway["a"]) != stale, "they have a new tunnel, and a sends with another SPI")
    told(f"from the first bad packet to traffic at its host: {1000 * stream.first_came_s:.0f} ms")


def main():
    number = int(sys.argv[1])
    try:
        heading(number, "Two gateways that have a pre-shared key: IKEv2 brings the tunnel up")
        print(PICTURE, end="")
        site = pair.Pair({name: gateway(name, [connection(name, ike=IKE)], log_level="info") for name in pair.NAMES})
        site.start()
        comes_up(site)
        heading(number + 1, "Gateway b crashes (kill -9): invalid SPIs are explained, and repaired")
        crashes(site)
        for one in site.gateway.values():
            one.stop()
    except Exception as error:  # whatever it was, it did not hold
        sys.exit(f"\n{error}")
    finally:
        cleanup.now()


main()

#!/usr/bin/python3
"""What of the control core's work keeps everything else waiting: the rounds of its loop while an operator asks, with many
connections of manual keys.

Usage: control_loop.py --build FOLDER [--connections N]
"""

import argparse
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))

from lib import cleanup, configuration  # noqa: E402
from lib.esp import keymat  # noqa: E402
from lib.loop_times import Reading  # noqa: E402
from lib.testbed import OUTSIDE, Testbed, standard_ports  # noqa: E402

PATIENCE_S = 300


def network(number):
    return f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}.0/24"


def settings(count, changed=0):
    """`changed`: so many of the connections have other keys."""
    def keys(spi, number):
        return spi, keymat(spi + (7_000_000 if number < changed else 0))
    connections = [
        configuration.connection(f"c{number}", OUTSIDE.gateway[4], OUTSIDE.host[4], ["10.1.0.0/24"], [network(number)],
                                 inbound=keys(0x10000 + number, number), outbound=keys(0x1000000 + number, number))
        for number in range(count)]
    limits = {"inbound_sas": count + 1000, "outbound_sas": count + 1000, "policies": 2 * count}
    return configuration.gateway(standard_ports(), connections=connections, limits=limits, log_level="info",
                                 hugepages=False)


def main():
    parser = argparse.ArgumentParser(description="Rounds of the control loop while an operator asks")
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--connections", type=int, default=100_000)
    arguments = parser.parse_args()
    os.environ["ESPGATE_BUILD"] = str(arguments.build.resolve())
    count = arguments.connections
    testbed = Testbed(settings(count))
    gateway = testbed.gateway
    gateway.start(120)
    print(f"{count:,} connections, ready after {gateway.started_in_s:.1f} s; load {os.getloadavg()[0]:.1f}\n"
          f"{'':28}{'seconds':>8}{'rounds':>9}{'p99 us':>8}{'max us':>9}{'over 1 ms':>11}{'work: max us':>14}{'over 1 ms':>11}")

    def measured(name, action):
        before, began = Reading(gateway), time.monotonic()
        action()
        took = time.monotonic() - began
        loop = Reading(gateway).since(before)
        print(f"{name:28}{took:8.2f}{loop['rounds']:9,}{loop['p99_us']:8,}{loop['max_us']:9,}{loop['over_1_ms']:11,}"
              f"{loop['work']['max_us']:14,}{loop['work']['over_1_ms']:11,}", flush=True)

    def command(*words):
        def ask():
            code, out, err = gateway.ctl("--json", *words, timeout_s=PATIENCE_S)
            if code != 0:
                raise RuntimeError(out + err)
        measured(" ".join(words), ask)

    measured("nothing", lambda: time.sleep(5))
    command("show", "status")
    command("show", "spi", hex(0x1000000 + count // 2))
    command("explain", f"c{count // 2}")
    command("show", "sa")
    command("show", "connections")
    command("show", "policies")
    command("reload")
    gateway.file.write_text(configuration.text(dict(settings(count, count // 100), socket=str(gateway.socket))))
    command("reload")
    measured("after it", lambda: time.sleep(5))
    gateway.file.write_text(configuration.text(dict(settings(count // 2), socket=str(gateway.socket))))
    command("reload")
    gateway.stop()
    cleanup.now()


main()

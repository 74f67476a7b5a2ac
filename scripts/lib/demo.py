"""The demonstration behind scripts/demo: three hosts, good and bad ESP, and what the gateway says of it; then two gateways
with IKE (demo_ike.py)."""

import argparse
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))

from demo_output import DemoFailed, heading, require, show, told  # noqa: E402
from lib import cleanup, configuration, netns, packets  # noqa: E402
from lib.encapsulation import outer_of  # noqa: E402
from lib.gateway import Gateway, program  # noqa: E402
from lib.scapy_esp import ScapySa  # noqa: E402
from lib.shell import run  # noqa: E402
from lib.suites import SUITES  # noqa: E402
from lib.wire import Wire  # noqa: E402

STATE = pathlib.Path("/run/espgate-demo.json")
PEER, OUTSIDE, INSIDE, HOST, BRANCH = "192.0.2.2", "192.0.2.1", "10.1.0.1", "10.1.0.10", "10.2.0.7"
INBOUND_SPI, OUTBOUND_SPI = 0x1001, 0x2001
SUITE = SUITES["aes128-gcm16"]  # what the gateway takes unless told otherwise
ECHO_PORT = 7

PICTURE = """
   outside peer          |            the gateway             |         inside host
   scapy, {peer}   ~~ESP~~>  {outside}  espgated  {inside}  ---->  {host}
   network 10.2.0.0/24   |  (DPDK on both cables, no NIC)     |   the Linux kernel
""".format(peer=PEER, outside=OUTSIDE, inside=INSIDE, host=HOST)


class Peer:
    """The outside peer: builds and opens ESP with scapy, frame by frame on its end of the cable."""

    def __init__(self, namespace, gateway_mac, keys, sequence=0):
        self.wire = Wire(namespace, "eth0")
        self.sequence = sequence
        self._gateway_mac = gateway_mac
        self._outbound = ScapySa(INBOUND_SPI, keys["inbound"], SUITE, PEER, OUTSIDE)
        self._inbound = ScapySa(OUTBOUND_SPI, keys["outbound"], SUITE, OUTSIDE, PEER)

    def send(self, outer):
        self.wire.send(packets.ethernet(self._gateway_mac, self.wire.mac, outer))

    def seal(self, inner):
        self.sequence += 1
        return self._outbound.build(inner, self.sequence)

    def answer(self):
        """The next ESP packet from the gateway, opened: (inner packet, sequence), or None."""
        frame = self.wire.expect(lambda frame: outer_of(frame) is not None, 3)
        if frame is None:
            return None
        inner, sequence = self._inbound.open(packets.ip_of(frame).whole)
        return packets.parse_ip(inner), sequence

    def ask(self, inner):
        self.send(self.seal(inner))
        return self.answer()


def settings(keys):
    return configuration.gateway(
        [{"name": "outside", "device": "net_af_packet0,iface=veth-outside", "ipsec": True,
          "addresses": [f"{OUTSIDE}/24"]},
         {"name": "inside", "device": "net_af_packet1,iface=veth-inside", "addresses": [f"{INSIDE}/24"]}],
        connections=[configuration.connection(
            "branch", OUTSIDE, PEER, ["10.1.0.0/24"], ["10.2.0.0/24"], suite="aes128-gcm16",
            inbound=(INBOUND_SPI, keys["inbound"]), outbound=(OUTBOUND_SPI, keys["outbound"]))],
        log_level="info")


def echo_server(namespace):
    """A UDP echo service of the inside host."""
    import socket

    service = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    service.bind((HOST, ECHO_PORT))

    def serve():
        while True:
            data, sender = service.recvfrom(2048)
            service.sendto(data.upper(), sender)

    threading.Thread(target=serve, daemon=True).start()


def build_network():
    """(gateway's, outside, inside) namespaces, cabled and addressed."""
    gateway, outside, inside = (netns.Namespace(role, owner="demo") for role in ("gateway", "outside", "inside"))
    netns.cable(gateway, "veth-outside", outside, "eth0")
    netns.cable(gateway, "veth-inside", inside, "eth0")
    netns.silence(outside, "eth0")  # scapy alone speaks there
    inside.ip("addr", "add", f"{HOST}/24", "dev", "eth0")
    inside.ip("route", "add", "default", "via", INSIDE)
    return gateway, outside, inside


def good_traffic(peer):
    for number in range(1, 6):
        reply = peer.ask(packets.echo(BRANCH, HOST, 42, number, b"first light"))
        if reply is None:
            raise DemoFailed(f"no answer to echo request {number}")
        inner, sequence = reply
        if (inner.source, inner.destination, inner.payload[:1]) != (HOST, BRANCH, b"\0"):
            raise DemoFailed(f"a strange answer: {inner}")
    told(f"5 pings {BRANCH} -> {HOST} went in as ESP with SPI {INBOUND_SPI:#x};")
    require(sequence == 5, f"5 answers came back as ESP with SPI {OUTBOUND_SPI:#x}, sequence 1 to 5; scapy opened each")
    inner, _ = peer.ask(packets.udp_packet(BRANCH, HOST, 4242, ECHO_PORT, b"hello, inside")) or (None, 0)
    require(inner is not None and inner.payload[8:] == b"HELLO, INSIDE", "a UDP service of the inside host answered")


def send_bad(peer):
    inner = packets.echo(BRANCH, HOST, 43, 1, b"bad")
    for spi in (0xDEADBEEF, 0xDEADBEEF, 0xCAFE0001):
        peer.send(ScapySa(spi, secrets.token_bytes(20), SUITE, PEER, OUTSIDE).build(inner, 1))
    told("3 packets with SPIs that nobody issued")
    for _ in range(2):
        forged = bytearray(peer.seal(inner))
        forged[-1] ^= 1
        peer.send(bytes(forged))
    told("2 packets with a bad ICV")
    good = peer.seal(inner)
    for _ in range(3):
        peer.send(good)
    told("1 good packet, and 2 replays of it")


def bad_traffic(peer):
    send_bad(peer)
    answers = [frame for frame in peer.wire.drain(0.5) if outer_of(frame) is not None]
    require(len(answers) == 1, "exactly one answer came back: the good packet's")


EXPECTED_DROPS = {"IN_US_V4_PKT_SA_NOT_FOUND_SPI": 3, "IN_CD_SW_IPSEC_MAC_EXCEPTION": 2,
                  "IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL": 2}


def check_counters(gateway):
    reasons = gateway.ask("show", "drops", "ipsec", "--nonzero")["reasons"]
    require({reason["name"]: reason["packets"] for reason in reasons} == EXPECTED_DROPS,
            "every bad packet is counted under its own reason, and nothing else is")
    require(gateway.counters().holds, "received = sent + to the host + drops: no packet is unaccounted for")


def two_gateways(number):
    done = subprocess.run([sys.executable, str(ROOT / "scripts/lib/demo_ike.py"), str(number)], check=False)
    if done.returncode != 0:
        raise DemoFailed("the tunnel between two gateways did not do what was said of it")


def demonstrate(keep):
    if STATE.exists():
        raise DemoFailed("a demo was kept running; end it with scripts/demo --stop")
    begun = time.monotonic()
    workdir = tempfile.mkdtemp(prefix="espgate-demo-")
    cleanup.later(shutil.rmtree, workdir, True)
    keys = {"inbound": secrets.token_bytes(20), "outbound": secrets.token_bytes(20)}

    heading(1, "Three hosts in three network namespaces, joined by two virtual cables")
    print(PICTURE, end="")
    gateway_side, outside, inside = build_network()
    echo_server(inside)

    heading(2, "espgated starts: one worker, one connection with manual keys")
    gateway = Gateway(gateway_side, workdir, settings(keys)).start()
    told(f"ready after {gateway.started_in_s:.2f} s; its file: {gateway.file}")
    # The peer has no kernel to answer ARP, so the gateway's kernel is told its address.
    peer = Peer(outside, gateway_side.mac("outside"), keys)
    gateway_side.ip("neigh", "replace", PEER, "lladdr", peer.wire.mac, "dev", "outside", "nud", "permanent")

    heading(3, "Each port has a twin in the gateway's kernel, which answers ARP and ping")
    code, out, _ = inside.exec("ping", "-c", 3, "-i", "0.2", "-W", 2, INSIDE, check=False)
    require(code == 0, f"the inside host pings the gateway: {out.strip().splitlines()[-2]}")

    heading(4, "Good ESP in, cleartext out; the answers go back as ESP")
    good_traffic(peer)

    heading(5, "Bad packets: each is dropped for a reason of its own")
    bad_traffic(peer)
    check_counters(gateway)

    heading(6, "What the operator sees")
    for words in (("show", "drops", "--nonzero"), ("show", "drops", "ipsec", "--nonzero"), ("show", "sa"),
                  ("show", "invalid-spi")):
        show(gateway, *words)

    two_gateways(7)

    heading(9, "Done" if not keep else "Left running")
    if keep:
        STATE.write_text(json.dumps({
            "pid": gateway.pid, "workdir": workdir, "socket": str(gateway.socket), "sequence": peer.sequence,
            "keys": {name: key.hex() for name, key in keys.items()}}))
        STATE.chmod(0o600)
        cleanup.forget()
    else:
        gateway.stop()
        cleanup.now()
        require(not leftovers(), "nothing is left behind")
    told(f"The demonstration took {time.monotonic() - begun:.0f} s.")
    what_next(gateway, keep)


def leftovers():
    _, listing, _ = run("ip", "netns", "list")
    return [line for line in listing.splitlines() if line.startswith("espgate-demo-")]


def what_next(gateway, kept):
    print("\nWhat to try next")
    if not kept:
        print("  scripts/demo --keep             the same, left running to play with\n"
              "  scripts/test --quick            the test suites\n"
              "  README.md                       a tour of five minutes, and a configuration of your own")
        return
    ctl = f"{program('espgatectl')} --socket {gateway.socket}"
    print(f"  alias eg='{ctl}'\n"
          "  scripts/demo --send 100         more good packets\n"
          "  scripts/demo --send-bad         and bad ones\n"
          "  eg show workers                 cycles a packet by stage, and the balance\n"
          "  eg trace add 3; scripts/demo --send 3; eg trace show\n"
          "  eg show drops ipsec --explain   every reason, and what to do about it\n"
          "  ip netns exec espgate-demo-gateway ip route   the kernel's view of the gateway\n"
          "  scripts/demo --stop             ends it")


class NoDemo(Exception):
    """What was asked for needs a demonstration that was kept."""


def load_state():
    if not STATE.exists():
        raise NoDemo("no demo is running; start one with scripts/demo --keep")
    return json.loads(STATE.read_text())


class Standing(netns.Namespace):
    """A namespace that a kept demo made."""

    def __init__(self, role):
        self.name = f"espgate-demo-{role}"


@contextlib.contextmanager
def standing_peer():
    """The peer of a kept demo, which goes on where it was."""
    state = load_state()
    keys = {name: bytes.fromhex(key) for name, key in state["keys"].items()}
    peer = Peer(Standing("outside"), Standing("gateway").mac("outside"), keys, state["sequence"])
    try:
        yield peer
    finally:
        state["sequence"] = peer.sequence
        STATE.write_text(json.dumps(state))


def send_more(count):
    with standing_peer() as peer:
        answered = sum(peer.ask(packets.echo(BRANCH, HOST, 44, n & 0xFFFF, b"more")) is not None for n in range(count))
    print(f"{count} sent, {answered} answered")
    if answered != count:
        raise DemoFailed(f"{count - answered} packets were not answered; see `show drops`")


def send_more_bad(times):
    with standing_peer() as peer:
        for _ in range(times):
            send_bad(peer)


def stop():
    state = load_state()
    executable = pathlib.Path(f"/proc/{state['pid']}/exe")
    if executable.exists() and executable.resolve().name == "espgated":
        os.kill(state["pid"], signal.SIGTERM)
        for _ in range(100):
            if not executable.exists():
                break
            time.sleep(0.1)
    for line in leftovers():
        run("ip", "netns", "del", line.split()[0], check=False)
    shutil.rmtree(state["workdir"], True)
    STATE.unlink()
    print("stopped; nothing is left behind")


def main():
    parser = argparse.ArgumentParser(description="Demonstration of espgate")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--send", type=int, nargs="?", const=10)
    parser.add_argument("--send-bad", type=int, nargs="?", const=1)
    parser.add_argument("--stop", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.stop:
            stop()
        elif arguments.send is not None:
            send_more(arguments.send)
        elif arguments.send_bad is not None:
            send_more_bad(arguments.send_bad)
        else:
            demonstrate(arguments.keep)
    except NoDemo as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:  # whatever it was, the demonstration did not hold
        print(f"\nThe demonstration FAILED: {error}", file=sys.stderr)
        sys.exit(1)


main()

"""The gateway between two raw Ethernet ports that a test writes and reads frame by frame.

    outside (peer)  ====veth====  outside | espgated | inside  ====veth====  inside (host)

The kernels at both ends are silenced, the gateway's by espgated itself, so every frame is the test's own, except
what the gateway's own kernel sends through the TAP twins; permanent neighbour entries on the twins keep it from asking.
"""

import dataclasses
import shutil
import tempfile
import time

from . import cleanup, netns, packets, waiting
from .gateway import Gateway
from .wire import TaggedWire, tags_of


@dataclasses.dataclass(frozen=True)
class Side:
    """Addresses on one cable, by IP version: the gateway's and the test's."""

    gateway: dict
    host: dict
    prefix_length: dict

    def addresses(self):
        return [f"{self.gateway[version]}/{self.prefix_length[version]}" for version in (4, 6)]


OUTSIDE = Side({4: "192.0.2.1", 6: "2001:db8:f::1"}, {4: "192.0.2.2", 6: "2001:db8:f::2"}, {4: 24, 6: 64})
INSIDE = Side({4: "10.1.0.1", 6: "2001:db8:1::1"}, {4: "10.1.0.10", 6: "2001:db8:1::10"}, {4: 24, 6: 64})
INSIDE_NETWORKS = {4: "10.1.0.0/24", 6: "2001:db8:1::/64"}
_CHUNK_FRAMES = 200  # what the smallest ring on the way surely holds


_PORT_NUMBERS = {"outside": 0, "inside": 1}


def port(name, device, side, **settings):
    """A port of the configuration on a veth end, with a receive ring for a burst of test frames."""
    driver = f"net_af_packet{_PORT_NUMBERS.get(name, 9)}"
    return {"name": name, "device": f"{driver},iface={device},framecnt=2048,blocksz=4096,framesz=2048",
            "addresses": side.addresses(), **settings}


def standard_ports():
    return [port("outside", "veth-out", OUTSIDE, ipsec=True), port("inside", "veth-in", INSIDE)]


class Testbed:
    """settings: configuration.gateway(...), its ports named and addressed as standard_ports()."""

    def __init__(self, settings):
        netns.sweep()
        self.workdir = tempfile.mkdtemp(prefix="espgate-test-")
        cleanup.later(shutil.rmtree, self.workdir, True)
        self.namespace = netns.Namespace("gateway")
        outer, inner = netns.Namespace("outside"), netns.Namespace("inside")
        netns.cable(self.namespace, "veth-out", outer, "wire")
        netns.cable(self.namespace, "veth-in", inner, "wire")
        for namespace in (outer, inner):
            netns.silence(namespace, "wire")
        for device in ("veth-out", "veth-in"):
            netns.no_ipv6(self.namespace, device)
        tags = {port["name"]: tags_of(port) for port in settings["ports"]}
        self.outside, self.inside = (TaggedWire(namespace, "wire", tags[name])
                                     for namespace, name in ((outer, "outside"), (inner, "inside")))
        self.gateway = Gateway(self.namespace, self.workdir, settings)

    def start(self):
        """Starts the gateway and returns when it forwards."""
        self.gateway.start()
        self.attach()
        return self

    def attach(self):
        """Makes the running gateway's kernel know the test's ends, and waits until it forwards."""
        self._gateway_macs = {"outside": self.namespace.mac("outside"), "inside": self.namespace.mac("inside")}
        for name, side, wire in (("outside", OUTSIDE, self.outside), ("inside", INSIDE, self.inside)):
            for version in (4, 6):
                self.namespace.ip("neigh", "replace", side.host[version], "lladdr", wire.mac, "dev", name,
                                  "nud", "permanent")
        self._wait_until_forwarding()

    def frame(self, side, packet, **fields):
        """An Ethernet frame to the gateway's port on that side ("outside" or "inside")."""
        wire = self.outside if side == "outside" else self.inside
        return packets.ethernet(self._gateway_macs[side], wire.mac, packet, **fields)

    def send(self, side, *ip_packets):
        """Sends IP packets and waits until the gateway has taken them in."""
        self.send_frames(side, [self.frame(side, packet) for packet in ip_packets])

    def send_frames(self, side, frames, timeout_s=10.0):
        wire = self.outside if side == "outside" else self.inside
        for start in range(0, len(frames), _CHUNK_FRAMES):
            chunk = frames[start:start + _CHUNK_FRAMES]
            before = self.gateway.received()
            wire.send(*chunk)
            deadline = time.monotonic() + timeout_s
            while (received := self.gateway.received() - before) < len(chunk):
                if time.monotonic() > deadline:
                    raise AssertionError(f"{len(chunk)} frames sent, {received} received")
            if received > len(chunk):
                raise AssertionError("more frames received than sent: another sender is on the wire")

    @staticmethod
    def until(holds, timeout_s=15.0):
        """Waits for a condition; the gateway's tables follow its kernel and its ports within moments."""
        return waiting.until(holds, timeout_s)

    def _wait_until_forwarding(self, timeout_s=20.0):
        """The gateway's tables follow its kernel within moments; echo requests to its own addresses show when."""
        for side, wire in ((OUTSIDE, self.outside), (INSIDE, self.inside)):
            name = "outside" if side is OUTSIDE else "inside"
            for version in (4, 6):
                deadline = time.monotonic() + timeout_s
                while True:
                    wire.send(self.frame(name, packets.echo(side.host[version], side.gateway[version], 1, 1)))
                    if wire.expect(_is_echo_reply, 0.3):
                        break
                    if time.monotonic() > deadline:
                        raise AssertionError(f"no echo reply from {side.gateway[version]} through the host path\n"
                                             f"{self._host_path_state()}")
        time.sleep(0.2)
        self.outside.drain()
        self.inside.drain()

    def _host_path_state(self):
        asked = (("-s", "link"), ("address",), ("neigh",), ("route", "show", "table", "all"))
        kernel = [self.namespace.ip(*words)[1] for words in asked]
        return "\n".join([*kernel, self.gateway.ctl("show", "drops")[1], self.gateway.log_text()])


def _is_echo_reply(frame):
    packet = packets.ip_of(frame)
    return packet is not None and (packet.protocol, packet.payload[:1]) in ((1, b"\0"), (58, b"\x81"))

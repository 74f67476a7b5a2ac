"""Test cases with a Linux kernel's own IPsec on the other side: Debian's kernel in QEMU, keys set by `ip xfrm`.

    guest eth0 -- tap -- bridge -- veth ==== outside | espgated | inside ==== veth, kernel of the inside host
"""

import shutil
import tempfile
import unittest

from lib import cleanup, configuration, netns
from lib.gateway import Gateway
from lib.testbed import INSIDE, OUTSIDE, standard_ports
from . import peer

GUEST_INNER = {4: "10.2.0.1", 6: "2001:db8:2::1"}
GUEST_NETWORKS = {4: "10.2.0.0/24", 6: "2001:db8:2::/64"}
INSIDE_NETWORKS = {4: "10.1.0.0/24", 6: "2001:db8:1::/64"}
GUEST_MAC = "52:54:00:12:34:56"


class KernelCase(unittest.TestCase):
    """A guest on a bridge whose other port is a cable to the gateway's namespace."""

    @classmethod
    def files(cls):
        """What the guest has besides, as image.Contents has it; files are to be made in `workdir`."""
        return {}

    @classmethod
    def setUpClass(cls):
        netns.sweep()
        cls.workdir = tempfile.mkdtemp(prefix="espgate-test-")
        cls.addClassCleanup(cleanup.now)
        cleanup.later(shutil.rmtree, cls.workdir, True)
        cls.gateway_side = netns.Namespace("gateway")
        outside = netns.Namespace("outside")
        netns.cable(cls.gateway_side, "veth-out", outside, "wire")
        outside.ip("tuntap", "add", "tap0", "mode", "tap")
        outside.ip("link", "add", "bridge0", "type", "bridge")
        for device in ("wire", "tap0", "bridge0"):
            outside.exec("sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1")
            if device != "bridge0":
                outside.ip("link", "set", device, "master", "bridge0")
            outside.ip("link", "set", device, "up")
        netns.silence(cls.gateway_side, "veth-out")
        cls.guest = peer.boot(outside, "tap0", cls.workdir, GUEST_MAC, cls.files())
        peer.add_addresses(cls.guest, [f"{OUTSIDE.host[4]}/24", f"{OUTSIDE.host[6]}/64"], GUEST_INNER.values())
        for version in (4, 6):
            peer.add_route(cls.guest, INSIDE_NETWORKS[version], OUTSIDE.gateway[version], GUEST_INNER[version])

    def tunnel(self, outer, inbound, outbound, **settings):
        """The tunnel in the guest, replacing any before it. inbound, outbound: as the gateway sees them."""
        peer.remove_tunnels(self.guest)
        networks = [(GUEST_NETWORKS[version], INSIDE_NETWORKS[version]) for version in (4, 6)]
        peer.add_tunnel(self.guest, OUTSIDE.host[outer], OUTSIDE.gateway[outer], inbound=outbound, outbound=inbound,
                        networks=networks, **settings)


class KernelBehindGateway(KernelCase):
    """The guest, the gateway's outside, and a host inside with a kernel of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.inside = netns.Namespace("inside")
        netns.cable(cls.gateway_side, "veth-in", cls.inside, "eth0")
        netns.silence(cls.gateway_side, "veth-in")
        for version, bits in ((4, 24), (6, 64)):
            cls.inside.ip("addr", "add", f"{INSIDE.host[version]}/{bits}", "dev", "eth0",
                          *(["nodad"] if version == 6 else []))

    @classmethod
    def start(cls, connections):
        gateway = Gateway(cls.gateway_side, cls.workdir, configuration.gateway(standard_ports(), connections=connections))
        gateway.start()
        return gateway

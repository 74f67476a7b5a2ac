"""Test cases of espgated on emulated network cards, in guests that the whole run shares."""

import functools
import shutil
import tempfile
import unittest

from lib import cleanup, configuration, netns, packets
from lib.encapsulation import outer_of, unwrap, wrap
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, INSIDE_NETWORKS, OUTSIDE, Testbed
from lib.wire import TaggedWire, tags_of
from .machine import Card, GuestGateway, Machine, emulated

BEYOND = {4: "10.2.0.1", 6: "2001:db8:2::1"}
BEYOND_NETWORKS = ("10.2.0.0/24", "2001:db8:2::/64")
INBOUND_SPI, OUTBOUND_SPI, FLOW_SPI = 0x1001, 0x2001, 0x3000
FLOWS = 64
PATIENCE_S = 20  # a moment, but for an emulated CPU on a busy machine
ESP_ROOM_BYTES = 120

# The emulated IOMMU must see virtio's memory accesses; the device spreads flows itself.
VIRTIO = ",disable-legacy=on,iommu_platform=on,mq=on,vectors=6,rss=on"
PAIRS = {
    "e1000e": (Card("em0", "e1000e", "52:54:00:00:01:00"), Card("em1", "e1000e", "52:54:00:00:01:01")),
    "igb": (Card("igb0", "igb", "52:54:00:00:02:00"), Card("igb1", "igb", "52:54:00:00:02:01")),
    "vmxnet3": (Card("vmx0", "vmxnet3", "52:54:00:00:03:00"), Card("vmx1", "vmxnet3", "52:54:00:00:03:01")),
    "virtio-net-pci": (Card("vio0", "virtio-net-pci", "52:54:00:00:04:00", VIRTIO, 2),
                       Card("vio1", "virtio-net-pci", "52:54:00:00:04:01", VIRTIO, 2)),
}
# The guest's kernel has a driver for this model.
SPARE = (Card("spare0", "vmxnet3", "52:54:00:00:05:00"), Card("spare1", "vmxnet3", "52:54:00:00:05:01", function=1))


@functools.lru_cache(maxsize=None)
def machine_with(iommu):
    """The guest that all classes share; one without an IOMMU is another."""
    workdir = tempfile.mkdtemp(prefix="espgate-test-")
    cleanup.later(shutil.rmtree, workdir, True)
    cards = (card for pair in PAIRS.values() for card in pair if emulated(card.model)) if iommu else PAIRS["e1000e"]
    return Machine(netns.Namespace("iommu" if iommu else "no-iommu"), workdir, (*cards, *SPARE), iommu=iommu)


class NicTestbed(Testbed):
    """A testbed whose gateway is in the machine, with a card for each side."""

    def __init__(self, machine, cards, settings):
        self.namespace = machine
        self.outside, self.inside = (
            TaggedWire(machine.namespace, card.name, tags_of(port)) for card, port in zip(cards, settings["ports"]))
        self.gateway = GuestGateway(machine, settings)

    def start(self):
        self.gateway.start()
        self.until(lambda: all(port["link"] == "up" for port in self.gateway.ask("show", "ports")["ports"]))
        self.attach()
        return self

    def _wait_until_forwarding(self, timeout_s=PATIENCE_S):
        super()._wait_until_forwarding(timeout_s)

    @staticmethod
    def until(holds, timeout_s=PATIENCE_S):
        return Testbed.until(holds, timeout_s)


def settings_for(machine, cards, workers, **port_settings):
    """Two cards' ports: a connection for traffic both ways, and one for each of many peers that only send."""
    ports = [{"name": name, "device": machine.address(card), "ipsec": name == "outside",
              "addresses": side.addresses(), **port_settings.get(name, {})}
             for name, side, card in zip(("outside", "inside"), (OUTSIDE, INSIDE), cards)]
    connections = [configuration.connection(
        "peer", OUTSIDE.gateway[4], OUTSIDE.host[4], INSIDE_NETWORKS.values(), BEYOND_NETWORKS,
        inbound=(INBOUND_SPI, keymat(INBOUND_SPI)), outbound=(OUTBOUND_SPI, keymat(OUTBOUND_SPI)))]
    connections += [configuration.connection(
        f"flow-{number}", OUTSIDE.gateway[4], f"192.0.2.{100 + number}", INSIDE_NETWORKS.values(),
        [f"10.3.{number}.0/24"], inbound=(FLOW_SPI + number, keymat(FLOW_SPI + number))) for number in range(FLOWS)]
    settings = configuration.gateway(ports, connections=connections, idle_sleep_us=10_000,
                                     limits={"buffers": 2048, "inbound_sas": 128, "outbound_sas": 128})
    return dict(settings, worker_cpus=list(range(1, 1 + workers)))


class CardCase:
    """espgated on a pair of cards. Subclasses say of which model, and how its ports are set up."""

    model = driver = None
    iommu = True
    kernel_driver = "vfio-pci"
    spreads = True  # flows, over the queues of both workers
    outside = {"vlan": 100}
    inside = {}
    outside_offloads = inside_offloads = ()

    @classmethod
    def setUpClass(cls):
        if not emulated(cls.model):
            raise unittest.SkipTest(f"this QEMU has no {cls.model}; Debian's backports have a newer one")
        cls.cards = PAIRS[cls.model]
        cls.machine = machine_with(cls.iommu)
        for card in cls.cards:
            cls.machine.bind(card, cls.kernel_driver)
        cls.testbed = NicTestbed(cls.machine, cls.cards,
                                 settings_for(cls.machine, cls.cards, 2, outside=cls.outside, inside=cls.inside))
        cls.addClassCleanup(cls.close)
        cls.testbed.start()
        cls.gateway = cls.testbed.gateway
        cls.sender = GcmSa(INBOUND_SPI, keymat(INBOUND_SPI))
        cls.receiver = GcmSa(OUTBOUND_SPI, keymat(OUTBOUND_SPI))
        cls.sequence = 0

    @classmethod
    def close(cls):
        if cls.testbed.gateway.alive():
            cls.testbed.gateway.stop()
        cls.testbed.outside.close()
        cls.testbed.inside.close()

    def setUp(self):
        self.assertTrue(self.gateway.alive(), self.gateway.log_text())
        self.testbed.outside.drain()
        self.testbed.inside.drain()

    def esp(self, inner, **fields):
        type(self).sequence += 1
        next_header = packets.IPV4 if inner[0] >> 4 == 4 else packets.IPV6
        return wrap(self.sender.seal(inner, next_header, self.sequence), OUTSIDE.host[4], OUTSIDE.gateway[4],
                    udp_encapsulated=False, **fields)

    def round_trip(self, version, payload_bytes):
        """A packet in through ESP, its answer out in ESP."""
        payload = bytes(number % 251 for number in range(payload_bytes))
        there = packets.udp_packet(BEYOND[version], INSIDE.host[version], 7000, 7001, payload)
        self.testbed.outside.send(self.testbed.frame("outside", self.esp(there)))
        frame = self.testbed.inside.expect(
            lambda frame: (ip := packets.ip_of(frame)) and ip.protocol == packets.UDP, PATIENCE_S)
        self.assertIsNotNone(frame, f"nothing came out inside: {self.gateway.counters()}")
        self.assertEqual(packets.ip_of(frame).payload, packets.parse_ip(there).payload)
        back = packets.udp_packet(INSIDE.host[version], BEYOND[version], 7001, 7000, payload)
        self.testbed.inside.send(self.testbed.frame("inside", back))
        frame = self.testbed.outside.expect(lambda frame: outer_of(frame) is not None, PATIENCE_S)
        self.assertIsNotNone(frame, f"nothing came out outside: {self.gateway.counters()}")
        opened = self.receiver.open(unwrap(packets.ip_of(frame), udp_encapsulated=False))
        self.assertEqual(packets.parse_ip(opened.payload).payload, packets.parse_ip(back).payload)

    def dropped(self, side, *ip_packets):
        """Sends what must not get through; the drops that it made."""
        before = self.gateway.counters()
        self.testbed.send(side, *ip_packets)
        return self.gateway.counters().since(before).drops

    def link(self, name):
        ports = self.gateway.ask("show", "ports")["ports"]
        return next(port["link"] for port in ports if port["name"] == name)

    def carrier(self):
        return self.machine.run("cat /sys/class/net/outside/carrier").strip()

    def shares(self):
        return [worker["conservation"]["received"] for worker in self.gateway.ask("show", "workers")["workers"]]

    def check_traffic_both_ways(self):
        before = self.gateway.counters()
        largest = min(settings.get("mtu", 1500) for settings in (self.outside, self.inside)) - ESP_ROOM_BYTES
        trips = [(version, size) for version in (4, 6) for size in (1, 700, largest)]
        for version, size in trips:
            with self.subTest(f"IPv{version}, {size} bytes"):
                self.round_trip(version, size)
        moved = self.gateway.counters().since(before)
        self.assertEqual((moved.drops, moved.received), ({}, 2 * len(trips)))
        self.assertEqual(moved.outcomes["tx"], 2 * len(trips) + moved.from_host)

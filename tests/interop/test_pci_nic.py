"""espgated on PCI network cards: in a guest, which has DPDK's own drivers, vfio, an IOMMU and hot-plug slots.

    wire ---- TAP == emulated card | espgated in the guest, with two workers | emulated card == TAP ---- wire

igb needs QEMU 8 (Debian's backports have it); ESPGATE_QEMU names a QEMU other than the installed one.
"""

import unittest

from lib import cleanup, configuration, netns, packets
from lib.encapsulation import wrap
from lib.esp import GcmSa, keymat
from lib.gateway import GatewayError
from lib.testbed import INSIDE, OUTSIDE
from qemu.card_case import BEYOND, FLOW_SPI, FLOWS, SPARE, CardCase, machine_with, settings_for
from qemu.machine import GuestGateway

LEAST_SHARE = FLOWS // 8  # of two queues, that chance could hardly undercut
BURST_FRAMES = 100  # twice that fits a queue of 256: QEMU 7.2's virtio with RSS stops for good when one is full


def setUpModule():
    netns.sweep()
    unittest.addModuleCleanup(machine_with.cache_clear)
    unittest.addModuleCleanup(cleanup.now)


class NicCase(CardCase):
    """What holds for every model."""

    def test_1_ports_are_as_configured(self):
        ports = self.gateway.ask("show", "ports")["ports"]
        for port, card, settings, offloads in zip(ports, self.cards, (self.outside, self.inside),
                                                  (self.outside_offloads, self.inside_offloads)):
            self.assertEqual((port["driver"], port["mac"], port["link"]), (self.driver, card.mac, "up"))
            self.assertEqual((port["service_vlan"], port["vlan"], port["mtu"]),
                             (settings.get("service_vlan", 0), settings.get("vlan", 0), settings.get("mtu", 1500)))
            self.assertEqual(port["offloads"], list(offloads))

    def test_2_traffic_both_ways(self):
        self.check_traffic_both_ways()

    def test_3_wrong_checksum_is_dropped(self):
        inner = packets.udp_packet(BEYOND[4], INSIDE.host[4], 1, 2, b"x")
        self.assertEqual(self.dropped("outside", self.esp(inner, header_checksum=0xBAD)), {"IPV4_CHECKSUM_BAD": 1})

    def test_4_many_flows(self):
        esp = []
        for number in range(FLOWS):
            inner = packets.udp_packet(f"10.3.{number}.1", INSIDE.host[4], 1, 2, b"x")
            sealed = GcmSa(FLOW_SPI + number, keymat(FLOW_SPI + number)).seal(inner, packets.IPV4, 1)
            esp.append(wrap(sealed, f"192.0.2.{100 + number}", OUTSIDE.gateway[4], udp_encapsulated=False))
        clear = [packets.udp_packet(INSIDE.host[4], BEYOND[4], 1000 + number, 53, b"x") for number in range(FLOWS)]
        before = self.gateway.counters()
        for side, flows in (("outside", esp), ("inside", clear)):
            with self.subTest(side):
                earlier = self.shares()
                self.testbed.send(side, *flows)
                shares = [now - then for now, then in zip(self.shares(), earlier)]
                print(f"\n{self.model}, {len(flows)} flows from {side} over the workers: {shares}")
                self.assertEqual(sum(shares), len(flows))
                if self.spreads:
                    self.assertGreaterEqual(min(shares), LEAST_SHARE)
        moved = self.gateway.counters().since(before)
        self.assertEqual((moved.drops, moved.outcomes["tx"]), ({}, 2 * FLOWS + moved.from_host))

    def test_5_link_goes_down_and_comes_back(self):
        self.machine.monitor("set_link", name=self.cards[0].name, up=False)
        self.testbed.until(lambda: self.link("outside") == "down")
        self.assertIn("port outside: link down", self.gateway.log_text())
        self.assertEqual(self.carrier(), "0")
        clear = packets.udp_packet(INSIDE.host[4], BEYOND[4], 1, 2, b"x")
        self.assertEqual(self.dropped("inside", clear, clear, clear), {"PORT_DOWN": 3})
        self.machine.monitor("set_link", name=self.cards[0].name, up=True)
        self.testbed.until(lambda: self.link("outside") == "up" and self.carrier() == "1")
        for version in (4, 6):
            self.round_trip(version, 100)

    def test_6_every_packet_has_a_verdict(self):
        self.testbed.until(lambda: self.gateway.counters().conserved())
        self.assertTrue(self.gateway.counters().holds)

    def test_7_card_is_pulled(self):
        card, address = self.cards[0], self.machine.address(self.cards[0])
        before = self.gateway.counters()
        clear = packets.udp_packet(INSIDE.host[4], BEYOND[4], 1, 2, b"x")
        frames = [self.testbed.frame("inside", clear)] * BURST_FRAMES
        self.testbed.inside.send(*frames)
        self.machine.monitor("device_del", id=card.name)
        self.testbed.inside.send(*frames)
        self.testbed.until(lambda: f"port outside ({address}) is gone" in self.gateway.log_text())
        self.assertEqual((self.link("outside"), self.carrier()), ("gone", "0"))
        self.testbed.until(lambda: self.gateway.counters().conserved())
        self.assertLessEqual(set(self.gateway.counters().since(before).drops), {"PORT_DOWN", "PORT_TX_FULL"})
        # The guest's kernel, and so QEMU, part with the card only once nobody holds it.
        self.testbed.until(lambda: self.machine.address(card) is None)
        self.assertEqual(self.dropped("inside", clear), {"PORT_DOWN": 1})
        before = self.gateway.counters()
        self.testbed.send("inside", packets.echo(INSIDE.host[4], INSIDE.gateway[4], 1, 1))
        self.testbed.until(lambda: self.gateway.counters().since(before).outcomes["tx"] >= 1)  # the answer
        self.gateway.stop()


class E1000e(NicCase, unittest.TestCase):
    """DPDK has no RSS for this card. Frames larger than 2048 bytes arrive in several buffers."""

    model, driver = "e1000e", "net_e1000_em"
    spreads = False
    outside, inside = {"vlan": 100, "mtu": 3000}, {"mtu": 3000}
    outside_offloads = ("rx-ipv4-checksum", "rx-vlan-strip", "rx-vlan-filter")
    inside_offloads = ("rx-ipv4-checksum",)


class E1000eWithoutIommu(CardCase, unittest.TestCase):
    """Where vfio cannot work: uio_pci_generic. And two tags, for which the card's MTU has to be larger."""

    model, driver = "e1000e", "net_e1000_em"
    iommu = False
    outside = {"service_vlan": 7, "vlan": 100}
    kernel_driver = "uio_pci_generic"

    def test_traffic_both_ways(self):
        self.check_traffic_both_ways()

    def test_advice_names_the_driver_that_works(self):
        address = self.machine.address(SPARE[0])
        code, text = GuestGateway(self.machine, settings_for(self.machine, SPARE, 1), "advice").check()
        self.assertEqual(code, 1)
        self.assertIn(f"PCI device {address} has no driver", text)
        self.assertIn(f"`dpdk-devbind.py -b uio_pci_generic {address}`", text)


class Igb(NicCase, unittest.TestCase):
    model, driver = "igb", "net_e1000_igb"
    outside, inside = {"mtu": 3000}, {"vlan": 4094, "mtu": 3000}
    outside_offloads = ("rx-ipv4-checksum",)
    inside_offloads = ("rx-ipv4-checksum", "rx-vlan-strip", "rx-vlan-filter")


class Virtio(NicCase, unittest.TestCase):
    model, driver = "virtio-net-pci", "net_virtio"
    outside, inside = {"vlan": 100, "mtu": 2000}, {"mtu": 1900}
    outside_offloads = ("rx-vlan-strip", "rx-vlan-filter")


class Vmxnet3(NicCase, unittest.TestCase):
    """QEMU's card delivers everything to the first queue."""

    model, driver = "vmxnet3", "net_vmxnet3"
    spreads = False
    outside, inside = {"vlan": 100, "mtu": 9000}, {"service_vlan": 7, "vlan": 100, "mtu": 8900}
    outside_offloads = ("rx-vlan-strip", "rx-vlan-filter")


class WrongStates(unittest.TestCase):
    """Cards that espgated cannot have, and what it says about each."""

    @classmethod
    def setUpClass(cls):
        cls.machine = machine_with(True)
        cls.addresses = [cls.machine.address(card) for card in SPARE]

    def gateway(self, name="wrong", device=None):
        """One that wants the first spare card."""
        settings = configuration.gateway([{"name": name, "device": device or self.addresses[0]}], idle_sleep_us=1000,
                                         limits={"buffers": 2048, "inbound_sas": 64, "outbound_sas": 64})
        return GuestGateway(self.machine, settings, name)

    def assert_refused(self, *words):
        code, text = self.gateway().check()
        self.assertEqual(code, 1, text)
        for word in words:
            self.assertIn(word, text)
        with self.assertRaises(GatewayError) as refusal:
            self.gateway().start()
        self.assertIn(words[0], str(refusal.exception))

    def test_bound_to_the_kernel(self):
        self.machine.bind(SPARE[0], "vmxnet3")
        self.assert_refused(f"PCI device {self.addresses[0]} is in use by the kernel's driver vmxnet3",
                            f"`dpdk-devbind.py -b vfio-pci {self.addresses[0]}`")

    def test_bound_to_nothing(self):
        self.machine.unbind(SPARE[0])
        self.assert_refused(f"PCI device {self.addresses[0]} has no driver",
                            f"`dpdk-devbind.py -b vfio-pci {self.addresses[0]}`")

    def test_kernel_has_another_of_the_group(self):
        self.machine.bind(SPARE[0], "vfio-pci")
        self.machine.bind(SPARE[1], "vmxnet3")
        self.assert_refused(f"PCI device {self.addresses[0]} shares its IOMMU group with {self.addresses[1]}, which is "
                            "in use by the kernel's driver vmxnet3",
                            f"`dpdk-devbind.py -b vfio-pci {self.addresses[1]}`")
        self.machine.bind(SPARE[1], "vfio-pci")
        self.assertEqual(self.gateway().check()[0], 0)

    def test_another_espgated_has_it(self):
        for card in SPARE:
            self.machine.bind(card, "vfio-pci")
        # Any spelling of the address will do.
        first = self.gateway("first", device=f"pci:{self.addresses[0].removeprefix('0000:')}").start()
        with self.assertRaises(GatewayError) as refusal:
            self.gateway().start()
        for word in (f'ports[0].device "{self.addresses[0]}', "DPDK has no such device", "Device or resource busy", "another program has it"):
            self.assertIn(word, str(refusal.exception))
        self.assertTrue(first.alive())
        first.stop()

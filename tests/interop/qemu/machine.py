"""A guest with PCI network cards that espgated drives: real drivers of DPDK on emulated hardware.

Each card stands in a hot-plug slot of its own, behind an IOMMU, and comes out at a TAP device of a namespace.
"""

import base64
import dataclasses
import pathlib
import re
import time

from lib import configuration, netns
from lib.gateway import Gateway, GatewayError, program
from lib.shell import run
from . import guest, image

_PLUGINS = ("bus_pci", "bus_vdev", "mempool_ring", "net_e1000", "net_vmxnet3", "net_virtio")
_LOADED = ("vfio-pci", "vfio_iommu_type1", "tun")
_ON_DEMAND = ("uio_pci_generic", "vmxnet3", "virtio_net")
_HUGEPAGES = 200
_STOP_TIMEOUT_S = 30


@dataclasses.dataclass(frozen=True)
class Card:
    """A network card: QEMU's model, with its properties. name: of the card, and of its TAP device.

    function: of a card with several; they follow each other, share a slot, and so an IOMMU group.
    """

    name: str
    model: str
    mac: str
    properties: str = ""
    queues: int = 1
    function: int = 0

    def hardware(self, slot):
        pairs = f",queues={self.queues}" if self.queues > 1 else ""
        port = ("-device", f"pcie-root-port,id=slot{slot},bus=pcie.0,chassis={slot}") if self.function == 0 else ()
        return (*port, "-netdev", f"tap,id={self.name}-wire,ifname={self.name},script=no,downscript=no{pairs}",
                "-device", f"{self.model},id={self.name},bus=slot{slot},addr=0.{self.function},multifunction=on,"
                           f"netdev={self.name}-wire,mac={self.mac},romfile={self.properties}")


def emulated(model):
    """Whether this QEMU has the model."""
    _, text, _ = run(guest.EMULATOR, "-device", f"{model},help", check=False)
    return f"{model} options:" in text


class Machine(guest.Guest):
    """The guest. Its TAP devices are made in `namespace`, silent and up."""

    def __init__(self, namespace, workdir, cards, *, iommu=True, memory_mb=1024):
        self.namespace = namespace
        hardware = ["-machine", "q35", "-smp", "3"]
        if iommu:
            hardware += ["-device", "intel-iommu,intremap=on,aw-bits=48"]
        slot = 0
        for card in cards:
            slot += card.function == 0
            namespace.ip("tuntap", "add", card.name, "mode", "tap", *(["multi_queue"] if card.queues > 1 else []))
            namespace.ip("link", "set", card.name, "mtu", 9100, "up")
            netns.silence(namespace, card.name)
            hardware += card.hardware(slot)
        plugins = next(pathlib.Path("/usr/lib/x86_64-linux-gnu/dpdk").glob("pmds-*"))
        files = {f"/bin/{name}": program(name) for name in ("espgated", "espgatectl")}
        files |= {str(file): file for name in _PLUGINS for file in plugins.glob(f"librte_{name}.so.*")}
        super().__init__(namespace, workdir, image.Contents(_LOADED + _ON_DEMAND, _LOADED, files), hardware,
                         memory_mb=memory_mb, kernel_arguments=(f"hugepages={_HUGEPAGES}", "intel_iommu=on"))

    def write(self, path, text):
        # The shell takes lines of a thousand characters or two.
        encoded = base64.b64encode(text.encode()).decode()
        self.run(f": >{path}.b64")
        for start in range(0, len(encoded), 1000):
            self.run(f"echo {encoded[start:start + 1000]} >>{path}.b64")
        self.run(f"base64 -d {path}.b64 >{path}; rm {path}.b64")

    def ip(self, *arguments):
        return self.run(" ".join(map(str, ("/sbin/ip", *arguments))))

    def mac(self, device):
        return self.run(f"cat /sys/class/net/{device}/address").strip()

    def address(self, card):
        """Where the firmware has put the card, such as 0000:01:00.0; None when it was pulled."""
        for bus in self.monitor("query-pci"):
            for bridge in bus["devices"]:
                for device in bridge.get("pci_bridge", {}).get("devices", []):
                    if device["qdev_id"] == card.name:
                        return f"0000:{device['bus']:02x}:{device['slot']:02x}.{device['function']}"
        return None

    def bind(self, card, driver):
        """Gives the card to a driver of the guest's kernel, as `dpdk-devbind.py -b` does."""
        self.unbind(card)
        address = self.address(card)
        device = f"/sys/bus/pci/devices/{address}"
        self.run(f"modprobe {driver}; echo {driver} >{device}/driver_override; "
                 f"echo {address} >/sys/bus/pci/drivers_probe; readlink {device}/driver | grep -q /{driver}$")

    def unbind(self, card):
        address = self.address(card)
        driver = f"/sys/bus/pci/devices/{address}/driver"
        self.run(f"if [ -e {driver} ]; then echo {address} >{driver}/unbind; fi")


class GuestGateway(Gateway):
    """espgated inside the machine."""

    def __init__(self, machine, settings, name="espgate"):
        self.machine = machine
        self.settings = dict(settings, socket=f"/run/{name}.sock", hugepages=True)
        self._file, self._log = f"/etc/{name}.conf", f"/run/{name}.log"
        self._pid = None

    def configure(self):
        self.machine.write(self._file, configuration.text(self.settings))
        self.machine.run(f"chmod 600 {self._file}")

    def start(self, timeout_s=60):
        self.configure()
        begun = time.monotonic()
        self._pid = int(self.machine.run(f": >{self._log}; espgated -c {self._file} >>{self._log} 2>&1 & echo $!").split()[-1])
        while not re.search(r"info: ready: ", self.log_text()):
            if not self.alive():
                raise GatewayError(f"espgated ended:\n{self.log_text()}")
            if time.monotonic() - begun > timeout_s:
                raise GatewayError(f"espgated is not ready after {timeout_s} s:\n{self.log_text()}")
            time.sleep(0.2)
        self.started_in_s = time.monotonic() - begun
        return self

    def check(self):
        """What `espgated --check` says: (exit code, text)."""
        self.configure()
        return self.machine.run(f"espgated --check {self._file}", check=False)

    def alive(self):
        return self.machine.run(f"kill -0 {self._pid} 2>/dev/null", check=False)[0] == 0

    def stop(self):
        """Asks it to end; raises unless it ends in time with exit code 0."""
        self.machine.run(f"kill -TERM {self._pid}")
        code, _ = self.machine.run(f"wait {self._pid}", check=False, timeout_s=_STOP_TIMEOUT_S)
        if code != 0:
            raise GatewayError(f"espgated ended with {code}:\n{self.log_text()}")

    def ctl(self, *words, timeout_s=60):
        words = " ".join(map(str, words))
        code, out = self.machine.run(f"espgatectl --socket {self.settings['socket']} {words} 2>/run/complaint",
                                     check=False, timeout_s=timeout_s)
        return code, out, "" if code == 0 else self.machine.run("cat /run/complaint")

    def log_text(self):
        return self.machine.run(f"cat {self._log}")

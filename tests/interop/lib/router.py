"""A router between two gateways that take each other for neighbours: it answers ARP and neighbour discovery for both.

    gateway a | outside ==== left | router | right ==== outside | gateway b

A test may have it drop, translate, and forget what it translates.
"""

from . import middle, netns, pair

TRANSLATED = {4: "192.0.2.254", 6: "2001:db8:f::fe"}  # what b sees of a behind the NAT
_DEVICE = {"a": "left", "b": "right"}


class Router:
    """Has no state but the kernel's."""

    def __init__(self, gateways):
        self.namespace = netns.Namespace("router")
        for name, device in _DEVICE.items():
            netns.cable(gateways[name], "veth-out", self.namespace, device)
        settings = ["ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1", "ipv4.conf.all.rp_filter=0",
                    "ipv4.conf.all.send_redirects=0", "ipv4.conf.all.proxy_arp=1"]
        for device in _DEVICE.values():
            settings += [f"ipv6.conf.{device}.proxy_ndp=1", f"ipv4.conf.{device}.rp_filter=0",
                         f"ipv4.neigh.{device}.proxy_delay=0", f"ipv6.neigh.{device}.proxy_delay=0"]
        self.namespace.exec("sysctl", "-qw", *(f"net.{setting}" for setting in settings))
        lines = []
        for name, device in _DEVICE.items():
            lines.append(f"address add {TRANSLATED[4]}/32 dev {device}")
            lines += [f"route add {address}/{32 if version == 4 else 128} dev {device}"
                      for version, address in pair.OUTER[name].items()]
            lines.append(f"neigh add proxy {pair.OUTER[pair.other(name)][6]} dev {device}")
        lines += [f"address add {TRANSLATED[6]}/128 dev right", f"neigh add proxy {TRANSLATED[6]} dev right"]
        self.namespace.exec("ip", "-batch", "-", stdin="\n".join(lines) + "\n")

    def translate(self, ports=""):
        """a is behind a NAT; ports: ":7000-7100" for those that its UDP gets."""
        middle.translate(self.namespace, [
            f'oifname "right" {ip} saddr {pair.OUTER["a"][version]} {udp}snat {ip} to {self._with(version, ports if udp else "")}'
            for version, ip in ((4, "ip"), (6, "ip6")) for udp in (("meta l4proto udp ", "") if ports else ("",))])

    @staticmethod
    def _with(version, ports):
        return f"[{TRANSLATED[6]}]{ports}" if version == 6 and ports else TRANSLATED[version] + ports

    def forget(self):
        """All mappings."""
        middle.forget(self.namespace)

    def refuse_informational(self, name):
        """Those of this gateway do not get through: its DELETEs, and what it answers."""
        middle.lose(self.namespace, *middle.informational(_DEVICE[name]))

    def refuse_nothing(self):
        middle.lose(self.namespace)

"""A bridge between two gateways, on which packets can be lost."""

from lib import netns


class Bridge:
    def __init__(self, gateways):
        self._path = netns.Namespace("path")
        self._path.ip("link", "add", "between", "type", "bridge", "mcast_snooping", "0")
        self._path.ip("link", "set", "between", "up")
        for name, namespace in gateways.items():
            netns.cable(namespace, "veth-out", self._path, f"to-{name}")
            self._path.ip("link", "set", f"to-{name}", "master", "between")

    def block(self, *matches):
        """From here on packets between the gateways that match one of these nftables expressions are lost."""
        self._path.exec("nft", "flush", "ruleset")
        rules = "".join(f"  {match} drop\n" for match in matches)
        self._path.exec("nft", "-f", "-", stdin="table bridge path {\n chain forward {\n"
                        f"  type filter hook forward priority 0;\n{rules} }}\n}}\n")

"""Tests of IKE between two gateways."""

import unittest

from . import cleanup, configuration, pair, waiting

PSK = "a key that both gateways have"


def connection(name, of="site", ike=None, versions=(4, 6), **settings):
    """The connection `of` as the gateway called `name` has it: between the networks of those IP versions."""
    peer = pair.other(name)
    return {"name": of, "local": pair.OUTER[name][4], "remote": pair.OUTER[peer][4],
            "local_networks": [pair.NETWORK[name][version] for version in versions],
            "remote_networks": [pair.NETWORK[peer][version] for version in versions],
            "ike": {"psk": PSK, **(ike or {})}, **settings}


def gateway(name, connections, **settings):
    return configuration.gateway(pair.ports(name), connections=connections, hugepages=False, **settings)


class IkeCase(unittest.TestCase):
    """settings(name): of the gateway called a, and of b. BETWEEN: see pair.Pair. BLOCKED: by a Bridge, from the start."""

    BETWEEN = None
    BLOCKED = ()

    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name)])

    @classmethod
    def setUpClass(cls):
        between = {"between": cls.BETWEEN} if cls.BETWEEN else {}
        cls.pair = pair.Pair({name: cls.settings(name) for name in pair.NAMES}, **between)
        cls.addClassCleanup(cleanup.now)
        if cls.BLOCKED:
            cls.pair.between.block(*cls.BLOCKED)
        cls.pair.start()

    def gateway(self, name):
        return self.pair.gateway[name]

    def logs(self):
        return "".join(f"--- {name}\n{gateway.log_text()}" for name, gateway in self.pair.gateway.items())

    def ike_sas(self, name, of="site"):
        return [sa for sa in self.gateway(name).ask("show", "ike")["ike_sas"] if sa["connection"] == of]

    def until(self, holds, timeout_s=15.0):
        return waiting.until(holds, timeout_s, explain=self.logs)

    def up(self, name, of="site"):
        return self.until(
            lambda: next((sa for sa in self.ike_sas(name, of) if sa["state"] == "up" and sa["children"]), None))

    def connection(self, name, of="site"):
        connections = self.gateway(name).ask("show", "connections")["connections"]
        return next(connection for connection in connections if connection["connection"] == of)

    def reload(self, name, settings):
        """The answer of a reload with these settings."""
        settings = dict(settings, socket=str(self.gateway(name).socket))
        self.gateway(name).file.write_text(configuration.text(settings))
        return {change["what"]: change for change in self.gateway(name).ask("reload")["changes"]}

    def assert_passes(self, name="a", version=4):
        self.until(lambda: self.pair.ping(name, version, count=1) == 1)
        self.assertEqual(self.pair.ping(name, version), 3, self.logs())

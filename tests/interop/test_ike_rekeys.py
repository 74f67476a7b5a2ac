"""New keys between two gateways under traffic: nothing is lost, and nothing comes twice."""

import unittest

from lib import pair, rekeys
from lib.ike_case import IkeCase, connection, gateway


class Rekeys(IkeCase):
    @classmethod
    def settings(cls, name):
        return gateway(name, [connection(name, versions=(4,), ike={"start": "always" if name == "a" else "passive"})])

    def test_new_keys_under_traffic_lose_nothing(self):
        self.assert_passes()
        ends = [(self.pair.host[name], pair.HOST[name][4]) for name in pair.NAMES]
        rekeys.check(self, lambda: self.ike_sas("a"), ends, {
            f"{what}, by {name}": (lambda name=name, words=words: self.gateway(name).ask("rekey", "site", *words),
                                   bool(words))
            for what, words in (("child", ()), ("IKE", ("--ike",))) for name in pair.NAMES})


if __name__ == "__main__":
    unittest.main()

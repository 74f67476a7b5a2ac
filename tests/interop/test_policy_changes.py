"""Single policies by command: with 100,000 selectors in force one more or one less takes no time to speak of, and no
packet of a stream.
"""

import statistics
import threading
import time

from lib import case, configuration, packets
from lib.esp import GcmSa, keymat
from lib.testbed import INSIDE, OUTSIDE, standard_ports

CONNECTIONS, SELECTORS_EACH = 400, 250
CHANGES = 100
LIMIT_US = 1000


def network(number):
    """A /24 for each of 100,000 selectors."""
    return f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}.0/24"


def keys(spi):
    return spi, keymat(spi)


class PolicyChanges(case.GatewayCase):
    @classmethod
    def settings(cls):
        connections = [
            configuration.connection(
                f"c{number}", OUTSIDE.gateway[4], OUTSIDE.host[4], ["10.1.0.0/24"],
                [network(number * SELECTORS_EACH + i) for i in range(SELECTORS_EACH)],
                inbound=keys(0x1000 + number), outbound=keys(0x2000 + number))
            for number in range(CONNECTIONS)]
        return configuration.gateway(
            standard_ports(), workers=2, connections=connections, log_level="info",
            policies=[{"to": "203.0.113.0/24", "action": "discard"}],
            limits={"policies": 110_000, "inbound_sas": 1000, "outbound_sas": 1000})

    def policies_in_use(self):
        return self.gateway.ask("show", "status")["policies"]["in_use"]

    def protected_by(self, connection):
        """How many packets it has sent: the kernel's own, which go out meanwhile, are not among them."""
        connections = self.gateway.ask("show", "connections")["connections"]
        return next(entry["out"]["packets"] for entry in connections if entry["connection"] == connection)

    def to(self, address, port=5):
        return packets.udp_packet(INSIDE.host[4], address, 6, port, b"stream")

    def opened(self, packet, spi):
        self.testbed.outside.drain()
        self.testbed.send("inside", packet)
        frame = self.testbed.outside.expect(packets.is_ip(protocol=packets.ESP))
        self.assertIsNotNone(frame, "nothing was encrypted")
        return GcmSa(*keys(spi)).open(packets.ip_of(frame).payload)

    def dropped(self, packet):
        before = self.settled()
        self.testbed.send("inside", packet)
        return self.settled().since(before).drops

    def test_adding_and_deleting_at_100_000_selectors_takes_less_than_a_millisecond_and_no_packet(self):
        self.assertGreater(self.policies_in_use(), 100_000)
        stop, sent = threading.Event(), []
        frame = self.testbed.frame("inside", self.to("20.0.7.9"))

        def stream():
            while not stop.is_set():
                self.testbed.inside.send(*[frame] * 8)
                sent.append(8)
                time.sleep(0.002)

        baseline, before, protected = self.policies_in_use(), self.settled(), self.protected_by("c0")
        sender = threading.Thread(target=stream)
        sender.start()
        added, deleted = [], []
        try:
            for i in range(CHANGES):
                # Of a shape that is there already, and of one that is not; over the stream's own, too.
                to, more = [(f"198.18.{i}.0/24", []), (f"198.19.{i}.0/25", ["--protocol", "tcp", "--to-port", "443"]),
                            ("20.0.7.0/25", [])][i % 3]
                words = ["--from", "10.1.0.0/24", "--to", to, *more, "--connection", "c0"]
                added.append(self.gateway.ask("policy", "add", "protect", *words)["took_us"])
                deleted.append(self.gateway.ask("policy", "delete", *words)["took_us"])
        finally:
            stop.set()
            sender.join()
        self.assertGreater(sum(sent), 1000)
        self.testbed.until(lambda: self.protected_by("c0") - protected >= sum(sent))
        self.assertEqual(self.protected_by("c0") - protected, sum(sent))
        self.assertEqual(self.settled().since(before).drops, {})
        self.assertEqual(self.policies_in_use(), baseline)
        print(f"\n{baseline} policies: add {statistics.median(added):.0f} us (most {max(added)}), "
              f"delete {statistics.median(deleted):.0f} us (most {max(deleted)}), {sum(sent)} packets meanwhile")
        self.assertLess(statistics.median(added), LIMIT_US)
        self.assertLess(statistics.median(deleted), LIMIT_US)

    def test_each_action_takes_effect_at_once(self):
        self.assertEqual(self.dropped(self.to("198.51.100.9")), {"OUT_V4_POST_OUTPUT_POLICY_FAIL": 1})
        self.gateway.ask("policy", "add", "protect", "--from", "10.1.0.0/24", "--to", "198.51.100.0/24",
                         "--connection", "c3")
        self.assertEqual(self.opened(self.to("198.51.100.9"), 0x2003).next_header, packets.IPV4)
        self.gateway.ask("policy", "add", "discard", "--to", "198.51.100.9", "--protocol", "udp", "--to-port", "5",
                         "--priority", "10", "--comment", "not this one")
        self.assertEqual(self.dropped(self.to("198.51.100.9")), {"OUT_V4_PKT_HIT_DENY_DROP_SP": 1})
        self.opened(self.to("198.51.100.9", 6), 0x2003)
        (shown,) = [policy for policy in self.gateway.ask("show", "policies", "--to", "198.51.100.9")["policies"]
                    if policy["action"] == "discard"]
        self.assertEqual((shown["comment"], shown["line"], shown["packets"]), ("not this one", None, 1))
        answer = self.gateway.ask("policy", "delete", "--to", "198.51.100.9", "--protocol", "udp", "--to-port", "5")
        self.assertEqual(answer["policies"][0]["packets"], 1)
        self.opened(self.to("198.51.100.9"), 0x2003)
        self.gateway.ask("policy", "delete", "--from", "10.1.0.0/24", "--to", "198.51.100.0/24", "--connection", "c3")
        self.assertEqual(self.dropped(self.to("198.51.100.9")), {"OUT_V4_POST_OUTPUT_POLICY_FAIL": 1})

    def test_mistakes_are_called_by_name(self):
        for words, says in (
                (["add", "allow"], "is not protect or bypass or discard"),
                (["add", "bypass", "--to", "10.9.0.1/24"], "bits set behind the prefix length"),
                (["add", "bypass", "--to", "10.9.0.0/24", "--to-port", "22"], "ports without a protocol"),
                (["add", "bypass", "--to", "10.9.0.0/24", "--icmp-type", "8"], "ICMP types of another protocol"),
                (["add", "bypass", "--to", "10.9.0.0/24", "--from", "2001:db8::/32"], "different families"),
                (["add", "bypass", "--connection", "c1"], "no connection can bypass"),
                (["add", "protect", "--to", "10.9.0.0/24"], "which connection"),
                (["add", "protect", "--to", "10.9.0.0/24", "--connection", "nobody"], "no connection is called nobody"),
                (["add", "protect", "--from", "10.1.0.0/24", "--to", network(7), "--connection", "c1"],
                 "belongs to connection c0 already"),
                (["add", "discard", "--to", "203.0.113.0/24"], "has a policy already"),
                (["add", "bypass", "--priority", "70000"], "from 0 to 65000"),
                (["delete", "--to", "10.9.0.0/24"], "has no policy for"),
                (["delete", "--from", "10.1.0.0/24", "--to", network(7), "--connection", "c1"], "has no policy for")):
            with self.subTest(words):
                code, out, err = self.gateway.ctl("policy", *words)
                self.assertNotEqual(code, 0, out)
                self.assertIn(says, err)

    def test_y_without_addresses_it_is_for_both_families(self):
        answer = self.gateway.ask("policy", "add", "discard", "--protocol", "gre", "--priority", "5")
        self.assertEqual([policy["from"] for policy in answer["policies"]], ["0.0.0.0/0", "::/0"])
        self.assertEqual(len(self.gateway.ask("policy", "delete", "--protocol", "gre")["policies"]), 2)

    def test_zy_a_reload_goes_by_the_file(self):
        baseline = self.policies_in_use()
        self.gateway.ask("policy", "add", "bypass", "--to", "198.51.100.0/24")
        self.gateway.ask("policy", "delete", "--to", "203.0.113.0/24")
        changes = {change["what"]: change for change in self.gateway.ask("reload")["changes"]}
        self.assertEqual((changes["policies"]["added"], changes["policies"]["removed"]), (1, 1))
        self.assertEqual(changes["connections"]["kept"], CONNECTIONS)
        self.assertEqual(self.policies_in_use(), baseline)
        self.assertEqual(self.dropped(self.to("203.0.113.9")), {"OUT_V4_PKT_HIT_DENY_DROP_SP": 1})

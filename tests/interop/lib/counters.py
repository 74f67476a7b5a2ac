"""Packet counters as the gateway tells them, and the law that they obey."""

import dataclasses

_OUTCOMES = ("tx", "host", "control", "consumed", "drops")


@dataclasses.dataclass(frozen=True)
class Counters:
    """Sums over all workers.

    outcomes: what became of packets, by kind. control_drops: what the control core could not hand on
    between workers and kernel; the workers have given these packets a verdict. drops: {reason: count}.
    A reason's count is read a moment after the sums, so compare counters only when the traffic has settled.
    """

    received: int
    from_host: int
    made: int
    outcomes: dict
    control_drops: int
    drops: dict
    buffers_in_use: int
    holds: bool

    @staticmethod
    def read(ask):
        """ask(*words) is the answer of `espgatectl --json WORDS`."""
        workers = ask("show", "workers")
        sides = [worker["conservation"] for worker in workers["workers"]]
        reasons = ask("show", "drops", "ipsec", "--all")["reasons"]
        return Counters(
            received=sum(side["received"] for side in sides),
            from_host=sum(side["from_host"] for side in sides),
            made=sum(side["made"] for side in sides),
            outcomes={kind: sum(side[kind] for side in sides) for kind in _OUTCOMES},
            control_drops=workers["control"]["conservation"]["drops"],
            drops={reason["name"]: reason["packets"] for reason in reasons},
            buffers_in_use=ask("show", "status")["buffers"]["in_use"],
            holds=all(side["holds"] for side in sides) and workers["control"]["conservation"]["holds"])

    def of(self, reason):
        return self.drops.get(reason, 0)

    def taken_in(self):
        return self.received + self.from_host + self.made

    def accounted(self):
        return sum(self.outcomes.values())

    def conserved(self):
        """Every packet taken in has exactly one verdict."""
        return self.taken_in() == self.accounted()

    def since(self, before):
        """What moved; of the drop reasons only those that did."""
        drops = {name: count - before.of(name) for name, count in self.drops.items() if count != before.of(name)}
        outcomes = {kind: self.outcomes[kind] - before.outcomes[kind] for kind in _OUTCOMES}
        return Counters(self.received - before.received, self.from_host - before.from_host, self.made - before.made, outcomes,
                        self.control_drops - before.control_drops, drops,
                        self.buffers_in_use - before.buffers_in_use, self.holds)

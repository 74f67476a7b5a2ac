"""How long the rounds of a gateway's control loop lasted between two readings of `show workers`."""


def bins_of(histogram):
    return {(bin["from_us"], bin["to_us"]): bin["rounds"] for bin in histogram}


def between(before, after):
    """Of the rounds that had something to do: how many, the ends of the bins of median, p99, p99.9 and the longest,
    and how many lasted over a millisecond."""
    rounds = {bin: count - before.get(bin, 0) for bin, count in sorted(after.items())}
    total = sum(rounds.values())

    def share(wanted):
        seen = 0
        for (_, end), count in rounds.items():
            seen += count
            if count and seen >= wanted * total:
                return end
        return 0
    return {"rounds": total, "median_us": share(0.5), "p99_us": share(0.99), "p999_us": share(0.999),
            "max_us": share(1), "over_1_ms": sum(count for (start, _), count in rounds.items() if start >= 1000)}


class Reading:
    def __init__(self, gateway):
        loop = gateway.ask("show", "workers")["control"]["loop"]
        self._long_rounds = {task["task"]: task["long_rounds"] for task in loop["tasks"]}
        self._lasted, self._worked = bins_of(loop["histogram"]), bins_of(loop["work"]["histogram"])

    def since(self, before):
        """By the clock, and as "work" the same by the CPU time of the loop's thread; and whose the rounds were that
        worked for over a millisecond."""
        long = {task: count - before._long_rounds.get(task, 0) for task, count in self._long_rounds.items()}
        return {**between(before._lasted, self._lasted), "work": between(before._worked, self._worked),
                "long_tasks": {task: count for task, count in long.items() if count}}

"""What stands between two gateways and lets frames overtake each other: one in so many waits for a moment."""

import heapq
import itertools
import random
import select
import threading
import time

from . import netns
from .wire import Wire

_ONE_IN = 5
_LONGEST_WAIT_S = 0.005


class Reorderer:
    """Both ways, on a thread of its own, until the run ends."""

    def __init__(self, gateways):
        self.namespace = netns.Namespace("between")
        for name, device in (("a", "left"), ("b", "right")):
            netns.cable(gateways[name], "veth-out", self.namespace, device)
        netns.silence(self.namespace, "left", "right")
        left, right = (Wire(self.namespace, device) for device in ("left", "right"))
        self._way = {left: right, right: left}
        self._random = random.Random(3)
        self._held = []
        self._number = itertools.count()
        self.overtaken = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            until_s = self._held[0][0] - time.monotonic() if self._held else 0.1
            ready, _, _ = select.select(list(self._way), [], [], max(0.0, until_s))
            for wire in ready:
                frame = wire.receive(0)
                if frame is None:
                    continue
                if self._random.randrange(_ONE_IN) == 0:
                    due = time.monotonic() + self._random.uniform(0, _LONGEST_WAIT_S)
                    heapq.heappush(self._held, (due, next(self._number), self._way[wire], frame))
                else:
                    self.overtaken += len(self._held)
                    self._way[wire].send(frame)
            while self._held and self._held[0][0] <= time.monotonic():
                _, _, to, frame = heapq.heappop(self._held)
                to.send(frame)

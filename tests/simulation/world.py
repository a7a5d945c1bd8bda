"""Simulated time, and the record of what happened in it."""

import heapq
from collections import Counter


class Broken(AssertionError):
    """A promise of the link did not hold."""


class World:
    """A queue of things to come; `now` in seconds is the true time, which no end's clock need agree with."""

    def __init__(self, chance, counts=None):
        self.now = 0.0
        self.chance = chance
        self.counts = Counter() if counts is None else counts
        self._queue = []
        self._entered = 0
        self._events = []
        self._names = {}

    def at(self, delay, call, *args):
        """Has call(*args) happen delay seconds from now; what is due at one moment happens in this order."""
        self._entered += 1
        heapq.heappush(self._queue, (self.now + delay, self._entered, call, args))

    def step(self):
        """Lets the next thing happen; False where there is none."""
        if not self._queue:
            return False
        self.now, _, call, args = heapq.heappop(self._queue)
        call(*args)
        return True

    def run(self, until=None):
        """Lets everything happen that is to come, or that comes before a moment."""
        while self._queue and (until is None or self._queue[0][0] <= until):
            self.step()
        if until is not None:
            self.now = max(self.now, until)

    def count(self, kind):
        self.counts[kind] += 1

    def note(self, text, *args):
        """A line of the schedule; put together only when somebody reads it. bytes among args are datagrams."""
        self._events.append((self.now, text, args))

    def name(self, datagram, letter):
        """A short name for a datagram that the schedule will mention: q1, q2, ... or a1, a2, ..."""
        datagram = bytes(datagram)
        if datagram not in self._names:
            self._names[datagram] = f"{letter}{len(self._names) + 1}"

    def schedule(self):
        """What happened, a line each."""
        return "\n".join(
            f"{now:9.3f}  {text.format(*map(self._word, args))}" for now, text, args in self._events
        )

    def _word(self, thing):
        if isinstance(thing, (bytes, bytearray)):
            return self._names.get(bytes(thing), f"something of {len(thing)} bytes")
        return thing

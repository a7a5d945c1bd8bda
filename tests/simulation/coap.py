"""CoAP: plays its schedules, and reports the one that breaks a promise."""

import contextlib
import pkgutil
import random
from collections import Counter
from importlib import import_module
from unittest import mock

import ben.coap
from ben.coap import net

from . import stand_in
from .coap_schedule import FAULTS, LENGTH, Schedule
from .play import NONE
from .world import Broken

__all__ = ["FAULTS", "LENGTH", "run"]


@contextlib.contextmanager
def everything():
    """Gives the random.Random that all randomness then comes from."""
    chance = random.Random(0)
    with contextlib.ExitStack() as stack:
        for found in pkgutil.iter_modules(ben.coap.__path__, "ben.coap."):
            module = import_module(found.name)
            if hasattr(module, "urandom"):
                stack.enter_context(mock.patch.object(module, "urandom", stand_in.urandom(chance)))
        yield chance


def run(first, sends, only=FAULTS, real=False, length=LENGTH, brief=False):
    """Plays seeds from first on until so many operations have begun; returns the counts. Broken, with the schedule.

    brief: without it, for who wants to know only that a promise breaks. There is no cryptography to be real.
    """
    counts = Counter()
    with everything() as chance:
        seed = first
        while counts["operations"] < sends:
            schedule, broken = _played(chance, seed, counts, only, length)
            if broken:
                raise broken if brief else Broken(_report(chance, seed, only, length))
            counts["schedules"] += 1
            counts["simulated seconds"] += int(schedule.world.now)
            seed += 1
    return counts


def _played(chance, seed, counts, only, length):
    schedule = Schedule(chance, seed, counts, only, length)
    with mock.patch.object(net, "ticks_ms", lambda: int(schedule.world.now * 1000)):
        try:
            schedule.play()
        except Broken as broken:
            return schedule, broken
    return schedule, None


def _report(chance, seed, only, length):
    # What somebody needs who looks for the fault; with as few kinds of faults, and operations, as still break a promise.
    before = None
    while (only, length) != before:  # again, for what one can do without when another is gone
        before = only, length
        for fault in only:
            fewer = tuple(each for each in only if each != fault)
            if _played(chance, seed, Counter(), fewer, length)[1]:
                only = fewer
        length = next(each for each in range(length + 1) if _played(chance, seed, Counter(), only, each)[1])
    schedule, broken = _played(chance, seed, Counter(), only, length)
    options = f"--seed {seed} --sends 1 --length {length} --only {','.join(only) or NONE}"
    return f"""{broken}
{schedule.world.schedule()}
{broken}
This plays it again:
PYTHONPATH=lib:host:tests python -m simulation --coap {options}"""

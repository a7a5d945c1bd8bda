"""The hub on top of the link: plays its schedules, and reports the one that breaks a promise."""

import contextlib
import logging
from collections import Counter
from types import SimpleNamespace
from unittest import mock

import ben.hub
import benserver.hub
from benserver import hub_actions

from . import network, stand_in
from .hub_schedule import FAULTS, LATEST, LENGTH, Schedule
from .play import NONE
from .world import Broken


@contextlib.contextmanager
def _everything(real):
    with contextlib.ExitStack() as stack:
        chance = stack.enter_context(stand_in.everything(real))
        stack.enter_context(mock.patch.object(ben.hub, "urandom", stand_in.urandom(chance)))
        stack.enter_context(
            mock.patch.object(benserver.hub, "os", SimpleNamespace(urandom=stand_in.urandom(chance)))
        )
        # of tasks that are killed with their server
        stack.enter_context(mock.patch.object(logging.getLogger("benserver"), "disabled", True))
        stack.enter_context(mock.patch.object(network, "LATEST", LATEST))
        yield chance


def run(first, sends, only=FAULTS, real=False, length=LENGTH, brief=False):
    """Plays seeds from first on until so many sends have begun; returns the counts. Broken, with the schedule.

    brief: without it, for who wants to know only that a promise breaks.
    """
    counts = Counter()
    with _everything(real) as chance:
        seed = first
        while counts["sends"] < sends:
            schedule, broken = _played(chance, seed, counts, only, length)
            if broken:
                raise broken if brief else Broken(_report(chance, seed, only, real, length))
            counts["schedules"] += 1
            counts["simulated seconds"] += int(schedule.world.now)
            seed += 1
    return counts


def _played(chance, seed, counts, only, length):
    schedule = Schedule(chance, seed, counts, only, length)
    clock = SimpleNamespace(monotonic=schedule.server.clock)
    try:
        with mock.patch.object(hub_actions, "time", clock):
            schedule.play()
    except Broken as broken:
        return schedule, broken
    finally:
        schedule.server.end()
    return schedule, None


def _report(chance, seed, only, real, length):
    # What somebody needs who looks for the fault; with as few kinds of faults, and sends, as still break a promise.
    for fault in only * 2:  # the second time, for what one can do without when another is gone
        fewer = tuple(each for each in only if each != fault)
        if fewer != only and _played(chance, seed, Counter(), fewer, length)[1]:
            only = fewer
    lengths = [each for each in (0, 1, 2, 4, 8, 16, 32, 64) if each < length]
    length = next((each for each in lengths if _played(chance, seed, Counter(), only, each)[1]), length)
    schedule, broken = _played(chance, seed, Counter(), only, length)
    options = f"--seed {seed} --sends 1 --length {length} --only {','.join(only) or NONE}{' --real' if real else ''}"
    return f"""{broken}
{schedule.world.schedule()}
{broken}
This plays it again:
PYTHONPATH=lib:host:tests python -m simulation --hub {options}"""

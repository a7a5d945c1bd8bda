"""The main test of the link: both its ends in simulated time, under every fault, held to every promise."""

import re
import shlex

import pytest

from simulation import __main__ as command
from simulation import broken, play, search
from simulation.world import Broken

# first seed, sends, with real cryptography
RUNS = [(0, 16000, False), (100000, 14000, False), (200000, 10000, True)]
LONG = [(first, 10 * sends, real) for first, sends, real in RUNS]

# What has to have happened in each run, besides the faults
OCCUR = """
    copies, reply again, reply cut, reply in pieces, reply to a stranger, reply to an old address, reflection,
    replayed, held to the end, slow handler, ran late,
    crash at once, crash before running, crash while running, crash afterwards,
    reboot cold, reboot warm, reboot stale,
    status 0, status 1, status 2, status 3, status 4, status 5, status 6, status 8,
    told result, told not run, told maybe, told rebooted,
    told error 1, told error 2, told error 3, told error 4, told error 5, told error 8,
    last send as it is, last send cold, last send restored, last send warm, last send stale, last send crashed,
    last send taken, last send in a flood, last send undisturbed, last send in 1 round trips,
    last send in 2 round trips
"""

# The four that the search has to find in a schedule that can be read at a glance
NAMED = (
    "age ignored",
    "tokens not forgotten at commit",
    "fresh= checked on the first part only",
    "reply stored without its tag",
)
READABLE = 110  # lines
RARE = {  # seeds near which they show, to save time
    "clocks taken for equal": 400,
    "not cold after a timeout": 330,
    "one token only": 490,
    "seq not kept from wrapping": 1100,
}


@pytest.mark.parametrize(
    ("first", "sends", "real"), [*RUNS, *(pytest.param(*run, marks=pytest.mark.soak) for run in LONG)]
)
def test_no_promise_breaks(first, sends, real):
    counts = play.run(first, sends, real=real)
    assert counts["sends"] >= sends
    expected = [*play.FAULTS, *re.split(r",\s+", OCCUR.strip())]
    assert [kind for kind in expected if not counts[kind]] == []


def test_no_promise_breaks_in_small_cases():
    counts = search.search(2, every=16)
    assert counts["schedules with 1 faults"] > 900
    assert counts["schedules with 2 faults"] > 4000


@pytest.mark.parametrize("rule", broken.RULES)
def test_a_broken_rule_is_found(rule):
    with broken.broken(rule), pytest.raises(Broken):
        play.run(RARE.get(rule, 0), 40000)


@pytest.mark.parametrize("rule", NAMED)
def test_a_broken_rule_is_found_in_a_small_case(rule):
    with broken.broken(rule), pytest.raises(Broken) as found:
        search.search(2)
    assert len(str(found.value).splitlines()) < READABLE
    assert played_again(rule, str(found.value)) == str(found.value)


def test_a_failure_can_be_read_and_played_again():
    rule = NAMED[0]
    with broken.broken(rule), pytest.raises(Broken) as found:
        play.run(0, 10000)
    text = str(found.value)
    assert re.search(r"^ +\d+\.\d{3}  board 1 begins send \d+: ", text, re.M)
    assert text.startswith("send") and "ran twice" in text
    assert played_again(rule, text) == text


def played_again(rule, report):
    """What the command at a report's end says."""
    words = shlex.split(report.splitlines()[-1])
    with broken.broken(rule), pytest.raises(SystemExit) as end:
        command.main(words[words.index("simulation") + 1 :])
    return end.value.code


def test_the_command_tells_what_happened(capsys):
    command.main(["--sends", "200", "--only", "loss,crash"])
    told = capsys.readouterr().out
    assert re.search(r"\d  loss$", told, re.M) and re.search(r"\d  sends$", told, re.M)
    assert "duplication" not in told

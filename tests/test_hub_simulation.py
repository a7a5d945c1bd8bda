"""The main test of the hub: programs and a server in simulated time, under every fault, held to every promise."""

import re
import shlex

import pytest

from simulation import __main__ as command
from simulation import hub, hub_broken
from simulation.world import Broken

RUNS = [(0, 12000, False), (200000, 300, True)]  # first seed, sends, with real cryptography

# What has to have happened in all of them together, besides the faults
OCCUR = """
    late join, told delivered, told not delivered, told unknown, told refused, sender switched off,
    unknown and had, unknown and not had, had after: unknown, had after: switched off,
    refused: no such target, refused: too many messages, refused: bytes more, refused: over, refused: may not send,
    refused: is taken, refused: another device's, refused: joined again,
    handed again, receive: has to join, receive: no answer, join again, forgery, spying,
    confirmed after a lost answer, had after a new life began,
    reboot receiving, reboot not receiving, reboot with a message in hand, replacement,
    crash at once, crash before hub.join, crash before hub.send, crash before hub.receive, crash while running,
    crash afterwards, crash stopped, held to the end, sweep, reply to an old address, reply to a stranger,
    last send as it is, last send crashed, last send stopped, last send rebooted
"""
RARE = {
    "does not join again": 25,
    "no life after a drop": 25,
    "room not given back": 115,
}  # seeds near which they show, to save time


def test_no_promise_breaks():
    counts = None
    for first, sends, real in RUNS:
        played = hub.run(first, sends, real=real)
        assert played["sends"] >= sends
        counts = played if counts is None else counts + played
    expected = [*hub.FAULTS, *re.split(r",\s+", OCCUR.strip())]
    assert [kind for kind in expected if not counts[kind]] == []


@pytest.mark.parametrize("rule", hub_broken.RULES)
def test_a_broken_rule_is_found(rule):
    with hub_broken.broken(rule), pytest.raises(Broken):
        hub.run(RARE.get(rule, 0), 15000, brief=True)


def test_a_failure_can_be_read_and_played_again():
    rule = "handed again to a new life"
    with hub_broken.broken(rule), pytest.raises(Broken) as found:
        hub.run(0, 10000)
    text = str(found.value)
    assert re.search(r"^ +\d+\.\d{3}  \w+ \(life \d+\) sends message \d+ to ", text, re.M)
    assert text.startswith("message") and "had twice" in text
    words = shlex.split(text.splitlines()[-1])
    with hub_broken.broken(rule), pytest.raises(SystemExit) as end:
        command.main(words[words.index("simulation") + 1 :])
    assert end.value.code == text


def test_the_command_tells_what_happened(capsys):
    command.main(["--hub", "--sends", "100", "--only", "loss,crash"])
    told = capsys.readouterr().out
    assert re.search(r"\d  told delivered$", told, re.M) and re.search(r"\d  sends$", told, re.M)
    assert "duplication" not in told

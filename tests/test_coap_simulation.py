"""The main test of CoAP: clients and servers in simulated time, under every fault, held to every promise."""

import re
import shlex

import pytest

from simulation import __main__ as command
from simulation import coap, coap_broken
from simulation.world import Broken

RUNS = [(0, 1200), (100000, 1200)]  # first seed, operations

# What has to have happened in all of them together, besides the faults
OCCUR = """
    copies, never sent, a request came again, a request came again that was forgotten, a response came again,
    a handler that takes long, a handler ran again after others as it may, separate response, cut on its way in,
    observations, observations renewed, observer told 2.05, observer told error 110,
    told 2.04, told 2.05, told 4.04, told 4.05, told 4.08, told 4.13, told 5.00,
    told error 5, told error 12, told error 104, told error 110,
    replayed, reply to a stranger, reply to an old address, held to the end, lost on the way of a last request
"""
RARE = {
    "any acknowledgement answers": 80,
    "notifications in any order": 30,
    "the clock not looked at when something comes": 40,
    "all notifications are kept": 111,
    "old ones are new": 35,
    "any body of a peer's": 184,
    "anybody resets": 192,
    "a body goes on from another's": 512,
}  # seeds near which they show, to save time


def test_no_promise_breaks():
    counts = None
    for first, operations in RUNS:
        played = coap.run(first, operations)
        assert played["operations"] >= operations
        counts = played if counts is None else counts + played
    assert counts["schedules"] > 90
    expected = [*coap.FAULTS, *re.split(r",\s+", OCCUR.strip())]
    assert [kind for kind in expected if not counts[kind]] == []


@pytest.mark.parametrize("rule", coap_broken.RULES)
def test_a_broken_rule_is_found(rule):
    with coap_broken.broken(rule), pytest.raises(Broken):
        coap.run(RARE.get(rule, 0), 4000, brief=True)


def test_a_failure_can_be_read_and_played_again():
    rule = "no request is known"
    with coap_broken.broken(rule), pytest.raises(Broken) as found:
        coap.run(0, 1500)
    text = str(found.value)
    assert re.search(r"^ +\d+\.\d{3}  client \d begins \d+: \w+ ", text, re.M)
    assert text.startswith("server") and "twice" in text
    words = shlex.split(text.splitlines()[-1])
    with coap_broken.broken(rule), pytest.raises(SystemExit) as end:
        command.main(words[words.index("simulation") + 1 :])
    assert end.value.code == text


def test_the_command_tells_what_happened(capsys):
    command.main(["--coap", "--sends", "50", "--only", "loss,restart"])
    told = capsys.readouterr().out
    assert re.search(r"\d  told 2.05$", told, re.M) and re.search(r"\d  operations$", told, re.M)
    assert "duplication" not in told

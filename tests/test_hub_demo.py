"""./run --hub: what it shows, and how it ends."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from board import ROOT

PATIENCE = 60  # s
SWITCH = r"^\d\d:\d\d:\d\d  sent (on|off) +the lamp: (.*?)  +([a-z ]+) after [\d.]+ ms: .+$"


def run(*arguments, root=ROOT):
    return subprocess.run(
        [root / "run", *arguments], capture_output=True, text=True, timeout=PATIENCE, cwd=root
    )


def test_it_tells_the_truth_about_each_switch_and_ends_by_itself():
    done = run("--hub", "--count", "9")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(SWITCH, done.stdout, re.M) == [
        *[("on", "on for desk", "delivered"), ("off", "off for desk", "delivered")] * 2,
        ("on", "on for desk", "delivered"),
        ("off", "-", "unknown"),  # the server has handed it to a lamp that is there no more
        ("on", "-", "not delivered"),
        ("off", "off for desk", "delivered"),
        ("on", "on for desk", "delivered"),
    ]
    head, unplugged, back = re.split(
        r"^ +the lamp is (?:unplugged|plugged in again).*\n", done.stdout, flags=re.M
    )
    assert [part.count(" sent ") for part in (head, unplugged, back)] == [5, 2, 2]
    assert re.match(r"server: 127\.0\.0\.1 port \d+ .*\nlamp:   .*MicroPython.*examples/lamp\.py\n", head)


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_it_leaves_nothing_behind(number, status):
    demo = subprocess.Popen(
        [ROOT / "run", "--hub"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of their own, for it and all that it starts
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # ignored where tests run in the background
    )
    try:
        while not re.match(SWITCH, demo.stdout.readline()):
            assert demo.poll() is None, demo.stderr.read()
        demo.send_signal(number)  # not to the board
        rest, errors = demo.communicate(timeout=PATIENCE)
        assert (demo.returncode, errors) == (status, "")
        with pytest.raises(ProcessLookupError):
            os.killpg(demo.pid, 0)
    finally:
        if demo.poll() is None:
            demo.kill()


def test_it_says_what_a_lamp_says_that_stops(tmp_path):
    """And so it is the example that is run."""
    for name in ("tools", "lib", "host", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run", "boot.py"):
        shutil.copy(ROOT / name, tmp_path)
    lamp = tmp_path / "examples" / "lamp.py"
    broken = "    if not on:\n        raise ValueError('broken')\n    if lamp:\n"
    lamp.write_text(lamp.read_text().replace("    if lamp:\n", broken))
    done = run("--hub", root=tmp_path)
    assert done.returncode == 1
    assert re.findall(SWITCH, done.stdout, re.M) == [("on", "on for desk", "delivered")]
    assert "the lamp stopped by itself, with exit status 1:" in done.stderr
    assert "ValueError: broken" in done.stderr and "tools/hub_demo.py" not in done.stderr


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--hub", "--count", "0"], "argument --count: invalid"),
        (["--count", "many", "--hub"], "argument --count: invalid"),
        (["--hub", "--nonsense"], "unrecognized"),
        (["--hub", "lamp"], "unrecognized"),
    ],
)
def test_it_refuses_what_it_does_not_know(arguments, sentence):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr and "usage: ./run --hub" in done.stderr and "Traceback" not in done.stderr


def test_it_explains_itself():
    done = run("--hub", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("./run --hub", "lamp", "unplugged", "--count N"):
        assert word in done.stdout
    assert "./run --hub [--count N]" in run("--help").stdout

"""Servers and boards that are killed at any moment, again and again: the promises hold, and the link comes back."""

import random
import re
import shutil
import threading
import time

import pytest

from benserver import generate_new_secret
from board import PATIENCE, Board, interpreter
from conftest import RUNTIMES
from hosts import ServeProcess
from peers import free_port

DRIVERS = ("blocking", "asyncio")
OUTAGES = 9
AFTERWARDS = 6  # sends of every board that succeed when all is over

# Every reading has a number. Odd ones are in parts, and so are their replies.
SENDS = """
import sys
from ben import BenError
port, device, number = [int(word) for word in sys.argv[2:]]

def reading():
    return {"action": "count", "data": {"number": number, "filling": "x" * (number % 2 * 2500)}}

def told(result):
    print(result, number)

def outcome(error):
    return "gone" if isinstance(error, BenError) else error.args[1]

def blocking():
    global number
    from ben import client
    link = client("127.0.0.1", port, timeout=1, device=device)
    while True:
        told("begun")
        try:
            got = link.send(reading())
            told("sent" if got["number"] == number else "mixed up")
        except (OSError, BenError) as error:
            told(outcome(error))
        number += 1

async def in_tasks():
    global number
    from ben import aio
    link = aio.client("127.0.0.1", port, timeout=1, device=device)
    while True:
        told("begun")
        try:
            got = await link.send(reading())
            told("sent" if got["number"] == number else "mixed up")
        except (OSError, BenError) as error:
            told(outcome(error))
        number += 1

if sys.argv[1] == "blocking":
    blocking()
import asyncio
asyncio.run(in_tasks())
"""

COUNTS = """
import asyncio
from benserver import sender

def actions(server):
    async def count(reading):
        number = reading["number"]
        print("ran", sender().device, number, flush=True)
        await asyncio.sleep(number % 3 * 0.03)
        return {"number": number, "filling": "y" * (number % 2 * 2500)}

    server.add_action_handler("count", count)
"""


class Lines:
    """The whole lines that a process has printed, read as they come."""

    def __init__(self, stream):
        self.lines = []
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            if line.endswith("\n"):  # a killed process may end within one
                self.lines.append(line.rstrip())

    def all(self):
        """After the process has ended."""
        self._thread.join(PATIENCE)
        return self.lines


class Sending:
    """A board that sends without end, through any number of restarts; no number is used twice."""

    def __init__(self, runtime, driver, device, folder):
        self.board = Board(interpreter(runtime), folder / str(device))
        self.board.folder.mkdir()
        shutil.copy(folder / "key.sec", self.board.folder)
        self.name = f"{runtime} {driver}"
        self.driver = driver
        self.device = device
        self.past = []
        self.process = None

    def start(self, port):
        first = 1 + max((int(line.split()[-1]) for line in self.past), default=0)
        self.process = self.board.start(SENDS, self.driver, port, self.device, first)
        self.now = Lines(self.process.stdout)

    def kill(self):
        self.process.kill()
        self.past += self.now.all()
        error = self.process.communicate()[1]
        assert "Traceback" not in error, f"{self.name}: {error}"

    def sent(self):
        return sum(line.startswith("sent") for line in self.now.lines)


class Serving:
    """The server, through any number of restarts on one port."""

    def __init__(self, folder):
        self.folder = folder
        self.past = []
        self.port = free_port()
        self.start()

    def start(self):
        self.process = ServeProcess(self.folder, "--actions", "counts.py", port=self.port)
        self.port = self.process.port
        self.now = Lines(self.process.process.stdout)

    def kill(self):
        self.process.process.kill()
        self.process.process.wait()
        self.past += self.now.all()


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_the_promises_hold_and_the_link_comes_back(tmp_path, seed):
    generate_new_secret(tmp_path / "key.sec")
    (tmp_path / "counts.py").write_text(COUNTS)
    kinds = [(runtime, driver) for runtime in RUNTIMES for driver in DRIVERS]
    boards = [Sending(*kind, device, tmp_path) for device, kind in enumerate(kinds, 1)]
    serving = Serving(tmp_path)
    try:
        for board in boards:
            board.start(serving.port)
        happened = outages(random.Random(seed), serving, boards)
        wait_until_all_send(boards)
    finally:
        for each in [*boards, serving]:
            each.kill()
    ran = [tuple(map(int, line.split()[1:])) for line in serving.past if line.startswith("ran")]
    story = "\n".join(f"seed {seed}: {line}" for line in happened)
    assert len(set(ran)) == len(ran), f"something ran twice\n{story}"
    for board in boards:
        check(board, {number for device, number in ran if device == board.device}, story)
    words = {line.split()[0] for board in boards for line in board.past}
    assert words >= {"sent", "maybe"}, f"that was too easy: {words}\n{story}"


def outages(chance, serving, boards):
    """Kills the server, a board, or both, and starts them again; returns what was done when."""
    happened = []
    for _ in range(OUTAGES):
        time.sleep(chance.uniform(0.1, 0.6))
        what = chance.choice(("server", "server", "board", "both"))
        board = chance.choice(boards)
        pause = chance.choice((0, 0.2, 1.5))  # s; the last is longer than a client waits
        happened.append(f"{what} down for {pause} s, board {board.name}")
        down = {"server": [serving], "board": [board], "both": [serving, board]}[what]
        for each in down:
            each.kill()
        time.sleep(pause)
        for each in down:
            each.start() if each is serving else each.start(serving.port)
    return happened


def wait_until_all_send(boards):
    before = {board: board.sent() for board in boards}
    deadline = time.monotonic() + PATIENCE
    while any(board.sent() < before[board] + AFTERWARDS for board in boards):
        late = [board.name for board in boards if board.sent() < before[board] + AFTERWARDS]
        assert time.monotonic() < deadline, f"not back: {late}"
        time.sleep(0.05)


def check(board, ran, story):
    """What a board was told is true of what ran."""
    told = dict(re.fullmatch(r"(.+) (\d+)", line).groups()[::-1] for line in board.past)
    for number, word in told.items():
        what = f"{board.name} was told {word!r} of {number}\n{story}"
        assert word in ("begun", "sent", "maybe", "not run", "gone"), what
        if word in ("sent", "gone"):
            assert int(number) in ran, what
        if word == "not run":
            assert int(number) not in ran, what

"""Each death of the link that ben replaces, survived: the server as a process, boards of every runtime."""

import contextlib
import os
import random
import select
import socket
import sys
import threading
import time
from pathlib import Path as File

import pytest

import test_sessions
from ben import client, wire
from board import Board, interpreter
from hosts import PATIENCE, ServeProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what waits at a port is read from /proc")
MASTER = bytes(range(32))  # test_sessions' own
ASKS = 0xA5A5  # the device that asks the server how it is
SEED = int(os.environ.get("BEN_SEED", "20"))
READINGS = 6

# What the server of these tests does: `calls` tells what ran, for whom, with what.
ACTIONS = """
import asyncio, collections, hashlib, time
import benserver.actions
from ben import cpython

benserver.actions.SLOW = 0.25  # s: a busy machine may hold up a function for 0.1 s, and the log would say so

def actions(server):
    calls, let_go = [], []

    def add(name, fn, **options):
        def kept(*data):
            calls.append((name, device(), *data))
            return fn(*data)
        server.add_action_handler(name, kept, **options)

    def device():
        return benserver.sender().device

    def fails(_=None):
        raise KeyError("not for the board")

    def leaves():
        raise SystemExit(1)

    async def coroutine():
        while not let_go:
            await asyncio.sleep(0.01)
        return "done"

    def thread():
        while not let_go:
            time.sleep(0.01)
        return "done"

    def state(only):
        # Of the devices that are asked about; without those, of whom it knows.
        devices = server._sessions._devices.values()
        about = [(each.number, each.channels) for each in devices if each.number in only]
        what = hashlib.sha256(repr((about, server._sessions._forgot)).encode()).hexdigest()
        return [len(devices), len(about), cpython._cipher.cache_info().currsize, what]

    add("reading", lambda number: number + 1)
    add("x", lambda *data: None)
    add("fails", fails)
    add("leaves", leaves)
    add("set", lambda: {1, 2})
    add("nan", lambda: float("nan"))
    add("object", lambda: object())
    add("big", lambda size: "x" * size)
    add("function", lambda: time.sleep(0.3) or "done")
    add("coroutine", coroutine)
    add("thread", thread, thread=True)
    plain = server.add_action_handler
    plain("let go", lambda who=None: let_go.append(who))
    plain("going on", lambda who=None: who in let_go)
    plain("calls", lambda name: [call[1:] for call in calls if call[0] == name])
    plain("counts", lambda: collections.Counter(str(call[1]) for call in calls))
    plain("state", state)
"""

# What every script begins with.
START = """
import sys
from ben import BenError, client
port, device = int(sys.argv[1]), int(sys.argv[2])
link = client("127.0.0.1", port, device=device, channel=0, timeout=20)
"""
READS = (
    START
    + """
for number in range(int(sys.argv[3])):
    print(link.send({"action": "reading", "data": number}))
"""
)

AWAITS = READS.replace("import BenError, client", "import BenError, aio").replace("client(", "aio.Client(")
AWAITS = AWAITS.replace("for number", "async def main():\n  for number").replace(
    "link.send", "await link.send"
)
AWAITS += "import asyncio\nasyncio.run(main())\n"
BOTH = pytest.mark.parametrize("script", [READS, AWAITS], ids=["blocking", "asyncio"])


class Serving(ServeProcess):
    """`python -m benserver serve` with the actions above, and a client that asks it how it is."""

    def __init__(self, folder, *arguments):
        (folder / "key.sec").write_bytes(MASTER)
        (folder / "mine.py").write_text(ACTIONS)
        super().__init__(folder, "--actions", "mine.py", *arguments)
        self._link = client("127.0.0.1", self.port, 60, str(folder / "key.sec"), device=ASKS)

    def ask(self, action, *data):
        return self._link.send({"action": action, "data": data[0]} if data else {"action": action})

    def wait_for(self, name, count):
        """The calls of one action, as soon as there are so many."""
        deadline = time.monotonic() + PATIENCE
        while len(calls := self.ask("calls", name)) < count:
            assert time.monotonic() < deadline, calls
            time.sleep(0.01)
        return calls

    def ends_well(self):
        """It ends when it is asked to, and has said nothing until then."""
        assert self.end() == (0, "")


class Path:
    """Stands between one board and the server: rule(number, to server, datagram) gives what arrives."""

    def __init__(self, port, rule=lambda number, to_server, datagram: [datagram]):
        self.rule = rule
        self.seen = []  # (to server, datagram), of both ends
        self.inside, self.outside = udp(), udp(port)
        self.inside.bind(("127.0.0.1", 0))
        self.port = self.inside.getsockname()[1]
        self._server = port
        self._board = None
        self._failed = None
        self._ended, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while True:
                ready = select.select([self._ended, self.inside, self.outside], [], [])[0]
                if self._ended in ready:
                    return
                for sock in ready:
                    self._pass(sock is self.inside, *sock.recvfrom(65536))
        except Exception as error:  # told by __exit__
            self._failed = error

    def _pass(self, to_server, datagram, sender):
        if to_server:
            self._board = sender
        self.seen.append((to_server, datagram))
        for each in self.rule(len(self.seen), to_server, datagram):
            self.give(to_server, each)

    def give(self, to_server, *datagrams):
        """Sends to one end, no faster than that end takes it."""
        sock, to = (self.outside, self._server) if to_server else (self.inside, self._board[1])
        for number, datagram in enumerate(datagrams, 1):
            sock.sendto(datagram, ("127.0.0.1", to))
            if not number % 50 or len(datagram) > 1500:
                wait_until_read(to)

    @property
    def requests(self):
        return [datagram for to_server, datagram in self.seen if to_server]

    @property
    def answers(self):
        return [datagram for to_server, datagram in self.seen if not to_server]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.send(b"x")
        self._thread.join(PATIENCE)
        for sock in (self.inside, self.outside, self._ended, self._end):
            sock.close()
        if self._failed:
            raise self._failed


class Peer(test_sessions.Peer):
    """A client that seals whatever it is told to, over a socket."""

    def __init__(self, port, **options):
        super().__init__(None, **options)
        self.socket = udp(port)

    def give(self, datagram, now=0.0, value=None):
        self.socket.send(datagram)
        return self.open(self.socket.recv(2048), datagram)


def udp(port=None):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    if port:
        sock.connect(("127.0.0.1", port))
    return sock


def at_port(port):
    """Bytes that wait at a UDP port and datagrams that found no room there, as Linux tells."""
    for line in File("/proc/net/udp").read_text().splitlines():
        fields = line.split()
        if fields[1].endswith(f":{port:04X}"):
            return int(fields[4].split(":")[1], 16), int(fields[-1])
    return 0, 0


def wait_until_read(port):
    deadline = time.monotonic() + PATIENCE
    while at_port(port)[0]:
        assert time.monotonic() < deadline, "nobody reads what is sent"
        time.sleep(0.001)


def start(board, script, *arguments):
    """As Board.start(), for scripts of which several run at once."""
    file = board.folder / f"script-{hash(script) & 0xFFFFFFFF:08x}.py"
    if not file.exists():
        file.write_text(script)
    return board.start(File(file.name), *arguments)


@contextlib.contextmanager
def ended(processes):
    """None of them is left behind."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def lines_of(processes):
    """What each prints, in lines."""
    with ended(processes):
        done = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert [code for _, _, code in done] == [0] * len(done), done
    return [out.splitlines() for out, _, _ in done]


def readings(times):
    return [str(number + 1) for number in range(times)]


@pytest.fixture
def serving(tmp_path):
    with Serving(tmp_path) as serving:
        yield serving


# What the network does


def lost(number, to_server, datagram):
    return [] if number % 3 == 0 else [datagram]


def repeated(number, to_server, datagram):
    return [datagram] * 3


class Swapped:
    """Every third datagram arrives after the next one that differs from it."""

    def __init__(self):
        self.held = {}

    def __call__(self, number, to_server, datagram):
        held = self.held.get(to_server)
        if held and held != datagram:
            return [datagram, self.held.pop(to_server)]
        if held or number % 3:
            return [datagram]
        self.held[to_server] = datagram
        return []


def test_lost_repeated_and_swapped_datagrams(board, serving):
    with contextlib.ExitStack() as stack:
        paths = [stack.enter_context(Path(serving.port, rule)) for rule in (lost, repeated, Swapped())]
        boards = [start(board, READS, path.port, i, READINGS) for i, path in enumerate(paths)]
        assert lines_of(boards) == [readings(READINGS)] * 3
        for path in paths[::2]:
            assert len(path.requests) > len(set(path.requests)), "copies were needed"
    calls = serving.ask("calls", "reading")
    for i in range(3):
        assert [number for device, number in calls if device == i] == list(range(READINGS))
    serving.ends_well()


def test_two_boards_at_once(board, serving):
    boards = [start(board, READS, serving.port, i, 20) for i in range(2)]
    assert lines_of(boards) == [readings(20)] * 2
    assert sorted(serving.ask("calls", "reading")) == [[i, number] for i in range(2) for number in range(20)]
    serving.ends_well()


def test_fifty_boards_at_once(serving, tmp_path):
    kinds = [Board(interpreter(f"micropython-{bits}"), tmp_path) for bits in (64, 32)]
    boards = [start(kinds[i % 2], READS, serving.port, i, 2) for i in range(50)]
    assert lines_of(boards) == [readings(2)] * 50
    assert sorted(serving.ask("calls", "reading")) == [[i, number] for i in range(50) for number in (0, 1)]
    serving.ends_well()


@BOTH
def test_garbage_of_every_length_before_each_datagram(board, serving, script):
    """At both ends, from the very address of the other."""
    print("seed", SEED)
    chance = random.Random(SEED)
    times = 40
    lengths = [*range(1501), 60000, 65000, 65507]
    left = {True: lengths[:], False: lengths[:]}

    def rule(number, to_server, datagram):
        some, left[to_server][:40] = left[to_server][:40], []
        for length in some:
            path.give(to_server, chance.randbytes(length), (datagram[:2] + chance.randbytes(length))[:length])
        return [datagram]

    with Path(serving.port, rule) as path:
        [lines] = lines_of([start(board, script, path.port, 1, times)])
        assert lines == readings(times)
        assert left == {True: [], False: []}, "every length was tried"
        assert len(set(path.requests)) == times + 1, "the client took none for an answer"
        assert len(path.answers) <= len(path.requests), "the server answered none"
    assert serving.ask("calls", "reading") == [[1, number] for number in range(times)]
    serving.ends_well()


def test_a_flood_that_leaves_no_room_for_others(board, serving):
    """What finds no room may be a board's: then its copies get through."""
    print("seed", SEED)
    chance = random.Random(SEED)
    flood = [b"\xb2\1" + chance.randbytes(1230) for _ in range(300)]
    over = threading.Event()

    def pour():
        with udp() as sock:
            while not over.wait(0.02):
                for datagram in flood:
                    sock.sendto(datagram, ("127.0.0.1", serving.port))

    pouring = threading.Thread(target=pour)
    pouring.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while not at_port(serving.port)[1]:
            assert time.monotonic() < deadline, "it is no flood"
            time.sleep(0.01)
        [lines] = lines_of([start(board, READS, serving.port, 1, 50)])
    finally:
        over.set()
        pouring.join()
    assert lines == readings(50)
    assert serving.ask("calls", "reading") == [[1, number] for number in range(50)]
    serving.ends_well()


# What a board does

WRONG_KEY = """
import sys
from ben import client
try:
    client("127.0.0.1", int(sys.argv[1]), keyfile="other.sec", timeout=0.5).send({"action": "reading", "data": 1})
except OSError as error:
    print(error.args[1])
"""


def test_a_wrong_key_is_met_with_silence(board, serving):
    (board.folder / "other.sec").write_bytes(bytes(32))
    serving.ask("calls", "x")
    before = serving.ask("state", [])
    with Path(serving.port) as path:
        assert lines_of([start(board, WRONG_KEY, path.port)]) == [["not run"]]
        assert path.requests and path.answers == []
    assert serving.ask("state", []) == before
    assert lines_of([start(board, READS, serving.port, 1, 1)]) == [["1"]]
    serving.ends_well()


GOES_WRONG = (
    START
    + """
asked = (
    ("fails",), ("fails", 1), ("leaves",), ("set",), ("nan",), ("object",), ("nosuch",), ("reading",),
    ("reading", [1]), ("x", bytes(4097)), ("big", 4097), ("big", 1 << 20), ("function",),
)
for action, *data in asked:
    request = {"action": action}
    if data:
        request["data"] = data[0]
    try:
        print(link.send(request))
    except BenError as error:
        print(error.status, error.text)
    if link.send({"action": "reading", "data": 6}) != 7:
        print("the next send() does not work")
"""
)


def test_handlers_and_requests_that_go_wrong(board, serving):
    assert lines_of([start(board, GOES_WRONG, serving.port, 1)]) == [
        [
            "1 KeyError",
            "1 KeyError",
            "1 SystemExit",
            *["5 its result cannot be encoded"] * 3,
            "2 no such action: nosuch",
            *["1 TypeError"] * 2,
            "3 over buffersize",
            *["5 its result is over 4096 bytes"] * 2,
            "done",
        ]
    ]
    status, log = serving.end()
    assert status == 0
    told = [line for line in log.splitlines() if line.startswith(("ERROR", "WARNING"))]
    assert [line.split()[1] for line in told] == [
        "fails",
        "fails",
        "leaves",
        "reading",
        "reading",
        "function",
    ]


ASKS_FOR = (
    START
    + """
for _ in range(int(sys.argv[4])):
    print(link.send({"action": sys.argv[3]}))
"""
)


def fivefold(number, to_server, datagram):
    return [datagram] * (5 if to_server else 1)


def test_copies_of_a_request_that_is_running_run_nothing(board, serving):
    """Nor do they hold up others, where the handler is a coroutine or runs in a thread."""
    with Path(serving.port, fivefold) as one, Path(serving.port, fivefold) as two:
        boards = [start(board, ASKS_FOR, one.port, 1, "coroutine", 1)]
        boards.append(start(board, ASKS_FOR, two.port, 2, "thread", 1))
        assert serving.wait_for("coroutine", 1) == [[1]] and serving.wait_for("thread", 1) == [[2]]
        deadline = time.monotonic() + PATIENCE
        while any(len(path.requests) - len(set(path.requests)) < 1 for path in (one, two)):
            assert time.monotonic() < deadline
            assert serving.ask("reading", 1) == 2, "others are answered"
            time.sleep(0.01)
        assert {answer[1] for path in (one, two) for answer in path.answers} == {wire.CHALLENGE}
        serving.ask("let go")
        assert lines_of(boards) == [["done"]] * 2
    assert serving.ask("calls", "coroutine") == [[1]] and serving.ask("calls", "thread") == [[2]]
    serving.ends_well()


def test_a_function_that_holds_the_loop_runs_once_for_all_copies_and_is_named_once(board, serving):
    with Path(serving.port, fivefold) as path:
        assert lines_of([start(board, ASKS_FOR, path.port, 1, "function", 2)]) == [["done"] * 2]
    assert serving.ask("calls", "function") == [[1]] * 2
    status, log = serving.end()
    assert status == 0
    assert len(log.splitlines()) == 1 and "function held up every other board" in log

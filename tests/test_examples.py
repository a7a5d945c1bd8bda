"""The examples: each is run, with a real server at the other end, and does what its comments say."""

import asyncio
import contextlib
import csv
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt

import benserver
from ben import BenError, Hub, client
from board import ROOT, Board, interpreter
from hosts import Host, ServeProcess
from peers import free_port
from proxy import Proxy
from test_style import ABSENT
from tools import debian
from tools.cache import Missing

EXAMPLES = ROOT / "examples"
HEAP = 38  # K, of the 32-bit port: what an ESP8266 has when its program starts
PATIENCE = 30  # s
CONFIG = 'WIFI_SSID = WIFI_PASSWORD = ""\nSERVER = "127.0.0.1"\nPORT = %d\nINTERVAL = %r\n'


def put(name, folder, **constants):
    """A copy of an example, whose constants are others where a test cannot have or wait for the user's."""
    text = (EXAMPLES / name).read_text()
    for constant, value in constants.items():
        text, count = re.subn(rf"^{constant} = [^#\n]*", f"{constant} = {value!r}  ", text, flags=re.M)
        assert count == 1, f"{name} has {count} lines for {constant}"
    (folder / name).write_text(text)
    return Path(name)


def constant(name, example):
    """The value of a constant, as the user gets it."""
    return eval(re.search(rf"^{name} = ([^#\n]*)", (EXAMPLES / example).read_text(), re.M)[1])


def equip(folder, port, interval=0.05, machine=None):
    """What the board's folder has besides an example; the unix port's network is nobody's to join."""
    shutil.copy(ROOT / "boot.py", folder)
    (folder / "config.py").write_text(CONFIG % (port, interval))
    if machine:
        (folder / "machine.py").write_text(machine)


class Program:
    """A running example, whose lines a test waits for."""

    def __init__(self, process):
        self.process = process
        self.seen = []
        self._lines = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (process.stdout, process.stderr)
            if stream
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream):
        for line in stream:
            self.seen.append(line.rstrip())
            self._lines.put(line.rstrip())

    def until(self, pattern):
        """The match of the next line that has this; lines before it are passed over."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no line with {pattern!r}: {self.seen}", pytrace=False)
            if found := re.search(pattern, line):
                return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(PATIENCE)


@pytest.fixture
def start(small_board):
    """Starts an example on a board with an ESP8266's memory; it ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda path: stack.enter_context(Program(small_board.start(path, heap=HEAP)))


def run_on_host(path, folder, *arguments):
    """An example as a process of CPython."""
    return Program(
        subprocess.Popen(
            [sys.executable, "-u", str(path), *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )


# --- all of them ---

FILES = sorted(path.name for path in EXAMPLES.glob("*.py"))


def rows():
    """{file: (where it runs, what it shows)} of the table in the examples' README."""
    text = (EXAMPLES / "README.md").read_text()
    found = re.findall(r"^\| \[(\S+)\]\((\S+)\) \| (board|host) \| (.+) \|$", text, re.M)
    assert all(name == target for name, target, _, _ in found)
    return {name: where for name, _, where, _ in found}


def test_every_example_is_in_the_table_and_is_run_here():
    assert sorted(rows()) == FILES
    text = "".join(
        (ROOT / "tests" / name).read_text() for name in ("test_examples.py", "test_coap_examples.py")
    )
    assert [name for name in FILES if not re.search(rf'(put\("|EXAMPLES / "){name}"', text)] == []


@pytest.mark.parametrize("name", FILES)
def test_examples_for_boards_keep_to_what_an_esp8266_has(name):
    text = re.sub(r"#.*", "", (EXAMPLES / name).read_text())
    on_board = rows()[name] == "board"
    assert ("from config import" in text) == on_board  # or the table is wrong
    if on_board:
        assert re.findall(ABSENT.replace(r"|\bprint\(", ""), text) == []


def test_the_server_of_the_examples_has_what_their_boards_ask_for():
    asked = {
        action
        for name, where in rows().items()
        if where == "board" and not name.startswith("lock_")
        for action in re.findall(r'"action": "(\w+)"', (EXAMPLES / name).read_text())
    }
    offered = re.findall(r'add_action_handler\("(\w+)"', (EXAMPLES / "server_actions.py").read_text())
    assert asked == {"rain", "dht", "pace"} and asked <= set(offered)


# --- blocking.py ---


def test_blocking_counts_each_tip_once_or_says_that_it_may_be_lost(start, host, tmp_path):
    total = 0
    broken = False

    def count(tips):
        nonlocal total
        total += tips
        if broken:
            raise ValueError
        return total

    host.handle("rain", count)
    actions = host.server.actions._actions
    path = put("blocking.py", tmp_path, TIMEOUT=1)
    text = (tmp_path / path).read_text()
    assert text.count("urandom(1)[0] % 4") == 1
    (tmp_path / path).write_text(text.replace("urandom(1)[0] % 4", "1"))  # a tip in each round
    with Proxy(host.port) as proxy:
        equip(tmp_path, proxy.port)
        gauge = start(path)
        gauge.until("^counted")
        broken = True
        gauge.until("^refused .*1, 'ValueError'")
        broken = False
        gauge.until("^counted")
        rain = actions.pop("rain")
        gauge.until("^refused .*2, 'no such action: rain'")
        actions["rain"] = rain
        gauge.until("^counted")
        proxy.up.faults.hole = True  # the server is away: the first cannot know, the others can
        lost = int(gauge.until("^maybe (.*)")[1])
        gauge.until("^kept")
        gauge.until("^kept")
        proxy.up.faults.hole = False
        gauge.until("^counted")
        proxy.down.faults.hole = True  # it runs, and its answer is lost
        gauge.until("^maybe")
        proxy.down.faults.hole = False
        gauge.until("^counted")
        said = gauge.until("^counted .* of (.*)")[1]
    lines = gauge.seen[: 1 + [line.endswith(f" of {said}") for line in gauge.seen].index(True)]
    waiting = 0
    for line in lines:
        waiting += 1
        assert int(line.split()[1]) == waiting, lines
        if not (line.startswith("kept") or "no such action" in line):
            waiting = 0
    assert int(said) == len(lines) - lost, lines


# --- with_asyncio.py ---

LED = """
class Pin:
    OUT = 1
    def __init__(self, number, mode):
        self.on = 0
    def value(self, on=None):
        if on is None:
            return self.on
        self.on = on
        print("led", on)
"""


def test_with_asyncio_blinks_while_a_send_waits_and_shares_one_link(start, host, tmp_path):
    blinks = []

    async def slow(_):
        before = len(board.seen)
        await asyncio.sleep(1)
        blinks.append(sum(line.startswith("led") for line in board.seen[before:]))

    host.handle("dht", slow)
    host.handle("pace", lambda: 0.05)
    equip(tmp_path, host.port, machine=LED)
    board = start(put("with_asyncio.py", tmp_path))
    host.wait_for_calls(5)
    assert {name for name, _ in host.calls} == {"dht", "pace"}
    assert blinks[-1] >= 3, blinks
    assert len(host.server._sessions._devices) == 1, "the board has no id here, and so one for each client"
    assert all(line.startswith("led") for line in board.seen), board.seen


@pytest.mark.parametrize("runtime", ["micropython-64", "cpython"])
def test_with_asyncio_goes_on_without_a_led_and_without_a_server(runtime, host, tmp_path):
    host.handle("dht", lambda _: None)
    host.handle("pace", lambda: 0.05)
    equip(tmp_path, host.port)
    process = Board(interpreter(runtime), tmp_path).start(put("with_asyncio.py", tmp_path))
    with Program(process) as board:
        host.wait_for_calls(4)
        del host.server.actions._actions["dht"]
        board.until("^dht .*no such action")
        host.wait_for_calls(len(host.calls) + 2)


# --- deep_sleep.py ---

SLEEPY = """
import sys
class RTC:
    def memory(self, data=None):
        if data is not None:
            with open("rtc", "wb") as file:
                file.write(data)
            return
        try:
            with open("rtc", "rb") as file:
                return file.read()
        except OSError:  # power was lost
            return b""
def unique_id():
    return b"board"
def deepsleep(ms):
    print("asleep for", ms)
    sys.exit()
"""


class Sleeper:
    """A board that sleeps: each wake is a new process."""

    def __init__(self, board, host, folder, machine=SLEEPY):
        self._board, self._host = board, host
        self.rtc = folder / "rtc"
        equip(folder, host.port, 60, machine)
        self._path = put("deep_sleep.py", folder, TIMEOUT=1)
        self._datagrams = set()  # so that a copy, as a slow machine makes it wait for, does not count
        receive = host.server._sessions.receive
        host.server._sessions.receive = lambda *got: self._datagrams.add(got[0]) or receive(*got)

    def wake(self):
        """(how many datagrams and readings the server got, what the board said before it slept)"""
        self._datagrams.clear()
        calls = len(self._host.calls)
        *said, last = self._board.run(self._path, heap=HEAP).splitlines()
        assert last == "asleep for 60000"
        return (len(self._datagrams), len(self._host.calls) - calls), said

    def crash(self):
        """A wake that ends in the middle of its send()."""
        before = len(self._host.calls)
        with Program(self._board.start(self._path, heap=HEAP)):
            self._host.wait_for_calls(before + 1)


FIRST, WARM = ((2, 1), []), ((1, 1), [])


def test_deep_sleep_needs_one_datagram_for_a_warm_wake(small_board, host, tmp_path):
    host.handle("dht", lambda _: None)
    board = Sleeper(small_board, host, tmp_path)
    assert [board.wake() for _ in range(4)] == [FIRST, WARM, WARM, WARM]
    board.rtc.unlink()  # power was lost
    assert [board.wake(), board.wake()] == [FIRST, WARM]


def test_deep_sleep_uses_a_session_once(small_board, host, tmp_path):
    host.handle("dht", lambda _: None)
    board = Sleeper(small_board, host, tmp_path)
    board.wake()
    old = board.rtc.read_bytes()
    assert len(old) == 10
    assert board.wake() == WARM
    board.rtc.write_bytes(old)  # as if it were used again: a round trip more, and no harm
    assert [board.wake(), board.wake()] == [FIRST, WARM]
    host.handle("dht", lambda _: asyncio.sleep(PATIENCE))
    board.crash()
    assert board.rtc.read_bytes() == b""
    host.handle("dht", lambda _: None)
    assert [board.wake(), board.wake()] == [FIRST, WARM]


def test_deep_sleep_sleeps_whatever_goes_wrong(small_board, host, tmp_path):
    board = Sleeper(small_board, host, tmp_path)
    (datagrams, calls), said = board.wake()
    assert calls == 0 and "no such action" in said[0]
    host.handle("dht", lambda _: None)
    board.rtc.write_bytes(b"not ours")
    assert board.wake() == FIRST
    board.rtc.write_bytes(b"\xff" * 10)
    assert "chunk" in board.wake()[1][0]
    assert board.wake() == FIRST, "what it found did not stay"
    host.server._sessions.receive = lambda *_: (None, None)
    assert board.wake()[1][0].endswith("maybe")  # under the session that it kept
    assert board.wake()[1][0].endswith("not run")


def test_deep_sleep_works_without_rtc_memory(small_board, host, tmp_path):
    """As on a Pico W."""
    host.handle("dht", lambda _: None)
    machine = re.sub(r"    def memory.*?(?=^def)", "    pass\n", SLEEPY, flags=re.S | re.M)
    assert "memory" not in machine
    board = Sleeper(small_board, host, tmp_path, machine)
    assert [board.wake() for _ in range(3)] == [FIRST, FIRST, FIRST]


# --- lock_server.py and lock_button.py ---

BUTTON = """
import os
class Pin:
    IN, PULL_UP = 0, 1
    def __init__(self, number, mode, pull):
        self.pressed = False
    def value(self):
        try:
            os.stat("pressed")
            self.pressed = True
        except OSError:
            if self.pressed:
                print("released")
            self.pressed = False
        return 0 if self.pressed else 1
"""
DOOR = 0x0D00B311


class Gate(Proxy):
    """A path on which somebody holds back the requests that could run, while `closed`."""

    closed = True

    def __init__(self, port):
        super().__init__(port)
        self.held = []

    def from_client(self, client, datagram):
        if self.closed and any(datagram[7:14]):  # sealed under a token
            self.held.append(datagram)
        else:
            super().from_client(client, datagram)


class Button:
    """The board beside the door."""

    def __init__(self, start, folder, port, key):
        equip(folder, port, machine=BUTTON)
        benserver.device_key(key, DOOR, folder / "key.sec")
        self._pressed = folder / "pressed"
        self._program = start(put("lock_button.py", folder, TIMEOUT=1.5))

    def press(self, hold=0):
        """What it says to a press that lasts until then, and so many seconds more."""
        self._pressed.touch()
        said = self._program.until(".*")[0]
        time.sleep(hold)
        self._pressed.unlink()
        self._program.until("released")
        return said


@pytest.mark.parametrize(("fresh", "opened"), [(1, 0), (0, 1)], ids=["fresh", "without"])
def test_lock_does_not_open_for_a_request_that_was_held_back(start, tmp_path, fresh, opened):
    """Without fresh= it does: so there is something to hold back."""
    server, board = tmp_path / "server", tmp_path
    server.mkdir()
    benserver.generate_new_secret(server / "key.sec")
    with run_on_host(put("lock_server.py", server, PORT=0, FRESH=fresh), server) as door:
        port = int(door.until("the lock listens on port (.*)")[1])
        with Gate(port) as gate:
            button = Button(start, board, gate.port, server / "key.sec")
            assert button.press() == "perhaps open: try the door"
            assert gate.held
            time.sleep(fresh)
            for datagram in gate.held:
                gate.call(gate.to_server, "somebody else", datagram)
            gate.closed = False
            assert button.press() == "open"
            time.sleep(1.1)  # the token is too old now: that costs a round trip
            before = len(gate.requests)
            assert button.press() == "open"
            assert len({datagram for _, datagram in gate.requests[before:]}) == (2 if fresh else 1)
    assert openings(door) == opened + 2, door.seen


def openings(door):
    """How often it opened, to be asked when the program has ended."""
    return door.seen.count("opening for front door")


def test_lock_button_says_what_is_true(start, tmp_path):
    master = tmp_path / "master.sec"
    said = []
    with Host(master) as host, Proxy(host.port) as proxy:
        button = Button(start, tmp_path, proxy.port, master)
        said.append(button.press())
        host.handle("open", lambda: False)
        said.append(button.press())
        proxy.up.faults.hole = True
        said += [button.press(), button.press()]
        proxy.up.faults.hole = False
        calls = len(host.calls)
        host.handle("open", lambda: True)
        said.append(button.press(hold=0.3))
    assert said == [
        "no: no such action: open",
        "the lock is stuck",
        "perhaps open: try the door",
        "shut: press again",
        "open",
    ]
    assert len(host.calls) == calls + 1, "one request for each press, and none ran later"


def test_lock_server_answers_no_other_board(tmp_path):
    benserver.generate_new_secret(tmp_path / "key.sec")
    with run_on_host(put("lock_server.py", tmp_path, PORT=0), tmp_path) as door:
        port = int(door.until("the lock listens on port (.*)")[1])
        with closing(client("127.0.0.1", port, 0.5, tmp_path / "key.sec", device=DOOR + 1)) as other:
            with pytest.raises(OSError, match="not run"):
                other.send({"action": "open"})
        with closing(client("127.0.0.1", port, PATIENCE, tmp_path / "key.sec", device=DOOR)) as link:
            assert link.send({"action": "open"}) is True
    assert openings(door) == 1


# --- watchdog.py ---

DOG = """
import os, time
class WDT:
    def __init__(self, timeout=5000):
        if timeout > 8388:
            raise ValueError("timeout exceeds 8388")
    def feed(self):
        print("fed")
class ADC:
    def __init__(self, channel):
        pass
    def read_u16(self):
        try:
            os.stat("hang")
        except OSError:
            return 100
        print("hanging")
        while True:
            time.sleep(1)
"""


def test_watchdog_is_fed_only_while_there_is_progress(start, host, tmp_path):
    host.handle("dht", lambda _: None)
    with Proxy(host.port) as proxy:
        equip(tmp_path, proxy.port, 1, DOG)
        board = start(put("watchdog.py", tmp_path, TIMEOUT=0.5, PATIENCE=3))
        board.until("fed")
        assert set(board.seen) == {"fed"}
        proxy.up.faults.hole = True
        board.until("no answer: .* maybe")
        board.until("fed")  # a short absence is forgiven
        for _ in range(3):
            board.until("no answer: .* not run")
        assert not any("fed" in line for line in board.seen[-2:]), board.seen
        proxy.up.faults.hole = False
        board.until("fed")
        (tmp_path / "hang").touch()
        board.until("hanging")
        time.sleep(1.5)  # longer than a step of a sleep
        assert board.seen[-1] == "hanging", "a board that hangs is not fed"


def test_watchdog_takes_what_an_esp8266_gives(start, host, tmp_path):
    """Its WDT takes no timeout; and a server that says no is one that is there."""
    equip(
        tmp_path, host.port, 1, DOG.replace("self, timeout=5000", "self").replace("timeout > 8388", "False")
    )
    board = start(put("watchdog.py", tmp_path))
    board.until("no such action")
    board.until("fed")


def test_watchdog_does_not_bite_in_a_send_or_a_sleep():
    limit, timeout = constant("LIMIT", "watchdog.py"), constant("TIMEOUT", "watchdog.py")
    assert limit <= 8388 and timeout * 1000 + 1000 < limit


# --- lamp.py, switch.py and listen_and_measure.py ---

ID = '\ndef unique_id():\n    return b"board"\n'
WIFI = """
STA_IF = 0
class WLAN:
    def __init__(self, interface):
        pass
    def active(self, on):
        pass
    def isconnected(self):
        print("Wi-Fi is looked at")
        return True
"""


def hurried(path, folder):
    """A copy that asks the server with a timeout of 1 s, not of 10."""
    text, count = re.subn(
        r"(?<=\(SERVER, PORT)((, NAME)?)(?=[,)])", r"\1, timeout=1", (folder / path).read_text()
    )
    assert count
    (folder / path).write_text(text)
    return path


@pytest.fixture
def desk(tmp_path):
    """Makes a Hub that sends, once the name that it is given has joined."""

    def sender(port, target):
        hub = Hub("127.0.0.1", port, "desk", "test", PATIENCE, tmp_path / "key.sec", device=1)
        stack.enter_context(closing(hub))
        deadline = time.monotonic() + PATIENCE
        while target not in [each["name"] for each in hub.targets()]:
            assert time.monotonic() < deadline, f"no {target} joined"
            time.sleep(0.05)
        return hub

    with contextlib.ExitStack() as stack:
        yield sender


def test_lamp_does_what_it_is_told_and_outlives_what_it_cannot_do(start, host, desk, tmp_path):
    equip(tmp_path, host.port, machine=LED + ID)
    lamp = start(put("lamp.py", tmp_path))
    hub = desk(host.port, "lamp")
    hub.send("lamp", True)
    lamp.until("^on for desk")
    for wrong in ("off", 0, None, {"on": False}):
        hub.send("lamp", wrong)
        lamp.until("^desk sent what is neither")
    hub.send("lamp", False)
    lamp.until("^off for desk")
    assert [line for line in lamp.seen if line.startswith("led")] == ["led True", "led False"]


def test_lamp_joins_wifi_again_and_is_back(start, host, desk, tmp_path):
    (tmp_path / "network.py").write_text(WIFI)
    with Proxy(host.port) as proxy:
        equip(tmp_path, proxy.port, machine=LED + ID)
        lamp = start(hurried(put("lamp.py", tmp_path), tmp_path))
        hub = desk(host.port, "lamp")
        proxy.up.faults.hole = True
        lamp.until("^no answer: ")
        lamp.until("^Wi-Fi is looked at")
        proxy.up.faults.hole = False
        hub.send("lamp", True)
        lamp.until("^on for desk")


def test_lamp_waits_until_its_name_is_free(start, desk, tmp_path):
    key = tmp_path / "key.sec"
    with Host(key, free_port()) as host:
        with closing(Hub("127.0.0.1", host.port, "lamp", keyfile=key, device=2)) as other:
            assert other.receive(0) is None
        equip(tmp_path, host.port, machine=LED + ID)
        lamp = start(hurried(put("lamp.py", tmp_path, PAUSE=0.1), tmp_path))
        for _ in range(2):
            lamp.until("^refused: .*lamp is taken")
    with Host(key, host.port):  # a server that was started anew knows no names
        desk(host.port, "lamp").send("lamp", True)
        lamp.until("^on for desk")


def test_lamp_says_so_where_it_has_no_pin(start, host, desk, tmp_path):
    equip(tmp_path, host.port, machine=ID)
    lamp = start(put("lamp.py", tmp_path))
    desk(host.port, "lamp").send("lamp", True)
    lamp.until("^on for desk")
    assert lamp.seen == ["on for desk"]


class Switch:
    """The program at the desk: what it says, and whether a script would take it for success."""

    def __init__(self, folder):
        self._folder = folder

    def __call__(self, word, port, server="127.0.0.1"):
        path = put("switch.py", self._folder, SERVER=server, PORT=port, TIMEOUT=2)
        with run_on_host(path, self._folder, word) as program:
            said = program.until(".*")[0]
            return said, program.process.wait(PATIENCE) == 0


def test_switch_tells_what_became_of_it(start, host, desk, tmp_path):
    switch = Switch(tmp_path)
    assert switch("on", host.port) == ("refused: no such target: lamp", False)
    equip(tmp_path, host.port, machine=LED + ID)
    lamp = start(put("lamp.py", tmp_path))
    desk(host.port, "lamp").close()
    assert switch("on", host.port) == ("delivered: the lamp has got it", True)
    lamp.until("^on for desk")
    assert switch("off", host.port) == ("delivered: the lamp has got it", True)
    lamp.until("^off for desk")
    lamp.process.kill()
    lamp.process.wait()
    unknown = "unknown: the lamp has got it once, or not at all; send it again"
    away = "not delivered: the lamp has not got it and never will"
    assert switch("on", host.port) == (unknown, False), "the server has handed it out"
    assert switch("on", host.port) == (away, False)
    host.server.stop()
    assert switch("on", host.port) == (away, False)
    said, success = switch("on", host.port, server="no host")
    assert said.startswith("not delivered: ") and said != away and not success


def test_switch_hears_that_it_may_not(start, desk, tmp_path):
    with Host(tmp_path / "key.sec", senders={"phone"}) as host:
        equip(tmp_path, host.port, machine=LED + ID)
        start(put("lamp.py", tmp_path))
        desk(host.port, "lamp")
        assert Switch(tmp_path)("on", host.port) == ("refused: desk may not send", False)


@pytest.mark.parametrize("word", ["", "toggle"])
def test_switch_says_what_it_takes(word, host, tmp_path):
    assert Switch(tmp_path)(word, host.port) == ("python switch.py on, or python switch.py off", False)


def test_listen_and_measure_does_both_at_once(start, host, desk, tmp_path):
    listening = []  # for each reading: whether the board waited for a message meanwhile
    heard = asyncio.Event()

    async def slow(_):
        meter = host.server.hub._targets.get("meter")
        listening.append(bool(meter and meter.waiter))
        if len(host.calls) == 2:
            await heard.wait()

    host.handle("dht", slow)
    equip(tmp_path, host.port, 3600, ID)  # so that nothing but a command brings a second reading
    meter = start(put("listen_and_measure.py", tmp_path))
    hub = desk(host.port, "meter")
    host.wait_for_calls(1)
    for wrong in ("fast", 0, -1, 1e9, None, [1]):
        hub.send("meter", wrong)
        meter.until("^desk sent what is no interval")
    hub.send("meter", 1)
    meter.until("^every 1 s for desk")
    host.wait_for_calls(2)
    hub.send("meter", 1.5)  # delivered while the answer to a reading is awaited
    assert len(host.calls) == 2
    host.server._loop.call_soon_threadsafe(heard.set)
    host.wait_for_calls(5)
    assert any(listening[1:])


def test_listen_and_measure_goes_on_whatever_one_half_meets(start, desk, tmp_path):
    key = tmp_path / "key.sec"
    with Host(key, free_port()) as host:
        with closing(Hub("127.0.0.1", host.port, "meter", keyfile=key, device=2)) as other:
            assert other.receive(0) is None
        equip(tmp_path, host.port, 1, ID)
        (tmp_path / "network.py").write_text(WIFI)
        meter = start(hurried(put("listen_and_measure.py", tmp_path, PAUSE=0.1), tmp_path))
        meter.until("^refused: .*meter is taken")
        meter.until("^the server says: .*no such action")
        host.handle("dht", lambda _: None)
        host.wait_for_calls(1)
    meter.until("^no answer: ")
    meter.until("^Wi-Fi is looked at")
    with Host(key, host.port) as host:
        host.handle("dht", lambda _: None)
        host.wait_for_calls(1)
        desk(host.port, "meter").send("meter", 2)
        meter.until("^every 2 s for desk")


# --- mqtt_forwarder.py ---


@pytest.fixture
def broker(tmp_path):
    """A mosquitto: its port, and what starts it."""
    try:
        program = shutil.which("mosquitto") or debian.program("mosquitto", "/usr/sbin/mosquitto")
    except Missing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"  # as whom root runs it
    )
    command = [program, "-c", "mosquitto.conf"]

    def start():
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        log = stack.enter_context(Program(process))
        log.until("running")
        return process

    with contextlib.ExitStack() as stack:
        yield port, start


def test_mqtt_forwarder_lets_home_assistant_find_a_board(broker, small_board, tmp_path):
    port, start_broker = broker
    benserver.generate_new_secret(tmp_path / "key.sec")
    path = put("mqtt_forwarder.py", tmp_path, BROKER="127.0.0.1", BROKER_PORT=port, PORT=0)
    with run_on_host(path, tmp_path) as forwarder, contextlib.ExitStack() as stack:
        board = [small_board, forwarder.until("forwarding from port (.*)")[1]]
        assert send_reading(*board, 20) == "1 ConnectionError"
        process = start_broker()
        live = stack.enter_context(Subscriber(port))
        send_until(*board, 21.5, "None")
        assert live.next(2) == MESSAGES
        late = stack.enter_context(Subscriber(port))
        assert late.next(2) == MESSAGES, "who comes later gets it, too"
        assert send_reading(*board, 22) == "None"
        assert live.next(2)["ben/ben_00000001/temperature"] == 22
        process.kill()
        send_until(*board, 23, "1 ConnectionError")


MESSAGES = {
    "homeassistant/sensor/ben_00000001_temperature/config": {
        "name": "temperature",
        "unique_id": "ben_00000001_temperature",
        "device_class": "temperature",
        "unit_of_measurement": "°C",
        "state_topic": "ben/ben_00000001/temperature",
        "device": {"identifiers": ["ben_00000001"], "name": "kitchen"},
    },
    "ben/ben_00000001/temperature": 21.5,
}
READING = """
import sys
from ben import BenError, Hub, client
try:
    print(client("127.0.0.1", int(sys.argv[1]), device=1, timeout=20).send(
        {"action": "dht", "data": {"temperature": eval(sys.argv[2]), "a/b": 1}}))
except BenError as error:
    print(error.status, error.text)
"""


def send_reading(board, port, temperature):
    """What becomes of it."""
    return board.run(READING, port, temperature, heap=HEAP).strip()


def send_until(board, port, temperature, wanted):
    """Until the forwarder has noticed that the broker came or went."""
    deadline = time.monotonic() + PATIENCE
    while (said := send_reading(board, port, temperature)) != wanted:
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


class Subscriber:
    """What a subscriber of a broker gets."""

    def __init__(self, port):
        self._got = queue.Queue()
        subscribed = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _client, _data, message: self._got.put(message)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("#")
        assert subscribed.wait(PATIENCE)

    def next(self, count):
        """{topic: value} of so many messages."""
        messages = [self._got.get(timeout=PATIENCE) for _ in range(count)]
        return {message.topic: json.loads(message.payload) for message in messages}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()


# --- server_actions.py ---


def test_server_actions_of_each_kind(tmp_path):
    benserver.generate_new_secret(tmp_path / "key.sec")
    os.mkfifo(tmp_path / "readings.csv")  # as slow as a disk can be: nothing goes on before it is read
    with contextlib.ExitStack() as stack:
        serve = stack.enter_context(ServeProcess(tmp_path, "--actions", EXAMPLES / "server_actions.py"))
        threads = stack.enter_context(ThreadPoolExecutor())

        def link(device):
            made = client("127.0.0.1", serve.port, PATIENCE, tmp_path / "key.sec", device=device)
            return stack.enter_context(closing(made))

        one, two = link(1), link(2)
        writing = threads.submit(link(3).send, {"action": "dht", "data": {"temperature": 21.5}})
        assert [one.send({"action": "rain", "data": 2}) for _ in range(2)] == [2, 4]
        assert two.send({"action": "rain", "data": 5}) == 5
        assert one.send({"action": "pace"}) == 0.2
        with pytest.raises(BenError, match="TypeError"):
            one.send({"action": "rain", "data": "wet"})
        assert one.send({"action": "listen", "data": 0.1}) is False
        listening = threads.submit(one.send, {"action": "listen", "data": 5})
        while not (rung := two.send({"action": "ring"})):
            pass
        assert rung == 1 and listening.result(PATIENCE) is True
        assert not writing.done(), "it holds up nobody"
        with open(tmp_path / "readings.csv", newline="") as file:
            assert writing.result(PATIENCE) is None
            ((_, device, temperature),) = csv.reader(file)
        assert (device, temperature) == ("00000003", "21.5")

#!/usr/bin/env python3
"""Check ben on a real board, plugged in over USB, and print a report to paste into an issue.

    tools/board_check.py                                   the board that mpremote finds, Wi-Fi from config.py
    tools/board_check.py --port /dev/ttyUSB0 --compiled    an ESP8266, which has no memory to compile ben

It copies ben and a new key into a folder of its own on the board, joins Wi-Fi, starts a server on this machine,
and lets the board send readings through what can go wrong. Then it removes the folder and restarts the board; the
board's own files stay as they are. (An ESP8266 remembers the Wi-Fi that it joined last.) It takes about a minute.

Exit status: 0 all is well, 1 a check failed, 2 the checks could not be made; then it says why.
"""

import argparse
import ast
import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: see tools/demo.py
sys.path[1:1] = [os.path.join(ROOT, name) for name in ("lib", "host")]

from tools import environment  # noqa: E402
from tools.cache import Missing  # noqa: E402

FOLDER = "/ben-check"  # on the board
PATIENCE = 150  # s for one step on the board; a dozen sends without an answer take 120
RESTART = 40  # s for a board to come back after a reset, its USB included
LISTEN = 10  # s for the server to listen
SETTLED = 3  # s; a send() within a round trip of the server's restart may hear "maybe": docs/protocol.md
PAYLOAD = 1500  # bytes: more than one datagram holds

# What each step begins with after the board was restarted.
PRELUDE = f"""
import gc, json, sys
sys.path.insert(0, "{FOLDER}")
def tell(value):
    print("ben-check=" + json.dumps(value))
"""

FACTS = """
gc.collect()
free = gc.mem_free()
import os
def has(name):
    try:
        __import__(name)
        return True
    except ImportError:
        return False
facts = [["implementation", str(sys.implementation)], ["platform", sys.platform], ["version", sys.version]]
if hasattr(os, "uname"):
    facts.append(["uname", str(os.uname())])
for name in ("cryptolib", "socket", "network", "asyncio", "_thread", "machine"):
    facts.append([name, has(name)])
if has("machine"):
    import machine
    if hasattr(machine, "freq"):
        facts.append(["freq", str(machine.freq())])
    # Its length only: the number itself is nobody's business.
    facts.append(["unique_id", hasattr(machine, "unique_id") and len(machine.unique_id())])
facts.append(["free", free])
tell(facts)
"""

JOIN = """
import network
from time import sleep_ms, ticks_diff, ticks_ms
def join(ssid, password, wait):
    if not hasattr(network, "WLAN"):
        return "none", ""
    wlan = network.WLAN(network.STA_IF)
    try:
        if not wlan.isconnected():
            if not ssid:
                return "no names", ""
            wlan.active(True)
            wlan.connect(ssid, password)
        began = ticks_ms()
        while not wlan.isconnected():
            if ticks_diff(ticks_ms(), began) > wait:
                return "status %s" % wlan.status(), ""
            sleep_ms(100)
        return "joined", wlan.ifconfig()[0]
    except OSError as error:
        return str(error), ""
tell(join(SSID, PASSWORD, 30000))
"""

LINK = """
from errno import ETIMEDOUT
from ben import BenError, client
from time import ticks_diff, ticks_us
def connect(timeout=10, key="key.sec", **options):
    return client(ADDRESS, PORT, timeout, FOLDER + "/" + key, **options)
def send(number):
    # what became of it: its number, or "not run", "maybe", or the server's words
    try:
        return link.send({"action": "reading", "data": {"number": number}})
    except BenError as error:
        return error.text
    except OSError as error:
        return error.args[1] if error.args[0] == ETIMEDOUT else str(error)
link = connect()
"""

REMOVE = f"""
import os
def remove(path):
    try:
        names = os.listdir(path)
    except OSError:
        names = ()
    for name in names:
        remove(path + "/" + name)
    try:
        os.remove(path)
    except OSError:
        try:
            os.rmdir(path)
        except OSError:
            pass
remove("{FOLDER}")
tell(sorted(os.listdir("/")))
"""


class Stop(Exception):
    """The checks cannot be made or go on; the message says why."""


class Failed(Exception):
    """A check that failed; the message says what happened."""


class Skipped(Exception):
    """A check that this board has no use for."""


# --- the board ---


class Board:
    """What mpremote reaches at a serial port. Between resets it keeps its names, so that steps go on from others."""

    def __init__(self, port):
        self._port = port

    def run(self, source, restarted=False, timeout=PATIENCE):
        """What the source told, as a list; restarted: after a soft reset, which begins with empty memory."""
        # In a file, for a command line can be read by every user of this machine.
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(source)
            file.flush()
            words = ["run", file.name] if restarted else ["resume", "run", file.name]
            status, output = self.mpremote(*words, timeout=timeout)
        if status:
            raise (Failed if "Traceback" in output else Stop)(last_line(output))
        return [json.loads(told) for told in re.findall("^ben-check=(.*)$", output, re.MULTILINE)]

    def ask(self, source, **options):
        """The one thing that the source told."""
        told = self.run(source, **options)
        if len(told) != 1:
            raise Failed(f"the board told {len(told)} things instead of one")
        return told[0]

    def last_word(self, source):
        """ask() after a soft reset, where a step that was broken off may still keep the board busy."""
        for _ in range(2):
            with contextlib.suppress(Stop, Failed):
                return self.ask(source, restarted=True)
        return self.ask(source, restarted=True)

    def mpremote(self, *words, timeout=PATIENCE):
        """(exit status, output) of an mpremote."""
        command = [sys.executable, "-m", "mpremote", "connect", self._port, *words]
        try:
            # In a session of its own: Ctrl-C is ours, and the board is to be tidied up first.
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise Stop(f"the board did not answer within {timeout} s") from None
        return done.returncode, done.stdout.decode(errors="replace").replace("\r", "")

    def restart(self):
        """Resets it as its button does, and waits until it is back."""
        self.mpremote("reset")
        deadline = time.monotonic() + RESTART
        while True:
            time.sleep(1)  # until it begins; USB may go away with it
            try:
                return self.run(PRELUDE, restarted=True, timeout=20)
            except Stop:
                if time.monotonic() > deadline:
                    raise Stop(f"after a reset the board did not come back within {RESTART} s") from None


def last_line(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return (lines or ["mpremote failed without a word"])[-1]


# --- the server ---


class Station:
    """A server with its key in a folder; it can be stopped, replaced, and made to lose datagrams."""

    def __init__(self, folder, address, port):
        from benserver import generate_new_secret

        self.key = os.path.join(folder, "key.sec")
        generate_new_secret(self.key)
        self.address = address
        self.port = port
        self.numbers = []  # of the readings that arrived
        self.lossy = False
        self.lost = 0
        self._datagrams = 0

    def start(self):
        """Begins a new server, which knows nothing of an earlier one."""
        from benserver import Server

        self._server = Server(self.address, self.port, self.key)
        self._server.add_action_handler("reading", self._reading)
        self._server.add_action_handler("echo", lambda data: data)
        self._lose_datagrams(self._server._sessions)
        self._error = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._server.listening.wait(LISTEN if self._thread.is_alive() else 0)
        if not self._server.listening.is_set():
            raise Stop(f"no server can listen on {self.address} port {self.port} here: {self._error}")
        self.port = self._server.port

    def stop(self):
        self._server.stop()
        self._thread.join()

    def _serve(self):
        try:
            self._server.start()
        except OSError as error:
            self._error = error

    def _reading(self, data):
        self.numbers.append(data["number"])
        return data["number"]

    def _lose_datagrams(self, sessions):
        receive, finish = sessions.receive, sessions.finish

        def lost():
            self._datagrams += 1
            loses = self.lossy and self._datagrams % 3 == 0
            self.lost += loses
            return loses

        def receive_some(datagram, now):
            return (None, None) if lost() else receive(datagram, now)

        def finish_some(*arguments):
            reply = finish(*arguments)
            return None if lost() else reply

        sessions.receive, sessions.finish = receive_some, finish_some


def own_address(board_address):
    """This machine's address in the network where the board is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((board_address, 9))  # nothing is sent
        return sock.getsockname()[0]


# --- the checks: each returns what it saw, or raises Failed or Skipped ---


class Checks:
    def __init__(self, board, station, facts, join):
        self.board = board
        self.station = station
        self.facts = facts
        self.join = join  # runs after each restart

    def link(self):
        """The beginning of a step's source on a board that has just been restarted, its memory empty."""
        self.board.run(PRELUDE, restarted=True)
        self.join()
        names = f'ADDRESS, PORT, FOLDER = "{self.station.address}", {self.station.port}, "{FOLDER}"\n'
        self.board.run(names + LINK)

    def contact(self):
        """The first reading; without it nothing else makes sense."""
        self.link()
        got = self.board.ask("tell(send(0))")
        if got != 0:
            raise Stop(
                f"the board's first reading did not arrive ({got}). Is UDP port {self.station.port} of "
                f"{self.station.address} open in this machine's firewall, and is the board in the same network? "
                "--address and --udp-port name others"
            )

    def readings(self):
        """ten readings"""
        return self._all_arrive(10)

    def loss(self):
        """every third datagram lost"""
        self.station.lossy = True
        try:
            return f"{self._all_arrive(12)}, {self.station.lost} datagrams lost"
        finally:
            self.station.lossy = False

    def _all_arrive(self, count):
        self.station.numbers.clear()
        got = self.board.ask(f"tell([send(i) for i in range({count})])")
        expect(got == list(range(count)), f"the board was told {got}")
        expect(self.station.numbers == got, f"the server got {self.station.numbers}")
        return f"{count} of {count}, each once"

    def long(self):
        """a long message both ways"""
        step = f"""
data = bytes(i & 255 for i in range({PAYLOAD}))
tell(link.send({{"action": "echo", "data": data}}) == data)
del data
"""
        expect(self.board.ask(step), "what came back is not what was sent")
        return f"{PAYLOAD} bytes"

    def restarted_server(self):
        """the server restarts, stops and comes back"""
        ask = self.board.ask
        self.station.numbers.clear()
        first = ask("tell(send(1))")
        self.station.stop()
        self.station.start()
        time.sleep(SETTLED)
        second = ask("tell(send(2))")
        self.station.stop()
        try:
            third = ask("link.close(); link = connect(3); tell(send(3))")
        finally:
            self.station.start()
        fourth = ask("link = connect(); tell(send(4))")
        expect([first, second, fourth] == [1, 2, 4], f"the board was told {[first, second, fourth]}")
        expect(third == "not run", f"while there was no server, the board was told {third!r}")
        expect(self.station.numbers == [1, 2, 4], f"the server got {self.station.numbers}")
        return 'the next send works; meanwhile it says "not run"'

    def wrong_key(self):
        """a wrong key"""
        self.station.numbers.clear()
        got = self.board.ask('link.close(); link = connect(3, "wrong.sec"); tell(send(5))')
        expect(got == "not run" and not self.station.numbers, f"the board was told {got!r}")
        return "gets no answer"

    def session(self):
        """a session handed over, as before and after deep sleep"""
        self.link()
        before = self.board.ask(
            'link = connect(device=1); send(6); tell("".join("%02x" % each for each in link.session))'
        )
        self.link()
        step = f"""
from binascii import hexlify, unhexlify
link = connect(device=1, session=unhexlify("{before}"))
tell([send(7), hexlify(link.session).decode()])
"""
        got, after = self.board.ask(step)
        expect(got == 7, f"the board was told {got!r}")
        # The same token as before: had the server forgotten the session, it would have sent a new one.
        expect(after[:16] == before[:16], "the server did not know the session any more")
        return "goes on in one round trip"

    def times(self):
        """a hundred sends: time"""
        self.link()
        step = """
gc.collect()
start = gc.mem_free()
low = start
times = []
recv = link._socket.recv
def watched(ms):
    global low
    low = min(low, gc.mem_free())
    got = recv(ms)
    low = min(low, gc.mem_free())
    return got
link._socket.recv = watched
for number in range(100):
    began = ticks_us()
    if send(number) != number:
        break
    times.append(ticks_diff(ticks_us(), began))
times.sort()
sent, median, worst = len(times), times[len(times) // 2] if times else 0, max(times or [0])
del times
gc.collect()
tell([start, low, gc.mem_free(), sent, median, worst])
"""
        start, low, after, sent, median, worst = self.board.ask(step)
        self.heap = start, low, after
        expect(sent == 100, f"the one after {sent} was not answered")
        return f"median {median / 1000:.1f} ms, worst {worst / 1000:.1f} ms"

    def memory(self):
        """a hundred sends: memory"""
        if not hasattr(self, "heap"):
            raise Skipped("there was no such hundred")
        start, low, after = self.heap
        text = (
            f"free after a restart {self.facts['free']}, with ben and a client {start}, "
            f"lowest seen in a send {low}, after 100 sends {after} bytes"
        )
        # The list of a hundred times is gone, but a heap that was in pieces keeps a few blocks.
        expect(start - after < 1024, text)
        return text

    def aio(self):
        """the asyncio client"""
        if not self.facts["asyncio"]:
            raise Skipped("this board has no asyncio")
        self.board.run(PRELUDE, restarted=True)
        self.join()
        step = f"""
import asyncio
from ben import aio
async def main():
    link = aio.Client("{self.station.address}", {self.station.port}, keyfile="{FOLDER}/key.sec")
    async def some(first):
        for number in range(first, first + 5):
            replies.append(await link.send({{"action": "reading", "data": {{"number": number}}}}))
    await asyncio.gather(some(0), some(5))
replies = []
asyncio.run(main())
tell(sorted(replies))
"""
        self.station.numbers.clear()
        got = self.board.ask(step)
        expect(got == list(range(10)), f"the board was told {got}")
        expect(sorted(self.station.numbers) == list(range(10)), f"the server got {self.station.numbers}")
        return "two tasks, five sends each"

    def random(self):
        """os.urandom, also after a reset"""
        draw = """
from os import urandom
from binascii import hexlify
tell([hexlify(urandom(16)).decode() for _ in range(32)])
"""
        self.board.restart()
        first = self.board.ask(draw)
        self.board.restart()
        both = first + self.board.ask(draw)
        expect(len(set(both)) == len(both), "numbers come again: an old reply could be taken for a new one")
        bits = "".join(f"{int(each, 16):0128b}" for each in both)
        ones = bits.count("1")
        # 8192 bits: eight standard deviations, so that it is never chance
        expect(abs(ones - len(bits) // 2) < 362, f"{ones} of {len(bits)} bits are set")
        return f"{len(both)} draws of 16 bytes, no two alike, {100 * ones / len(bits):.1f} % of bits set"

    ORDER = (readings, long, loss, restarted_server, wrong_key, session, times, memory, aio, random)


def expect(true, otherwise):
    if not true:
        raise Failed(otherwise)


# --- what goes around the checks ---


def main(arguments):
    options = parser().parse_args(arguments)
    wifi = wifi_names(options.wifi_from)
    board = Board(options.port)
    with tempfile.TemporaryDirectory(prefix="ben-check-") as folder:
        facts, files = look(board)
        try:
            failed = check(board, facts, wifi, options, folder)
        finally:
            left = tidy_up(board)
        if left != files:
            report("failed", "the board's files", f"they were {files}, and are {left}")
        else:
            report("ok", "the board's files", "are as they were, and it was restarted")
        return 1 if failed or left != files else 0


def parser():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--port", default="auto", help="the board's serial port (default: the first that mpremote finds)"
    )
    parser.add_argument(
        "--wifi-from",
        metavar="FILE",
        help="a config.py with WIFI_SSID and WIFI_PASSWORD (default: config.py of this checkout, if there is one)",
    )
    parser.add_argument(
        "--address", help="this machine's address, where the board is to find it (default: it is found)"
    )
    parser.add_argument(
        "--udp-port", type=int, default=0, metavar="N", help="the server's port (default: a free one)"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="check the compiled package: an ESP8266 needs that"
    )
    parser.add_argument(
        "--only", metavar="WORDS", default="", help="only the checks that have WORDS in their names"
    )
    return parser


def wifi_names(path):
    """(ssid, password) as a config.py has them; (None, None) where there is none."""
    default = os.path.join(ROOT, "config.py")
    if not path and not os.path.exists(default):
        return None, None
    path = path or default
    try:
        with open(path) as file:
            tree = ast.parse(file.read())
        # Read, not run: it is written for the board.
        names = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and node.targets[0].id.startswith("WIFI_")
        }
        return names["WIFI_SSID"], names["WIFI_PASSWORD"]
    except (OSError, SyntaxError, ValueError, AttributeError, KeyError) as error:
        raise Stop(
            f"{path} does not tell WIFI_SSID and WIFI_PASSWORD as config.example.py does: {error!r}"
        ) from None


def look(board):
    """(facts, the names of its files), before anything is changed; prints what the report begins with."""
    import ben

    try:
        facts = dict(board.ask(PRELUDE + FACTS, restarted=True))
        # What a check that was broken off left is removed first.
        files = board.ask(REMOVE)
    except (Stop, Failed) as error:
        raise Stop(
            f"there is no MicroPython board to talk to: {error}. Is it plugged in, and is no other program using it? "
            "'mpremote devs' lists the ports, and --port names one"
        ) from None
    print(f"ben {ben.__version__}, board check of {time.strftime('%Y-%m-%d')}")
    for name, value in facts.items():
        print(f"    {name}: {value}")
    sys.stdout.flush()
    if not facts["cryptolib"] or not facts["socket"]:
        raise Stop("this board's MicroPython has no cryptolib or no socket: ben cannot run on it")
    return facts, files


def check(board, facts, wifi, options, folder):
    """Makes all checks; the number of those that failed."""

    def join():
        if not facts["network"]:
            return None
        names = f"SSID, PASSWORD = {wifi[0]!r}, {wifi[1]!r}\n"
        status, address = board.ask(names + JOIN)
        if status == "no names":
            raise Stop("the board is not on Wi-Fi: name a file with its name and password in --wifi-from")
        if status not in ("joined", "none"):
            raise Stop(f"the board cannot join Wi-Fi: {status}")
        return address

    address = join()
    if address:
        report("ok", "Wi-Fi", "joined")
    else:
        report("skipped", "Wi-Fi", "this board has none; its network must be up by itself")
    here = options.address or own_address(address or "127.0.0.1")
    if here.startswith("127.") and facts["platform"] != "linux":
        raise Stop("which address of this machine the board can reach is not known: name it in --address")
    station = Station(folder, here, options.udp_port)
    copy(board, station.key, options.compiled, folder)
    report("ok", "copied to the board", "compiled" if options.compiled else "as source")
    station.start()
    try:
        checks = Checks(board, station, facts, join)
        checks.contact()
        return sum(not passes(checks, each) for each in Checks.ORDER if options.only in each.__doc__)
    finally:
        station.stop()


def copy(board, key, compiled, folder):
    """Puts what package.json lists into a folder of its own on the board, a key and a wrong one."""
    tree = ROOT
    if compiled:
        tree = os.path.join(folder, "compiled")
        command = [sys.executable, os.path.join(ROOT, "tools", "release.py"), tree]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise Stop(f"it cannot be compiled: {last_line(done.stderr)}")
    wrong = os.path.join(folder, "wrong.sec")
    with open(wrong, "wb") as file:
        file.write(os.urandom(32))
    words = ["resume", "fs", "mkdir", ":" + FOLDER, "+", "fs", "mkdir", f":{FOLDER}/ben"]
    with open(os.path.join(tree, "package.json")) as file:
        files = [(os.path.join(tree, source), target) for target, source in json.load(file)["urls"]]
    for path, target in [*files, (key, "key.sec"), (wrong, "wrong.sec")]:
        words += ["+", "fs", "cp", path, f":{FOLDER}/{target}"]
    status, output = board.mpremote(*words, timeout=3 * PATIENCE)
    if status:
        raise Stop(f"ben cannot be copied to the board: {last_line(output)}")


def passes(checks, each):
    """Makes one check and prints what came of it; False if it failed."""
    try:
        verdict, text = "ok", each(checks)
    except Failed as error:
        verdict, text = "failed", error
    except Skipped as error:
        verdict, text = "skipped", error
    report(verdict, each.__doc__, text)
    return verdict != "failed"


def report(verdict, what, text):
    print(f"{verdict:<8}{what}: {text}", flush=True)


def tidy_up(board):
    """Leaves the board as it was; the names of its files."""
    # A second Ctrl-C would leave it half done.
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        left = board.last_word(PRELUDE + REMOVE)
        board.mpremote("reset")
        return left
    except (Stop, Failed) as error:
        raise Stop(
            f"the board could not be tidied up ({error}): remove its folder {FOLDER} yourself"
        ) from None
    finally:
        for each, old in before.items():
            signal.signal(each, old)


def with_packages():
    """Goes on as a Python that has mpremote and the cipher, if this one has not."""
    if not all(map(importlib.util.find_spec, ("mpremote", "Crypto"))):
        python = environment.python("test")
        sys.stdout.flush()
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])


def run(arguments):
    """The exit status; what is in the way is said in one line."""
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        if not re.search("^(-h|--help)$", "\n".join(arguments), re.MULTILINE):
            with_packages()
        return main(arguments)
    except (Stop, Missing) as error:
        print(f"ben: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

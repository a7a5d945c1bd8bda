"""A CoAP server on a board, byte by byte: what goes to it, and all that comes back (RFC 7252, 7959, 7641, 7967)."""

import re
import time

import pytest

from ben.coap.layer import Layer
from ben.coap.resources import Resources
from board import Board, interpreter
from conftest import RUNTIMES
from peers import PATIENCE, Raw, free_port

SERVER = """
counts = {}
store = [b"0"]

def count(request):
    counts[request.peer] = counts.get(request.peer, 0) + 1
    return str(counts[request.peer])

def put(request):
    store[0] = request.payload
    server.notify("store")

def up(request):
    return "%s %d" % (count(request), len(request.payload))

every = {name: count for name in ("get", "post", "put", "delete", "fetch", "patch", "ipatch")}
server = Server(int(sys.argv[1]), "127.0.0.1")
server.add("count", **every)
server.add("calls", get=lambda request: str(counts.get(request.peer, 0)))
server.add("store", get=lambda request: store[0], put=put, obs=True)
server.add("a/b/c", get=lambda request: request.path)
server.add("big", get=lambda request: bytes(range(250)) * 12)
server.add("up", put=up)
server.add("slow", get=slow)
server.add("fail", get=lambda request: 1 // 0)
server.add("odd", get=lambda request: 5)
run()
"""
DRIVERS = {
    "blocking": "import sys, time\nfrom ben.coap import Server\n"
    "def run():\n    server.run()\n"
    "def slow(request):\n    request.acknowledge()\n    time.sleep(0.3)\n    return 'late ' + count(request)\n",
    "asyncio": "import asyncio, sys\nfrom ben.coap import aio\nServer = aio.Server\n"
    "def run():\n    asyncio.run(server.run())\n"
    "async def slow(request):\n    await asyncio.sleep(1)\n    return 'late ' + count(request)\n",
}
KINDS = [(runtime, driver) for runtime in RUNTIMES[1:] for driver in DRIVERS]
PING, PONG = "40 00 FF FF", bytes.fromhex("70 00 FF FF")


class Served:
    """A server's process, and the sockets that have spoken with it: each a peer that it never saw before."""

    def __init__(self, board, driver, heap=None):
        self.port = free_port()
        self._process = board.start(DRIVERS[driver] + SERVER, self.port, heap=heap)
        self._peers = []
        deadline = time.monotonic() + PATIENCE
        while self.peer().ask(PING, timeout=0.02) is None:
            assert self._process.poll() is None and time.monotonic() < deadline

    def peer(self):
        """A new one; all stay open, so that none has the port of one before."""
        self._peers.append(Raw(self.port))
        return self._peers[-1]

    def end(self):
        """Ends it; AssertionError if it had ended by itself, or complained."""
        died = self._process.poll()
        self._process.kill()
        said = self._process.communicate()
        for peer in self._peers:
            peer.__exit__()
        assert (died, *said) == (None, "", "")


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def served(request, tmp_path_factory):
    """A server of each runtime and driver."""
    runtime, driver = request.param
    served = Served(Board(interpreter(runtime), tmp_path_factory.mktemp("served")), driver)
    yield served
    served.end()


@pytest.fixture
def peer(served):
    return served.peer()


def octets(line):
    """The bytes of "40 01 'text' 3*FF"; a dot stands for any digit, NUMBER for any Observe option."""
    line = line.replace("NUMBER", "6(1..|2....|3......)")
    line = re.sub(r"'(.*?)'", lambda found: found[1].encode().hex(), line)
    line = re.sub(r"(\d+)\*(..)", lambda found: int(found[1]) * found[2], line)
    return line.replace(" ", "").lower()


def send(peer, line):
    peer.send(octets(line))


def expect(peer, line):
    """What comes next is this; returns it."""
    came = peer.receive(10)
    assert came is not None, f"nothing came instead of {line}"
    assert re.fullmatch(octets(line), came.hex()), f"{came.hex(' ')} {came} instead of {line}"
    return came


def nothing(peer):
    """Nothing has come but the answer to a ping, which is sent last."""
    came = peer.ask(PING)
    assert came == PONG, f"{came.hex(' ')} {came}"


def converse(peer, conversation):
    """Sends the lines that begin with >, and expects those with <, and nothing else."""
    for line in conversation.strip().splitlines():
        way, what = line.strip().split(" ", 1)
        (send if way == ">" else expect)(peer, what)
    nothing(peer)


COUNT = "B5 'count'"
CONVERSATIONS = {
    # --- copies ---
    "a copy of a CON": """
        > 42 02 00 01 AB CD B5 'count'
        < 62 44 00 01 AB CD FF '1'
        > 42 02 00 01 AB CD B5 'count'
        < 62 44 00 01 AB CD FF '1'
        > 42 02 00 01 AB CD B5 'count'
        < 62 44 00 01 AB CD FF '1'
        > 42 02 00 02 AB CD B5 'count'
        < 62 44 00 02 AB CD FF '2'""",
    "a copy of a NON": """
        > 52 02 00 01 AB CD B5 'count'
        < 52 44 .. .. AB CD FF '1'
        > 52 02 00 01 AB CD B5 'count'
        > 52 02 00 02 AB CD B5 'count'
        < 52 44 .. .. AB CD FF '2'""",
    "a NON with the id of a CON": """
        > 40 02 00 01 B5 'count'
        < 60 44 00 01 FF '1'
        > 50 02 00 01 B5 'count'""",
    "a copy of one that was refused": """
        > 40 01 00 01 B4 'nope'
        < 60 84 00 01
        > 40 01 00 01 B4 'nope'
        < 60 84 00 01""",
    "a copy of one with a bad path": """
        > 40 01 00 01 B1 FF
        < 70 00 00 01
        > 40 01 00 01 B1 FF
        < 70 00 00 01""",
    # --- methods, paths ---
    "GET": "> 40 01 00 01 B5 'count'\n < 60 45 00 01 FF '1'",
    "POST": "> 40 02 00 01 B5 'count'\n < 60 44 00 01 FF '1'",
    "PUT": "> 40 03 00 01 B5 'count'\n < 60 44 00 01 FF '1'",
    "DELETE": "> 40 04 00 01 B5 'count'\n < 60 42 00 01 FF '1'",
    "FETCH": "> 40 05 00 01 B5 'count'\n < 60 45 00 01 FF '1'",
    "PATCH": "> 40 06 00 01 B5 'count'\n < 60 44 00 01 FF '1'",
    "iPATCH": "> 40 07 00 01 B5 'count'\n < 60 44 00 01 FF '1'",
    "0.08": "> 40 08 00 01 B5 'count'\n < 60 85 00 01",
    "0.31": "> 50 1F 00 01 B5 'count'\n < 50 85 .. ..",
    "a method that the resource has not": """
        > 40 02 00 01 B5 'calls'
        < 60 85 00 01
        > 51 07 00 02 AA B5 'calls'
        < 51 85 .. .. AA""",
    "no such resource": "> 51 01 00 01 AA B4 'nope'\n < 51 84 .. .. AA",
    "no path": "> 40 01 00 01\n < 60 84 00 01",
    "segments": "> 40 01 00 01 B1 'a' 01 'b' 01 'c'\n < 60 45 00 01 FF 'a/b/c'",
    "a slash in a segment": "> 40 01 00 01 B5 'a/b/c'\n < 60 84 00 01",
    "an empty segment more": "> 40 01 00 01 B5 'count' 00\n < 60 84 00 01",
    "a handler that fails": "> 40 01 00 01 B4 'fail'\n < 60 A0 00 01 FF 'ZeroDivisionError'",
    "a handler that returns what is no body": "> 40 01 00 01 B3 'odd'\n < 60 A0 00 01 FF 'TypeError'",
    # --- options ---
    "unknown, critical": """
        > 40 01 00 01 90 25 'count'
        < 60 82 00 01( FF .*)?
        > 50 01 00 02 90 25 'count'
        > 40 01 00 03 B5 'calls'
        < 60 45 00 03 FF '0'""",
    "unknown, critical, of a high number": """
        > 40 01 00 01 B5 'count' E2 FC D1 'xy'
        < 60 82 00 01( FF .*)?
        > 50 01 00 02 B5 'count' E2 FC D1 'xy'""",
    "unknown, elective": """
        > 40 01 00 01 A3 'any' 15 'count' E0 FC D0
        < 60 45 00 01 FF '1'
        > 50 01 00 02 25 'other' 95 'count' E0 FC D0
        < 50 45 .. .. FF '2'""",
    "unknown, elective, and long": "> 40 01 00 01 B5 'count' EE 06 E8 00 1F 300*77\n < 60 45 00 01 FF '1'",
    "repeated Uri-Port": """
        > 40 01 00 01 72 16 33 02 16 33 45 'count'
        < 60 82 00 01( FF .*)?
        > 50 01 00 02 72 16 33 02 16 33 45 'count'""",
    "repeated Uri-Host": "> 50 01 00 01 31 'h' 01 'h' 85 'count'",
    "repeated Accept": """
        > 40 01 00 01 B5 'count' 60 00
        < 60 82 00 01( FF .*)?
        > 50 01 00 02 B5 'count' 60 00""",
    "repeated Content-Format": "> 40 02 00 01 B5 'count' 10 01 28\n < 60 44 00 01 FF '1'",
    "a long Uri-Port": """
        > 40 01 00 01 73 00 16 33 45 'count'
        < 60 82 00 01( FF .*)?
        > 50 01 00 02 73 00 16 33 45 'count'""",
    "a long Uri-Path": """
        > 40 01 00 01 BD F3 256*61
        < 60 82 00 01( FF .*)?
        > 50 01 00 02 BD F3 256*61""",
    "a long Uri-Query": """
        > 40 01 00 01 B5 'count' 4D F3 256*61
        < 60 82 00 01( FF .*)?
        > 50 01 00 02 B5 'count' 4D F3 256*61""",
    "a long If-Match": "> 40 03 00 01 19 9*61 A5 'count'\n < 60 82 00 01( FF .*)?",
    "an If-None-Match that says something": "> 40 03 00 01 51 61 65 'count'\n < 60 82 00 01( FF .*)?",
    "a long Block1": "> 40 03 00 01 B2 'up' D4 03 4*00\n < 60 82 00 01( FF .*)?",
    "Uri-Host and Uri-Port": "> 40 01 00 01 34 'host' 42 16 33 45 'count'\n < 60 45 00 01 FF '1'",
    "Proxy-Uri": """
        > 40 01 00 01 DB 16 'coap://h/xy'
        < 60 A5 00 01
        > 50 01 00 02 DB 16 'coap://h/xy'
        < 50 A5 .. ..""",
    "Proxy-Scheme": """
        > 41 01 00 01 AA 34 'host' 85 'count' D4 0F 'coap'
        < 61 A5 00 01 AA
        > 51 01 00 02 AA 34 'host' 85 'count' D4 0F 'coap'
        < 51 A5 .. .. AA""",
    # --- what is no message ---
    "a marker without payload": """
        > 40 01 00 01 B5 'count' FF
        < 70 00 00 01
        > 50 01 00 02 B5 'count' FF
        > 60 45 00 03 FF
        > 70 00 00 04 FF
        > 40 01 00 05 B5 'calls'
        < 60 45 00 05 FF '0'""",
    "a truncated value": "> 40 01 00 01 B5 'coun'\n < 70 00 00 01\n > 50 01 00 02 B5 'coun'",
    "no extended delta": "> 40 01 00 01 D0\n < 70 00 00 01\n > 50 01 00 02 D0",
    "half an extended delta": "> 40 01 00 01 E0 00\n < 70 00 00 01",
    "no extended length": "> 40 01 00 01 0D\n < 70 00 00 01",
    "half an extended length": "> 40 01 00 01 0E 00\n < 70 00 00 01",
    "a delta of 15": "> 40 01 00 01 F0 61\n < 70 00 00 01\n > 50 01 00 02 F0 61",
    "a length of 15": "> 40 01 00 01 BF 15*61\n < 70 00 00 01\n > 50 01 00 02 BF 15*61",
    "an option above 65535": "> 40 01 00 01 E0 FF 00 E0 FF 00\n < 70 00 00 01",
    "half a token": "> 44 01 00 01 AA BB\n < 70 00 00 01\n > 54 01 00 02 AA BB",
    **{
        f"a token of {size}": f"> 4{size:X} 01 00 01 {size}*AA B5 'count'\n < 70 00 00 01\n"
        f" > 5{size:X} 01 00 02 {size}*AA B5 'count'\n > 6{size:X} 45 00 03 {size}*AA"
        for size in range(9, 16)
    },
    "versions 0, 2 and 3": "> 00 01 00 01 B5 'count'\n > 80 01 00 01 B5 'count'\n > C0 01 00 01 B5 'count'",
    "0.00 with a token": "> 41 00 00 01 AA\n < 70 00 00 01\n > 51 00 00 02 AA\n > 61 00 00 03 AA",
    "0.00 that lacks its token": "> 41 00 00 01\n < 70 00 00 01\n > 51 00 00 02",
    "0.00 with an option": "> 40 00 00 01 B5 'count'\n < 70 00 00 01\n > 50 00 00 02 B5 'count'",
    "0.00 with a payload": "> 40 00 00 01 FF 'x'\n < 70 00 00 01",
    "bad UTF-8 in a path": """
        > 40 01 00 01 B1 'a' 02 C3 28
        < 70 00 00 01
        > 50 01 00 02 B1 FF
        > 40 01 00 03 B2 E2 82
        < 70 00 00 03""",
    "bad UTF-8 in a query that nobody reads": "> 40 01 00 01 B5 'count' 41 FF\n < 60 45 00 01 FF '1'",
    "bad UTF-8 in a query": "> 40 01 00 01 BB '.well-known' 04 'core' 41 FF\n < 60 82 00 01( FF .*)?",
    "0 to 3 bytes": "> 0*00\n > 40\n > 40 01\n > 40 01 00\n > 40 00 00",
    "1152 bytes": "> 40 02 00 01 B5 'count' FF 1141*61\n < 60 44 00 01 FF '1'",
    "1153 bytes": """
        > 40 02 00 01 B5 'count' FF 1142*61
        < 70 00 00 01
        > 50 02 00 02 B5 'count' FF 1142*61
        > 40 01 00 03 B5 'calls'
        < 60 45 00 03 FF '0'""",
    "20000 bytes": "> 40 02 00 01 B5 'count' FF 19989*61\n < 70 00 00 01\n > 50 02 00 02 FF 19995*61",
    "very many options": "> 40 01 00 01 A0 1000*00\n < 70 00 00 01\n > 50 01 00 02 A0 1000*00",
    # --- messages that nobody waits for ---
    "a ping": "> 40 00 12 34\n < 70 00 12 34",
    "0.00 as NON": "> 50 00 00 01",
    "an ACK": "> 60 00 00 01",
    "a RST": "> 70 00 00 01",
    "requests as ACK and RST": """
        > 60 02 00 01 B5 'count'
        > 70 02 00 02 B5 'count'
        > 40 01 00 03 B5 'calls'
        < 60 45 00 03 FF '0'""",
    "responses": "> 40 45 00 01 FF 'x'\n < 70 00 00 01\n > 50 45 00 02\n > 60 45 00 03\n > 70 45 00 04",
    "errors": "> 41 84 00 01 AA\n < 70 00 00 01\n > 51 A0 00 02 AA\n > 61 84 00 03 AA",
    "codes of the reserved classes": """
        > 40 21 00 01
        < 70 00 00 01
        > 40 65 00 02
        < 70 00 00 02
        > 40 C1 00 03
        < 70 00 00 03
        > 40 E1 00 04
        < 70 00 00 04
        > 50 21 00 05
        > 50 65 00 06
        > 50 E1 00 07
        > 60 E1 00 08""",
    # --- tokens ---
    **{
        f"a token of {size} as it came": f"> 4{size} 01 00 01 {size}*A5 B5 'count'\n"
        f" < 6{size} 45 00 01 {size}*A5 FF '1'\n > 5{size} 01 00 02 {size}*00 B5 'count'\n"
        f" < 5{size} 45 .. .. {size}*00 FF '2'"
        for size in range(9)
    },
    # --- Block1 ---
    "a body of two blocks": """
        > 41 03 00 01 AA B2 'up' D1 03 08 FF 16*61
        < 61 5F 00 01 AA D1 0E 08
        > 41 03 00 01 AA B2 'up' D1 03 08 FF 16*61
        < 61 5F 00 01 AA D1 0E 08
        > 41 03 00 02 AB B2 'up' D1 03 10 FF 'bc'
        < 61 44 00 02 AB D1 0E 10 FF '1 18'
        > 41 03 00 02 AB B2 'up' D1 03 10 FF 'bc'
        < 61 44 00 02 AB D1 0E 10 FF '1 18'""",
    "a body of one block": "> 40 03 00 01 B2 'up' D1 03 06 FF 'abc'\n < 60 44 00 01 D1 0E 06 FF '1 3'",
    "a block without the one before": """
        > 40 03 00 01 B2 'up' D1 03 18 FF 16*61
        < 60 88 00 01
        > 40 03 00 02 B2 'up' D1 03 08 FF 16*61
        < 60 5F 00 02 D1 0E 08
        > 50 03 00 03 B2 'up' D1 03 28 FF 16*61
        < 50 88 .. ..""",
    "a body that begins anew": """
        > 40 03 00 01 B2 'up' D1 03 08 FF 16*61
        < 60 5F 00 01 D1 0E 08
        > 40 03 00 02 B2 'up' D1 03 08 FF 16*61
        < 60 5F 00 02 D1 0E 08
        > 40 03 00 03 B2 'up' D1 03 10 FF 'bc'
        < 60 44 00 03 D1 0E 10 FF '1 18'""",
    "a body that says it is too large": """
        > 40 03 00 01 B2 'up' D1 03 08 D2 14 10 01 FF 16*61
        < 60 8D 00 01 FF '4096 bytes at most'
        > 40 03 00 02 B2 'up' D1 03 18 FF 16*61
        < 60 88 00 02""",
    "a body that is too large": """
        > 40 03 00 01 B2 'up' D1 03 0E FF 1024*61
        < 60 5F 00 01 D1 0E 0E
        > 40 03 00 02 B2 'up' D1 03 1E FF 1024*61
        < 60 5F 00 02 D1 0E 1E
        > 40 03 00 03 B2 'up' D1 03 2E FF 1024*61
        < 60 5F 00 03 D1 0E 2E
        > 40 03 00 04 B2 'up' D1 03 3E FF 1024*61
        < 60 5F 00 04 D1 0E 3E
        > 40 03 00 05 B2 'up' D1 03 46 FF 'x'
        < 60 8D 00 05 FF '4096 bytes at most'
        > 40 01 00 06 B5 'calls'
        < 60 45 00 06 FF '0'""",
    "Block1 of the reserved size": "> 40 03 00 01 B2 'up' D1 03 0F FF 16*61\n < 60 80 00 01 FF 'block'",
    "a block that is too short": "> 40 03 00 01 B2 'up' D1 03 08 FF 15*61\n < 60 80 00 01 FF 'block'",
    "a block that is too long": "> 40 03 00 01 B2 'up' D1 03 00 FF 17*61\n < 60 80 00 01 FF 'block'",
    # --- Block2 ---
    "a block": """
        > 40 01 00 01 B3 'big' C0
        < 60 45 00 01 44 .. .. .. .. D1 06 08 FF 000102030405060708090a0b0c0d0e0f
        > 40 01 00 02 B3 'big' C1 18
        < 60 45 00 02 44 .. .. .. .. D1 06 18 FF 101112131415161718191a1b1c1d1e1f""",
    "the last block, on its own": """
        > 40 01 00 01 B3 'big' C2 0B B0
        < 60 45 00 01 44 .. .. .. .. D2 06 0B B0 FF f2f3f4f5f6f7f8f9""",
    "a block behind the last": """
        > 40 01 00 01 B3 'big' C1 36
        < 60 80 00 01 FF 'block'
        > 40 01 00 02 B3 'big' C3 FF FF F6
        < 60 80 00 02 FF 'block'""",
    "Block2 of the reserved size": "> 40 01 00 01 B3 'big' C1 07\n < 60 80 00 01 FF 'block'",
    "a block of what is not long": """
        > 40 01 00 01 B5 'count' C1 06
        < 60 45 00 01 D1 0A 06 FF '1'
        > 40 01 00 02 B5 'count' C1 16
        < 60 80 00 02 FF 'block'""",
    # --- No-Response ---
    "no response where it went well": """
        > 40 02 00 01 B5 'count' D1 EA 02
        < 60 00 00 01
        > 40 02 00 01 B5 'count' D1 EA 02
        < 60 00 00 01
        > 50 02 00 02 B5 'count' D1 EA 02
        > 40 01 00 03 B5 'calls'
        < 60 45 00 03 FF '2'
        > 40 01 00 04 B4 'nope' D1 EA 02
        < 60 84 00 04""",
    "no response whatever happened": """
        > 40 01 00 01 B4 'nope' D1 EA 1A
        < 60 00 00 01
        > 50 01 00 02 B4 'fail' D1 EA 1A
        > 50 01 00 03 B5 'count' D1 EA 1A""",
    "no response where it went badly": """
        > 50 01 00 01 B4 'nope' D1 EA 08
        > 50 01 00 02 B4 'fail' D1 EA 08
        < 50 A0 .. .. FF 'ZeroDivisionError'
        > 50 01 00 03 B5 'count' D1 EA 08
        < 50 45 .. .. FF '1'""",
    "any response is wanted": "> 40 02 00 01 B5 'count' D0 EA\n < 60 44 00 01 FF '1'",
    # --- Observe ---
    "a resource that cannot be observed": "> 40 01 00 01 60 55 'count'\n < 60 45 00 01 FF '1'",
    "Observe of another value": "> 40 01 00 01 61 02 55 'calls'\n < 60 45 00 01 FF '0'",
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(peer, name):
    converse(peer, CONVERSATIONS[name])


def test_the_same_id_from_another_peer_is_another_request(served):
    for _ in range(2):
        converse(served.peer(), "> 40 02 00 01 B5 'count'\n < 60 44 00 01 FF '1'")


def test_an_answer_does_not_get_into_the_way_of_another_peers(served):
    """Three peers that fetch a body at the same time have one more than the server keeps."""
    peers = [served.peer() for _ in range(3)]
    tags = []
    for block, option in enumerate(("C1 06", "C1 16", "C1 26")):
        for peer in peers:
            send(peer, f"40 01 00 0{block} B3 'big' {option}")
            tags.append(expect(peer, f"60 45 00 0{block} 44 .. .. .. .. .*")[4:9])
    assert len(set(tags)) == 1


# --- observing ---

REGISTER = "41 01 00 01 AA 60 55 'store'"


def observe(served, line=REGISTER):
    """A peer that observes the store."""
    peer = served.peer()
    send(peer, line)
    expect(peer, "61 45 00 01 AA NUMBER FF .*")
    return peer


def change(served, value):
    """Another peer puts a text there."""
    converse(served.peer(), f"> 40 03 00 01 B5 'store' FF '{value}'\n < 60 44 00 01")


def test_notifications_are_confirmable_and_then_not(served):
    peer = observe(served)
    change(served, "one")
    id = expect(peer, "41 45 .. .. AA NUMBER FF 'one'")[2:4]
    send(peer, "60 00" + id.hex())
    change(served, "two")
    expect(peer, "51 45 .. .. AA NUMBER FF 'two'")
    change(served, "three")
    expect(peer, "51 45 .. .. AA NUMBER FF 'three'")
    nothing(peer)


def test_a_reset_of_a_confirmable_notification_ends_it(served):
    peer = observe(served)
    change(served, "one")
    send(peer, "70 00" + expect(peer, "41 45 .. .. AA NUMBER FF 'one'")[2:4].hex())
    change(served, "two")
    nothing(peer)


def test_a_reset_of_another_notification_ends_it(served):
    peer = observe(served)
    change(served, "one")
    send(peer, "60 00" + expect(peer, "41 45 .. .. AA NUMBER FF 'one'")[2:4].hex())
    change(served, "two")
    send(peer, "70 00" + expect(peer, "51 45 .. .. AA NUMBER FF 'two'")[2:4].hex())
    change(served, "three")
    nothing(peer)


def test_a_reset_by_somebody_else_ends_nothing(served):
    peer = observe(served)
    change(served, "one")
    id = expect(peer, "41 45 .. .. AA NUMBER FF 'one'")[2:4].hex()
    for line in ("60 00", "70 00"):
        send(served.peer(), line + id)
    change(served, "two")
    nothing(peer)  # it waits for the acknowledgement
    send(peer, "60 00" + id)
    expect(peer, "51 45 .. .. AA NUMBER FF 'two'")
    nothing(peer)


@pytest.mark.parametrize("first", ("41 01 00 02 AA 61 01 55 'store'", "51 01 00 02 AA 61 01 55 'store'"))
def test_observe_1_ends_it(served, first):
    peer = observe(served)
    send(peer, first)
    expect(peer, "[65]1 45 .. .. AA FF .*")
    change(served, "one")
    nothing(peer)


def test_an_observer_that_registers_again_is_told_once(served):
    peer = observe(served)
    send(peer, "41 01 00 02 AA 60 55 'store'")
    expect(peer, "61 45 00 02 AA NUMBER FF .*")
    change(served, "one")
    expect(peer, "41 45 .. .. AA NUMBER FF 'one'")
    nothing(peer)


def test_an_observer_without_confirmation(served):
    peer = served.peer()
    send(peer, "51 01 00 01 AA 60 55 'store'")
    expect(peer, "51 45 .. .. AA NUMBER FF .*")
    change(served, "one")
    expect(peer, "41 45 .. .. AA NUMBER FF 'one'")
    nothing(peer)


def test_only_who_asks_for_it_observes(served):
    """Observe is GET's and FETCH's (RFC 7641, 1.2, and RFC 8132, 2.4): with PUT it is an option to ignore."""
    peer = served.peer()
    send(peer, "41 03 00 01 AA 60 55 'store' FF 'put'")
    expect(peer, "61 44 00 01 AA")
    change(served, "one")
    nothing(peer)


def test_an_observe_option_of_four_bytes_is_passed_over(served):
    """It is an elective option of another length than it can have (RFC 7252, 5.4.3)."""
    peer = served.peer()
    send(peer, "41 01 00 01 AA 64 00 00 00 00 55 'store'")
    expect(peer, "61 45 00 01 AA FF .*")
    change(served, "one")
    nothing(peer)


def test_four_observe_and_the_fifth_takes_the_place_of_the_first(served):
    peers = [observe(served) for _ in range(5)]
    change(served, "one")
    for peer in peers[1:]:
        expect(peer, "41 45 .. .. AA NUMBER FF 'one'")
    for peer in peers:
        nothing(peer)


# --- separate responses ---


@pytest.fixture
def everybody(tmp_path):
    """A server of each kind, for what takes seconds."""
    servers = []
    for runtime, driver in KINDS:
        folder = tmp_path / f"{runtime}-{driver}"
        folder.mkdir()
        servers.append(Served(Board(interpreter(runtime), folder), driver))
    yield servers
    for served in servers:
        served.end()


def test_a_separate_response_comes_until_it_is_acknowledged(everybody):
    asked = "42 01 00 01 AB CD B4 'slow'"
    peers = [served.peer() for served in everybody]
    for peer in peers:
        send(peer, asked)
        send(peer, asked)  # in progress: nothing, or another empty ACK
    responses = [first_of(peer, "60 00 00 01", "42 45 .. .. AB CD FF 'late 1'") for peer in peers]
    for peer, response in zip(peers, responses):
        assert first_of(peer, "60 00 00 01", "42 45 .* FF 'late 1'") == response  # after 2 to 3 s
        send(peer, "60 00" + response[2:4].hex())
    for peer in peers:
        converse(peer, f"> {asked}\n < 60 00 00 01")  # a copy that came late


def test_other_separate_responses(everybody):
    conversations = (
        ("42 01 00 01 AB CD B4 'slow'", ["60 00 00 01", "42 45 .. .. AB CD FF 'late 1'"]),
        ("42 01 00 01 AB CD B4 'slow' D1 EA 02", ["60 00 00 01"]),
        ("52 01 00 01 AB CD B4 'slow'", ["52 45 .. .. AB CD FF 'late 1'"]),
        ("52 01 00 01 AB CD B4 'slow' D1 EA 02", []),
    )
    peers = [[(served.peer(), *each) for each in conversations] for served in everybody]
    for spoken in peers:
        for peer, asked, _ in spoken:
            send(peer, asked)
    for spoken in peers:
        for peer, _, answers in spoken:
            for answer in answers:
                came = expect(peer, answer)
            if came[0] == 0x42:
                send(peer, "60 00" + came[2:4].hex())
    for spoken in peers:
        for peer, _, _ in spoken:
            nothing(peer)


def first_of(peer, copies, last):
    """The last one, before which others may come."""
    while True:
        came = peer.receive()
        assert came is not None, f"nothing came instead of {last}"
        if re.fullmatch(octets(last), came.hex()):
            return came
        assert re.fullmatch(octets(copies), came.hex()), came.hex(" ")


# --- the same rules in a time of their own ---


class Slow:
    """What a handler leaves to await."""

    def send(self, _):
        pass

    def close(self):
        pass


class Rules:
    """A server without a socket."""

    def __init__(self, **kwargs):
        self.layer = Layer()
        self.server = Resources(self.layer, **kwargs)
        self.running = []
        self.server.spawn = lambda request, _: self.running.append(request)
        self.server.add("slow", get=lambda _: Slow(), obs=True)
        self.server.add("store", get=lambda _: b"there", obs=True)

    def take(self, line, peer="a"):
        """What goes out when this has come."""
        self.layer.receive(bytes.fromhex(octets(line)), peer)
        return self.sent()

    def sent(self):
        self.layer.tick()
        out, self.layer.out[:] = [bytes(datagram) for datagram, _ in self.layer.out], []
        return out

    def pass_by(self, seconds):
        """(the time, what goes out then) in so many seconds."""
        found = []
        for _ in range(seconds * 100):
            self.layer.now += 10
            found.extend((self.layer.now / 1000, datagram) for datagram in self.sent())
        return found


def test_a_separate_response_goes_out_five_times_in_doubling_intervals():
    rules = Rules()
    assert rules.take("41 01 00 01 AA B4 'slow'") == []
    assert rules.pass_by(1) == [(0.25, bytes.fromhex("60 00 00 01"))]
    rules.server.finish(rules.running.pop(), "late")
    first = rules.sent()
    assert len(first) == 1 and re.fullmatch(octets("41 45 .. .. AA FF 'late'"), first[0].hex())
    again = rules.pass_by(120)
    assert [datagram for _, datagram in again] == 4 * first
    times = [1, *(time for time, _ in again)]
    first_wait = times[1] - times[0]
    assert 2 <= first_wait <= 3.01
    for number, wait in enumerate((times[2] - times[1], times[3] - times[2], times[4] - times[3])):
        assert wait == pytest.approx(first_wait * 2 ** (number + 1), abs=0.1)
    assert rules.pass_by(120) == []


@pytest.mark.parametrize("answer", ("60 00", "70 00"))
def test_a_separate_response_stops_when_it_is_acknowledged_or_refused(answer):
    rules = Rules()
    rules.take("41 01 00 01 AA B4 'slow'")
    rules.pass_by(1)
    rules.server.finish(rules.running.pop(), "late")
    id = rules.sent()[0][2:4].hex()
    assert rules.take(answer + id, "somebody else") == []
    assert len(rules.pass_by(4)) == 1
    assert rules.take(answer + id) == []
    assert rules.pass_by(120) == []


def test_an_observer_that_is_gone_is_forgotten():
    rules = Rules()
    rules.take("41 01 00 01 AA 60 55 'store'")
    assert rules.server.notify("store") == 1
    assert len(rules.pass_by(120)) == 5
    assert rules.server.notify("store") == 0
    assert rules.sent() == []


def test_each_eighth_notification_asks_whether_the_observer_is_there():
    rules = Rules()
    rules.take("41 01 00 01 AA 60 55 'store'")
    kinds = []
    for _ in range(17):
        rules.server.notify("store")
        (datagram,) = rules.sent()
        kinds.append(datagram[0])
        if datagram[0] == 0x41:
            rules.take("60 00" + datagram[2:4].hex())
    assert kinds == [0x41, *7 * [0x51]] * 2 + [0x41]


def test_a_token_that_the_server_uses_itself_is_no_ones_alone():
    """A client on the server's socket asks a peer, who has chosen the same token for a request of his own."""
    from ben.coap.exchange import Exchange
    from ben.coap.message import Message

    rules = Rules()
    rules.layer.start(Exchange(Message(1, token=b"\xaa"), "a"))
    rules.sent()
    rules.take("41 01 00 01 AA B4 'slow'")
    rules.pass_by(1)
    rules.server.finish(rules.running.pop(), "late")
    rules.take("60 00" + rules.layer.exchanges[0].message.id.to_bytes(2, "big").hex())
    assert any(datagram.endswith(b"late") for _, datagram in rules.pass_by(5))


def test_a_message_id_may_come_again_after_its_lifetime():
    rules = Rules()
    ran = []
    rules.server.add("count", post=lambda _: ran.append(1))
    for seconds in (246, 2, 0):
        assert rules.take("40 02 00 01 B5 'count'") == [bytes.fromhex("60 44 00 01")]
        rules.pass_by(seconds)
    assert len(ran) == 2


@pytest.mark.parametrize("seconds, answer", ((240, "60 44 00 02 D1 0E 10"), (248, "60 88 00 02")))
def test_a_body_whose_rest_does_not_come_is_forgotten(seconds, answer):
    rules = Rules()
    rules.server.add("up", put=lambda _: None)
    rules.take("40 03 00 01 B2 'up' D1 03 08 FF 16*61")
    rules.layer.now += 1000 * seconds
    rules.take("40 01 00 01 B5 'store'", "b")
    assert rules.take("40 03 00 02 B2 'up' D1 03 10 FF 'bc'") == [bytes.fromhex(answer)]

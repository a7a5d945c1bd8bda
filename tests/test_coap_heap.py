"""A CoAP server on a small board, compiled, whose strangers load all parts and fill all bounds: it goes on.

Smaller ones fail in islands: docs/coap.md says where.
"""

import os
import random
import tempfile
from pathlib import Path

import pytest

from ben.coap import Client
from board import Board, interpreter
from peers import Raw, free_port
from test_coap_fuzz import REQUEST, Mutants, real
from test_coap_wire import PING, PONG

PROGRAM = """
import gc
store = [b"0"]
def put(request):
    store[0] = request.payload[:200]
    server.notify("store")
def heap(request):
    gc.collect()
    return str(gc.mem_alloc())
server = Server(PORT, "127.0.0.1")
server.add("store", get=lambda request: store[0], put=put, obs=OBSERVED, rt="t")
server.add("temperature", get=lambda request: "21.5")
server.add("up", put=lambda request: str(len(request.payload)))
server.add("heap", get=heap)
server.add("slow", get=slow)
print("up")
"""
DRIVERS = {
    "blocking": (
        "from ben.coap import Server\ndef slow(request):\n    request.acknowledge()\n    return 'late'\n",
        "server.run()\n",
    ),
    "asyncio": (
        "import asyncio\nfrom ben.coap import aio\nServer = aio.Server\n"
        "async def slow(request):\n    await asyncio.sleep(0.3)\n    return 'late'\n",
        "asyncio.run(server.run())\n",
    ),
}
SMALL = (  # driver, whether there is something to observe, K of heap
    ("blocking", False, 28),
    ("blocking", True, 32),
    ("asyncio", False, 48),
    ("asyncio", True, 50),
)
DATAGRAMS = 1200
PEERS = 8
TRIES = 20


class Small:
    """A server on a board of 32 bits, in a folder with a short name."""

    def __init__(self, compiled, driver, observed, heap):
        self._folder = tempfile.TemporaryDirectory(prefix="b")
        (Path(self._folder.name) / "lib").symlink_to(compiled)
        self.port = free_port()
        begin, end = DRIVERS[driver]
        script = begin + PROGRAM.replace("PORT", str(self.port)).replace("OBSERVED", str(observed)) + end
        board = Board(interpreter("micropython-32"), self._folder.name, Path("lib"))
        self.process = board.start(script, heap=heap)
        assert self.process.stdout.readline() == "up\n", self.process.communicate()
        self.url = f"coap://127.0.0.1:{self.port}/"

    def check(self):
        """AssertionError, with what it said, where it has ended."""
        assert self.process.poll() is None, self.process.communicate()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self._folder.cleanup()


def crowd(number, mutants):
    """A stranger's next datagram: one in eight that is kept or loads much, mutants otherwise."""
    id = os.urandom(2)
    kind = number % 40
    if kind == 1:  # observes
        return b"\x41\x01" + id + b"\xaa\x60\x55store"
    if kind == 2:  # the first of many blocks of 1024 bytes
        return b"\x40\x03" + id + b"\xb2up\xd1\x03\x0e\xff" + bytes(1024)
    if kind == 3:
        return b"\x40\x03" + id + b"\xb5store\xff" + bytes(180)
    if kind == 4:
        return b"\x40\x01" + id + b"\xb4slow"
    if kind == 5:
        return b"\x40\x01" + id + b"\xbb.well-known\x04core"
    return next(mutants)


def catch_up(small, peer):
    """Takes what came, up to the answer to a ping: to another one, where there was no room for the first."""
    for _ in range(TRIES):
        small.check()
        peer.send(PING)
        came = b""
        while came not in (None, PONG):
            came = peer.receive(0.2)
        if came:
            return
    raise AssertionError("it is deaf")


@pytest.mark.parametrize("driver, observed, heap", SMALL, ids=str)
def test_whatever_strangers_send_a_small_board_serves_on(compiled, driver, observed, heap):
    mutants = Mutants(heap, REQUEST, real())
    with Small(compiled, driver, observed, heap) as small:
        peers = [Raw(small.port) for _ in range(PEERS)]
        for number in range(DATAGRAMS):
            peers[number % PEERS].send(crowd(number, mutants))
            if number % PEERS == PEERS - 1:
                for peer in peers:
                    catch_up(small, peer)
        small.check()
        client = Client()
        for _ in range(3):  # the last word is that it serves, not that it does so at once
            reply = client.get(small.url + "temperature", ack_timeout=0.2)
        assert reply.payload == b"21.5"


TOTAL = 20000
HEAPS = {"blocking": 40, "asyncio": 48}  # K
TIMES = dict(ack_timeout=0.2, timeout=4)


@pytest.mark.soak
@pytest.mark.parametrize("driver", DRIVERS)
def test_twenty_thousand_requests_leave_the_heap_where_it_was(compiled, driver):
    """Of all kinds, with an observer; what is in use after a tenth of them is in use after all."""
    chance = random.Random(driver)
    with Small(compiled, driver, True, HEAPS[driver]) as small:
        url, client = small.url, Client()
        asks = (
            lambda: client.get(url + "temperature", **TIMES),
            lambda: client.put(url + "store", str(chance.random()), **TIMES),
            lambda: client.get(url + "store", **TIMES),
            lambda: client.put(url + "up", bytes(chance.randrange(2500)), size=128, **TIMES),
            lambda: client.get(url + ".well-known/core", query={"rt": "t*"}, **TIMES),
            lambda: client.get(url + "nothing", **TIMES),
            lambda: client.get(url + "temperature", options=((9, b"x"),), **TIMES),
            lambda: client.get(url + "temperature", non=True, timeout=1),
        )
        watched = client.observe(url + "store")
        used = []
        for number in range(1, TOTAL + 1):
            chance.choice(asks)()
            if not number % 100:
                client.get(url + "slow", **TIMES)
                watched.next(0)
            if number in (TOTAL // 10, TOTAL):
                used.append(int(client.get(url + "heap", **TIMES).payload))
        print(used)
        assert used[1] <= used[0] + 512
        small.check()

"""A path between clients and a server, TCP on loopback, with the faults of a real one.

Each connection draws from random numbers of its own: with the same seed the first, second, third one meets the same,
whatever it carries and whenever it comes.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass

LOCAL = "127.0.0.1"
PIECE = 1 << 16  # bytes that are taken at once, at most
PATIENCE = 30  # s
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets the connection


@dataclass
class Faults:
    """What happens to connections; a share is 0 to 1."""

    reset: float = 0  # the share of connections that end with RST, both ways
    end: float = 0  # that end with FIN, one way
    stall: float = 0  # on which nothing comes through any more, either way
    within: int = 3000  # bytes, there or back, after which that happens
    single: float = 0  # of what came at once, the share that goes on byte by byte
    piece: int = PIECE  # bytes, at most, of the pieces in which all else goes on
    refuse: float = 0  # of the connections that were reset, the share after which nobody listens
    away: float = 0.3  # s, for so long


@dataclass
class Fate:
    """What one connection meets, in one direction, after so many bytes."""

    what: str = "goes on"  # or reset, end, stall
    up: bool = True
    after: int = 0
    refuse: bool = False  # whether nobody listens for a while then


def fate(faults, number, seed):
    """Of the connection of this number."""
    chance = random.Random(f"{seed} {number}")
    drawn, up, after = chance.random(), chance.random() < 0.5, chance.randrange(1, faults.within + 1)
    refuse = chance.random() < faults.refuse
    for what in "reset", "end", "stall":
        drawn -= getattr(faults, what)
        if drawn < 0:
            return Fate(what, up, after, refuse)
    return Fate()


def pieces(data, faults, chance):
    """The same bytes, in the pieces in which they go on."""
    single = chance.random() < faults.single
    while data:
        size = 1 if single else chance.randint(1, faults.piece)
        yield data[:size]
        data = data[size:]


class Link:
    """One connection of a client, with one to the server."""

    def __init__(self, proxy, number, client):
        self.fate = proxy.fate(number)
        self.count = [0, 0]  # bytes that went down and up
        self.stalled = self.fate.what == "stall" and not self.fate.after
        self._proxy = proxy
        self._client = client
        self._server = _socket()
        self._chances = [random.Random(f"{proxy.seed} {number} {up}") for up in (False, True)]

    def __str__(self):
        down, up = self.count
        met = f"{self.fate.what} {'up' if self.fate.up else 'down'} after {self.fate.after}"
        return f"{up} up, {down} down, {met}"

    async def run(self):
        """Until both have ended."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        pumps = []
        try:
            if self.stalled:
                await loop.create_future()
            await loop.sock_connect(self._server, self._proxy.server)
            for way in (self._client, self._server, True), (self._server, self._client, False):
                pumps.append(loop.create_task(self._pump(*way)))
            await asyncio.gather(*pumps)
        except OSError:
            self._end_at_once()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._client.close()
            self._server.close()

    def reset(self):
        """Breaks it, both ways."""
        if not self._task.done():
            self._end_at_once()
            self._task.cancel()

    def _end_at_once(self):
        for sock in self._client, self._server:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)

    async def _pump(self, source, sink, up):
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(source, PIECE)
            if self._proxy.calm and self.fate.what != "stall":
                self.fate = Fate()
            if not data:
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)
                return
            for piece in pieces(data, self._proxy.faults, self._chances[up]):
                if self.stalled or not await self._pass(sink, piece, up):
                    break
                await asyncio.sleep(0)

    async def _pass(self, sink, piece, up):
        # Whether it goes on in this direction.
        loop = asyncio.get_running_loop()
        here = self.fate.what != "goes on" and up == self.fate.up
        left = self.fate.after - self.count[up] if here else len(piece)
        if left > 0:
            await loop.sock_sendall(sink, piece[:left])
            self.count[up] += len(piece[:left])
        if not here or self.count[up] < self.fate.after:
            return True
        if self.fate.what == "stall":
            self.stalled = True
        elif self.fate.what == "end":
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
        else:
            if self.fate.refuse:
                self._proxy.refuse_for(self._proxy.faults.away)
            raise ConnectionResetError
        return False


class Proxy:
    """Clients connect to `port` as if it were the server's.

    A test that wants more than faults overrides fate(): it runs in the proxy's thread.
    """

    def __init__(self, server_port, faults=None, seed=0, listens=True):
        self.seed = seed
        self.faults = faults or Faults()
        self.server = LOCAL, server_port
        self.links = []
        self.calm = False
        self._tasks = set()
        self._held = _socket()  # keeps the port while nobody listens there
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind((LOCAL, 0))
        self.port = self._held.getsockname()[1]
        self._listener = None
        self._loop = asyncio.new_event_loop()
        self._listens = listens
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __str__(self):
        links = "\n".join(f"{number}: {link}" for number, link in enumerate(self.links))
        return f"seed {self.seed}, {len(self.links)} connections\n{links}"

    def __enter__(self):
        self._thread.start()
        if self._listens:
            self.call(self.listen)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    # In the proxy's thread

    def fate(self, number):
        """What the connection of this number meets."""
        return Fate() if self.calm else fate(self.faults, number, self.seed)

    def listen(self, backlog=100):
        """Takes connections; with a backlog of 0 it only queues what fits, until it is called again."""
        if not self._listener:
            self._listener = _socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((LOCAL, self.port))
        self._listener.listen(backlog)
        if backlog:
            self._loop.add_reader(self._listener, self._accept)

    def refuse(self):
        """Nobody listens any more; connections go on."""
        if self._listener:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def refuse_for(self, seconds):
        """Nobody listens for so long."""
        self.refuse()
        self._loop.call_later(seconds, self.listen)

    def reset(self):
        """Breaks every connection."""
        for link in self.links:
            link.reset()

    def end_faults(self):
        """From now on none happens; what is stalled already stays so."""
        self.calm = True
        self.faults = Faults()
        self.listen()

    # From any thread

    def call(self, function, *arguments):
        """The result of a function that runs in the proxy's thread."""

        async def called():
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(PATIENCE)

    def soon(self, function):
        """Has a function run in the proxy's thread, without waiting for it."""
        self._loop.call_soon_threadsafe(function)

    def count(self, what):
        """How many connections met this, or had it before them."""
        return sum(link.fate.what == what for link in self.links)

    def _run(self):
        self._loop.run_forever()
        self.refuse()
        self._loop.run_until_complete(self._end())
        self._held.close()
        self._loop.close()

    async def _end(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self):
        client, _ = self._listener.accept()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(self, len(self.links), client)
        self.links.append(link)
        task = self._loop.create_task(link.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock

"""A path between clients and a server, UDP on loopback, with the faults of a real one.

Each direction draws from random numbers of its own, as many for every datagram: with the same seed the same happens
to its first, second, third datagram, whatever they are and whenever they come.
"""

import asyncio
import random
import socket
import threading
from dataclasses import dataclass

LOCAL = ("127.0.0.1", 0)
LARGEST = 65536
PATIENCE = 30  # s


@dataclass
class Faults:
    """What happens to the datagrams of one direction; a share of them is 0 to 1."""

    drop: float = 0
    duplicate: float = 0
    reorder: float = 0  # held back for up to `hold`, so that later ones overtake
    corrupt: float = 0  # one bit flips
    rebind: float = 0  # the client has another address from here on, as behind a NAT that forgot it
    hold: float = 0.5  # s
    delay: float = 0  # s, of every one
    hole: bool = False  # nothing comes through


class Direction:
    """Decides about one datagram after another, and remembers what it decided."""

    def __init__(self, faults, seed):
        self.faults = faults
        self.did = []  # for each datagram the words for what happened to it
        self._random = random.Random(seed)

    def decide(self, datagram):
        """[(delay, datagram)] for what goes on; its faults are the last of did."""
        faults = self.faults
        drop, duplicate, reorder, corrupt, rebind, *where = (self._random.random() for _ in range(8))
        did = []
        self.did.append(did)
        if rebind < faults.rebind:
            did.append("rebind")
        if faults.hole or drop < faults.drop:
            did.append("hole" if faults.hole else "drop")
            return []
        if corrupt < faults.corrupt:
            did.append("corrupt")
            datagram = flipped(datagram, int(where[0] * 8 * len(datagram)))
        delay = faults.delay
        if reorder < faults.reorder:
            did.append("reorder")
            delay += where[1] * faults.hold
        if duplicate < faults.duplicate:
            did.append("duplicate")
            return [(delay, datagram), (faults.delay, datagram)]
        return [(delay, datagram)]

    def count(self, what):
        """To how many datagrams this happened."""
        return sum(what in did for did in self.did)

    def __str__(self):
        faults = (f"{number} {' '.join(did)}" for number, did in enumerate(self.did) if did)
        return f"{len(self.did)} datagrams: " + ", ".join(faults)


def flipped(datagram, bit):
    """A copy in which one bit is another."""
    copy = bytearray(datagram)
    copy[bit // 8] ^= 1 << bit % 8
    return bytes(copy)


class Proxy:
    """Clients talk to `port` as if it were the server's; each has a socket of its own to the server.

    A test that wants more than faults overrides from_client() or from_server(): they run in the proxy's thread.
    """

    def __init__(self, server_port, up=None, down=None, seed=0):
        self.seed = seed
        self.up = Direction(up or Faults(), f"{seed} up")
        self.down = Direction(down or Faults(), f"{seed} down")
        self.requests = []  # (the client's address, datagram), as they came from clients
        self.replies = []  # the same, from the server
        self._server = "127.0.0.1", server_port
        self._upstream = {}
        self._late = 0  # datagrams that are still held
        self._front = _socket()
        self._front.bind(LOCAL)
        self.port = self._front.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __str__(self):
        return f"seed {self.seed}\nup, {self.up}\ndown, {self.down}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    # In the proxy's thread

    def from_client(self, client, datagram):
        """A datagram came from a client."""
        going = self.up.decide(datagram)
        if "rebind" in self.up.did[-1]:
            self.rebind(client)
        for delay, each in going:
            self._after(delay, self.to_server, client, each)

    def from_server(self, client, datagram):
        """A datagram came from the server, for a client."""
        for delay, each in self.down.decide(datagram):
            self._after(delay, self.to_client, client, each)

    def to_server(self, client, datagram):
        """Sends a datagram on, from the address that this client has there; any name makes a new client."""
        if client not in self._upstream:
            self._open(client)
        _send(self._upstream[client], datagram)

    def to_client(self, client, datagram):
        """Sends a datagram to a client, unless it is a name only."""
        if isinstance(client, tuple):
            _send(self._front, datagram, client)

    def rebind(self, client):
        """The client's next datagram leaves from another port; what comes to the old one is lost."""
        if client in self._upstream:
            old = self._upstream.pop(client)
            self._open(client)  # before the old one is closed: its port must not come again
            self._close(old)

    # From any thread

    def call(self, function, *arguments):
        """The result of a function that runs in the proxy's thread."""

        async def called():
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(PATIENCE)

    @property
    def late(self):
        """How many datagrams are held, to be sent later."""
        return self._late

    def _run(self):
        self._loop.add_reader(self._front, self._receive_front)
        self._loop.run_forever()
        for upstream in self._upstream.values():
            self._close(upstream)
        self._close(self._front)
        self._loop.close()

    def _receive_front(self):
        datagram, client = self._front.recvfrom(LARGEST)
        self.requests.append((client, datagram))
        self.from_client(client, datagram)

    def _open(self, client):
        upstream = self._upstream[client] = _socket()
        upstream.connect(self._server)
        self._loop.add_reader(upstream, self._receive_upstream, client, upstream)

    def _receive_upstream(self, client, upstream):
        try:
            datagram = upstream.recv(LARGEST)
        except OSError:  # nobody listens there
            return
        self.replies.append((client, datagram))
        self.from_server(client, datagram)

    def _after(self, delay, send, client, datagram):
        if not delay:
            send(client, datagram)
            return
        self._late += 1
        self._loop.call_later(delay, self._send_late, send, client, datagram)

    def _send_late(self, send, client, datagram):
        self._late -= 1
        send(client, datagram)

    def _close(self, sock):
        self._loop.remove_reader(sock)
        sock.close()


def _socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def _send(sock, datagram, *to):
    try:
        sock.sendto(datagram, *to) if to else sock.send(datagram)
    except OSError:  # nobody listens there, or there is no room: it is lost
        pass

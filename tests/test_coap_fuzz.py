"""CoAP on a board, fed with anything: real messages that were changed, and noise. Nothing fails, nothing grows.

Most of it goes to the rules, which have no socket and no clock, in device/coap_fuzz_*.py; a smaller part through
sockets. What is left out without --soak takes minutes.
"""

import random
import struct

import pytest

from ben.coap.exchange import Exchange
from ben.coap.layer import Layer
from ben.coap.message import Message, decode
from ben.coap.observation import Observation
from ben.coap.request import request, transfer
from ben.coap.resources import Resources
from ben.coap.response import Response
from board import ROOT, Board, interpreter
from conftest import RUNTIMES
from simulation.coap import everything
from test_coap_answers import Asker
from test_coap_wire import PING, PONG, Served

DEVICE = ROOT / "tests" / "device"
SEEDS = 10
PART = 2000  # datagrams of each seed
LONG_PART = 20000
HEAP = 128  # KB, so that what one of them needs at once is never in the way; what they keep is measured
SERVER_KEEPS, SERVER_KEEPS_AT_LAST, CLIENT_KEEPS = 12000, 3000, 3000  # bytes
REQUEST, RESPONSE = range(2)


# --- real messages ---


class Link:
    """A client and a server that pass each other datagrams, and keep them."""

    def __init__(self):
        self.kept = [], []
        self.client, self.layer = Layer(), Layer()
        self.server = Resources(self.layer)
        self.running = []
        self.server.spawn = lambda request, _: self.running.append(request)
        store = [b"21.5"]

        def put(request):
            store[0] = request.payload
            self.server.notify("store")

        class Later:
            def send(self, _):
                pass

            def close(self):
                pass

        self.server.add("store", get=lambda _: store[0], put=put, obs=True, rt="temperature", ct=0)
        self.server.add("big", get=lambda _: bytes(range(250)) * 8, fetch=lambda _: bytes(500))
        self.server.add("down", get=lambda _: lambda at, size: bytes(max(0, min(size, 5000 - at))))
        self.server.add("up", put=lambda request: str(len(request.payload)), post=lambda _: bytes(2000))
        self.server.add("stream", put=lambda request: str(request.offset), stream=True)
        self.server.add("slow", get=lambda _: Later(), post=lambda _: Later())
        self.server.add(
            "tag", get=lambda _: Response(b"there", format=0, max_age=5), etag=lambda _: b"12", put=put
        )
        self.server.add("fail", get=lambda _: 1 // 0, obs=True)

    def move(self):
        for _ in range(20):
            for here, there, way in ((self.client, self.layer, REQUEST), (self.layer, self.client, RESPONSE)):
                here.tick()
                out, here.out[:] = list(here.out), []
                for datagram, _ in out:
                    self.kept[way].append(bytes(datagram))
                    there.receive(bytes(datagram), "peer")
                here.now += 20
            if self.running:
                self.server.finish(self.running.pop(), "late")

    def ask(self, method, path, payload=b"", **options):
        message = request(method, "coap://10.0.0.1/" + path, **options)[0]
        steps = transfer(message, payload, None, 65536)
        message = next(steps)
        try:
            while True:
                exchange = Exchange(message, "peer")
                self.client.start(exchange)
                self.move()
                self.client.stop(exchange)
                message = steps.send(exchange.reply or Message(0x45))
        except StopIteration:
            pass

    def observe(self, path, **options):
        watched = Observation(request(1, "coap://10.0.0.1/" + path, **options)[0], "peer")
        self.client.start(watched)
        self.move()
        return watched


def real():
    """Messages of each kind that goes to a server, and to a client; the same each time."""
    with everything():
        return _real(Link())


def _real(link):
    for method in range(1, 8):
        for non in (False, True):
            link.ask(method, "store", b"22.5" if method in (2, 3) else b"", non=non)
    watched = link.observe("store", size=64)
    for number in range(12):
        link.ask(3, "store", b"%d" % number)
    link.client.stop(watched)
    link.ask(3, "store", b"the last")
    link.ask(1, "store", options=((6, 1),), token=watched.message.token)
    for path, size in (("big", 16), ("big", 1024), ("down", 512), (".well-known/core", 64), ("up", None)):
        link.ask(1, path, size=size)
    link.ask(3, "up", bytes(2100))
    link.ask(2, "up", bytes(1100))
    link.ask(3, "stream", bytes(3000), size=32)
    link.ask(3, "up", bytes(5000))
    for path in ("slow", "fail", "nope", "a/b/c?d=e&f", ".well-known/core?rt=temp*", "tag?x"):
        for non in (False, True):
            link.ask(1, path, non=non)
    link.ask(1, "tag", etag=b"12", accept=0)
    link.ask(1, "tag", accept=50)
    link.ask(3, "tag", b"x", if_match=[b"12", b""], if_none_match=True)
    link.ask(3, "store", b"quiet", no_response=26, non=True, format="application/json")
    link.ask(1, "store", options=((35, b"coap://elsewhere/"),))
    link.ask(1, "store", options=((9, b"oscore"), (65000, b"elective"), (258, b"\2"), (292, b"tag")))
    link.ask(5, "big", b"what", size=128, token=b"12345678")
    link.kept[REQUEST].extend((b"\x40\0\0\1", b"\x60\0\0\1", b"\x70\0\0\1"))
    return [sorted(set(kept)) for kept in link.kept]


# --- and what becomes of them ---

NUMBERS = (
    1,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    11,
    12,
    14,
    15,
    17,
    20,
    23,
    27,
    28,
    35,
    39,
    60,
    252,
    258,
    292,
    2048,
    2049,
    65000,
    65535,
)
LENGTHS = (0, 1, 2, 3, 4, 5, 8, 9, 12, 13, 14, 255, 256, 268, 269, 270, 1035)
CODES = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    31,
    32,
    65,
    66,
    67,
    68,
    69,
    95,
    128,
    130,
    132,
    136,
    141,
    160,
    165,
    192,
    225,
    255,
)
SIZES = (0, 1, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 1100, 1140, 1400)


def drop(message, number):
    message.options = [option for option in message.options if option[0] != number]


class Mutants:
    """An endless line of datagrams, the same for the same seed."""

    def __init__(self, seed, way, messages):
        self._random = random.Random(f"{seed} {way}")
        self._messages = messages[way]
        self._others = messages[REQUEST] + messages[RESPONSE]

    def __next__(self):
        chance = self._random
        data = chance.choice(self._messages)
        kind = chance.random()
        if kind < 0.1:
            return data
        if kind < 0.6:
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                data = self._structure(data)
        if kind > 0.5:
            for _ in range(chance.choice((1, 1, 1, 2, 4))):
                data = self._noise(data)
        return data[:1500]

    def _structure(self, data):
        try:
            message = decode(data)
        except ValueError:
            return self._noise(data)
        chance = self._random
        what = chance.randrange(9)
        if what == 0:
            message.type = chance.randrange(4)
        elif what == 1:
            message.code = chance.choice(CODES)
        elif what == 2:
            message.id = chance.choice((0, 1, 0xFFFF, chance.randrange(65536), chance.randrange(8)))
        elif what == 3:
            message.token = chance.choice(
                (b"", message.token[:-1], message.token + b"x", chance.randbytes(8))
            )[:8]
        elif what == 4:
            message.payload = bytes(chance.choice(SIZES))
        elif what == 5:
            number = chance.choice((6, 23, 27, 60, 28))
            value = chance.choice(
                (0, 1, 6, 7, 8, 14, 15, 16, 24, 0xFFFFF6, 0xFFFFFF, chance.randrange(1 << 24))
            )
            drop(message, number)
            message.add(number, value)
        elif what == 6 and message.options:
            number, value = chance.choice(message.options)
            message.add(number, value)
        elif what == 7 and message.options:
            drop(message, chance.choice(message.options)[0])
        else:
            message.add(chance.choice(NUMBERS), chance.randbytes(chance.choice(LENGTHS)))
        return bytes(message.encode())

    def _noise(self, data):
        chance = self._random
        what = chance.randrange(9)
        at = chance.randrange(len(data) + 1)
        if what == 0:
            return data[:at]
        if what == 1:
            return data + chance.randbytes(chance.choice((1, 2, 20)))
        if what == 2:
            return data[:at] + data[at + chance.choice((1, 2, 9)) :]
        if what == 3:
            return data[:at] + chance.randbytes(chance.choice((1, 2, 9))) + data[at:]
        if what == 4:
            other = chance.choice(self._others)
            return data[:at] + other[chance.randrange(len(other)) :]
        if what == 5:
            return data[:4] + chance.randbytes(chance.choice((0, 1, 9, 40)))
        if what == 6:
            return chance.randbytes(chance.choice((0, 1, 2, 3, 4, 5, 12, 200)))
        if what == 7:  # nibbles that say more than is there
            return (
                data[:at]
                + bytes((chance.choice((0xD0, 0xE0, 0xF0, 0x0D, 0x0E, 0x0F, 0xDD, 0xEE, 0xFF)),))
                + data[at:]
            )
        if not data:
            return data
        at = chance.randrange(len(data))
        return data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]


@pytest.fixture(scope="module")
def messages():
    found = real()
    assert len(found[REQUEST]) > 80 and len(found[RESPONSE]) > 80
    return found


def write(path, way, messages, part):
    """A file of datagrams, with what the scripts do with them: flags, peer, ms that have passed."""
    with open(path, "wb") as file:
        for seed in range(SEEDS):
            chance = random.Random(f"{seed} how")
            mutants = Mutants(seed, way, messages)
            for _ in range(part):
                data = next(mutants)
                flags = (
                    chance.choice((0, 0, 0, 1))
                    if way == REQUEST
                    else chance.choice((0, 1, 2, 3, 3, 3, 3, 4, 4))
                )
                ms = chance.choice((0, 1, 20, 20, 20, 20, 20, 300, 300, 2000, 30000)) + chance.randrange(16)
                file.write(struct.pack(">BBHH", flags, chance.randrange(256), ms, len(data)) + data)


@pytest.fixture(scope="module")
def files(tmp_path_factory, messages):
    """The path of a file of so many datagrams to a client or a server, written when first asked for."""
    folder = tmp_path_factory.mktemp("datagrams")

    def path(way, part):
        path = folder / f"{way}-{part}"
        if not path.exists():
            write(path, way, messages, part)
        return path

    return path


def feed(board, name, file, part):
    """What the script tells of these datagrams: the words of each line."""
    heap = None if board.command == interpreter("cpython") else HEAP
    told = board.run(DEVICE / f"coap_fuzz_{name}.py", file, part, heap=heap)
    return [line.split() for line in told.splitlines()]


def check_server(lines, part):
    """It has served and was not silent, and what it kept is a few KB, and little after a while."""
    (before,), *parts, after = lines
    assert len(parts) == SEEDS
    assert [line[3] for line in parts] == SEEDS * ["True"]
    assert int(parts[-1][1]) > SEEDS * part / 3  # of what it got is half junk, which is not all answered
    assert max(int(line[0]) for line in parts) < int(before) + SERVER_KEEPS
    assert int(after[0]) < int(before) + SERVER_KEEPS_AT_LAST
    assert after[1:] == ["0", "0", "None"]  # no observers, and nothing under way


def check_client(lines, part):
    """Replies came, and errors, and it keeps nothing of them; a word on the stack may hold garbage now and then."""
    (before, *_), *parts = lines
    assert len(parts) == SEEDS
    assert min(map(int, parts[-1][1:])) > SEEDS * part / 10
    kept = sorted(int(line[0]) - int(before) for line in parts)
    assert kept[SEEDS // 2] < CLIENT_KEEPS
    assert kept[-1] < 2 * CLIENT_KEEPS


@pytest.fixture(params=RUNTIMES[::2])
def board(request, tmp_path):
    """A board of 32 bits, and CPython."""
    return Board(interpreter(request.param), tmp_path)


def test_a_servers_rules(board, files):
    check_server(feed(board, "server", files(REQUEST, PART), PART), PART)


def test_a_clients_rules(board, files):
    check_client(feed(board, "client", files(RESPONSE, PART), PART), PART)


@pytest.mark.soak
def test_a_servers_rules_for_long(board, files):
    check_server(feed(board, "server", files(REQUEST, LONG_PART), LONG_PART), LONG_PART)


@pytest.mark.soak
def test_a_clients_rules_for_long(board, files):
    check_client(feed(board, "client", files(RESPONSE, LONG_PART), LONG_PART), LONG_PART)


def test_strangers_leave_little_behind(small_board):
    """However many they are: observers, bodies, copies and slow answers are few."""
    told = small_board.run(DEVICE / "coap_bounds.py", heap=HEAP)
    lines = [line.split(";") for line in told.splitlines()]
    assert len(lines) == 8
    for name, few, many, to_one, at_once, served, left in lines:
        assert (served, left) == ("True", "None"), name
        assert int(many) < int(few) + 2048, name
        assert int(to_one) <= (6 if name == "slow handlers" else 1), name  # an ACK, and copies of the answer
        assert int(at_once) <= 9, name


# --- through sockets ---

KINDS = (("micropython-64", "asyncio"), ("micropython-32", "blocking"))
SOCKET_PART = 2000


@pytest.fixture(params=KINDS, ids="-".join)
def kind(request, tmp_path):
    """A board, and a driver."""
    runtime, driver = request.param
    return Board(interpreter(runtime), tmp_path), driver


def test_a_server(kind, messages):
    served = Served(*kind)
    mutants = Mutants(0, REQUEST, messages)
    peers = [served.peer() for _ in range(5)]
    for number in range(SOCKET_PART):
        peer = peers[number % 5]
        data = next(mutants)
        if b"slow" not in data:  # which takes its time
            peer.send(data)
        if number % 20 == 19:
            drain(peers)
    peer = served.peer()
    peer.send(b"\x40\x01\x00\x01\xb5count")
    assert peer.receive() == b"\x60\x45\x00\x01\xff1"
    served.end()  # it runs, and has said nothing


def drain(peers):
    """Takes what came, up to the answers to pings."""
    for peer in peers:
        peer.send(PING)
    for peer in peers:
        while (came := peer.receive()) != PONG:
            assert came is not None


def test_a_client(kind, messages):
    """Each request gets twenty datagrams, which do not know its id and token or, each second time, some do."""
    asker = Asker(*kind)
    server, mutants = asker.server(), Mutants(0, RESPONSE, messages)
    for number in range(SOCKET_PART // 20):
        asker.do(f"client.get('{server.url}/x', ack_timeout=20)")
        request = fresh(server)
        for way in range(20):
            data = next(mutants)
            if number & way & 1:
                data = data[:2] + request[2:8] + data[8:]
            if number & 1 or data[2:4] != request[2:4]:
                server.send(data)
        told = settled(asker, server, request)
        assert told == "2.05 b'right'" or number & 1 and told[:2] in ("2.", "4.", "5.", "OS"), told
    asker.end()


def fresh(server):
    """The request that comes now, behind what may follow from the one before."""
    while True:
        came = server.receive()
        assert came is not None
        if came[:2] == b"\x44\x01" and came.endswith(b"\xb1x"):
            return came


def settled(asker, server, request):
    """What came of it, where this and what else it asks, for further blocks, is answered as it should be."""
    for _ in range(1000):
        if request:
            server.send(b"\x64\x45" + request[2:8] + b"\xff" + b"right")
        told = asker.told(0.02)
        if told:
            return told
        came = server.receive(0.001)
        request = came if came and 0 < came[1] < 32 else None
    raise AssertionError("it is waiting")

"""The link over TCP on bad paths: streams in pieces, connections that break, stall or are refused."""

import asyncio
import gc
import logging
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import benserver.tcp
from ben import keys
from ben.tcp import Frames, framed
from benserver import status
from hosts import PATIENCE, Host
from peers import free_port
from stream import Fate, Faults, Proxy, fate
from test_outages import Lines
from test_paths import SENDS, TRUTH, Ledger, wait_until
from test_sessions import Peer

LOCAL = "127.0.0.1"
MOST = 1232  # bytes of a message

# Frames

MESSAGES = [b"a", bytes(range(256)), b"\0\0\1", b"b" * 255, b"c" * MOST]
STREAM = b"".join(map(framed, MESSAGES))


def taken(*parts):
    """The messages of a stream that comes in these pieces; it must need no byte when they end."""
    frames, got = Frames(MOST), []
    for part in parts:
        while part:
            need = frames.need
            message = frames.feed(part[:need])
            if message is not None:
                got.append(bytes(message))
            part = part[need:]
    assert frames.need == 2, "between two messages"
    return got


def test_a_stream_may_be_cut_anywhere():
    assert taken(STREAM) == MESSAGES
    assert taken(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == MESSAGES
    for at in range(len(STREAM)):
        assert taken(STREAM[:at], STREAM[at:]) == MESSAGES


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=300)), st.lists(st.integers(0, 3000)))
def test_any_split_of_any_messages_gives_the_same(messages, cuts):
    stream = b"".join(map(framed, messages))
    at = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    assert taken(*(stream[one:two] for one, two in zip(at, at[1:]))) == messages


LIES = (0, MOST + 1, 65535)


@pytest.mark.parametrize("size", LIES)
def test_a_length_that_lies_is_refused(size):
    head = size.to_bytes(2, "big")
    for parts in (head,), (head[:1], head[1:]):
        frames = Frames(MOST)
        with pytest.raises(ValueError, match=str(size)):
            for part in parts:
                assert frames.feed(part) is None


@pytest.mark.parametrize("size", [0, 65536])
def test_no_length_is_written_that_lies(size):
    with pytest.raises(ValueError):
        framed(bytes(size))
    assert framed(bytes(65535))[:2] == b"\xff\xff"


# The proxy itself


def test_the_same_seed_means_the_same_fates():
    faults = Faults(reset=0.3, end=0.3, stall=0.3, refuse=0.5)

    def fates(seed):
        return [fate(faults, number, seed) for number in range(200)]

    assert fates(1) == fates(1) != fates(2)
    kinds = Counter(each.what for each in fates(1))
    assert all(kinds[what] > 30 for what in ("reset", "end", "stall")) and kinds["goes on"] > 5
    assert 30 < sum(each.refuse for each in fates(1)) < 150


class Scripted(Proxy):
    """Its first connections meet what a test names, the others nothing."""

    def __init__(self, server_port, *fates, **options):
        self.fates = fates
        super().__init__(server_port, **options)

    def fate(self, number):
        return self.fates[number] if number < len(self.fates) else Fate()


def through(met, **faults):
    """What a server and a client get of 100 bytes each, when the connection meets this; and how it ends."""
    with socket.create_server((LOCAL, 0)) as listener:
        with Scripted(listener.getsockname()[1], met, faults=Faults(**faults)) as proxy:
            with socket.create_connection((LOCAL, proxy.port)) as client:
                server, _ = listener.accept()
                with server:
                    client.sendall(bytes(100))
                    patience = 0.5 if met.what == "stall" else PATIENCE
                    up = drained(server, patience)
                    server.sendall(bytes(100))
                    down = drained(client, patience)
    return up, down


def drained(sock, patience):
    """How many bytes came, and how it ended, if it has."""
    sock.settimeout(patience)
    count = 0
    try:
        while count < 100:
            data = sock.recv(100)
            if not data:
                return count, "end"
            count += len(data)
    except ConnectionResetError:
        return count, "reset"
    except TimeoutError:
        return count, "stall"
    return count, ""


def test_each_fault_of_a_connection_happens():
    assert through(Fate()) == ((100, ""), (100, ""))
    assert through(Fate(), single=1) == ((100, ""), (100, ""))
    assert through(Fate("end", True, 7))[0] == (7, "end")
    assert through(Fate("end", False, 7)) == ((100, ""), (7, "end"))
    assert through(Fate("stall", True, 7)) == ((7, "stall"), (0, "stall"))
    assert through(Fate("stall", False, 7)) == ((100, ""), (7, "stall"))
    up, down = through(Fate("reset", False, 7))
    assert up == (100, "") and down[1] == "reset" and down[0] <= 7
    with Proxy(9) as proxy:
        proxy.call(proxy.refuse)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOCAL, proxy.port))
        proxy.call(proxy.listen)
        socket.create_connection((LOCAL, proxy.port)).close()


# The server's end of a connection


class Wire(Peer):
    """A connection to a host that says what it is told, sealed as one device does it."""

    def __init__(self, host, device=1, port=None, room=None):
        super().__init__(None, device)
        self.c2s, self.s2c = keys.directions(keys.derive(host.server._sessions._prk, self.device))
        self.seq = 0
        self.socket = socket.socket()
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((LOCAL, port or host.server.tcp))
        self._frames = Frames(MOST)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def request(self, data=b""):
        """The next request, for the action x."""
        self.seq += 1
        return self.seal(self.seq, b"\2\1x" + data)

    def say(self, stream):
        self.socket.sendall(stream)

    def hear(self):
        """The next message, or None where the connection ends instead."""
        try:
            while data := self.socket.recv(self._frames.need):
                if message := self._frames.feed(data):
                    return bytes(message)
        except ConnectionResetError:
            pass
        return None

    def ask(self, data=b""):
        """The plaintext of the reply to a request; it has said and heard nothing else."""
        request = self.request(data)
        self.say(framed(request))
        return self.open(self.hear(), request)[1]

    def warm(self):
        """Has shown its key, by a request that is refused."""
        self.token = self.ask()[1:8]
        self.seq = 1
        request = self.seal(1, b"\0\1w")
        self.say(framed(request))
        assert self.open(self.hear(), request)[1][0] == status.UNKNOWN
        return self


@pytest.fixture
def served(tmp_path):
    """A host that listens over TCP too; its action x echoes."""
    with Host(tmp_path / "key.sec", tcp=0) as host:
        host.handle("x", lambda data: data)
        yield host


def test_a_request_may_come_byte_by_byte_and_several_at_once(served):
    with Wire(served).warm() as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = peer.request(b"byte")
        for byte in framed(one):
            peer.say(bytes((byte,)))
            time.sleep(0.001)  # so that each comes by itself
        assert peer.open(peer.hear(), one)[1] == b"\0\2byte"
        several = [peer.request(b"%d" % number) for number in range(5)]
        peer.say(b"".join(map(framed, several)) + framed(several[-1])[:50])
        assert [peer.open(peer.hear(), each)[1] for each in several] == [b"\0\2%d" % n for n in range(5)]
        peer.say(framed(several[-1])[50:])
        assert peer.open(peer.hear(), several[-1])[1] == b"\0\0024", "a copy is answered, and runs nothing"
    assert [data for _, (data,) in served.calls] == [b"byte", b"0", b"1", b"2", b"3", b"4"]


def flipped(message):
    return message[:-1] + bytes((message[-1] ^ 1,))


def test_what_is_no_request_ends_its_connection_without_an_answer(served, caplog):
    """A length that lies, and a stranger's message; also where the connection was known, and behind a good one."""
    wrong = [size.to_bytes(2, "big") + bytes(100) for size in LIES]
    with Wire(served, 2).warm() as known, caplog.at_level(logging.DEBUG, "benserver"):
        good = known.request(b"good")
        wrong += [framed(each) for each in (flipped(good), good[:-16], bytes(64), b"x")]
        for each in wrong:
            with Wire(served) as stranger:
                stranger.say(each + framed(good))
                assert stranger.hear() is None
        assert served.calls == [] and list(served.server._sessions._devices) == [known.device]
        assert known.ask(b"still") == b"\0\2still"
        last = known.request(b"last")
        known.say(framed(last) + wrong[0] + framed(known.request(b"behind")))
        known.hear()
        assert known.hear() is None
    assert [data for _, (data,) in served.calls] == [b"still", b"last"]
    assert caplog.records == []


def test_whoever_says_nothing_or_stops_within_a_message_is_dropped(served, monkeypatch):
    with Wire(served, 2).warm() as idle, Wire(served, 3).warm() as stops, Wire(served, 4).warm() as slow:
        monkeypatch.setattr(benserver.tcp, "PATIENCE", 0.4)
        with Wire(served) as silent, Wire(served) as half:
            half.say(b"\0")
            stops.say(framed(stops.request())[:40])
            began = time.monotonic()
            stream, sent = framed(slow.request(bytes(500))), 0
            while not select.select([slow.socket], [], [], 0.03)[0]:
                slow.say(stream[sent : sent + 1])
                sent += 1
            assert [each.hear() for each in (silent, half, stops, slow)] == [None] * 4
            assert time.monotonic() - began > 0.35 and 1 < sent < len(stream)
        assert idle.ask(b"here") == b"\0\2here"
    assert len(served.calls) == 1


def test_too_many_strangers_make_room_and_known_ones_stay(served, monkeypatch):
    monkeypatch.setattr(benserver.tcp, "STRANGERS_MAX", 3)
    with ExitStack() as stack:
        known = [stack.enter_context(Wire(served, number).warm()) for number in range(1, 7)]
        strangers = [stack.enter_context(Wire(served, 9)) for _ in range(8)]
        assert [each.hear() for each in strangers[:5]] == [None] * 5
        for each in known:
            assert each.ask(b"stays") == b"\0\2stays"
        assert strangers[7].warm().ask(b"known now") == b"\0\2known now"
        more = [stack.enter_context(Wire(served)) for _ in range(3)]
        assert [each.hear() for each in strangers[5:7]] == [None] * 2
        assert strangers[7].ask(b"and stays") == b"\0\2and stays"
        assert select.select([each.socket for each in more], [], [], 0)[0] == []


def test_whoever_repeats_what_it_heard_stays_a_stranger(served, monkeypatch):
    """An old request, and a copy of the last one, have a right tag: from anybody."""
    monkeypatch.setattr(benserver.tcp, "STRANGERS_MAX", 3)
    with ExitStack() as stack:
        idle, heard = (stack.enter_context(Wire(served, number).warm()) for number in (1, 2))
        old, last = heard.request(b"old"), heard.request(b"last")
        for each in old, last:
            heard.say(framed(each))
            heard.hear()
        repeats = []
        for number in range(8):
            repeats.append(stack.enter_context(Wire(served, 9)))
            repeats[-1].say(framed((old, last)[number % 2]))
            assert repeats[-1].hear() is not None, "an answer, for whoever has the key"
        assert [each.hear() for each in repeats[:5]] == [None] * 5
        assert idle.ask(b"idle") == b"\0\2idle"
    assert [data for _, (data,) in served.calls] == [b"old", b"last", b"idle"]


def test_no_more_connections_than_devices(served, monkeypatch):
    monkeypatch.setattr(benserver.tcp, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(benserver.tcp, "PATIENCE", 1000)  # nobody is sent away for being slow
    with Wire(served, 1).warm() as one, Wire(served, 2).warm() as two:
        with Wire(served, 3) as three:
            assert three.hear() is None
        assert one.ask(b"1") == b"\0\0021" and two.ask(b"2") == b"\0\0022"
    wait_until(lambda: comes_in(served))


def test_where_it_is_full_a_stranger_makes_room(served, monkeypatch):
    monkeypatch.setattr(benserver.tcp, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(benserver.tcp, "PATIENCE", 1000)  # nobody is sent away for being slow
    with Wire(served, 1).warm() as one, Wire(served, 2) as stranger, Wire(served, 3) as three:
        assert three.ask()[1:8] != bytes(7), "it is let in, and challenged"
        assert stranger.hear() is None
        assert one.ask(b"1") == b"\0\0021"


def comes_in(host):
    """Whether a new connection is let in."""
    with Wire(host, 3) as peer:
        request = peer.request()
        peer.say(framed(request))
        return peer.hear() is not None


def test_whoever_reads_no_replies_is_dropped_and_slows_nobody(served, caplog):
    with Wire(served, room=4096).warm() as deaf, Wire(served, 2).warm() as other:
        stream = framed(deaf.request(bytes(1000)))
        times, count = [], 0
        with pytest.raises(OSError), caplog.at_level(logging.DEBUG, "benserver"):
            while count < 30000:
                deaf.say(stream * 20)
                count += 20
                began = time.monotonic()
                assert other.ask(b"quick") == b"\0\2quick"
                times.append(time.monotonic() - began)
        assert len(caplog.records) == 1 and "reads too slowly" in caplog.text
        assert sorted(times)[len(times) // 2] < 0.5 and other.ask(b"after") == b"\0\2after"
    assert sum(data == bytes(1000) for _, (data,) in served.calls) == 1


def test_whoever_says_much_at_once_lets_others_have_their_turn(served):
    go = threading.Event()
    served.handle("hold", lambda: go.wait(PATIENCE) and None)
    with Wire(served, 1).warm() as many, Wire(served, 2).warm() as holds, Wire(served, 3).warm() as other:
        flood = b"".join(framed(many.request(b"%d" % number)) for number in range(1000))
        holds.say(framed(holds.seal(2, b"\0\4hold")))
        served.wait_for_calls(1)
        many.socket.setblocking(False)
        sent = many.socket.send(flood)  # what fits
        assert sent > 30000
        request = other.request(b"other")
        other.say(framed(request))
        go.set()
        assert other.open(other.hear(), request)[1] == b"\0\2other"
        calls = list(served.calls)
    before = calls.index(("x", (b"other",)))
    assert before < 100, f"{before} went before it"


@pytest.fixture
def many_files():
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_five_hundred_idle_and_fifty_busy_connections(served, many_files):
    with ExitStack() as stack:
        peers = [stack.enter_context(Wire(served, number).warm()) for number in range(550)]
        busy = peers[::11]
        for round in range(10):
            asked = [(peer, peer.request(b"%d" % round)) for peer in busy]
            for peer, request in asked:
                peer.say(framed(request))
            for peer, request in asked:
                assert peer.open(peer.hear(), request)[1] == b"\0\2%d" % round
        assert all(peer.ask(b"idle") == b"\0\2idle" for peer in peers)
    assert len(served.calls) == 50 * 10 + 550


def test_a_connection_that_has_ended_leaves_nothing_behind(served):
    def connections():
        gc.collect()
        return sum(isinstance(each, benserver.tcp.Connection) for each in gc.get_objects())

    for form in b"\2", b"\x42":  # also noreturn
        with Wire(served).warm() as peer:
            peer.seq += 1
            request = peer.seal(peer.seq, form + b"\1xdata")
            peer.say(framed(request))
            peer.hear()
            assert connections() == 1
        wait_until(lambda: not connections())


def test_a_copy_that_somebody_overheard_takes_no_answer_away(served):
    """It comes over a connection of theirs while the handler runs."""
    again = threading.Event()

    async def slow():
        while not again.is_set():
            await asyncio.sleep(0.01)
        return "slept"

    served.handle("slow", slow)
    with Wire(served).warm() as peer, Wire(served) as other:
        peer.seq += 1
        request = peer.seal(peer.seq, b"\0\4slow")
        peer.say(framed(request))
        wait_until(lambda: served.calls)
        other.say(framed(request))
        wait_until(lambda: served.datagrams == 4)
        again.set()
        for each in (peer, other):
            assert peer.open(each.hear(), request)[1] == b"\0\3slept"
    assert len(served.calls) == 1


# At most once, and the truth

# As on bad paths of datagrams; the last one is sent when the faults have ended.
TCP_SENDS = (
    SENDS[: SENDS.index("async def main")]
    + """
async def main():
    port, first, count, number, calm = map(int, sys.argv[1:6])
    link = Client("127.0.0.1", port, float(sys.argv[6]), channel=0, device=1 + number, tcp=True)
    for number in range(first, first + count):
        request, expected = ask(number)
        noreturn = number % 4 == 3
        if number == first + count - 1:
            await Client("127.0.0.1", calm, 60).send({"action": "calm", "data": int(sys.argv[4])})
        try:
            got = await link.send(request, noreturn)
            print(number, "ran" if got == ({} if noreturn else expected) else "wrong: %r" % got)
        except OSError as error:
            print(number, error.args[1])
        except BenError as error:
            print(number, error.text)

run(main)
"""
)
PATHS = {
    "resets": (Faults(reset=1, within=4000), 10),
    "ends": (Faults(end=1, within=4000), 10),
    "small pieces": (Faults(single=0.3, piece=200), 10),
    "stalls": (Faults(stall=1, within=12000), 10),
    "refusals": (Faults(reset=1, within=6000, refuse=0.5), 10),
    "everything": (Faults(0.4, 0.3, 0.3, 6000, single=0.2, piece=300, refuse=0.3), 10),
    "a short time": (Faults(0.4, 0.3, 0.3, 1500, single=0.1, piece=300, refuse=0.5), 0.3),
}
REQUESTS = 60


def test_at_most_once_and_the_truth_over_tcp(crowd, served):
    """On every path, on every board, with both drivers; all at the same time."""
    ledger, paths, first = Ledger(served), [], 0

    def calm(number):
        paths[number][1].call(paths[number][1].end_faults)

    served.handle("calm", calm, thread=True)
    with ExitStack() as stack:
        for path, (faults, timeout) in PATHS.items():
            for name in crowd.names:
                proxy = stack.enter_context(Proxy(served.server.tcp, faults, seed=f"{path}, {name}"))
                arguments = proxy.port, first, REQUESTS, len(paths), served.port, timeout
                paths.append((path, proxy))
                crowd.start(name, TCP_SENDS, *arguments)
                first += REQUESTS
        kinds = Counter()
        for (path, proxy), lines in zip(paths, crowd.lines()):
            for what, count in ledger.hear(lines, proxy).items():
                kinds[path, what] += count
            if path != "a short time":
                assert lines[-1].endswith(" ran"), f"{lines[-1]}\n{proxy}"
    ledger.check()
    everything = REQUESTS * len(crowd.names)
    assert len(ledger.told) == everything * len(PATHS)
    print(kinds, {path: sum(len(proxy.links) for one, proxy in paths if one == path) for path in PATHS})
    for path, (faults, _) in PATHS.items():
        if path != "a short time":
            assert kinds[path, "ran"] > 0.85 * everything, kinds
        for what in "reset", "end", "stall":
            met = sum(proxy.count(what) for one, proxy in paths if one == path)
            assert met > len(crowd.names) if getattr(faults, what) else met == 0, (path, what, met)
    for what in "ran", "not run", "maybe":
        assert kinds["a short time", what] > 0.02 * everything, kinds


COPIES = """
import sys
from ben.tcp import Tcp
tcp = Tcp("127.0.0.1", int(sys.argv[1]))
message = bytes(64)
for _ in range(10):
    tcp.send(message)
    assert not tcp.recv(20)
tcp.send(bytes(32))
assert not tcp.recv(20)
tcp.close()
"""


def test_a_copy_goes_over_a_new_connection_after_each_three_that_were_unanswered(board):
    """One, three copies that do not leave, one, three, one, three, one; and another message over the last."""
    with socket.create_server((LOCAL, 0)) as listener:
        board.run(COPIES, listener.getsockname()[1])
        listener.setblocking(False)
        counts = []
        try:
            while True:
                with listener.accept()[0] as connection:
                    connection.settimeout(PATIENCE)
                    counts.append(len(received(connection)))
        except BlockingIOError:
            pass
    assert counts == [66, 66, 66, 66 + 34]


FULL = """
import sys
from ben.tcp import Tcp
tcp = Tcp("127.0.0.1", int(sys.argv[1]))
messages = 0
while not tcp.out:
    assert messages < 20000
    tcp.send(bytes((1,)) * 1000)
    tcp.recv(0 if messages else 1000)
    messages += 1
tcp.send(bytes((2,)) * 500)
tcp.recv(100)
"""


def test_another_message_is_never_written_behind_the_half_of_one(small_board):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind((LOCAL, 0))
        listener.listen()
        small_board.run(FULL, listener.getsockname()[1])
        listener.settimeout(PATIENCE)
        with listener.accept()[0] as first, listener.accept()[0] as second:
            assert set(received(first)) <= {1000 >> 8, 1000 & 0xFF, 1}
            assert received(second) == framed(b"\2" * 500)


def received(connection):
    """Everything until it ends."""
    got = b""
    while data := connection.recv(1000):
        got += data
    return got


# A server that dies, and a connection that breaks while a handler runs

SERVER = """
import sys
from benserver import Server, sender
server = Server("127.0.0.1", 0, "key.sec", tcp=int(sys.argv[1]))

def note(number):
    print("ran", number, flush=True)
    return number

server.add_action_handler("note", note)
server.on_listening = lambda: print("listens", server.tcp, flush=True)
server.start()
"""
COUNTS = """
async def main():
    port, first, count = map(int, sys.argv[1:])
    link = Client("127.0.0.1", port, 20, device=1 + first, tcp=True)
    for number in range(first, first + count):
        try:
            print(number, "ran" if await link.send({"action": "note", "data": number}) == number else "wrong")
        except OSError as error:
            print(number, error.args[1])
        await sleep(0.02)

run(main)
"""


class Process:
    """A server as a process that prints what runs; to be killed, and started again on the same port."""

    def __init__(self, folder):
        benserver.generate_new_secret(folder / "key.sec")
        self.ran = []
        self.port = free_port()
        self._folder = folder
        self.start()

    def start(self):
        command = [sys.executable, "-c", SERVER, str(self.port)]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline().split()[1])
        self._lines = Lines(self._process.stdout)

    def wait_for(self, count):
        """Until so many have run since it was started."""
        wait_until(lambda: len(self._lines.lines) >= count)

    def kill(self):
        self._process.kill()
        self._process.wait()
        self.ran += [int(line.split()[1]) for line in self._lines.all()]
        self._process.stdout.close()


def test_boards_are_back_when_the_server_was_killed(crowd, tmp_path):
    server, count = Process(tmp_path), 40
    try:
        for number, name in enumerate(crowd.names):
            crowd.start(name, COUNTS, server.port, number * count, count)
        for _ in range(2):
            server.wait_for(len(crowd.names) * count // 4)
            server.kill()
            server.start()
        told = dict(line.split(" ", 1) for lines in crowd.lines() for line in lines)
    finally:
        server.kill()
    ran = Counter(server.ran)
    assert sorted(map(int, told)) == list(range(len(crowd.names) * count))
    for number, what in told.items():
        assert ran[int(number)] in TRUTH[what], (number, what, ran[int(number)])
    assert list(told.values()).count("maybe") <= 2 * len(crowd.names)
    assert all(told[str(number * count + count - 1)] == "ran" for number in range(len(crowd.names)))


SLOW = """
async def main():
    number, port = map(int, sys.argv[1:])
    link = Client("127.0.0.1", port, 20, device=1 + number, tcp=True)
    for data in range(10):
        await link.send({"action": "x", "data": data})
    print(await link.send({"action": "slow", "data": number}))

run(main)
"""


def test_a_call_whose_connection_breaks_is_answered_over_the_next_one(crowd, served):
    ran = Counter()

    async def slow(number):
        ran[number] += 1
        proxies[number].soon(proxies[number].reset)
        await asyncio.sleep(1)
        return f"{number} slept"

    served.handle("slow", slow)
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(served.server.tcp, seed=name)) for name in crowd.names]
        for number, (name, proxy) in enumerate(zip(crowd.names, proxies)):
            crowd.start(name, SLOW, number, proxy.port)
        assert crowd.lines() == [[f"{number} slept"] for number in range(len(proxies))]
    assert set(ran.values()) == {1}
    assert [len(proxy.links) for proxy in proxies] == [2] * len(proxies), "\n".join(map(str, proxies))


# Nobody there

ABSENT = """
number, port, control = map(int, sys.argv[1:])

async def main():
    link = Client("127.0.0.1", port, 0.7, device=1 + number, tcp=True)
    for _ in range(2):
        began = time.time()
        try:
            print(await link.send({"action": "x", "data": 1}))
        except OSError as error:
            print(error.args[1], 0.6 < time.time() - began < 5)
    await Client("127.0.0.1", control, 60).send({"action": "come", "data": number})
    link = again(link)
    print(await link.send({"action": "x", "data": 2}))

def again(link):  # the same link, with more time
    link._exchange.timeout = 20000
    return link

run(main)
"""


class Absent(Proxy):
    """Nobody is there yet: "nobody" listens, somebody "says nothing", or the "queue is full"."""

    def __init__(self, server_port, kind, **options):
        self.kind = kind
        self._fillers = []
        super().__init__(server_port, listens=False, **options)

    def fate(self, number):
        return Fate("stall") if self.kind == "says nothing" else Fate()

    def go(self):
        if self.kind == "says nothing":
            self.listen()
        elif self.kind == "queue is full":
            self.listen(backlog=0)
            for _ in range(4):
                self._fillers.append(socket.socket())
                self._fillers[-1].setblocking(False)
                self._fillers[-1].connect_ex((LOCAL, self.port))

    def come(self):
        """The server is there now."""
        self.kind = ""
        for each in self._fillers:
            each.close()
        self.refuse()
        self.listen()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")
def test_a_send_where_nobody_is_ends_in_time_and_the_next_one_works(crowd, served):
    served.handle("come", lambda number: proxies[number].call(proxies[number].come), thread=True)
    with ExitStack() as stack:
        proxies = []
        for kind in "nobody", "says nothing", "queue is full":
            for name in crowd.names:
                proxy = stack.enter_context(Absent(served.server.tcp, kind, seed=(kind, *name)))
                proxy.call(proxy.go)
                crowd.start(name, ABSENT, len(proxies), proxy.port, served.port)
                proxies.append(proxy)
        for proxy, lines in zip(proxies, crowd.lines()):
            assert lines == ["not run True"] * 2 + ["2"], str(proxy)
    assert {data for name, data in served.calls if name == "x"} == {(2,)}

"""The link as its user sees it: a board of every runtime against the real server."""

import asyncio
import gc
import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

import benserver
from ben import BenError, client
from hosts import Host

# What every script begins with: client, with either driver, over either transport.
BLOCKING = "from ben import client\n"
ASYNCIO = """
import asyncio
from ben import aio

class client:
    def __init__(self, *arguments, **options):
        self._link = aio.client(*arguments, **options)
        self._socket = self._link._socket
        self.close = self._link.close

    def send(self, *arguments, **options):
        return asyncio.run(self._link.send(*arguments, **options))
"""
OVER_TCP = """
either = client
def client(*arguments, **options):
    return either(*arguments, tcp=True, **options)
"""
START = """
import sys
from ben import BenError
link = client("127.0.0.1", int(sys.argv[1]), timeout=20)

def refused(data, **options):
    try:
        print("ran:", link.send(data, **options))
    except BenError as error:
        print(error.status, error.text)
"""

VALUES = """
values = [
    None, True, 0, -1, 2.5, "", "text", "h\\u00e9 \\U0001f600", b"", b"\\x00\\xff", [], {}, [1, [2, {"a": None}]],
    {"t": 23, "deep": {"list": [1.5, "x", {"y": [True, False]}]}}, {"\\u00fc": "\\U0001f331"}, 1 << 40,
]
for value in values:
    got = link.send({"action": "echo", "data": value})
    print(got == value and type(got) is type(value), repr(value))
"""

SIZES = """
sizes = [0, 1, 13, 14, 15, 16, 1018, 1019, 1022, 1023, 1024, 1025, 2039, 2040, 2041, 2048, 4095, 4096]
for size in sizes:
    for value in (bytes(i & 255 for i in range(size)), "".join(chr(97 + i % 26) for i in range(size))):
        got = link.send({"action": "echo", "data": value})
        print(got == value, size)
print(len(link.send({"action": "big", "data": 4096})), len(link.send({"action": "big", "data": 1024})))
"""

REFUSED = """
refused({"action": "fails", "data": 0})
refused({"action": "nosuch"})
refused({"action": "echo", "data": bytes(4097)})
refused({"action": "echo", "data": bytes(4000)}, noreturn=True)
refused({"action": "set"})
refused({"action": "nan"})
refused({"action": "big", "data": 4097})
refused({"action": "wants"})
refused({"action": "nothing"})
refused({"action": "small", "data": bytes(1000)})
"""

INVALID = """
import gc
def invalid(data):
    try:
        print("sent:", link.send(data))
    except ValueError as error:
        print("ValueError", error)
nested = []
for _ in range(25):
    nested = [nested]
for data in (float("nan"), [float("inf")], {"a": -float("inf")}, {1: 2}, object, {"a": b"bytes"}, {1, 2}, nested):
    invalid({"action": "echo", "data": data})
for data in ({}, {"data": 1}, {"action": 5}, {"action": b"echo"}, [], "echo", None, {"action": "echo", "dta": 1}):
    invalid(data)
for name in ("", "x" * 256, "\\u00e9" * 128):
    invalid({"action": name})
"""


class Driver(NamedTuple):
    """The beginning of a script, and whether its client wants the TCP port."""

    start: str
    tcp: bool


DRIVERS = {
    "blocking": Driver(BLOCKING + START, False),
    "asyncio": Driver(ASYNCIO + START, False),
    "blocking over TCP": Driver(BLOCKING + OVER_TCP + START, True),
    "asyncio over TCP": Driver(ASYNCIO + OVER_TCP + START, True),
}


@pytest.fixture(params=DRIVERS)
def driver(request):
    """How a script begins whose client is of each kind."""
    return DRIVERS[request.param]


def run(board, host, body, driver=DRIVERS["blocking"], arguments=()):
    return board.run(driver.start + body, port(host, driver.tcp), *arguments).splitlines()


def port(host, tcp):
    return host.tcp if tcp else host.port


def serve(host):
    def fails(_):
        raise KeyError("not for the board")

    host.handle("echo", lambda data=None: data)
    host.handle("big", lambda size: "x" * size)
    host.handle("fails", fails)
    host.handle("set", lambda: {1, 2})
    host.handle("nan", lambda: float("nan"))
    host.handle("wants", lambda data: data)
    host.handle("nothing", lambda: None)


def test_values_come_back_as_they_went(board, driver, host):
    serve(host)
    lines = run(board, host, VALUES, driver)
    assert len(lines) == 16
    assert [line for line in lines if not line.startswith("True ")] == []


def test_bodies_of_every_size_both_ways(board, driver, host):
    serve(host)
    lines = run(board, host, SIZES, driver)
    assert lines[-1] == "4096 1024"
    assert [line for line in lines[:-1] if not line.startswith("True ")] == []
    assert len(host.calls) == 2 * 18 + 2, "each request ran once"


def test_the_data_that_a_handler_gets(board, driver, host):
    serve(host)
    host.handle("take", lambda *data: len(data))
    lines = run(
        board,
        host,
        'print(link.send({"action": "take"}), link.send({"action": "take", "data": None}))\n'
        'print(link.send({"action": "nothing"}))\n'
        'data = {"action": "take", "data": {"t": [1]}}\nlink.send(data, noreturn=True)\nprint(data)',
        driver,
    )
    assert lines[:2] == ["0 1", "None"]
    assert eval(lines[2]) == {"action": "take", "data": {"t": [1]}}, "the caller's dict is as it was"
    host.wait_for_calls(4)  # with noreturn it runs after the reply
    assert [data for name, data in host.calls if name == "take"] == [(), (None,), ({"t": [1]},)]


def test_a_refusal_of_each_status(board, driver, host):
    serve(host)
    host.server._sessions._buffersize = 4096
    lines = run(board, host, REFUSED, driver)
    assert lines == [
        "1 KeyError",
        "2 no such action: nosuch",
        "3 over buffersize",
        "ran: {}",
        "5 its result cannot be encoded",
        "5 its result cannot be encoded",
        "5 its result is over 4096 bytes",
        "1 TypeError",
        "ran: None",
        "2 no such action: small",
    ]


def test_too_big_for_the_server_alone(board, host):
    serve(host)
    host.server._sessions._buffersize = 1500
    lines = run(
        board, host, 'refused({"action": "echo", "data": bytes(1500)})\n' * 2 + REFUSED.split("\n")[4]
    )
    assert lines == ["ran: " + repr(bytes(1500))] * 2 + ["3 over 1500 bytes"]
    assert len(host.calls) == 2


def test_a_reply_over_the_clients_buffersize(board, driver, host):
    serve(host)
    body = (
        'link = client("127.0.0.1", int(sys.argv[1]), buffersize=%d)\n'
        'refused({"action": "big", "data": %d})\nprint(link.send({"action": "echo", "data": 1}))'
    )
    assert run(board, host, body % (100, 101), driver) == ["5 the reply is over buffersize", "1"]
    assert run(board, host, body % (2000, 3000), driver) == ["5 the reply is over buffersize", "1"]


def test_what_cannot_be_sent_is_refused_before_sending(board, driver, host):
    serve(host)
    lines = run(board, host, INVALID, driver)
    assert len(lines) == 8 + 8 + 3
    assert [line for line in lines if not line.startswith("ValueError ")] == []
    assert host.datagrams == 0


def test_small_chunks(board, driver, host):
    serve(host)
    lines = run(
        board,
        host,
        "for chunk in (64, 96, 1152):\n"
        '    link = client("127.0.0.1", int(sys.argv[1]), chunk=chunk)\n'
        "    for size in (0, 55, 56, 57, 62, 64, 118, 119, 1000, 4096):\n"
        '        print(link.send({"action": "echo", "data": bytes(size)}) == bytes(size))',
        driver,
    )
    assert lines == ["True"] * 30
    assert len(host.calls) == 30


def test_devices_are_told_apart(board, host, tmp_path):
    host.handle(
        "who", lambda: [benserver.sender().device, benserver.sender().name, benserver.sender().secure]
    )
    benserver.device_key(tmp_path / "key.sec", "0000000a", tmp_path / "a.sec")
    body = """
import json
for options in ({"device": 5}, {"device": 0xffffffff}, {"keyfile": "a.sec"}, {"keyfile": "a.sec", "device": 10}, {}):
    link = client("127.0.0.1", int(sys.argv[1]), **options)
    print(json.dumps(link.send({"action": "who"})))
"""
    lines = [json.loads(line) for line in run(board, host, body)]
    assert lines[:4] == [[5, None, True], [0xFFFFFFFF, None, True], [10, None, True], [10, None, True]]
    assert 0 <= lines[4][0] <= 0xFFFFFFFF


def test_listed_devices_have_names_and_others_get_silence(board, tmp_path):
    body = """
for device in (5, 6):
    link = client("127.0.0.1", int(sys.argv[1]), timeout=1, device=device)
    try:
        print(link.send({"action": "who"}))
    except OSError as error:
        print(error.args[1])
"""
    with Host(tmp_path / "key.sec", devices={5: "kitchen"}) as host:
        host.handle("who", lambda: benserver.sender().name)
        assert run(board, host, body) == ["kitchen", "not run"]


@pytest.mark.parametrize("address", ["127.0.0.1", "255.255.255.255"])
def test_a_server_that_cannot_be_reached(board, driver, host, address):
    """Nobody listens; or, as where Wi-Fi is away, the socket cannot be connected: not to all at once."""
    body = """
import errno
link = client(sys.argv[2], 9, timeout=1)
for _ in range(2):
    try:
        link.send({"action": "echo", "data": 1})
    except OSError as error:
        print(error.args[0] == errno.ETIMEDOUT, error.args[1])
"""
    assert run(board, host, body, driver, [address]) == ["True not run"] * 2
    assert host.datagrams == 0


def test_a_host_that_cannot_be_resolved_is_said_at_once(board, driver, host):
    serve(host)
    body = """
import socket
link = client("no host", 9, timeout=1000)
try:
    link.send({"action": "echo", "data": 1})
except OSError as error:
    print("OSError")
link._socket._to = "127.0.0.1", int(sys.argv[1])
print(link.send({"action": "echo", "data": 2}))
"""
    assert run(board, host, body, driver) == ["OSError", "2"]


def test_every_send_leaves_from_one_port(board, driver, host):
    """Over TCP: the connection is kept."""
    host.handle("how", lambda: [benserver.sender().transport, benserver.sender().address])
    lines = run(board, host, 'for _ in range(4):\n    print(*link.send({"action": "how"}))', driver)
    assert len(lines) == 4 and len(set(lines)) == 1
    assert lines[0].startswith("tcp 127.0.0.1:" if driver.tcp else "udp 127.0.0.1:")


def test_a_closed_client_opens_again(board, driver, host):
    serve(host)
    body = """
for value in (1, 2):
    print(link.send({"action": "echo", "data": value}))
    link.close()
    link.close()
    print(link._socket.socket)
"""
    assert run(board, host, body, driver) == ["1", "None", "2", "None"]
    assert host.datagrams == 3, "its session went on"


def test_localhost_and_ipv6(board, driver, tmp_path):
    body = """
print(client(sys.argv[2], int(sys.argv[1]), timeout=20).send({"action": "echo", "data": 1}))
"""
    for address, name in (("127.0.0.1", "localhost"), ("::1", "::1")):
        with Host(tmp_path / "key.sec", localip=address) as host:
            host.handle("echo", lambda data: data)
            assert run(board, host, body, driver, [name]) == ["1"]


def test_the_public_names(board, host):
    body = """
import ben, benclient
print(ben.client is ben.Client is benclient.client, ben.__version__)
try:
    ben.nosuch
except AttributeError as error:
    print("AttributeError", error)
try:
    from ben import nosuch
except (ImportError, AttributeError):  # a board's
    print("no such name")
from ben import wire
print(wire.REPLY)
"""
    lines = run(board, host, body)
    assert lines[0].startswith("True ") and lines[1].startswith("AttributeError")
    assert lines[2:] == ["no such name", "2"]


def test_cpython_collects_no_garbage_for_a_send(host, tmp_path):
    """As a board does before each: in a program of some size that would take milliseconds."""
    host.handle("echo", lambda data: data)
    link = client("127.0.0.1", host.port, keyfile=tmp_path / "key.sec")
    collected = []
    gc.callbacks.append(lambda *_: collected.append(1))
    gc.disable()
    try:
        assert link.send({"action": "echo", "data": 1}) == 1
    finally:
        gc.enable()
        gc.callbacks.pop()
    assert not collected


def test_threads_take_turns(host, tmp_path):
    """One request in flight per client: a second one waits."""
    host.handle("echo", lambda data: data)
    link = client("127.0.0.1", host.port, keyfile=tmp_path / "key.sec")
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda i: link.send({"action": "echo", "data": i}), range(200)))
    assert got == list(range(200))
    assert [data for _, (data,) in host.calls] != [] and len(host.calls) == 200


EVERY_BIT = """
from ben.crypto import Key
key = Key(bytes(range(32)))
sealed = key.seal(b"head", b"extra", b"plain")
print(bytes(key.open(sealed, 4, b"extra")))
for bit in range(8 * len(sealed)):
    sealed[bit // 8] ^= 1 << bit % 8
    if key.open(sealed, 4, b"extra") is not None:
        print("opened with bit", bit)
    sealed[bit // 8] ^= 1 << bit % 8
print(key.open(sealed, 4, b"extrb"))
"""


def test_every_flipped_bit_is_noticed(board):
    assert board.run(EVERY_BIT) == "b'plain'\nNone\n"


INTERRUPTED = """
class Interrupted:
    def __init__(self, udp):
        self.udp = udp
        self.close = udp.close
        self.send = udp.send
        self.interrupt = True
    def recv(self, ms):
        if self.interrupt:
            self.interrupt = False
            raise KeyboardInterrupt
        return self.udp.recv(ms)

link._socket = Interrupted(link._socket)
try:
    link.send({"action": "echo", "data": 1})
except KeyboardInterrupt:
    print("interrupted")
print(link.send({"action": "echo", "data": 2}))
"""


def test_an_interrupted_send_leaves_the_link_usable(board, host):
    serve(host)
    assert run(board, host, INTERRUPTED) == ["interrupted", "2"]


def test_after_a_timeout_the_next_send_leaves_from_another_port(host, tmp_path):
    host.handle("big", lambda: bytes(3000))
    receive = host.server._sessions.receive

    def without_pieces(datagram, now):
        reply, call = receive(datagram, now)
        return (None, None) if reply and len(reply) > 500 else (reply, call)

    host.server._sessions.receive = without_pieces
    link = client("127.0.0.1", host.port, 1, str(tmp_path / "key.sec"))
    with pytest.raises(BenError, match="rest of the reply"):
        link.send({"action": "big"})
    assert link._socket.socket is None
    host.server._sessions.receive = lambda datagram, now: (None, None)
    with pytest.raises(OSError, match="not run"):
        link.send({"action": "big"})
    assert link._socket.socket is None


def test_a_send_inside_a_send_is_refused(host, tmp_path):
    """As a signal's handler or a timer's callback may try."""
    told = []
    link = client("127.0.0.1", host.port, 20, str(tmp_path / "key.sec"))

    async def slow():
        os.kill(os.getpid(), signal.SIGALRM)
        await asyncio.sleep(0.2)

    def again(*_):
        link.close()
        try:
            link.send({"action": "slow"})
        except RuntimeError as error:
            told.append(str(error))

    host.handle("slow", slow)
    before = signal.signal(signal.SIGALRM, again)
    try:
        assert link.send({"action": "slow"}) is None
    finally:
        signal.signal(signal.SIGALRM, before)
    assert told == ["a send() is under way"] and len(host.calls) == 1
    assert host.datagrams == 2, "and it left the socket alone, so that no copy was needed"


def test_a_client_that_another_thread_closes_during_a_send_closes_after_it(host, tmp_path):
    link = client("127.0.0.1", host.port, 20, str(tmp_path / "key.sec"))

    async def slow():
        link.close()
        await asyncio.sleep(0.2)
        return "slept"

    host.handle("slow", slow)
    assert link.send({"action": "slow"}) == "slept"
    assert link._socket.socket is None and host.datagrams == 2


def test_of_a_names_addresses_one_of_ipv4_is_taken(host, tmp_path, monkeypatch):
    host.handle("echo", lambda data: data)
    found = [(socket.AF_INET6, 0, 0, "", ("::1", 9)), (socket.AF_INET, 0, 0, "", ("127.0.0.1", host.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    link = client("a name with both", 1, keyfile=tmp_path / "key.sec", timeout=20)
    assert link.send({"action": "echo", "data": 1}) == 1

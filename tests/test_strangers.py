"""Whoever has no key, and whoever has one and means no good: the server goes on, and nobody is kept out."""

import json
import os
import random
import sys
import time
from pathlib import Path as File

import pytest

import test_sessions
from ben import client, keys, wire
from benserver import device_key, status
from board import Board, interpreter
from conftest import RUNTIMES
from hosts import PATIENCE, Host
from test_deaths import (
    BOTH,
    READS,
    SEED,
    START,
    Path,
    Peer,
    Serving,
    at_port,
    ended,
    lines_of,
    readings,
    start,
    udp,
    wait_until_read,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a process takes is read from /proc")
DEVICES = 4096  # that a server keeps
BETWEEN_DROPS = 0.7  # s; who comes back makes another go, and sooner a third might hear "maybe"
GROWTH = 4 << 20  # bytes that a server may grow by while it is busy; a hundred for each datagram of the storm


@pytest.fixture
def serving(tmp_path):
    with Serving(tmp_path) as serving:
        yield serving


@pytest.fixture
def chance():
    print("seed", SEED)
    return random.Random(SEED)


def memory(process):
    """Bytes of memory that a process has."""
    pages = File(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def record(serving, device, sends):
    """What was seen of two clients with one device and channel: requests and answers."""
    with Path(serving.port) as path:
        for _ in range(2):
            link = client("127.0.0.1", path.port, 60, "key.sec", device=device, channel=0)
            for number in range(sends):
                assert link.send({"action": "reading", "data": number}) == number + 1
            link.close()
        return path.requests, path.answers


# Those without a key

KEEPS_READING = (
    START
    + """
import time
while True:
    time.sleep(0.02)
    going_on = link.send({"action": "going on"})
    print(link.send({"action": "reading", "data": 1}))
    if going_on:
        break
"""
)


def anything(chance, recorded):
    """A random datagram; most look like a request, many of them from a device that the server knows."""
    head = chance.choice((b"", b"\xb2", b"\xb2\1", b"\xb2\1", b"\xb2\1", recorded[0][: chance.randrange(17)]))
    length = chance.choice((chance.randrange(1300), *[16 * chance.randrange(4, 78) for _ in range(3)]))
    return (head + chance.randbytes(length))[:length]


def mutated(chance, recorded):
    """A recorded datagram with something about it changed; never one that was recorded."""
    one, other = chance.choice(recorded), chance.choice(recorded)
    at, to = chance.randrange(len(one)), chance.randrange(len(other))
    kind = chance.randrange(8)
    if kind == 0:
        bits = int.from_bytes(one, "big")
        for _ in range(chance.randrange(1, 5)):
            bits ^= 1 << chance.randrange(8 * len(one))
        made = bits.to_bytes(len(one), "big")
    elif kind == 1:
        made = one[:at]
    elif kind == 2:
        made = one[:at] + other[to:]
    elif kind == 3:
        made = one + chance.randbytes(16 * chance.randrange(1, 5))
    elif kind == 4:
        made = one[: at & ~15] + one[at & ~15 :][16:]
    elif kind == 5:
        made = other[:16] + one[16:]
    elif kind == 6:
        made = one[:-16] + other[-16:]
    else:
        made = one[:at] + chance.randbytes(1) + one[at + 1 :]
    return mutated(chance, recorded) if made in recorded else made


def storm(serving, make, chance, recorded, count):
    """Sends so many datagrams, each of which the server takes; none of them is answered."""
    with udp(serving.port) as sock:
        for _ in range(count // 50):
            datagrams = [make(chance, recorded) for _ in range(50)]
            wait_until_read(serving.port)
            for datagram in datagrams:
                sock.send(datagram)
        serving.ask("x")  # what was sent before has been looked at
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            print(sock.recv(2048))


def test_a_storm_leaves_no_answer_no_state_and_no_line(serving, chance, in_folder):
    recorded = sum(record(serving, 9, 5), [])
    boards = [Board(interpreter(runtime), in_folder) for runtime in RUNTIMES]
    boards = [start(board, KEEPS_READING, serving.port, device) for device, board in enumerate(boards)]
    with ended(boards):
        deadline = time.monotonic() + PATIENCE
        while not {"0", "1", "2"} <= set(serving.ask("counts")):
            assert time.monotonic() < deadline, "not every board sends"
        for make in (anything, mutated):
            storm(serving, make, chance, recorded, 1000)
        state, size, before = serving.ask("state", [9]), memory(serving.process), serving.ask("counts")
        for make in (anything, mutated):
            storm(serving, make, chance, recorded, 20000)
        print("grown by", memory(serving.process) - size)
        assert memory(serving.process) - size < GROWTH
        assert serving.ask("state", [9]) == state
        assert at_port(serving.port)[1] == 0, "every datagram arrived"
        counts = serving.ask("counts")
        assert all(counts[str(device)] > before[str(device)] for device in range(3)), "they were served"
        serving.ask("let go")
        assert [set(lines) for lines in lines_of(boards)] == [{"2"}] * 3
    serving.ends_well()


def flipped(datagram):
    """Every datagram that differs from this one in a single bit."""
    bits = int.from_bytes(datagram, "big")
    return [(bits ^ 1 << bit).to_bytes(len(datagram), "big") for bit in range(8 * len(datagram))]


@BOTH
def test_every_flipped_bit_is_refused_by_both_ends(board, serving, script):
    """Of a cold request and its challenge, of a warm one and its reply; then the true one is taken."""
    done = {}

    def rule(number, to_server, datagram):
        kind = datagram[1], to_server and any(datagram[7:14])
        if kind not in done:
            done[kind] = flipped(datagram)
            path.give(to_server, *done[kind])
        return [datagram]

    with Path(serving.port, rule) as path:
        assert lines_of([start(board, script, path.port, 1, 2)]) == [readings(2)]
        assert sorted(done) == [(1, False), (1, True), (wire.REPLY, False), (wire.CHALLENGE, False)]
        assert all(len(flips) >= 8 * 52 for flips in done.values())
        assert len(set(path.requests)) == 3, "the board took none for an answer"
        assert len(path.answers) <= len(path.requests), "the server answered none"
    assert serving.ask("calls", "reading") == [[1, 0], [1, 1]]
    serving.ends_well()


def test_a_flood_of_recorded_requests_keeps_no_cold_board_out(board, serving, in_folder):
    recorded = record(serving, 1, 9)[0][:20]
    attackers = [udp(serving.port) for _ in recorded]

    def rule(number, to_server, datagram):
        for attacker, request in zip(attackers, recorded):
            attacker.send(request)
        return [datagram]

    with Path(serving.port, rule) as path:
        assert lines_of([start(board, READS, path.port, 1, 3)]) == [readings(3)]
        assert len(set(path.requests)) == 4, "it was not even held up"
    answers = [attacker.recv(2048) for attacker in attackers]
    assert all(answer[1] in (wire.REPLY, wire.CHALLENGE) for answer in answers), "they were good requests"
    for attacker in attackers:
        attacker.close()
    assert serving.ask("counts")["1"] == 18 + 3, "nothing ran again"
    serving.ends_well()


# Those with a key

DROPPED = (
    START
    + """
import time
other = client("127.0.0.1", port, device=device + 100, timeout=20)
print(link.send({"action": "reading", "data": 0}))
while not other.send({"action": "going on", "data": device}):
    time.sleep(0.05)
print(link.send({"action": "reading", "data": 1}))
"""
)


def claim(sock, devices):
    """A good request for each id."""
    for at in range(0, len(devices), 50):
        peers = [test_sessions.Peer(None, device) for device in devices[at : at + 50]]
        requests = [peer.seal(1, b"\0\1x") for peer in peers]
        for request in requests:
            sock.send(request)
        for peer, request in zip(peers, requests):
            assert peer.open(sock.recv(2048), request)[0] == wire.CHALLENGE


def test_ten_thousand_ids_leave_memory_bounded_and_who_was_dropped_comes_back(serving, in_folder):
    boards = [Board(interpreter(runtime), in_folder) for runtime in RUNTIMES]
    boards = [start(board, DROPPED, serving.port, device) for device, board in enumerate(boards)]
    with ended(boards), udp(serving.port) as sock:
        serving.wait_for("reading", 3)
        assert serving.ask("state", [0, 1, 2])[1] == 3
        claim(sock, range(10000, 15000))
        size = memory(serving.process)
        claim(sock, range(15000, 20000))
        print("grown by", memory(serving.process) - size)
        assert memory(serving.process) - size < GROWTH
        time.sleep(BETWEEN_DROPS)
        devices, about, ciphers, _ = serving.ask("state", [0, 1, 2])
        assert (devices, about) == (DEVICES, 0) and ciphers <= 2 * DEVICES
        for device, board in enumerate(boards):
            time.sleep(BETWEEN_DROPS)
            serving.ask("let go", device)
            assert lines_of([board]) == [readings(2)]
    serving.ends_well()


def said(part, seq, plain):
    """What docs/protocol.md lets the server say to a plaintext, and the part that it then has.

    A part is (seq, format, action, bytes).
    """
    malformed = {status.MALFORMED}, None
    if len(plain) < 2 or plain[0] & 0x80:
        return malformed
    form, flags, name, body = plain[0] & 15, plain[0] & 0x70, plain[2 : 2 + plain[1]], plain[2 + plain[1] :]
    if form == 15:
        return malformed if flags or name or plain[1] or len(body) != 4 else ({status.GONE}, None)
    if flags & 0x10:
        if plain[1]:
            return malformed
        if part is None or part[0] != seq - 1:
            return {status.OUT_OF_ORDER}, None
        if part[1] != form:
            return malformed
        name, body = part[2], part[3] + body
    elif not plain[1] or len(name) < plain[1] or not is_text(name):
        return malformed
    if len(body) > 4096:
        return {status.TOO_BIG}, None
    if flags & 0x20:
        return {status.OK}, (seq, form, name, body)
    wrong = set() if is_body(form, body) else {status.MALFORMED}
    if name != b"x":
        wrong.add(status.UNKNOWN)
    return wrong or {status.OK}, None


def is_text(data):
    try:
        return data.decode() is not None
    except UnicodeDecodeError:
        return False


def is_body(form, body):
    if form != 1:
        return form == 2 or not form and not body or form == 3 and is_text(body)
    try:
        json.dumps(value := json.loads(body.decode()), allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return depth(value) <= 20


def depth(value):
    if not isinstance(value, (list, dict)):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


LONGEST = 1232 - 16 - 3 * 16 + 15  # that a plaintext can be
BODIES = (b"", b"5", b"[1,2]", b'{"a":[null]}', b"{", b"NaN", b"1e999", b'"\xff"', b"[" * 20 + b"]" * 20)
BODIES += (b"[" * 21 + b"]" * 21, b"[" * 900, b"\xc3\xa9", b"\xff", b"9" * 900)
NAMES = (b"x", b"x", b"x", b"x", b"", b"nosuch", b"\xff\xfe", b"\xc3\xa9", b"n" * 255)


def plaintext(chance, part):
    """Nearly right, most of them."""
    if not chance.randrange(8):
        return chance.randbytes(chance.randrange(100))
    form = chance.choice((0, 1, 1, 1, 2, 3, 4, 15)) | chance.choice((0, 0, 0, 0x10, 0x20, 0x30, 0x40, 0x80))
    name, body = chance.choice(NAMES), chance.choice((*BODIES, chance.randbytes(1000)))
    if part and chance.randrange(8):  # it goes on
        form = part[1] | chance.choice((0x10, 0x30, 0x30, 0x30))
        name = b""
    wrong = 0 if chance.randrange(8) else chance.randrange(256)
    return (bytes((form, len(name) ^ wrong)) + name + body)[:LONGEST]


def test_whatever_is_malformed_under_a_right_tag_has_its_status(serving, chance):
    peer = Peer(serving.port).warm()
    part, told, seq = None, set(), 1
    plains = [*test_sessions.MALFORMED, b"\x12\0a", b"\0\6nosuch", b"\x0f\0\0\0\0\0", b"\x13\0abc"]
    plains += [b"\x22\1x" + bytes(1000), *[b"\x32\0" + bytes(1000)] * 3, b"\x12\0" + bytes(97)]
    for number in range(len(plains) + 2000):
        seq += 1 if number < len(plains) or chance.randrange(20) else 2
        plain = plains[number] if number < len(plains) else plaintext(chance, part)
        allowed, part = said(part, seq, plain)
        kind, answer = peer.give(peer.seal(seq, plain))
        assert kind == wire.REPLY and answer[0] in allowed, (SEED, number, seq, plain, answer, allowed)
        told.add(answer[0])
    assert told == {0, 2, 3, 4, 5, 6}
    assert peer.give(peer.seal(seq + 1, b"\1\7reading5")) == (wire.REPLY, b"\0\0016")
    serving.ends_well()


ANSWERED = (
    START
    + """
for number in range(1000, 1000 + int(sys.argv[3])):
    try:
        link.send({"action": "reading", "data": number})
        print("a result")
    except BenError as error:
        print(error.status, error.text)
    except OSError as error:
        print(error.args[1])
    if link.send({"action": "reading", "data": 6}) != 7:
        print("the next send() does not work")
"""
)
# Unlike CPython's, a board's JSON reader takes "{" and "[1" for whole.
CANNOT_BE_READ = [
    b"\0x",
    b"\1",
    b"\1tru",
    b'\1"a',
    b"\1NaN",
    b"\1[1e999]",
    b'\1"\xff"',
    b"\3\xff",
    b"\4",
    b"\x0fabcd",
]
CANNOT_BE_READ += [b"\1" + b"[" * 21 + b"]" * 21, b"\1" + b"[" * 900, b"\1" + b"[" * 500 + b"]" * 500]
# What a server with faults answers, and what the client makes of it. Where that is no answer, it
# takes the true one behind it; where it asks for a new beginning, the client begins anew.
FAULTY = [
    *[(wire.REPLY, plain, "a result") for plain in (b"", b"\0", b"\1", b"\6\0", b"\6\3no", b"\0\0", b"\0\2\xff")],
    *[(wire.CHALLENGE, bytes(size), "a result") for size in (0, 1, 9)],
    *[(wire.CHALLENGE, bytes(8) + b"\xff\xff" + rest, "a result") for rest in (b"", b"rest", bytes(500))],
    *[(wire.REPLY, b"\0" + plain, "5 the reply cannot be read") for plain in CANNOT_BE_READ],
    *[(wire.REPLY, bytes((code, 3)) + b"no", f"{code} no") for code in (1, 2, 3, 4, 5, 7, 8, 31)],
    *[(wire.REPLY, bytes((code, 255, 255)), f"{code} the reply cannot be read") for code in (1, 31)],
    *[(wire.REPLY, plain, "5 the rest of the reply is gone") for plain in (b"\x20\2", b"\x20\2a", b"\x25\2a")],
    (wire.CHALLENGE, bytes(10), "maybe"),
]  # fmt: skip


def test_a_server_with_faults_leaves_the_link_usable(board, serving):
    """Each of its answers is under a right tag, before the true one."""
    peer = test_sessions.Peer(None)
    left = dict(enumerate(FAULTY, 1000))

    def rule(number, to_server, datagram):
        asked = bytes(peer.c2s.open(path.requests[-1], 16))
        faulty = None
        if not to_server and datagram[1] == wire.REPLY and asked[:-4] == b"\1\7reading":
            faulty = left.pop(int(asked[-4:]), None)
        if not faulty:
            return [datagram]
        kind, plain, _ = faulty
        head = wire.reply_head(kind, int.from_bytes(datagram[2:4], "big"))
        return [bytes(peer.s2c.seal(head, path.requests[-1][-16:], plain)), datagram]

    with Path(serving.port, rule) as path:
        [lines] = lines_of([start(board, ANSWERED, path.port, 1, len(FAULTY))])
    assert lines == [what for _, _, what in FAULTY]
    assert left == {}
    serving.ends_well()


FORGED = """
import sys
from ben import client
try:
    client("127.0.0.1", int(sys.argv[1]), keyfile="forged.sec", timeout=0.5).send({"action": "reading", "data": 1})
except OSError as error:
    print(error.args[1])
"""


def test_device_keys_keep_boards_apart(board, serving, in_folder):
    """One is not taken for the other, does not read it, and does not take its replies."""
    for device in (1, 2):
        device_key("key.sec", device, f"{device}.sec")
    own = [File(f"{device}.sec").read_bytes() for device in (1, 2)]
    File("forged.sec").write_bytes(own[1][:8] + own[0][8:])
    script = READS.replace("device=device", 'keyfile=sys.argv[2] + ".sec"')
    with Path(serving.port) as path, Path(serving.port) as forging:
        boards = [start(board, script, path.port, 2, 5), start(board, FORGED, forging.port)]
        assert lines_of(boards) == [readings(5), ["not run"]]
        assert forging.requests[0][2:6] == bytes((0, 0, 0, 2)) and forging.answers == []
        requests, answers = path.requests, path.answers
    first, second = (keys.directions(key[8:]) for key in own)
    for request in requests:
        assert second[0].open(request, 16)
        assert [key.open(request, 16) for key in first] == [None, None]
    for answer in answers:
        assert any(second[1].open(answer, 4, request[-16:]) for request in requests)
        assert not any(key.open(answer, 4, request[-16:]) for key in first for request in requests)

    def rule(number, to_server, datagram):
        return [datagram] if to_server else [*answers, datagram]

    with Path(serving.port, rule) as path:
        assert lines_of([start(board, script, path.port, 1, 5)]) == [readings(5)]
        assert len(set(path.requests)) == 6
    serving.ends_well()


TURNED_OUT = (
    START
    + """
print(link.send({"action": "turn out"}))
link = client("127.0.0.1", port, device=device, channel=0, session=link.session, timeout=0.5)
try:
    print(link.send({"action": "turn out"}))
except OSError as error:
    print(error.args[1])
"""
)


def test_an_id_that_is_taken_off_the_list_gets_silence_at_once(board, tmp_path):
    devices, before = {1: "kitchen", 2: "cellar"}, []
    with Host(tmp_path / "key.sec", devices=devices) as host, Path(host.port) as path:
        host.handle("turn out", lambda: before.append(len(path.requests)) or devices.pop(1))
        host.handle("reading", lambda number: number + 1)
        assert lines_of([start(board, TURNED_OUT, path.port, 1)]) == [["kitchen", "maybe"]]
        assert len(path.answers) <= before[0] < len(path.requests)
        assert lines_of([start(board, READS, host.port, 2, 1)]) == [["1"]]
        assert len(host.calls) == 2

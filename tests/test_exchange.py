"""The client's rules, datagram by datagram, against answers that are made here."""

import errno
from pathlib import Path

import pytest

from ben import crypto, keys, wire
from ben.exchange import Exchange, jitter
from ben.message import BenError, send

TOKEN = b"1234567"


class Server:
    """The other end of one Exchange: opens what it yields and seals any answer."""

    def __init__(self, folder, **options):
        (folder / "key.sec").write_bytes(bytes(range(32)))
        self.exchange = Exchange(keyfile=str(folder / "key.sec"), **{"device": 1, "channel": 0, **options})
        prk = crypto.hmac(b"ben/2", bytes(range(32)))
        self.c2s, self.s2c = keys.directions(keys.derive(prk, b"\0\0\0\1"))
        self.now = 0

    def begin(self, data=None, noreturn=False):
        self.now = 0
        self.steps = send(self.exchange, {"action": "x", "data": 1} if data is None else data, noreturn)
        self.out, self.wait = next(self.steps)
        return self

    def give(self, datagram, after=1):
        """Lets ms pass and a datagram, or nothing, come in; what the exchange does then is in out and wait."""
        self.now += after
        self.out, self.wait = self.steps.send((self.now, datagram))
        return self

    def last(self, datagram, after=1):
        """As give(); the result of the send()."""
        with pytest.raises(StopIteration) as end:
            self.give(datagram, after)
        return end.value.value

    def request(self):
        """(token, seq, plaintext) of what is sent now."""
        return bytes(self.out[7:14]), self.out[14] << 8 | self.out[15], bytes(self.c2s.open(self.out, 16))

    def answer(self, kind, plain, seq=None, tag=None):
        seq = self.request()[1] if seq is None else seq
        return bytes(
            self.s2c.seal(wire.reply_head(kind, seq), bytes(self.out[-16:]) if tag is None else tag, plain)
        )

    def reply(self, plain=b"\0\3ok"):
        return self.answer(wire.REPLY, plain)

    def challenge(self, age=65535, token=TOKEN):
        return self.answer(wire.CHALLENGE, b"\x80" + token + age.to_bytes(2, "big"))


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


@pytest.fixture
def warm(server):
    server.begin().give(server.challenge())
    assert server.last(server.reply()) == "ok"
    return server


def timed_out(server, datagram, after=1):
    with pytest.raises(OSError) as error:
        server.give(datagram, after)
    assert error.value.errno == errno.ETIMEDOUT
    return error.value.args[1]


def test_a_cold_start(server):
    server.begin()
    assert server.request() == (bytes(7), 1, b"\1\1x1")
    server.give(server.challenge())
    assert server.request() == (TOKEN, 1, b"\1\1x1")
    assert server.last(server.reply()) == "ok"
    assert server.exchange.session == b"\x80" + TOKEN + b"\0\1"


def test_copies_are_the_same_and_come_ever_later(warm):
    warm.begin()
    first, waits = bytes(warm.out), []
    while warm.now + warm.wait < 10000:
        waits.append(warm.wait)
        warm.give(None, warm.wait)
        assert bytes(warm.out) == first
    rto = warm.exchange.rto
    assert len(waits) >= 4 and rto <= waits[0] <= 1.5 * rto
    for number, wait in enumerate(waits):
        assert min(3200, rto << number) <= wait <= min(3200, 1.5 * (rto << number))
    assert timed_out(warm, None, warm.wait) == "maybe"


def test_a_datagram_that_is_no_answer_is_ignored(warm):
    warm.begin()
    first, answer = bytes(warm.out), bytes(warm.reply())
    wrong = [b"", b"\xb2", answer[:-1], answer[:51], answer + bytes(16), first, bytes(52), bytes(1280)]
    wrong += [warm.answer(1, b"\0\3ok"), warm.answer(4, b"\0\3ok"), warm.answer(wire.REPLY, b"\0\3ok", seq=1)]
    wrong += [warm.answer(wire.REPLY, b"\0\3ok", tag=bytes(16)), warm.reply(b""), warm.reply(b"\0")]
    wrong += [warm.answer(wire.CHALLENGE, bytes(9))]
    for bit in range(8 * len(answer)):
        flipped = bytearray(answer)
        flipped[bit // 8] ^= 1 << bit % 8
        wrong.append(bytes(flipped))
    began = warm.wait
    for number, datagram in enumerate(wrong):
        warm.give(datagram, 0)
        assert warm.out is None and warm.wait == began, number
    assert warm.last(answer) == "ok"


def test_the_time_between_copies_follows_the_path(warm):
    times = []
    for _ in range(20):
        warm.begin()
        warm.last(warm.reply(), 10)
        times.append(warm.exchange.rto)
    assert times == sorted(times, reverse=True) and times[-1] == 100
    for _ in range(20):
        warm.begin().give(None, warm.wait)
        assert warm.last(warm.reply(), 50) == "ok"
    assert warm.exchange.rto == 100, "not measured where a copy was sent"
    for _ in range(40):
        warm.exchange.timeout = 100000
        warm.begin()
        warm.last(warm.reply(), min(warm.wait, 5000) - 1)
    assert warm.exchange.rto <= 2000


@pytest.mark.parametrize(
    ("age", "after", "word"),
    [(0, 1, "maybe"), (1, 88, "not yet"), (1, 89, "maybe"), (9, 800, "maybe"), (9, 799, "not yet")],
)
def test_a_challenge_says_how_long_ago_a_session_was_forgotten(warm, age, after, word):
    """Up to 9/8 of the time since the first copy: it may have run. Otherwise it has not."""
    warm.exchange.rto = 2000
    warm.begin()
    if word == "maybe":
        assert timed_out(warm, warm.challenge(age, b"another"), after) == "maybe"
        assert warm.exchange.session == b"\x80another\0\0", "the new token is good"
    else:
        warm.give(warm.challenge(age, b"another"), after)
        assert warm.request() == (b"another", 1, b"\1\1x1")
        assert warm.last(warm.reply()) == "ok"


def test_cold_or_before_the_last_part_a_challenge_is_never_maybe(server):
    server.begin({"action": "x", "data": bytes(1500)})
    for _ in range(2):
        server.give(server.challenge(0))
        assert server.request()[1] == 1
    assert timed_out(server, None, 10000) == "not run"


def test_the_deadline_of_parts(warm):
    warm.begin({"action": "x", "data": bytes(1500)}).give(warm.reply(b"\0\0"))
    assert warm.request()[2][:2] == b"\x12\0"
    assert timed_out(warm, None, 10000) == "maybe"
    assert warm.exchange.session == b"\x80" + bytes(9), "cold"


def test_from_the_third_challenge_on_it_pauses(warm):
    warm.begin()
    for _ in range(2):
        warm.give(warm.challenge())
        assert warm.out is not None
    warm.give(warm.challenge())
    assert warm.out is None and warm.wait >= warm.exchange.rto
    warm.give(b"whatever comes", 1)
    assert warm.out is None
    warm.give(None, warm.wait)
    assert warm.request() == (TOKEN, 1, b"\1\1x1")
    warm.give(warm.challenge())
    assert timed_out(warm, None, 10000) == "not run"


def test_a_part_out_of_order_begins_the_message_again(warm):
    warm.begin({"action": "x", "data": bytes(1500)}).give(warm.reply(b"\0\0")).give(warm.reply(b"\6\0"))
    assert warm.request()[1:] == (4, b"\x22\1x" + bytes(1021))
    assert warm.exchange.session == b"\x80" + bytes(9), "cold during a send"
    warm.give(warm.reply(b"\0\0"))
    assert warm.last(warm.reply(b"\0\0")) is None


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 8])
def test_a_refusal_at_any_part(warm, status):
    for parts in (0, 1):
        warm.begin({"action": "x", "data": bytes(1500)})
        if parts:
            warm.give(warm.reply(b"\0\0"))
        with pytest.raises(BenError, match="why") as error:
            warm.give(warm.reply(bytes((status, 3)) + b"why"))
        assert (error.value.status, error.value.text) == (status, "why")
        assert warm.exchange.token[1:] == TOKEN, "it was answered: the session goes on"


@pytest.mark.parametrize("body", [b"\1{", b"\1NaN", b"\3\xff", b"\x09", b"\0x", b"\1" + b"[" * 1000])
def test_a_reply_that_cannot_be_read(warm, body):
    warm.begin()
    with pytest.raises(BenError, match="cannot be read") as error:
        warm.give(warm.reply(b"\0" + body))
    assert error.value.status == 5


GONE = {
    "a challenge": lambda server: server.challenge(),
    "status 5": lambda server: server.reply(b"\5\3gone"),
    "an empty piece with more to come": lambda server: server.reply(b"\x20\2"),
    "another format": lambda server: server.reply(b"\0\3x"),
    "over buffersize": lambda server: (
        server.reply(b"\x20\2" + bytes(4096)) and server.reply(b"\0\2" + bytes(1000))
    ),
}


@pytest.mark.parametrize("what", GONE)
def test_the_rest_of_a_reply_is_gone(tmp_path, what):
    server = Server(tmp_path, buffersize=1000)
    server.begin().give(server.challenge()).give(server.reply(b"\x20\2" + bytes(900)))
    assert server.request()[2] == b"\x0f\0\0\0\3\x84"
    with pytest.raises(BenError) as error:
        server.give(GONE[what](server))
    assert error.value.status == 5
    assert server.exchange.token[1:] == TOKEN


def test_the_rest_of_a_reply_never_comes(warm):
    warm.begin().give(warm.reply(b"\x20\2" + bytes(900)))
    with pytest.raises(BenError) as error:
        warm.give(None, 10000)
    assert error.value.status == 5 and warm.exchange.session[1:] == bytes(9)


def test_a_reply_in_pieces_of_any_length(warm):
    warm.begin()
    data = bytes(range(200))
    at = 0
    for size in (1, 141, 3):
        warm.give(warm.reply(b"\x20\2" + data[at : at + size]))
        at += size
        assert warm.request()[2] == b"\x0f\0" + at.to_bytes(4, "big")
    assert warm.last(warm.reply(b"\0\2" + data[at:])) == data


def test_a_send_that_is_broken_off_leaves_it_cold(warm):
    warm.begin()
    warm.steps.close()
    assert warm.exchange.session == b"\x80" + bytes(9)
    server = warm.begin()
    server.give(server.challenge())
    assert server.last(server.reply()) == "ok"


def test_one_send_at_a_time(warm):
    warm.begin()
    with pytest.raises(RuntimeError, match="under way"):
        next(send(warm.exchange, {"action": "x"}, False))
    assert warm.last(warm.reply()) == "ok"


def test_clients_of_one_program_take_the_channels_in_turn(tmp_path):
    server = Server(tmp_path)
    firsts = [Exchange(keyfile=str(tmp_path / "key.sec")).session[0] for _ in range(8)]
    assert firsts[:4] == firsts[4:] and sorted(first & 3 for first in firsts[:4]) == [0, 1, 2, 3]
    assert Exchange(keyfile=str(tmp_path / "key.sec"), channel=3, chunk=64).session[0] == 3 | 2 << 2
    woken = Exchange(keyfile=str(tmp_path / "key.sec"), session=b"\x0bTOKEN77\1\2", channel=0, chunk=1024)
    assert woken.chunk == 64 and woken.session == b"\x0bTOKEN77\1\2"
    assert server.exchange.chunk == 1024


def test_an_answer_after_the_deadline_ends_it(server):
    server.exchange.timeout = 1000
    server.begin().give(server.challenge()).give(server.challenge())
    assert timed_out(server, server.challenge(), 1500) == "not run", "no pause that has passed already"
    server.begin()
    assert timed_out(server, server.challenge(), 1001) == "not run", "nothing leaves any more"
    server.begin({"action": "x", "data": bytes(1500)}).give(server.challenge())
    assert timed_out(server, server.reply(b"\0\0"), 1001) == "not run"


def test_an_action_fits_the_first_part(tmp_path):
    server = Server(tmp_path, chunk=64)
    server.begin({"action": "x" * 62, "data": 1}).give(server.challenge())
    assert server.request()[2] == b"\x21\x3e" + b"x" * 62
    with pytest.raises(ValueError, match="1 to 62 bytes"):
        Server(tmp_path, chunk=64).begin({"action": "x" * 63})


def test_clients_do_not_keep_step():
    waits = {jitter(1000) for _ in range(500)}
    assert 1000 <= min(waits) < 1100 and 1400 < max(waits) < 1500


RULES = """
padding: b'' None True
pause: 2 ok
late: not run
order: True True None
rest: (5, 'the rest of the reply is gone')
rest: (5, 'the rest of the reply is gone')
rest: (5, 'the rest of the reply is gone')
rest: (5, 'the rest of the reply is gone') True
unreadable: (5, 'the reply cannot be read')
unreadable: (5, 'the reply cannot be read')
unreadable: (5, 'the reply cannot be read')
busy: a send() is under way True
view: True
"""


def test_a_board_keeps_the_same_rules(board):
    assert board.run(Path(__file__).parent / "device" / "rules.py").strip() == RULES.strip()

"""The server's rules, datagram by datagram: what it answers, runs and keeps."""

import os

import pytest
from Crypto.Cipher import AES

import benserver.sessions
from ben import crypto, keys, wire
from benserver import status
from benserver.actions import NOTHING, Action, Actions, Outcome
from benserver.sessions import Sessions

PRK = crypto.hmac(b"ben/2", bytes(range(32)))
CHUNK = 1024
LONG = os.urandom(3000)


class Peer:
    """A client that seals whatever it is told to."""

    def __init__(self, sessions, device=1, channel=0, chunk=CHUNK):
        self.sessions = sessions
        self.device = device.to_bytes(4, "big")
        self.c2s, self.s2c = keys.directions(keys.derive(PRK, self.device))
        self.first = bytes((chunk >> 3 & 0xFC | channel,))
        self.token = bytes(7)
        self.calls = []

    def seal(self, seq, plain, token=None):
        head = wire.request_head(self.device, self.first + (self.token if token is None else token), seq)
        return bytes(self.c2s.seal(head, b"", plain))

    def give(self, datagram, now=0.0, value=None):
        """The opened answer to a datagram, (kind, plaintext); a call runs at once and returns value."""
        reply, call = self.sessions.receive(datagram, now)
        if call:
            self.calls.append((call.action.name, call.data))
            if not call.noreturn:
                assert reply is None
                reply = self.sessions.finish(call, Outcome(status.OK, value), now)
        return self.open(reply, datagram) if reply else None

    def open(self, reply, request):
        assert reply[2:4] == request[14:16]
        return reply[1], bytes(self.s2c.open(reply, 4, request[-16:]))

    def warm(self, now=0.0):
        """Takes a token and uses it, at seq 1."""
        kind, plain = self.give(self.seal(1, b"\0\1x", bytes(7)), now)
        assert kind == wire.CHALLENGE
        self.token = plain[1:8]
        assert self.give(self.seal(1, b"\0\1x"), now) == (wire.REPLY, b"\0\0")
        self.calls.clear()
        return self


@pytest.fixture
def actions():
    actions = Actions()
    actions.add(Action("x", print))
    actions.add(Action("lock", print, fresh=2))
    return actions


@pytest.fixture
def sessions(actions):
    return Sessions(PRK, actions, now=0.0)


@pytest.fixture
def peer(sessions):
    return Peer(sessions).warm()


def code(answer):
    assert answer[0] == wire.REPLY
    return answer[1][0] & 0x1F


def age(answer):
    assert answer[0] == wire.CHALLENGE
    return int.from_bytes(answer[1][8:10], "big")


MALFORMED = [b"", b"\0", b"\x80\1x", b"\0\0", b"\0\2x", b"\0\xff" + b"x" * 254, b"\0\2\xff\xfe", b"\1\1x{", b"\1\1x",
             b"\1\1xNaN", b"\1\1x1e999", b"\3\1x\xff", b"\0\1xy", b"\4\1x", b"\7\1x", b"\x0e\1x", b"\x0f\0",
             b"\x0f\0abc", b"\x0f\0abcde", b"\x0f\1xabcd", b"\x2f\0abcd", b"\x1f\0abcd", b"\x4f\0abcd", b"\x11\1x",
             b"\1\1x" + b"[" * 500]  # fmt: skip


@pytest.mark.parametrize("plain", MALFORMED, ids=lambda plain: plain[:9].hex())
def test_what_is_malformed_has_its_status_and_nothing_runs(peer, plain):
    assert code(peer.give(peer.seal(2, plain))) == status.MALFORMED
    assert peer.calls == []
    assert peer.give(peer.seal(3, b"\1\1x5"))[1] == b"\0\0" and peer.calls == [("x", 5)]


@pytest.mark.parametrize("last", [b"\0", b"\x11", b"\1\2", b"\0\3\3"])
def test_wrong_padding_is_malformed(peer, last):
    head = wire.request_head(peer.device, peer.first + peer.token, 2)
    iv = os.urandom(16)
    body = iv + AES.new(peer.c2s.key, AES.MODE_CBC, iv).encrypt(
        (b"\0\1x" + bytes(16))[: 16 - len(last)] + last
    )
    assert code(peer.give(head + body + peer.c2s.tag(head, b"", body))) == status.MALFORMED
    assert peer.calls == []


@pytest.mark.parametrize("length", [*range(0, 64), 65, 79, 81, 1233, 1248, 2000])
def test_a_length_that_no_request_has_gets_silence(peer, length):
    assert peer.give(os.urandom(length)) is None
    assert peer.give((peer.seal(2, b"\0\1x") + bytes(2000))[:length]) is None


def test_every_flipped_bit_gets_silence(peer):
    good = peer.seal(2, b"\0\1x")
    for bit in range(8 * len(good)):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        assert peer.sessions.receive(bytes(flipped), 0.0) == (None, None)
    assert len(peer.sessions._devices) == 1
    assert peer.give(good)


@pytest.mark.parametrize("chunk", [0, 32, 1184, 2016])
def test_a_chunk_out_of_bounds_gets_silence(sessions, chunk):
    peer = Peer(sessions, chunk=chunk)
    assert peer.give(peer.seal(1, b"\0\1x")) is None


def test_a_copy_gets_the_reply_again_and_runs_nothing(peer):
    request = peer.seal(2, b"\0\1x")
    first = peer.sessions.receive(request, 0.0)
    assert peer.sessions.receive(request, 0.0) == (None, None), "its handler runs: silence"
    reply = peer.sessions.finish(first[1], Outcome(status.OK, "done"), 1.0)
    assert [peer.sessions.receive(request, 1.0 + i) for i in range(3)] == [(reply, None)] * 3


def test_only_who_was_answered_last_goes_on(peer):
    old = peer.seal(2, b"\0\1x")
    assert peer.give(peer.seal(3, b"\0\1x")) and len(peer.calls) == 1
    assert age(peer.give(old)) == 65535, "an older seq"
    assert age(peer.give(peer.seal(3, b"\1\1x0"))) == 65535, "the same seq with another tag"
    assert len(peer.calls) == 1


def test_a_long_copy_is_cut_to_three_times_itself(peer):
    request = peer.seal(2, b"\0\1x")
    assert peer.give(request, value=LONG[:1000]) == (wire.REPLY, b"\0\2" + LONG[:1000])
    kind, plain = peer.give(request)
    assert plain[0] == wire.MORE and plain[1] == 2 and plain[2:] == LONG[: len(plain) - 2]
    assert 3 * len(request) - 16 < len(peer.sessions.receive(request, 0.0)[0]) <= 3 * len(request)
    rest = peer.give(peer.seal(3, b"\x0f\0" + (len(plain) - 2).to_bytes(4, "big")))
    assert rest == (wire.REPLY, b"\0\2" + LONG[len(plain) - 2 : 1000])
    assert len(peer.calls) == 1


def test_a_cut_copy_of_a_piece_leaves_what_comes_after_it(peer):
    peer.give(peer.seal(2, b"\0\1x"), value=LONG)
    request = peer.seal(3, b"\x0f\0" + (1024).to_bytes(4, "big"))
    assert peer.give(request)[1][2:] == LONG[1024:2048]
    cut = peer.give(request)[1]
    assert cut[0] == wire.MORE and 2 < len(cut) < 1024
    got = LONG[:1024] + cut[2:]
    for seq in range(4, 10):
        plain = peer.give(peer.seal(seq, b"\x0f\0" + len(got).to_bytes(4, "big")))[1]
        got += plain[2:]
        if not plain[0] & wire.MORE:
            break
    assert got == LONG


def test_over_a_stream_a_copy_is_whole(peer):
    request = peer.seal(2, b"\0\1x")
    peer.give(request, value=LONG[:1000])
    reply, call = peer.sessions.answer(peer.sessions.open(request, 0.0), print)
    assert peer.open(reply, request)[1] == b"\0\2" + LONG[:1000] and call is None


def test_what_still_runs_is_answered_over_the_connection_of_its_last_copy(peer):
    """Its own may be dead; a copy over UDP, which has none, changes nothing."""

    def answer(request, stream):
        reply, call = peer.sessions.answer(peer.sessions.open(request, 0.0), stream)
        assert reply is None
        return call

    first, second = peer.seal(2, b"\0\1x"), peer.seal(3, b"\0\1x")
    call = answer(first, print)
    assert call.stream is print
    for stream, last in ((repr, repr), (None, repr), (print, print)):
        assert answer(first, stream) is None and call.stream is last
    other = answer(second, repr)
    peer.sessions.finish(call, Outcome(status.OK, "late"), 0.0)
    assert answer(second, print) is None
    assert (call.stream, other.stream) == (print, print), "the late one has not ended the new one"
    peer.sessions.finish(other, Outcome(status.OK, "new"), 0.0)
    assert peer.give(second)[1] == b"\0\3new" and other.stream is print


def test_a_long_error_is_cut_within_its_characters(sessions):
    peer = Peer(sessions).warm()
    request = peer.seal(2, b"\0\xc8" + b"n" * 200)
    whole = peer.give(request)[1]
    assert code(peer.give(request)) == status.UNKNOWN
    cut = bytes(peer.give(request)[1])
    assert not cut[0] & wire.MORE and whole.startswith(cut)
    long_name = peer.seal(3, b"\0\xfa" + "é".encode() * 125)
    assert peer.give(long_name)[1][2:].decode() and peer.give(long_name)[1][2:].decode()


def test_an_error_is_no_longer_than_a_chunk(sessions):
    peer = Peer(sessions, chunk=64).warm()
    name = "é" * 30
    for seq, before in enumerate(("", "n"), 2):
        text = peer.give(peer.seal(seq, b"\0" + bytes((60 + len(before),)) + (before + name).encode()))[1][2:]
        assert 62 < len(text) <= 64 and text.decode(), "cut between two characters"


def test_a_long_reply_is_fetched_in_pieces(peer):
    data = bytes(LONG)
    kind, plain = peer.give(peer.seal(2, b"\0\1x"), value=data)
    assert plain[0] == wire.MORE
    got, seq = plain[2:], 2
    while plain[0] & wire.MORE:
        seq += 1
        kind, plain = peer.give(peer.seal(seq, b"\x0f\0" + len(got).to_bytes(4, "big")))
        assert plain[1] == 2
        got += plain[2:]
    assert got == data and seq == 4 and len(peer.calls) == 1


def test_the_rest_of_a_reply_ends_with_its_time_and_with_the_next_request(peer):
    def rest(seq, offset, now=0.0):
        return code(peer.give(peer.seal(seq, b"\x0f\0" + offset.to_bytes(4, "big")), now))

    peer.give(peer.seal(2, b"\0\1x"), value=LONG)
    assert rest(3, 1024, 9.9) == status.OK
    assert rest(4, 2048, 19.8) == status.OK, "counted from when it was last fetched"
    assert rest(5, 2048, 29.9) == status.GONE
    peer.give(peer.seal(6, b"\0\1x"), 30.0, value=LONG)
    assert rest(7, 3000, 30.0) == status.GONE, "at its end"
    peer.give(peer.seal(8, b"\0\1x"), 30.0, value=LONG)
    peer.give(peer.seal(9, b"\0\1x"), 30.0)
    assert rest(10, 1024, 30.0) == status.GONE
    peer.give(peer.seal(12, b"\0\1x"), 30.0, value=LONG)
    assert rest(13, 5000, 30.0) == status.GONE, "past its end"
    assert rest(14, 1024, 30.0) == status.GONE, "and then it is gone"
    assert rest(15, 0, 30.0) == status.GONE


def test_a_message_in_parts(peer):
    assert peer.give(peer.seal(2, b"\x22\1x" + b"a" * 10)) == (wire.REPLY, b"\0\0")
    assert peer.give(peer.seal(3, b"\x32\0" + b"b" * 10)) == (wire.REPLY, b"\0\0")
    assert peer.calls == []
    assert peer.give(peer.seal(4, b"\x12\0" + b"c"))[1] == b"\0\0"
    assert peer.calls == [("x", b"a" * 10 + b"b" * 10 + b"c")]


def test_parts_out_of_order(peer):
    assert code(peer.give(peer.seal(2, b"\x12\0a"))) == status.OUT_OF_ORDER
    assert code(peer.give(peer.seal(3, b"\x22\1xa"))) == status.OK
    assert code(peer.give(peer.seal(5, b"\x12\0b"))) == status.OUT_OF_ORDER
    assert code(peer.give(peer.seal(6, b"\x22\1xa"))) == status.OK
    assert code(peer.give(peer.seal(7, b"\0\1x"))) == status.OK, "another message drops the part"
    assert code(peer.give(peer.seal(8, b"\x12\0b"))) == status.OUT_OF_ORDER
    assert code(peer.give(peer.seal(9, b"\x22\1xa"), 50.0)) == status.OK
    assert code(peer.give(peer.seal(10, b"\x12\0b"), 60.1)) == status.OUT_OF_ORDER, "its time is over"
    assert code(peer.give(peer.seal(11, b"\x22\1xa"), 60.1)) == status.OK
    assert code(peer.give(peer.seal(12, b"\x13\0b"), 60.1)) == status.MALFORMED, "of another format"
    assert peer.calls == [("x", NOTHING)]


def test_a_message_over_buffersize(actions):
    peer = Peer(Sessions(PRK, actions, now=0.0, buffersize=20)).warm()
    assert code(peer.give(peer.seal(2, b"\2\1x" + bytes(21)))) == status.TOO_BIG
    assert code(peer.give(peer.seal(3, b"\x22\1x" + bytes(20)))) == status.OK
    assert code(peer.give(peer.seal(4, b"\x12\0x"))) == status.TOO_BIG
    assert code(peer.give(peer.seal(5, b"\x12\0x"))) == status.OUT_OF_ORDER
    assert code(peer.give(peer.seal(6, b"\2\1x" + bytes(20)), value=bytes(21))) == status.GONE
    assert len(peer.calls) == 1


def test_noreturn_is_acknowledged_before_it_runs(peer):
    request = peer.seal(2, b"\x41\1x5")
    reply, call = peer.sessions.receive(request, 0.0)
    assert peer.open(reply, request) == (wire.REPLY, b"\0\0") and call.noreturn and call.data == 5
    assert peer.sessions.receive(request, 0.0) == (reply, None)


def test_an_unknown_action(peer):
    answer = peer.give(peer.seal(2, b"\0\4nope"))
    assert code(answer) == status.UNKNOWN and answer[1][2:] == b"no such action: nope"


def test_a_result_that_cannot_be_encoded(peer):
    for seq, value in enumerate(({1, 2}, float("nan"), {1: 2}, "\ud800", object()), 2):
        assert code(peer.give(peer.seal(seq, b"\0\1x"), value=value)) == status.GONE


def test_a_late_result_of_a_session_that_moved_on(peer):
    slow = peer.seal(2, b"\0\1x")
    _, call = peer.sessions.receive(slow, 0.0)
    assert peer.give(peer.seal(3, b"\0\1x"), value="new")[1] == b"\0\3new"
    late = peer.sessions.finish(call, Outcome(status.OK, LONG), 1.0)
    assert peer.open(late, slow)[1][2:] == LONG[:CHUNK], "sent once"
    assert peer.give(peer.seal(3, b"\0\1x"))[0] == wire.CHALLENGE
    assert code(peer.give(peer.seal(4, b"\x0f\0\0\0\4\0"))) == status.GONE, "nothing is kept of it"


# Tokens


def test_a_token_begins_one_session_and_lives_thirty_seconds(sessions):
    peer = Peer(sessions)
    token = peer.give(peer.seal(1, b"\0\1x"))[1][1:8]
    assert age(peer.give(peer.seal(1, b"\0\1x", token), 30.0)) == 300
    token = peer.give(peer.seal(1, b"\0\1x"), 40.0)[1][1:8]
    assert peer.give(peer.seal(1, b"\0\1x", token), 69.9)[0] == wire.REPLY
    assert len(peer.calls) == 1


def test_two_tokens_at_most_and_both_are_forgotten_at_a_commit(sessions):
    peer = Peer(sessions)
    first, same, second, third = (
        peer.give(peer.seal(1, b"\0\1x"), now)[1][1:8] for now in (0.0, 8.0, 8.1, 16.2)
    )
    assert first == same and len({first, second, third}) == 3
    assert peer.give(peer.seal(1, b"\0\1x", first), 16.3)[0] == wire.CHALLENGE
    assert peer.give(peer.seal(1, b"\0\1x", second), 16.3)[0] == wire.REPLY
    assert peer.give(peer.seal(1, b"\0\1x", third), 16.3)[0] == wire.CHALLENGE
    assert len(peer.calls) == 1


def test_a_session_forgotten_tells_how_long_ago(peer):
    other = Peer(peer.sessions)
    other.warm(100.0)
    assert age(peer.give(peer.seal(2, b"\0\1x"), 100.04)) == 0
    assert age(peer.give(peer.seal(2, b"\0\1x"), 101.29)) == 12
    assert age(peer.give(peer.seal(2, b"\0\1x"), 100000.0)) == 65535
    assert peer.calls == []


def test_the_first_session_of_a_channel_makes_nothing_forgotten(sessions):
    peer = Peer(sessions).warm(100.0)
    peer.token = b"another"
    assert age(peer.give(peer.seal(1, b"\0\1x"), 130.0)) == 1300, "since the server was made"


def test_channels_do_not_disturb_each_other(sessions):
    peers = [Peer(sessions, channel=channel).warm() for channel in range(4)]
    assert [code(peer.give(peer.seal(2, b"\0\1x"))) for peer in peers] == [0] * 4


def test_fresh_asks_for_a_young_token_on_every_part(peer):
    def locked(seq, plain, now):
        return peer.give(peer.seal(seq, plain), now)

    assert code(locked(2, b"\0\4lock", 2.0)) == status.OK
    answer = locked(3, b"\0\4lock", 2.1)
    assert age(answer) == 65535 and len(peer.calls) == 1
    peer.token = answer[1][1:8]
    assert code(locked(1, b"\x22\4locka", 2.2)) == status.OK
    again = locked(2, b"\x12\0b", 4.2)
    assert age(again) == 65535 and again[1][1:8] != peer.token
    assert len(peer.calls) == 1
    assert locked(2, b"\x12\0b", 5.1)[1][1:8] == again[1][1:8], "the token is half as old as fresh allows"
    assert locked(2, b"\x12\0b", 5.3)[1][1:8] != again[1][1:8]


def test_a_stranger_makes_no_state(sessions):
    stranger = Peer(sessions)
    stranger.c2s, stranger.s2c = keys.directions(bytes(32))
    for device in range(100):
        stranger.device = device.to_bytes(4, "big")
        assert stranger.give(stranger.seal(1, b"\0\1x")) is None
    assert sessions._devices == {}


def test_devices_are_bounded_and_the_one_not_heard_longest_goes(actions, monkeypatch):
    monkeypatch.setattr(benserver.sessions, "DEVICES_MAX", 3)
    sessions = Sessions(PRK, actions, now=0.0)
    peers = [Peer(sessions, device).warm(1.0) for device in (1, 2, 3)]
    assert peers[0].give(peers[0].seal(2, b"\0\1x"), 2.0)
    Peer(sessions, 4).warm(5.0)
    assert len(sessions._devices) == 3
    assert peers[0].give(peers[0].seal(3, b"\0\1x"), 6.0)[0] == wire.REPLY
    assert age(peers[1].give(peers[1].seal(2, b"\0\1x"), 6.0)) == 10, "since a device was dropped"


def test_only_listed_devices(actions):
    listed = {1: "kitchen"}
    sessions = Sessions(PRK, actions, now=0.0, devices=listed)
    peer, other = Peer(sessions).warm(), Peer(sessions, 2)
    assert other.give(other.seal(1, b"\0\1x")) is None
    del listed[1]
    assert peer.give(peer.seal(2, b"\0\1x")) is None, "at once"

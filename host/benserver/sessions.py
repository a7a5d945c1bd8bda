"""The server's rules of ben/2, free of sockets and clocks: docs/protocol.md tells why each is there.

Times are monotonic seconds, passed in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from Crypto.Cipher.AES import block_size as BLOCK

from ben import keys, wire

from . import status
from .actions import NOTHING, Action, Actions, Outcome, Refusal

DEVICES_MAX = 4096  # the one not heard for longest makes room: whoever has the master can claim any id
TOKEN_LIFE = 30.0  # s in which a token may begin a session
TOKEN_RENEWED = 8.0  # s after which a challenge carries a new one
TOKENS_MAX = 2  # a channel's: the one just sent, and the one before, which may be on its way back to us
AMPLIFICATION = 3  # a copy's answer, in lengths of the copy: the limit of RFC 9000, section 8.1
REQUEST_HEAD = len(wire.request_head(bytes(4), bytes(8), 0))
REPLY_HEAD = len(wire.reply_head(wire.REPLY, 0))
REQUEST_MIN = REQUEST_HEAD + 3 * BLOCK  # IV, one block and tag
DATAGRAM_MAX = 1232  # crosses every IPv6 path, 1280 bytes, in one piece
NEVER = 65535  # a challenge's age: the request has not run and never will
COLD = bytes(7)  # the token of a client that has none


class Token(NamedTuple):
    """Seven random bytes with which a session may begin, and when they were drawn."""

    value: bytes
    born: float


@dataclass
class Reply:
    """The last reply of a session, or one piece of it, for whoever asks again."""

    code: int
    form: int
    data: bytes
    offset: int  # of this piece in the whole reply
    more: bool
    datagram: bytes


@dataclass
class Rest:
    """A reply's data from `base` on, kept for NEXT."""

    form: int
    data: bytes
    base: int
    until: float


@dataclass
class Part:
    """A request of which parts are still to come."""

    form: int
    action: str
    data: bytes
    seq: int
    until: float


@dataclass
class Session:
    """What goes on under one token."""

    token: Token
    seq: int = 0
    tag: bytes = b""
    reply: Reply | None = None  # none while the handler runs
    part: Part | None = None
    rest: Rest | None = None
    call: Call | None = None  # while it runs


@dataclass
class Channel:
    """One of the four channels of a device."""

    forgot: float  # when a session was last replaced
    session: Session | None = None
    tokens: list[Token] = field(default_factory=list)

    @property
    def last(self) -> bytes:
        """The tag of the last request that was new."""
        return self.session.tag if self.session else b""


class Device:
    """A device that has shown its key."""

    def __init__(self, prk: bytes, number: bytes, forgot: float) -> None:
        self.number = int.from_bytes(number, "big")
        self.forgot = forgot  # for its channels: when a device was last dropped before this one was made
        self.c2s, self.s2c = keys.directions(keys.derive(prk, number))
        self.channels: dict[int, Channel] = {}


class Head(NamedTuple):
    """The head of a request's plaintext, and the body behind it."""

    form: int
    flags: int
    action: str  # empty in a continuation and in NEXT
    body: bytes


@dataclass
class Call:
    """A request to run; `Sessions.finish` takes it back with its outcome."""

    device: int
    action: Action
    data: Any
    noreturn: bool
    _ask: Ask
    _session: Session
    stream: Callable[[bytes], None] | None = None  # sends over its connection, if it has one


class Ask(NamedTuple):
    """A request whose tag is right."""

    device: Device
    channel: Channel
    token: bytes  # all eight bytes
    seq: int
    tag: bytes
    size: int  # of the datagram
    plain: bytes  # empty where the padding is wrong
    now: float


def parse(plain: bytes) -> Head | None:
    """The head and body of a request's plaintext; None for what is malformed."""
    if len(plain) < 2 or plain[0] & 0x80:
        return None
    form, flags, length = plain[0] & 0x0F, plain[0] & 0x70, plain[1]
    body = plain[2 + length :]
    if form == wire.NEXT:
        good = not flags and not length and len(body) == 4
    elif flags & wire.CONTINUES:
        good = not length
    else:
        good = 0 < length <= len(plain) - 2
    if not good:
        return None
    try:
        return Head(form, flags, plain[2 : 2 + length].decode(), body)
    except UnicodeDecodeError:
        return None


class Sessions:
    """Every device's channels: takes datagrams, gives replies and the calls to run."""

    def __init__(
        self,
        prk: bytes,
        actions: Actions,
        *,
        now: float,
        devices: Container[int] | None = None,
        buffersize: int = 4096,
        timeout: float = 10,
    ) -> None:
        self._prk = prk
        self._actions = actions
        self._allowed = devices
        self._buffersize = buffersize
        self._timeout = timeout
        self._devices: dict[bytes, Device] = {}  # the one heard last is last
        self._forgot = now  # when a device was last dropped, with all its channels

    # What comes in

    def receive(self, datagram: bytes, now: float) -> tuple[bytes | None, Call | None]:
        """The reply to send at once, if any, and the call to run then, if any."""
        ask = self.open(datagram, now)
        return self.answer(ask) if ask else (None, None)

    def answer(
        self, ask: Ask, stream: Callable[[bytes], None] | None = None
    ) -> tuple[bytes | None, Call | None]:
        """What receive() returns, to a request that was opened.

        stream: sends over the connection that it came over. A reply is then never cut, for nobody's address is in
        question; and a call that still runs is answered over its last copy's connection, too: its own may be dead.
        """
        session, value = ask.channel.session, ask.token[1:]
        if session and value == session.token.value:
            if ask.seq == session.seq and ask.tag == session.tag:
                if session.call and stream:
                    session.call.stream = stream
                return self._again(ask, session, stream is not None), None
            if ask.seq <= session.seq:
                # Only who was answered at the last seq goes on: this has not run and never will.
                return self._challenge(ask, None), None
        else:
            if value == COLD:
                return self._challenge(ask, None), None
            token = _find(ask.channel.tokens, value, ask.now)
            if token is None:
                return self._challenge(ask, ask.now - ask.channel.forgot), None
            session = Session(token)
        head = parse(ask.plain)
        part = self._part(session, ask.now)
        fresh = self._actions.fresh(_action_of(head, part))
        if fresh and ask.now - session.token.born > fresh:
            return self._challenge(ask, None, fresh / 2), None
        _commit(ask, session, head)
        try:
            reply, call = self._act(ask, session, head, part)
        except Refusal as refusal:
            return self._answer(ask, session, refusal.outcome), None
        if call:
            call.stream = stream
            session.call = None if call.noreturn else call  # whose copies have their answer already
        return reply, call

    def open(self, datagram: bytes, now: float) -> Ask | None:
        """The request in a datagram; None for a stranger's, which leaves nothing behind, not even a derived key."""
        if not REQUEST_MIN <= len(datagram) <= DATAGRAM_MAX or len(datagram) % BLOCK:
            return None
        number, token, seq = datagram[2:6], datagram[6:14], int.from_bytes(datagram[14:16], "big")
        if not datagram.startswith(wire.request_head(number, token, seq)):
            return None
        try:
            wire.chunk_of(token)
        except ValueError:
            return None
        if self._allowed is not None and int.from_bytes(number, "big") not in self._allowed:
            return None
        device = self._devices.get(number) or Device(self._prk, number, self._forgot)
        plain = device.c2s.open(datagram, REQUEST_HEAD)
        if plain is None:
            return None
        self._heard(number, device, now)
        channel = device.channels.setdefault(token[0] & 3, Channel(device.forgot))
        return Ask(device, channel, token, seq, datagram[-BLOCK:], len(datagram), bytes(plain), now)

    def _heard(self, number: bytes, device: Device, now: float) -> None:
        self._devices.pop(number, None)
        self._devices[number] = device
        if len(self._devices) > DEVICES_MAX:
            del self._devices[next(iter(self._devices))]
            self._forgot = now

    def _part(self, session: Session, now: float) -> Part | None:
        return session.part if session.part and now <= session.part.until else None

    # What a committed request asks for

    def _act(
        self, ask: Ask, session: Session, head: Head | None, part: Part | None
    ) -> tuple[bytes | None, Call | None]:
        if head is None:
            raise Refusal(status.MALFORMED, "malformed")
        if head.form == wire.NEXT:
            return self._next(ask, session, int.from_bytes(head.body, "big")), None
        form, action, body = self._join(ask, head, part)
        if head.flags & wire.MORE:
            session.part = Part(form, action, body, ask.seq, ask.now + self._timeout)
            return self._answer(ask, session, Outcome(status.OK, None)), None
        found = self._actions.find(action, secure=True)
        try:
            data = wire.decode(form, body)
        except ValueError:
            raise Refusal(status.MALFORMED, "the data cannot be read") from None
        noreturn = bool(head.flags & wire.ACKNOWLEDGE)
        data = NOTHING if form == wire.NONE else data
        call = Call(ask.device.number, found, data, noreturn, ask, session)
        return self._answer(ask, session, Outcome(status.OK, None)) if noreturn else None, call

    def _join(self, ask: Ask, head: Head, part: Part | None) -> tuple[int, str, bytes]:
        if not head.flags & wire.CONTINUES:
            form, action, body = head.form, head.action, head.body
        elif part is None or part.seq != ask.seq - 1:
            raise Refusal(status.OUT_OF_ORDER, "out of order")
        elif part.form != head.form:
            raise Refusal(status.MALFORMED, "malformed")
        else:
            form, action, body = part.form, part.action, part.data + head.body
        if len(body) > self._buffersize:
            raise Refusal(status.TOO_BIG, f"over {self._buffersize} bytes")
        return form, action, body

    def _next(self, ask: Ask, session: Session, offset: int) -> bytes:
        rest = session.rest
        if rest is None or ask.now > rest.until or not rest.base <= offset < rest.base + len(rest.data):
            session.rest = None
            raise Refusal(status.GONE, "the rest of the reply is gone")
        rest.until = ask.now + self._timeout
        return self._piece(ask, session, rest, offset)

    # What goes out

    def finish(self, call: Call, outcome: Outcome, now: float) -> bytes:
        """The reply to a call that has run; kept for copies unless its session has gone on."""
        ask = call._ask._replace(now=now)
        session = call._session
        if ask.channel.session is not session or session.tag != ask.tag:
            session = Session(session.token)  # nobody comes back for it
        session.call = None
        return self._answer(ask, session, outcome)

    def _answer(self, ask: Ask, session: Session, outcome: Outcome) -> bytes:
        code, form, data = outcome.encoded(self._buffersize)
        if code:
            data = _cut_text(data, wire.chunk_of(ask.token))
        elif len(data) > wire.chunk_of(ask.token):
            session.rest = Rest(form, data, 0, ask.now + self._timeout)
            return self._piece(ask, session, session.rest, 0)
        return self._store(ask, session, code, form, data, 0, False)

    def _piece(self, ask: Ask, session: Session, rest: Rest, offset: int) -> bytes:
        at = offset - rest.base
        data = rest.data[at : at + wire.chunk_of(ask.token)]
        return self._store(ask, session, status.OK, rest.form, data, offset, at + len(data) < len(rest.data))

    def _store(
        self, ask: Ask, session: Session, code: int, form: int, data: bytes, offset: int, more: bool
    ) -> bytes:
        datagram = _seal(ask, code, form, data, more)
        session.reply = Reply(code, form, data, offset, more, datagram)
        return datagram

    def _again(self, ask: Ask, session: Session, stream: bool) -> bytes | None:
        # The copy may be a stranger's, from an address that is not theirs.
        reply = session.reply
        if reply is None or stream or len(reply.datagram) <= AMPLIFICATION * ask.size:
            return reply.datagram if reply else None
        sealed = (AMPLIFICATION * ask.size - REPLY_HEAD) // BLOCK * BLOCK
        room = sealed - 2 * BLOCK - 3  # without IV and tag, status, format and one byte of padding
        if reply.code:
            return _seal(ask, reply.code, reply.form, _cut_text(reply.data, room), False)
        if not reply.more:
            session.rest = Rest(reply.form, reply.data, reply.offset, ask.now + self._timeout)
        return _seal(ask, reply.code, reply.form, reply.data[:room], True)

    def _challenge(self, ask: Ask, age: float | None, renewed: float = TOKEN_RENEWED) -> bytes:
        # No age: the request has not run and never will.
        tokens = ask.channel.tokens
        if not tokens or ask.now - tokens[-1].born > renewed:
            tokens.append(Token(_draw(), ask.now))
            del tokens[:-TOKENS_MAX]
        tenths = NEVER if age is None else min(NEVER, int(age * 10))
        plain = ask.token[:1] + tokens[-1].value + tenths.to_bytes(2, "big")
        return bytes(ask.device.s2c.seal(wire.reply_head(wire.CHALLENGE, ask.seq), ask.tag, plain))


def _find(tokens: list[Token], value: bytes, now: float) -> Token | None:
    return next((t for t in tokens if t.value == value and now - t.born < TOKEN_LIFE), None)


def _draw() -> bytes:
    value = COLD
    while value == COLD:
        value = os.urandom(len(COLD))
    return value


def _action_of(head: Head | None, part: Part | None) -> str | None:
    if head and head.flags & wire.CONTINUES:
        return part.action if part else None
    return head.action if head else None


def _commit(ask: Ask, session: Session, head: Head | None) -> None:
    channel = ask.channel
    if channel.session is not session:
        if channel.session:
            channel.forgot = ask.now
        channel.session = session
    channel.tokens.clear()
    session.seq, session.tag, session.reply, session.call = ask.seq, ask.tag, None, None
    session.part = None  # a continuation has it already, and puts it back
    if head is None or head.form != wire.NEXT:
        session.rest = None


def _seal(ask: Ask, code: int, form: int, data: bytes, more: bool) -> bytes:
    start = bytes((code | (wire.MORE if more else 0), form))
    return bytes(ask.device.s2c.seal(wire.reply_head(wire.REPLY, ask.seq), ask.tag, start, data))


def _cut_text(data: bytes, size: int) -> bytes:
    return data[:size].decode(errors="ignore").encode()

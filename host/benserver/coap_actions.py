"""The actions as CoAP resources, POST /<action>, free of sockets: docs/coap.md has what a client sees."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from aiocoap import Message
from aiocoap.numbers import codes
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import NON

from ben import wire

from . import status
from .actions import NOTHING, Action, Actions, Outcome, Refusal, Sender
from .address import text

RUNNING_MAX = 256  # handlers at once: a stranger can begin one with every datagram
BLOCKWISE_MAX = 64  # bodies that come in blocks, and as many results that leave so: the oldest makes room
BLOCKWISE_LIFE = 93.0  # s for the next block: MAX_TRANSMIT_WAIT of RFC 7252, so each of its copies is in time
REASON_MAX = 256  # bytes of a text for people
SILENCE = 26  # No-Response: to none of 2.xx, 4.xx and 5.xx

LIST = (".well-known", "core")
LINK_FORMAT = 40
JSON, BYTES = wire.encode(0)[0], wire.encode(b"")[0]
FORMATS = {0: wire.TEXT, 42: BYTES, 50: JSON}  # CoAP's Content-Format: ours
UNNAMED = 42  # the Content-Format of a body that has none

CODES = {  # of what did not end well; of all else INTERNAL_SERVER_ERROR
    status.UNKNOWN: codes.NOT_FOUND,
    status.TOO_BIG: codes.REQUEST_ENTITY_TOO_LARGE,
    status.MALFORMED: codes.BAD_REQUEST,
    status.OUT_OF_ORDER: codes.REQUEST_ENTITY_INCOMPLETE,
    status.REFUSED: codes.FORBIDDEN,
}


class Rule(NamedTuple):
    """Of an option: its most bytes, and whether it may be repeated."""

    most: int
    repeats: bool = False


OPTIONS = {  # those that mean something here; who sends any other critical one is refused
    OptionNumber.URI_HOST: Rule(255),
    OptionNumber.URI_PORT: Rule(2),
    OptionNumber.URI_PATH: Rule(255, repeats=True),
    OptionNumber.CONTENT_FORMAT: Rule(2),
    OptionNumber.URI_QUERY: Rule(255, repeats=True),
    OptionNumber.ACCEPT: Rule(2),
    OptionNumber.BLOCK2: Rule(3),
    OptionNumber.BLOCK1: Rule(3),
    OptionNumber.PROXY_URI: Rule(1034),
    OptionNumber.PROXY_SCHEME: Rule(255),
    OptionNumber.SIZE1: Rule(4),
    OptionNumber.NO_RESPONSE: Rule(1),
    OptionNumber.REQUEST_TAG: Rule(8, repeats=True),
}
PROXY = {OptionNumber.PROXY_URI, OptionNumber.PROXY_SCHEME}

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values for a time, in seconds, and no more than so many of them: the oldest makes room."""

    def __init__(self, most: int, life: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._life = life
        self._clock = clock
        self._values: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def put(self, key: Hashable, value: Value) -> None:
        """Keeps a value, which is the youngest now."""
        now = self._clock()
        self._values.pop(key, None)
        self._values[key] = now + self._life, value
        while len(self._values) > self._most or next(iter(self._values.values()))[0] <= now:
            self._values.popitem(last=False)

    def get(self, key: Hashable) -> Value | None:
        """The value, if it is still there."""
        until, value = self._values.get(key, (0.0, None))
        return value if self._clock() < until else None

    def drop(self, key: Hashable) -> None:
        """Forgets a value, if it is still there."""
        self._values.pop(key, None)


class Instead(Exception):
    """An answer instead of an action's result."""

    def __init__(self, code: Any, reason: str = "") -> None:
        super().__init__(reason)
        self.message = Message(
            code=code, payload=reason.encode()[:REASON_MAX].decode(errors="ignore").encode()
        )


class Whole(NamedTuple):
    """An answer before it is cut into blocks; form: its Content-Format, None where there is no content."""

    code: Any
    form: int | None
    payload: bytes


class Site:
    """Answers the requests that aiocoap hands over; most: bytes of the longest body, in either direction."""

    def __init__(self, actions: Actions, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._actions = actions
        self._most = most
        self._running = 0
        self._bodies: Kept[bytes] = Kept(BLOCKWISE_MAX, BLOCKWISE_LIFE, clock)
        self._results: Kept[Whole] = Kept(BLOCKWISE_MAX, BLOCKWISE_LIFE, clock)

    async def render_to_pipe(self, pipe: Any) -> None:
        """Answers one request: what a Context of aiocoap asks for."""
        request = pipe.request
        try:
            response = await self._answer(request)
        except Instead as instead:
            response = instead.message
        block = request.opt.block1
        if block is not None and (response.code.is_successful() or not block.more):
            response.opt.block1 = block  # with it, who still has blocks to send would go on
        if response.opt.no_response is None and response.code is not codes.CONTINUE:  # it is waited for
            response.opt.no_response = request.opt.no_response
        pipe.add_response(response, is_last=True)

    async def _answer(self, request: Any) -> Message:
        check_options(request)
        if request.opt.uri_path == LIST:
            return self._list(request)
        action = self._find("/".join(request.opt.uri_path))
        if request.code != codes.POST:
            raise Instead(codes.METHOD_NOT_ALLOWED, "POST runs an action")
        if request.opt.block2 is not None and request.opt.block2.block_number:
            return self._next(request)
        return self._result(request, await self._run(action, self._data(request), request))

    def _list(self, request: Any) -> Message:
        # The names that anybody reaches, and no others.
        if request.code != codes.GET:
            raise Instead(codes.METHOD_NOT_ALLOWED, "GET reads the list")
        if request.opt.accept not in (None, LINK_FORMAT):
            raise Instead(codes.NOT_ACCEPTABLE)
        links = ",".join(f"</{_escaped(name)}>" for name in self._actions.insecure())
        return piece(Whole(codes.CONTENT, LINK_FORMAT, links.encode()), request.opt.block2)

    def _find(self, name: str) -> Action:
        try:
            return self._actions.find(name, secure=False)
        except Refusal as refusal:
            code, reason = refusal.outcome
            known = code == status.REFUSED
            raise Instead(codes.UNAUTHORIZED if known else codes.NOT_FOUND, reason) from None

    # What comes

    def _data(self, request: Any) -> Any:
        form, accept = request.opt.content_format, request.opt.accept
        form = UNNAMED if form is None else form
        if form not in FORMATS:
            raise Instead(codes.UNSUPPORTED_CONTENT_FORMAT)
        if accept is not None and accept not in FORMATS:
            raise Instead(codes.NOT_ACCEPTABLE)
        if self._running >= RUNNING_MAX:
            raise Instead(codes.SERVICE_UNAVAILABLE, "too much to do: come back later")
        body = self._body(request)
        if not body:
            return NOTHING
        try:
            return wire.decode(FORMATS[form], body)
        except ValueError:
            raise Instead(codes.BAD_REQUEST, "the data cannot be read") from None

    def _body(self, request: Any) -> bytes:
        # All of it: its blocks before the last are answered with "continue".
        block, body = request.opt.block1, bytes(request.payload)
        if block is not None:
            body = self._before(request, block) + body
        if max(len(body), request.opt.size1 or 0) > self._most:
            raise self._too_big()
        if block is not None and block.more:
            if len(request.payload) != block.size:
                raise Instead(codes.BAD_REQUEST, "a block that is not full")
            self._bodies.put(_body_key(request), body)
            raise Instead(codes.CONTINUE)
        return body

    def _before(self, request: Any, block: Any) -> bytes:
        # What came before this block, which is forgotten: it goes on, or has to begin again.
        key = _body_key(request)
        body = self._bodies.get(key) or b""
        self._bodies.drop(key)
        if block.block_number == 0:
            return b""
        if block.start != len(body):
            raise Instead(codes.REQUEST_ENTITY_INCOMPLETE, "out of order")
        return body

    def _too_big(self) -> Instead:
        instead = Instead(codes.REQUEST_ENTITY_TOO_LARGE, f"over {self._most} bytes")
        instead.message.opt.size1 = self._most
        return instead

    async def _run(self, action: Action, data: Any, request: Any) -> Outcome:
        told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            self._running -= 1
            if not told.done():  # nobody waits for it any more
                told.set_result(outcome)

        self._running += 1
        asked = Sender(None, None, "coap", text(request.remote.address), secure=False)
        self._actions.run(action, data, asked, done)
        return await told

    # What leaves

    def _result(self, request: Any, outcome: Outcome) -> Message:
        code, form, data = outcome.encoded(self._most)
        if code:
            raise Instead(CODES.get(code, codes.INTERNAL_SERVER_ERROR), data.decode())
        number = next((number for number, ours in FORMATS.items() if ours == form), None)
        if number is not None and request.opt.accept not in (None, number):
            raise Instead(codes.NOT_ACCEPTABLE, f"it ran; its result has the format {number}")
        whole = Whole(codes.CHANGED, number, data)
        message = piece(whole, request.opt.block2)
        if len(message.payload) < len(data):
            self._results.put(_key(request), whole)
        return message

    def _next(self, request: Any) -> Message:
        whole = self._results.get(_key(request))
        if whole is None:
            raise Instead(codes.REQUEST_ENTITY_INCOMPLETE, "the rest of the result is gone")
        return piece(whole, request.opt.block2)


def check_options(request: Any) -> None:
    """Raises Instead for options that may not be passed over; to a NON it is silence (RFC 7252, 5.4.1)."""
    numbers = {option.number for option in request.opt.option_list()}
    if numbers & PROXY:
        raise Instead(codes.PROXYING_NOT_SUPPORTED)
    if any(number.is_critical() and number not in OPTIONS for number in numbers):
        instead = Instead(codes.BAD_OPTION)
        instead.message.opt.no_response = SILENCE if request.mtype is NON else None
        raise instead
    for block in (request.opt.block1, request.opt.block2):
        if block is not None and block.size_exponent > 6:
            raise Instead(codes.BAD_REQUEST, "a block's size is 16 to 1024")


def piece(whole: Whole, block: Any) -> Message:
    """The block of an answer that was asked for; all of it where that is short enough, and no block was."""
    number, _, exponent = block or (0, False, 6)
    size = 16 << exponent
    payload = whole.payload[number * size :][:size]
    if number and not payload:
        raise Instead(codes.BAD_REQUEST, "there is no such block")
    message = Message(code=whole.code, payload=payload)
    message.opt.content_format = whole.form
    if block or len(payload) < len(whole.payload):
        message.opt.block2 = number, (number + 1) * size < len(whole.payload), exponent
        message.opt.etag = zlib.crc32(whole.payload).to_bytes(4, "big")  # blocks of two results differ
    return message


def _key(request: Any) -> Hashable:
    return request.remote, request.opt.uri_path, request.opt.uri_query


def _body_key(request: Any) -> Hashable:
    return _key(request), request.opt.request_tag


def _escaped(name: str) -> str:
    return quote(name[0], safe="") + quote(name[1:])  # //host would be another server

"""What a handler gets and what it gives, and the requests of late, whose copies reach no handler."""

from collections.abc import Callable
from typing import Any

from typing_extensions import TypeAlias

from .message import Message, _Peer
from .resources import Resource, Resources, _Answer

_Kept: TypeAlias = list[Any]
"""What is kept of a request: [message id << 5 | method, peer, ms when it came, reply], the reply b"" before there is one."""

LATER: Any
"""What a handler returns that leaves the answer to `Server.answer()`.

The request is acknowledged after 250 ms. At most 8 requests are open; for others the handler's LATER is a 5.03.
"""

class Error(Exception):
    """What a handler raises, or returns: a status such as "4.04", and a text that explains it.

        raise Error("4.04", "no such sensor")

    Any other exception of a handler's is a 5.00 with the name of its type.

    Source: RFC 7252, 5.5.2 and 5.9.
    """

    code: int
    """The status as one byte: 0x84 for "4.04"."""

    def __init__(self, status: str | int, text: str = "") -> None:
        """status: as "4.04", or a code as one byte. text: for people; it is the payload."""

def code_of(status: str | int) -> int:
    """The code, as one byte, of a status such as "4.04", 0x84; one that is a code already stays."""

def message_of(method: int, result: _Answer) -> Message:
    """The message for what a handler returned: bytes, text, None, an Error, a Response, or what a body is read from.

    method: the request's code, which says what the status is where the result does not: 2.05 for GET and FETCH, 2.02
    for DELETE, 2.04 for the others (RFC 7252, 5.8).
    """

class Request:
    """A request, as a handler gets it."""

    offset: int
    """Where payload begins in the body, in bytes, for a handler that takes it block by block (stream=True)."""

    more: bool
    """Whether other blocks of it follow."""

    acknowledged: bool
    """The client was told that the answer will take a while."""

    finished: bool
    """The answer is on its way."""

    resource: Resource | None
    """What it is for; None before that was found."""

    deliver: Callable[[Request, Message], Any] | None
    """Takes the response instead of the peer: a notification's. None for others."""

    server: Resources
    """The rules of the server that it reached."""

    seen: _Kept | None
    """What is kept of it, so that a copy of it is known; None for one that is a notification's."""

    message: Message
    """All of it, with its options."""

    peer: _Peer
    """The address that it came from, for a socket; `ben.coap.address.readable` says it for people."""

    method: int
    """1 GET, 2 POST, 3 PUT, 4 DELETE, 5 FETCH, 6 PATCH, 7 iPATCH."""

    payload: bytes
    """The body: all of it, where it came in many blocks, but for a handler that takes these (stream=True)."""

    query: dict[str, str | None]
    """The arguments of the query by name, decoded; None for one without a value. Only read; Error 4.02 for bad UTF-8."""

    path: str
    """The path, without / at its ends, decoded; a / inside a segment is %2F. Set by read()."""

    special: bool
    """Whether it has options that ask for more than a plain answer. Set by read()."""

    def __init__(self, server: Resources, message: Message, peer: _Peer, seen: _Kept | None = None) -> None:
        """All are kept."""

    def read(self) -> None:
        """Finds path and special; UnicodeError for a path that is no UTF-8, Error for what is not understood.

        4.02: a critical option that is unknown or is not as its kind is. 5.05: one for a proxy.

        Source: RFC 7252, 5.4.1 and 5.7.2.
        """

    def acknowledge(self) -> None:
        """Tells the client that the answer will take a while, so that it waits and sends no copies.

        For a handler that works for long, before it does: a client sends its first copy after 2 to 3 s. Nothing for a
        request without confirmation.

        Source: RFC 7252, 5.2.2.
        """

def find(all: list[_Kept], message: Message, peer: _Peer, now: int) -> _Kept | None:
    """What is kept of a request of which this may be a copy, or None.

    A copy has the peer, the message id and the method of the first (RFC 7252, 4.5). Forgets what is older than 247 s
    (EXCHANGE_LIFETIME); now in ms.
    """

def remember(all: list[_Kept], message: Message, peer: _Peer, now: int) -> _Kept:
    """Keeps a request that has come, as a list; of twelve the oldest makes room. now in ms."""

"""The client's rules for a whole message, free of sockets and clocks.

Source: protocol, The client and Plaintexts.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypedDict

from typing_extensions import NotRequired, TypeAlias

from .crypto import _Bytes
from .exchange import Exchange

# Not list, tuple and dict, though the code wants these: a dict[str, float] passes for a Mapping only.
_Json: TypeAlias = bool | int | float | str | Sequence["_Json"] | Mapping[str, "_Json"] | None
"""What JSON can hold: None, bool, int, finite float, str, and lists, tuples and dicts of these.

Keys are str; at most 20 lists and dicts stand inside each other. bytes are not for JSON: ValueError where
they stand in a list or a dict.
"""

_Value: TypeAlias = bytes | bytearray | memoryview | _Json
"""What a request can carry: bytes, text, or what JSON can hold."""

class _Request(TypedDict):
    """A request: the name of an action, and data for its handler."""

    action: str
    """1 to 255 bytes of UTF-8, at most chunk - 2."""

    data: NotRequired[_Value]
    """What the handler is called with; left out, it is called without an argument."""

_Steps: TypeAlias = Generator[tuple[_Bytes | None, int], tuple[int, _Bytes | None], Any]
"""What a driver works with: it is yielded (datagram or None, ms to wait) and sends (ms since the beginning,
datagram or None)."""

class BenError(Exception):
    """The server refused, or the handler failed, or its reply is lost: `status` and `text`.

    status  did it run?
        1   yes     the handler raised; `text` is the type's name, such as "ValueError"
        2   no      the server has no such action
        3   no      the data is over the server's buffersize, or over this client's
        4   no      the server could not read the request
        5   yes     the reply is gone, over `buffersize`, or cannot be read
        8   no      the action may not be reached this way

    Source: protocol, Plaintexts. Status 6 never gets here: the client begins again by itself.
    """

    status: int
    """Which of them: 1 to 5 or 8; another server may have more, up to 31."""

    text: str
    """A few words for people."""

    def __init__(self, status: int, text: str) -> None:
        """Both also stand in `args`."""

def send(exchange: Exchange, data: _Request, noreturn: bool) -> _Steps:
    """A generator that plays one message, in as many datagrams as it takes, and returns the handler's result.

    exchange: the state of the link; its `busy` is True until the generator ends.
    data, noreturn: as in `Client.send`.

    Yields (datagram to send or None, ms to wait at most for one to come). Is sent (ms since the first step,
    the datagram that came or None). Whoever drops it half-way must call close(): MicroPython does not.

    Returns and raises what `Client.send` does, where a socket is not concerned: OSError(ETIMEDOUT, "not run"
    or "maybe"), BenError, ValueError; RuntimeError if another one of this exchange is under way.

    Source: protocol, The client.
    """

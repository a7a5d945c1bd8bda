"""ben/2 on the wire: the layout of datagrams and bodies, for both ends.

Source: protocol, Datagrams and Plaintexts. Numbers are big-endian.
"""

from typing import Any, Final

from .cpython import const as const
from .cpython import dumps as dumps
from .cpython import loads as loads
from .crypto import _Bytes

REPLY: Final = 2
"""Second byte of a reply."""

CHALLENGE: Final = 3
"""Second byte of a challenge: the server does not know the session, and offers a token to begin one."""

NONE: Final = 0
"""Format, the low half of fmt: no data."""

TEXT: Final = 3
"""Format: UTF-8 text."""

NEXT: Final = 15
"""Format of a request for the last reply's data from an offset on, which is its own data, 4 bytes."""

CONTINUES: Final = 0x10
"""Flag of fmt: a part behind the first, without an action."""

MORE: Final = 0x20
"""Flag of fmt: more parts follow. Flag of a reply's status: more of its data is to be fetched with NEXT."""

ACKNOWLEDGE: Final = 0x40
"""Flag of fmt, on the last part: reply before the handler runs (noreturn)."""

TOO_BIG: Final = 3
"""Status: more data than a buffer takes; not run."""

GONE: Final = 5
"""Status: it ran, but the reply is gone."""

OUT_OF_ORDER: Final = 6
"""Status: a part came without the one before it; not run, and the client begins again."""

def chunk_of(token: _Bytes) -> int:
    """The chunk, in bytes, that the first byte of S tells in its upper 6 bits: 64 to 1152, a multiple of 32.

    It is the most plaintext in a request, and the most data in a reply. ValueError where it is out of these
    bounds.
    """

def request_head(device: bytes, token: bytes, seq: int) -> bytes:
    """The 16 bytes before a request's IV.

    device: 4 bytes. token: S, 8 bytes, the first of them the client's. seq: 0 to 65535.
    """

def reply_head(kind: int, seq: int) -> bytes:
    """The 4 bytes before a reply's IV; kind is REPLY or CHALLENGE, seq the request's."""

def encode(value: Any) -> tuple[int, bytes | bytearray]:
    """(format, bytes) of a body.

    value: bytes, bytearray or memoryview (bytes); str (text); else what JSON can hold: None, bool, int,
    finite float, and lists, tuples and dicts of these and of str, with str for keys, at most 20 inside each
    other. JSON is UTF-8, without spaces.

    ValueError for anything else.
    """

def decode(form: int, body: _Bytes) -> Any:
    """The value of a body: bytes, str, or what JSON can hold; None where the format is NONE.

    ValueError for a format that there is not, data where there should be none, bad UTF-8, and what `encode`
    would not have written as JSON: a number that is not finite, or more than 20 lists and dicts inside each
    other.
    """

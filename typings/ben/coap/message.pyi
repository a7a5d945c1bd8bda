"""CoAP messages and their bytes (RFC 7252, section 3)."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from typing_extensions import TypeAlias

from ..cpython import const as const
from ..crypto import _Bytes as _Bytes

_Peer: TypeAlias = tuple[Any, ...] | bytes
"""An address as the sockets of this port have it: (host, port, ...), or bytes on MicroPython's unix port."""

_Value: TypeAlias = bytes | str | int
"""What an option can be given: its bytes, text, or a number of at least 0."""

_Read: TypeAlias = Callable[[int, int], _Bytes]
"""A function of (offset, size), both bytes, that gives bytes of a body, fewer than size only at its end."""

class _File(Protocol):
    """A file that is open for reading bytes."""

    def seek(self, offset: int, /) -> Any: ...
    def read(self, size: int, /) -> bytes: ...

_Body: TypeAlias = _Bytes | str | _File | _Read
"""What a body can be: bytes, text, a file, or a function that reads it."""

LIMIT: Final = 1152
"""Bytes of a message: what RFC 7252, 4.6 takes for certain to cross a path."""

class Message:
    """A message; its options are (number, value) in the order in which they travel."""

    type: int
    """0 CON, to be confirmed; 1 NON; 2 ACK; 3 RST."""

    code: int
    """One byte: 0 for an empty message, 1 to 7 for a method, 0x45 for 2.05 and so on."""

    id: int
    """The message id, 0 to 65535."""

    token: bytes
    """The token, 0 to 8 bytes."""

    options: list[tuple[int, bytes]]
    """(number, value), in the order of their numbers, each as often as it is there."""

    payload: bytes
    """The payload, b"" where there is none."""

    status: str
    """The code as RFC 7252 writes it: "2.05" (RFC 7252, 12.1). Only read."""

    def __init__(
        self, code: int = 0, payload: bytes = b"", type: int = 0, id: int = 0, token: bytes = b""
    ) -> None:
        """All are kept; there are no options yet."""

    def add(self, number: int, value: _Value = b"") -> None:
        """Puts an option, of bytes, text or a number, behind those of its number and of lower ones.

        A number goes without leading zeros, 0 as b"" (RFC 7252, 3.2).
        """

    def get(self, number: int) -> bytes | None:
        """The first value of an option, or None: reply.get(4) is the ETag."""

    def uint(self, number: int) -> int | None:
        """The first value of an option that is a number, or None: reply.uint(12) is the content format."""

    def encode(self) -> bytearray:
        """The datagram. Source: RFC 7252, 3 and 3.1."""

def decode(datagram: bytes, limit: int = 1152) -> Message:
    """The Message of a datagram of at most limit bytes.

    ValueError for what is none: a longer one, another version, a token over 8 bytes, an option that is cut or has the
    nibble 15, a marker without a payload, an empty message with something in it, over 64 options.

    Source: RFC 7252, 3, 3.1 and 4.1.
    """

"""Bodies of many blocks, at the client (RFC 7959). Loaded for the first one."""

from collections.abc import Generator

from .message import Message, _Body, _Read
from .request import _Into, _Response

def unpack(value: bytes) -> tuple[int, int, int]:
    """(number, 1 where more follow or else 0, exponent of the size) of a Block option's value.

    The size is 16 << exponent bytes. OSError(EIO) for a value of more than 3 bytes, or with the exponent 7.

    Source: RFC 7959, 2.2.
    """

def exponent(size: int) -> int:
    """A size of blocks as the options have it: 0 for 16 bytes to 6 for 1024; ValueError for any other size."""

def pack(at: int, more: bool, szx: int) -> int:
    """A Block option's number for the block that begins at byte `at` of the body; szx: the exponent of the size."""

def again(message: Message, *without: int) -> Message:
    """A message like another, with a token of its own of 4 random bytes, without payload and some options' numbers."""

def reader(source: _Body) -> _Read:
    """A function of (offset, size), both bytes, that gives bytes of a body.

    source: bytes, a file with seek() and read(), or such a function, which is returned as it is.
    """

def upload(message: Message, source: _Body, room: int) -> Generator[Message, _Response, _Response]:
    """A generator: yields the request for each block of a body, is sent the replies, and returns the last.

    message: the request without its payload. room: the most bytes of payload that its datagram has place for. A server
    that asks for smaller blocks gets them. OSError(EIO) for a reply whose Block1 is none.

    Source: RFC 7959, 2.5 and 3; Request-Tag: RFC 9175, 3.
    """

def download(
    message: Message, reply: Message, into: _Into | None, limit: int
) -> Generator[Message, _Response, _Response]:
    """A generator: yields the requests for the rest of a body, is sent the replies, and returns the last with all of it.

    message: the request. reply: the first response. into: what each block is written to; the payload is b"" then.
    limit: the most bytes of the whole without `into`.

    OSError(ENOMEM) for a body that is longer, OSError(EIO) where it changed under way, or where a block is not the one
    that was asked for. An error from the server is returned in place of the body.

    Source: RFC 7959, 2.4.
    """

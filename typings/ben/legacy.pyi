"""The framing of the plain dialect, which the clients of Client-server-python speak over TCP.

A length has 64 bytes: decimal digits in ASCII, and spaces on the right. `b"2" + 63 * b" " + b"hi"` is the message `hi`.
The server frames with the same code. No key protects any of it: see docs/hub.md.
"""

from .crypto import _Bytes

WIDTH: int
"""Bytes of a length, or of a target: 64."""

def block(text: bytes) -> bytes:
    """The 64 bytes that say a text, such as a target: it, and spaces on the right. ValueError where it is longer."""

def framed(message: bytes) -> bytes:
    """The message behind its length, which may be 0."""

def length(head: _Bytes, most: int) -> int:
    """The length that the 64 bytes of `head` say, 0 to `most`.

    0 is a length: a list of no targets is answered so, and the data of a message may be empty.
    ValueError, which says why: for more than `most`, for a sign, and for whatever else is not ASCII digits with
    nothing but spaces behind them.
    """

class Frames:
    """Takes a stream as it comes, in pieces of any size, and gives back the messages in it.

        frames = Frames(4096)
        message = frames.feed(sock.recv(frames.need))
        if message is not None:
            ...

    It is `ben.tcp.Frames` for the other length, but for one thing: a message may be empty.
    After a ValueError nothing in the stream can be made out any more: its connection is to be closed.
    """

    size: int
    """Bytes of the longest message."""

    need: int
    """Bytes that are missing, 1 or more: of a length, or of the message behind it."""

    body: _Bytes
    """What is there of it."""

    head: bool
    """Whether it is a length that is missing."""

    def __init__(self, size: int) -> None:
        """size: bytes of the longest message."""

    def feed(self, data: _Bytes) -> _Bytes | None:
        """The message that the next bytes of the stream complete, b"" for an empty one, or None for none.

        data: no more than `need` bytes. ValueError for a length as of `length()`.
        """

"""Messages in a stream of bytes, each behind its length; free of sockets, and the same on both sides.

A length has two bytes, big-endian, and does not count itself: `00 02 68 69` is the message `hi`.
"""

from collections.abc import Callable

from .crypto import _Bytes
from .crypto import const as const

def framed(message: _Bytes) -> bytes:
    """The message behind its length; ValueError for one that is empty or over 65535 bytes."""

class Frames:
    """Takes a stream as it comes, in pieces of any size, and gives back the messages in it.

        frames = Frames(1232)
        message = frames.feed(sock.recv(frames.need))

    Nothing of the next message is taken before the last one is given back, so that no more than one is kept.
    After a ValueError nothing in the stream can be made out any more: its connection is to be closed.
    """

    def __init__(self, most: int, width: int = 2, number: Callable[[_Bytes], int] = ...) -> None:
        """most: bytes of the longest message. The others are for a protocol with other lengths.

        width: bytes of a length. number: what makes an int of these, big-endian if it is not given.
        """

    @property
    def need(self) -> int:
        """Bytes that are missing, 1 or more: of a length, or of the message behind it."""

    def feed(self, data: _Bytes) -> _Bytes | None:
        """The message that the next bytes of the stream complete, or None where they complete none.

        data: no more than `need` bytes. ValueError for the length of a message that is empty or over `most`.
        """

"""The link over TCP: length framing, and a connection with the manners of `net.Udp`.

A board loads it for a client with `tcp=True` only. A length has two bytes, big-endian, and does not count itself:
`00 02 68 69` is the message `hi`. The server frames with the same code.
"""

import select as _select
import socket as _socket

from .crypto import _Bytes
from .net import Udp
from .net import const as const
from .net import sleep_ms as sleep_ms
from .net import ticks_diff as ticks_diff
from .net import ticks_ms as ticks_ms

def framed(message: _Bytes) -> bytes:
    """The message behind its length; ValueError for one that is empty or over 65535 bytes."""

class Frames:
    """Takes a stream as it comes, in pieces of any size, and gives back the messages in it.

        frames = Frames(1232)
        message = frames.feed(sock.recv(frames.need))

    Nothing of the next message is taken before the last one is given back, so that no more than one is kept.
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
        """The message that the next bytes of the stream complete, or None where they complete none.

        data: no more than `need` bytes. ValueError for the length of a message that is empty or over `size`.
        """

class Tcp(Udp):
    """A TCP connection, made when first used and again after it broke; only recv() waits.

    An error counts as a lost message, and its copy goes over a new connection. So does the third copy of one
    that got no answer: the connection may be dead, and nobody have said so.
    """

    out: memoryview | None
    """What waits to be written, by the next recv(); None where nothing does."""

    datagram: _Bytes | None
    """The message that this connection took last."""

    copies: int
    """Of that message, that did not leave over this connection."""

    frames: Frames
    """What came of the next message."""

    socket: _socket.socket | None
    """The socket, which never blocks, connected or about to be; None while there is none."""

    poll: _select.poll | None
    """What waits for the socket, to be written while it connects; None while there is none that is whole."""

    def send(self, datagram: _Bytes) -> None:
        """Sends one message; the same object again is a copy, which only a connection that is new takes.

        It does not wait, not for the connection either: recv() does, and writes. OSError only for a host that
        cannot be resolved; other errors count as loss.
        """

    def recv(self, ms: int) -> _Bytes | None:
        """The next message within ms milliseconds, or None.

        With 0 it makes one step: b"" where only a part was written or came, and there is more to wait for.
        """

    def close(self) -> None:
        """Closes the connection; the next `send()` makes another. Once more does no harm."""

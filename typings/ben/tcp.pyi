"""The link over TCP: a connection with the manners of `net.Udp`. Loaded for a client with `tcp=True` only."""

import select as _select
import socket as _socket

from .crypto import _Bytes
from .framing import Frames as Frames
from .framing import framed as framed
from .net import Udp
from .net import const as const
from .net import sleep_ms as sleep_ms
from .net import ticks_diff as ticks_diff
from .net import ticks_ms as ticks_ms

class Tcp(Udp):
    """A TCP connection, made when first used and again after it broke; only recv() waits.

    An error counts as a lost message, and its copy goes over a new connection. So does the third copy of one
    that got no answer: the connection may be dead, and nobody have said so.
    """

    out: memoryview | None
    """What waits to be written, by the next recv(); None where nothing does."""

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

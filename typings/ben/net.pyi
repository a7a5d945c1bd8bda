"""The one place that knows sockets, and in what the ports differ about them."""

import select as _select
import socket as _socket
from typing import Any

from .cpython import collect as collect
from .cpython import const as const
from .cpython import sleep_ms as sleep_ms
from .cpython import ticks_diff as ticks_diff
from .cpython import ticks_ms as ticks_ms
from .crypto import _Bytes

class Udp:
    """A connected UDP socket, opened when first used; an error counts as a lost datagram."""

    out: memoryview | None
    """What waits to be written: None, for a datagram never waits. It is `tcp.Tcp` that has something."""

    address: tuple[Any, ...] | None
    """What getaddrinfo() said of the host; None before the first `send()`. It is asked once."""

    socket: _socket.socket | None
    """The socket; None while there is none."""

    poll: _select.poll | None
    """What waits for the socket; None while there is none that is whole."""

    size: int
    """Bytes that recv() makes room for: 256, and 1280 once a datagram needed more."""

    def __init__(self, host: str, port: int) -> None:
        """host: an address or a name, of whose addresses the first of IPv4 is taken. port: 1 to 65535.

        Neither is looked at yet."""

    def send(self, datagram: _Bytes) -> None:
        """Sends one datagram. OSError only for a host that cannot be resolved; other errors count as loss."""

    def recv(self, ms: int) -> _Bytes | None:
        """The next datagram, or None if there is none within ms milliseconds or the socket had an error.

        The first one over 256 bytes is cut short, as if it were damaged; the copy that follows fits.
        """

    def close(self) -> None:
        """Closes the socket; the next `send()` is from another port. Once more does no harm."""

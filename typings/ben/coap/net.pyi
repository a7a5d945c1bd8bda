"""The socket of a CoAP endpoint, with the message layer at it, and addresses as this port's sockets take them."""

import select as _select
from typing import Any

from typing_extensions import TypeAlias

from ..cpython import collect as collect
from ..cpython import sleep_ms as sleep_ms
from ..cpython import ticks_diff as ticks_diff
from ..cpython import ticks_ms as ticks_ms
from .layer import Layer
from .message import _Bytes, _Peer

def resolve(host: str, port: int) -> tuple[int, _Peer]:
    """(family, address) of a host, for a socket; IPv4 where a name has both. OSError where it is not found.

    On some boards that waits for ever while Wi-Fi is down.
    """

class Socket:
    """A UDP socket at any port, opened when first used; an error counts as a lost datagram."""

    socket: Any
    """The socket, or the object that takes its place; None while it is closed."""

    poll: _select.poll | None
    """What waits for the socket; None while it is closed, and where poll() does not know the object."""

    family: int | None
    """The family of addresses that it is for; None before it was first opened."""

    @staticmethod
    def resolve(host: str, port: int) -> tuple[int, _Peer]:
        """As above, for who has only the socket."""

    def open(self, family: int | None) -> None:
        """Opens it for addresses of one family; closes what was open. OSError."""

    def send(self, datagram: _Bytes, peer: _Peer) -> None:
        """Sends one datagram. OSError is taken for loss: a copy follows."""

    def recv(self, ms: int) -> tuple[bytes | None, _Peer] | None:
        """(datagram, address) within ms milliseconds, for ever with -1; or None, also after an error of the socket.

        The datagram is None where there was no memory for it: it was cut. One over `LIMIT` comes with a byte too many.
        """

    def close(self) -> None:
        """Closes it; what is sent next leaves from another port."""

_Socket: TypeAlias = Socket
"""Socket, where an argument is called so."""

class Endpoint:
    """A socket and its message layer; client and server may share one."""

    layer: Layer
    """The message layer."""

    socket: _Socket
    """The socket."""

    def __init__(self, socket: _Socket | None = None) -> None:
        """socket: a `Custom`, or a server's; without it one at any port, which is not opened yet."""

    def receive(self, datagram: bytes | None, peer: _Peer) -> None:
        """Hands on what came, None for what was cut, and sends what follows."""

    def tick(self) -> int | None:
        """Sends what is due; returns the ms until there is more to do, or None."""

    def tidy(self) -> None:
        """Collects garbage at each call where less than 8000 bytes were free at the start, at each second below 16000, ...

        What is kept of the next datagram then goes into the holes, and the free memory stays in one piece.
        """

    def step(self, ms: int | None = None) -> bool:
        """Waits for one datagram, until something is due, or at most so many ms; True where one came."""

"""The blocking server."""

from typing import NoReturn

from .handling import Request
from .net import Endpoint as _Endpoint
from .net import Socket, _Socket
from .resources import Resources, _Add, _Answer

class Bound(Socket):
    """A socket at a port of its own, of all addresses or of a host's."""

    def __init__(self, host: str | None, port: int) -> None:
        """Opens it. host: an address of this machine; None for all of IPv4, "::" for all of IPv6. port: 0 for any.

        OSError where the port is taken.
        """

    def open(self, family: int | None) -> None:
        """Opens it at its port, whatever the family; OSError where that is taken."""

class Server:
    """Resources at a UDP port; /.well-known/core lists them (RFC 6690)."""

    Endpoint: type[_Endpoint]
    """The class of its endpoint."""

    endpoint: _Endpoint
    """The socket, with the message layer at it; `Client(server)` uses it, too."""

    resources: Resources
    """The rules: `resources.failed`, for one, may be set to be told of handlers that fail."""

    add: _Add[_Answer]
    """Adds a resource, or replaces it: its handlers by method, etag=, stream=, and attributes.

    As of `ben.coap.resources.Resources.add`, which says what each is.
    """

    def __init__(
        self,
        port: int = 5683,
        host: str | None = None,
        socket: _Socket | None = None,
        *,
        size: int = 1024,
        limit: int = 4096,
    ) -> None:
        """Opens the socket.

        port: 1 to 65535, or 0 for any. host: an address of this machine; None for all of IPv4, "::" for all of IPv6.
        socket: a `Custom` to use instead of both.
        size: the most bytes of a block, 16, 32, 64, 128, 256, 512 or 1024; with any other, what needs blocks is a 5.00.
        limit: the most bytes of a body that comes in blocks and is put together in memory; 4.13 for a longer one.

        OSError where the port is taken.
        """

    def notify(self, path: str) -> int:
        """Tells the observers of a resource what its handler says now; returns how many there are.

        The resource needs obs=True. 4 observe at most, of all resources together. May be called from a handler.

        Source: RFC 7641, 4.2.
        """

    def flush(self) -> None:
        """Sends what is to go out."""

    def answer(self, request: Request, result: _Answer | Exception) -> None:
        """Answers a request whose handler has returned LATER: with what a handler returns, or an Error.

        Another exception is a 5.00. Nothing where it is answered already.

        Source: RFC 7252, 5.2.2.
        """

    def run(self) -> NoReturn:
        """Serves for ever."""

    def poll(self, ms: int = 0) -> None:
        """Serves for so many milliseconds; for 0, what has come already."""

    def close(self) -> None:
        """Closes the socket. `run()` and `poll()` are for one that is open."""

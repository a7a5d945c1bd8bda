"""The asyncio server."""

from collections.abc import Awaitable
from typing import NoReturn

from .aioendpoint import Endpoint as _Endpoint
from .net import _Socket
from .resources import _Add, _Answer
from .server import Server as _Blocking

class Server(_Blocking):
    """Resources at a UDP port, for one loop; handlers may be coroutine functions.

        from ben.coap import aio

        async def temperature(request):
            return str(await sensor.read())

        server = aio.Server()
        server.add("temperature", get=temperature)
        await server.run()

    A request whose handler takes over 250 ms is acknowledged first, and answered separately (RFC 7252, 5.2.2). At
    most 8 are open at a time; others are answered 5.03 until one has ended.
    """

    Endpoint: type[_Endpoint]
    """The class of its endpoint."""

    endpoint: _Endpoint
    """The socket, with the message layer at it."""

    add: _Add[_Answer | Awaitable[_Answer]]
    """Adds a resource, or replaces it: as of `ben.coap.server.Server`; handlers may be coroutine functions."""

    def __init__(
        self,
        port: int = 5683,
        host: str | None = None,
        socket: _Socket | None = None,
        *,
        size: int = 1024,
        limit: int = 4096,
    ) -> None:
        """Opens the socket. Arguments and errors as of `ben.coap.server.Server`."""

    async def run(self) -> NoReturn:  # type: ignore[override]
        """Serves until it is cancelled. Raises what the endpoint failed with; it may be called again.

        MemoryError: a hundred times in a row there was none for the next datagram, and no handler runs that may give
        some back.

        `poll()` is the blocking server's, and not for this one.
        """

    def flush(self) -> None:
        """Sends what is to go out, by way of the endpoint's task."""

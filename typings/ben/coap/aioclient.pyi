"""The asyncio client: that of `ben.coap.client`, with await."""

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from typing_extensions import Unpack

from .aioendpoint import Endpoint as Endpoint
from .aioobserve import Observe
from .aioserver import Server
from .exchange import Exchange
from .message import Message, _Body, _Peer
from .net import _Socket
from .request import Requests, _Gathered, _Into, _Response, _Sent

_T = TypeVar("_T")

class Client(Requests[Coroutine[Any, Any, _Response], Coroutine[Any, Any, bool]]):
    """Sends requests from a socket of its own, or from a Server's, for the tasks of one loop.

        from ben.coap import aio

        client = aio.Client()
        reply = await client.get("coap://192.168.1.2/temperature")
        print(reply.status, reply.payload)

    Many tasks may wait for answers over one Client. Requests to one peer leave one behind the other: the next when
    the one before is acknowledged (RFC 7252, 4.7). Another loop may have it after that one has ended. On Windows it
    needs the selector loop.
    """

    endpoint: Endpoint
    """The socket, with the message layer at it."""

    def __init__(self, server: Server | None = None, socket: _Socket | None = None) -> None:
        """No socket is opened yet.

        server: an `aio.Server` whose socket it is to use, so that both have one port; that needs its `run()`, or a
            request of this client's that is under way, to be moved on. Without it, a port of its own.
        socket: a `Custom` to use instead. Not looked at beside server.
        """

    async def request(
        self,
        method: int,
        url: str,
        payload: _Body = b"",
        *,
        into: _Into | None = None,
        limit: int = 65536,
        **options: Unpack[_Sent],
    ) -> _Response:
        """Sends a request and returns its response: as `ben.coap.client.Client.request`, with the same options.

        The look-up of a host's name, in the first request to it, holds the whole loop. A task that is cancelled does
        not know whether the request had an effect.
        """

    async def run(self, steps: Generator[Message, _Response, _T], peer: _Peer, **timing: float | None) -> _T:
        """Exchanges what a generator of requests yields, and sends it the replies; returns what it returns.

        peer: the address of the server, as `Endpoint.peer` gives it. timing: as of `Exchange`. Raises OSError as
        `request` does.
        """

    async def exchange(self, exchange: Exchange) -> _Response:
        """The reply to one request; OSError(ETIMEDOUT, ECONNRESET or EIO) without one, None where none was wanted."""

    def observe(self, url: str, *, limit: int = 65536, **options: Unpack[_Sent]) -> Observe:
        """An asynchronous iterator over the states of a resource, the first its present one.

            async for reply in client.observe("coap://192.168.1.2/temperature"):
                print(reply.payload)

        Nothing leaves before the first step. Arguments as of `ben.coap.client.Client.observe`.
        """

    async def gather(
        self, url: str, seconds: float = 5, **options: Unpack[_Gathered]
    ) -> list[tuple[Message, _Peer]]:
        """What the members of a group answer to a GET: as `ben.coap.client.Client.gather`."""

    def close(self) -> None:
        """Closes the socket, a server's own, too, where it is that; the next request opens it again."""

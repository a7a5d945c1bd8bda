"""The blocking client."""

from collections.abc import Generator
from typing import TypeVar

from typing_extensions import Unpack

from .exchange import Exchange
from .message import Message, _Body, _Peer
from .net import Endpoint, _Socket
from .observe import Observe
from .request import Requests, _Gathered, _Into, _Response, _Sent
from .server import Server

_T = TypeVar("_T")

class Client(Requests[_Response, bool]):
    """Sends requests from a socket of its own, or from a Server's.

    One Client is for any number of servers, one request after the other.
    """

    endpoint: Endpoint
    """The socket, with the message layer at it."""

    def __init__(self, server: Server | None = None, socket: _Socket | None = None) -> None:
        """No socket is opened yet.

        server: a `Server` whose socket it is to use, so that both have one port; its requests are served while this
            client waits. Without it, a port of its own.
        socket: a `Custom` to use instead. Not looked at beside server.
        """

    def request(
        self,
        method: int,
        url: str,
        payload: _Body = b"",
        *,
        into: _Into | None = None,
        limit: int = 65536,
        **options: Unpack[_Sent],
    ) -> _Response:
        """Sends a request and returns its response, with the whole body, however many blocks it came in.

        method: 1 GET, 2 POST, 3 PUT, 4 DELETE, 5 FETCH, 6 PATCH, 7 iPATCH.
        url: coap://host:port/path?query, port 5683 without one. The host is a name or an address, one of IPv6 in
            brackets. Each segment of the path, and each argument of the query, has at most 255 bytes; %2F is a / that
            ends no segment. A name is looked up once by each client. On some boards that waits for ever while Wi-Fi is
            down.
        payload: bytes, text, a file with seek() and read(), or a function of (offset, size) that returns bytes,
            fewer than size only at the end. What does not fit in one message goes in blocks of up to 1024 bytes; a
            file or a function never has to be in memory as a whole.
        into: a file, or a function, that gets the body of a success block by block; the response's payload is b"".
        limit: the most bytes of a body that is put together in memory, without into.
        options: further arguments, by name, all optional:
            query: {name: value} of further arguments; a value of None for one without. size: bytes of a block, 16,
            32, ... 1024. accept, format: content formats by number or name. etag, if_match: one bytes or several.
            if_none_match: True. no_response: classes of responses that are not wanted, 2 | 8 | 16. options: pairs of
            other options. non: True for a request without confirmation. token: 0 to 8 bytes, 4 random ones without.
            timeout, ack_timeout (2), ack_random_factor (1.5), max_retransmit (4): how long, and how often. See
            `request._Asked`.

        Returns the response; an error of the server's is one, too: look at its `status`, such as "2.05" or "4.04".
        None where no_response was given and none has come.

        Raises
            OSError(ETIMEDOUT): no acknowledgement in 62 to 93 s, all copies included; no response in `timeout`, or
                in 247 s, or to a non in 10 s. The request may have had its effect.
            OSError(ECONNRESET): the server does not understand the message, or forgot what it was to be.
            OSError(EIO): the response cannot be understood, or the body changed while it came.
            OSError(ENOMEM): the body is longer than `limit`.
            another OSError: no such host.
            ValueError: what cannot be a request; nothing was sent. TypeError for an option that there is not.

        Source: RFC 7252, 4.2 to 4.8, 5 and 6.4; RFC 7959.
        """

    def run(self, steps: Generator[Message, _Response, _T], peer: _Peer, **timing: float | None) -> _T:
        """Exchanges what a generator of requests yields, and sends it the replies; returns what it returns.

        peer: the address of the server, as `Endpoint.peer` gives it. timing: as of `Exchange`. Raises OSError as
        `request` does.
        """

    def exchange(self, exchange: Exchange) -> _Response:
        """The reply to one request; OSError(ETIMEDOUT, ECONNRESET or EIO) without one, None where none was wanted."""

    def observe(self, url: str, *, limit: int = 65536, **options: Unpack[_Sent]) -> Observe:
        """An iterator over the states of a resource, the first its present one (RFC 7641).

            for reply in client.observe("coap://192.168.1.2/temperature"):
                print(reply.payload)

        The request leaves at once. Arguments as of `request`; limit is that of each body. A server that does not
        let observe gives one state.
        """

    def gather(
        self, url: str, seconds: float = 5, **options: Unpack[_Gathered]
    ) -> list[tuple[Message, _Peer]]:
        """What the members of a group answer to a GET within so many seconds: pairs of a response and an address.

            for reply, address in client.gather("coap://224.0.1.187/.well-known/core"):
                print(readable(address), reply.payload)

        One request leaves, without confirmation; 32 members are heard, each once. Of a body in many blocks there is
        only the first: the address says where to ask for the rest. Options as of `request`, but timeout, non and what
        is for copies. OSError, ValueError for a host or a request that cannot be.

        Source: RFC 7252, 8. `readable` is in `ben.coap.address`.
        """

    def close(self) -> None:
        """Closes the socket, a server's own, too, where it is that; the next request opens it again."""

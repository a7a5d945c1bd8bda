"""A request, from its URL to the last block of its response (RFC 7252, 6.4)."""

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Generic, Protocol, TypedDict, TypeVar

from typing_extensions import TypeAlias, Unpack

from .message import Message, _Body, _Peer, _Value
from .net import Endpoint

_Reply = TypeVar("_Reply", covariant=True)
_There = TypeVar("_There", covariant=True)

class _Writable(Protocol):
    """A file that is open for writing bytes."""

    def write(self, data: bytes, /) -> Any: ...

_Into: TypeAlias = _Writable | Callable[[bytes], Any]
"""What a body is written to, block by block."""

_Response: TypeAlias = Message | Any
"""A response; None for a request with no_response= to which none has come. A type checker does not look for that."""

class _Gathered(TypedDict, total=False):
    """The options of a request to a group."""

    query: Mapping[str, object]
    """{name: value} of arguments of the query, behind those of the URL; a value of None for one without."""

    accept: int | str
    """The content format that is wanted, by number or name (`ben.coap.formats`). 4.06 where there is none."""

    format: int | str
    """The content format of the payload, by number or name."""

    etag: bytes | list[bytes] | tuple[bytes, ...]
    """What the client has, one or several, each of up to 8 bytes: if it is that still, the response is a 2.03."""

    if_match: bytes | list[bytes] | tuple[bytes, ...]
    """Only if the resource has one of these ETags; b"" for any: 4.12 otherwise."""

    if_none_match: bool
    """True: only if the resource is not there yet; 4.12 otherwise."""

    no_response: int
    """Responses that the client does not want, a sum of 2 for 2.xx, 8 for 4.xx, 16 for 5.xx (RFC 7967).

    Where none has come the result is None: when the request is acknowledged, or when its time is up, which is to say
    after `timeout`, or 10 s, for a non. None is also what comes of a server that is not there.
    """

    size: int
    """Bytes of a block in both directions: 16, 32, 64, 128, 256, 512 or 1024. Servers may want smaller ones."""

    options: Iterable[tuple[int, _Value]]
    """(number, value) of others."""

    token: bytes
    """0 to 8 bytes, of the first message; without it 4 random ones. ValueError while another request has it."""

class _Timing(TypedDict, total=False):
    """How long, and how often."""

    timeout: float | None
    """Seconds from the first copy to the end, of each block; 247 without, or 10 for a non."""

    ack_timeout: float
    """Seconds before the first copy; over 0, up to 60. 2 without."""

    ack_random_factor: float
    """ack_timeout is taken 1 to so many times, at random; 1 to 4. 1.5 without."""

    max_retransmit: int
    """Copies, each after twice the time of the one before; 0 to 10. 4 without."""

class _Sent(_Gathered, _Timing, total=False):
    """The options of a request that is observed."""

    non: bool
    """True for a request that is sent once, and not confirmed; every block of it."""

class _Asked(_Sent, total=False):
    """The options of a request: `Requests.get(url, accept="application/json", timeout=5)`."""

    into: _Into | None
    """A file, or a function, that gets the body of a success block by block; the response's payload is b"" then."""

    limit: int
    """The most bytes of a body that is put together in memory, without into; 65536 without."""

def request(
    code: int, url: str, non: bool = False, **options: Any
) -> tuple[Message, str, int, dict[str, Any]]:
    """(Message, host, port, what an Exchange is to know) of a request.

    code: the method, 1 to 7. Others as of `_Asked`. ValueError for what cannot be a request.
    """

def put_url(message: Message, url: str) -> tuple[str, int]:
    """Gives a message the options for coap://host:port/path?query; returns (host, port).

    Uri-Host only for a name, never Uri-Port. ValueError for another scheme, a fragment, no host, a port that is no
    number, % without two hex digits, or a segment or an argument of over 255 bytes.

    Source: RFC 7252, 6.4.
    """

def unescape(text: str) -> bytes:
    """The bytes of a text in which %41 is a letter; ValueError for % without two hex digits."""

def peer_of(endpoint: Endpoint, host: str, port: int) -> _Peer:
    """The address of a host, for the socket of an endpoint, which it opens; OSError for a name that is not found.

    A name is looked up once, and anew for a client that asks for the first time; 8 are kept. Closes the socket first
    where its message ids have been used up and nothing is under way: the next one is at another port, for which they
    are new (RFC 7252, 4.4).
    """

def transfer(
    message: Message, payload: _Body, into: _Into | None, limit: int
) -> Generator[Message, _Response, _Response]:
    """A generator: yields the requests that it takes, one or one a block, is sent the replies, and returns the last.

    Arguments as of `Client.request`. OSError(EIO or ENOMEM) for bodies of many blocks.
    """

def whole(
    message: Message, reply: Message, into: _Into | None, limit: int
) -> Generator[Message, _Response, _Response]:
    """A generator: yields the requests for the rest of a reply's body, is sent their replies, and returns the last."""

class _Method(Protocol[_Reply]):
    """Sends a request with this method and returns its response."""

    def __call__(self, url: str, payload: _Body = b"", **options: Unpack[_Asked]) -> _Reply:
        """url, payload: as of `Client.request`, which also tells of the options; `_Asked` has each.

        Returns and raises what that does.
        """

class Requests(Generic[_Reply, _There]):
    """The methods of CoAP (RFC 7252, 5.8, and RFC 8132), as calls of request().

    Each takes the arguments of `Client.request`, returns what it returns, and raises what it raises: OSError
    without a response, ValueError for what cannot be sent. The asyncio client's are to be awaited.
    """

    get: _Method[_Reply]
    """GET: the state of a resource, 2.05; 2.03 where it is what etag= says. Source: RFC 7252, 5.8.1."""

    post: _Method[_Reply]
    """POST: has a resource work on the payload: 2.04, 2.01, 2.02. Source: RFC 7252, 5.8.2."""

    put: _Method[_Reply]
    """PUT: the payload is to be the state of a resource: 2.04, 2.01. Source: RFC 7252, 5.8.3."""

    delete: _Method[_Reply]
    """DELETE: the resource is to be gone: 2.02. Source: RFC 7252, 5.8.4."""

    fetch: _Method[_Reply]
    """FETCH: what the payload asks for of a resource, without effect: 2.05. Source: RFC 8132, 2."""

    patch: _Method[_Reply]
    """PATCH: changes a part of a resource: 2.04, 2.01. Source: RFC 8132, 3."""

    ipatch: _Method[_Reply]
    """iPATCH: a PATCH that may be repeated without harm. Source: RFC 8132, 3."""

    def ping(self, url: str, **options: Unpack[_Timing]) -> _There:
        """True where the endpoint of a URL is there; the asyncio client's is to be awaited.

        url: coap://host:port, what is behind it is not looked at. OSError(ETIMEDOUT) where nobody answers, after 62 to
        93 s without other times; another OSError for a host that is not found; ValueError for what is no URL.

        Source: RFC 7252, 4.3.
        """

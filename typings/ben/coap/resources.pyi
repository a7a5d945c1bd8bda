"""The server's rules, free of sockets and clocks: the handler that a request reaches, and what goes back."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from typing_extensions import TypeAlias

from .bodies import Bodies
from .handling import Error, Request
from .layer import Layer
from .message import Message, _Body, _Peer
from .observers import Observers
from .response import Response

_Answer: TypeAlias = _Body | Response | Error | None
"""What a handler returns: a body of bytes, text, a file or a function, a Response, an Error, or None for no body."""

_Tag: TypeAlias = Callable[[Request], bytes | None]
"""What says the ETag of a resource: 1 to 8 bytes, or None where it is not there."""

_T_contra = TypeVar("_T_contra", contravariant=True)

class _Add(Protocol[_T_contra]):
    """Adds a resource, or replaces it."""

    def __call__(
        self,
        path: str,
        *,
        get: Callable[[Request], _T_contra] = ...,
        post: Callable[[Request], _T_contra] = ...,
        put: Callable[[Request], _T_contra] = ...,
        delete: Callable[[Request], _T_contra] = ...,
        fetch: Callable[[Request], _T_contra] = ...,
        patch: Callable[[Request], _T_contra] = ...,
        ipatch: Callable[[Request], _T_contra] = ...,
        etag: _Tag | None = None,
        stream: bool = False,
        **attributes: str | int,
    ) -> None:
        """As of `Resources.add`."""

class Resource:
    """The handlers of a path by method, and what /.well-known/core says of it."""

    etag: _Tag | None
    """What says its ETag, from a request; None where it has none."""

    stream: bool
    """Its handlers take a body block by block."""

    handlers: dict[int, Callable[[Request], Any]]
    """By method, 1 GET to 7 iPATCH."""

    attributes: dict[str, Any]
    """By name: rt, if_, ct, sz, obs, title and others."""

    def __init__(self, etag: _Tag | None = None, stream: bool = False, **rest: Any) -> None:
        """rest: the handlers by the names of their methods, and attributes."""

class Resources:
    """Resources by path, and the requests that reach them."""

    spawn: Callable[[Request, Any], None] | None
    """Runs what a handler left to await, and gives what comes of it to finish() or fail(); None: none may."""

    failed: Callable[[Request, Exception], Any] | None
    """Is told of the request and the exception of a handler that failed, to log it perhaps; None: nobody is."""

    bodies: Bodies | None
    """Those of many blocks; None before the first."""

    observers: Observers | None
    """Who observes; None before there is a resource with obs=True, or a request to observe."""

    layer: Layer
    """The message layer, which hands it requests."""

    size: int
    """Bytes of a block."""

    limit: int
    """Bytes of a body that is put together in memory."""

    paths: dict[str, Any]
    """The resources by path, without / at its ends."""

    later: list[Request]
    """Requests that have no answer yet."""

    def __init__(self, layer: Layer, size: int = 1024, limit: int = 4096) -> None:
        """size: the most bytes of a block, 16, 32, 64, 128, 256, 512 or 1024; limit: of a body that comes in blocks."""

    def add(
        self,
        path: str,
        *,
        get: Callable[[Request], Any] = ...,
        post: Callable[[Request], Any] = ...,
        put: Callable[[Request], Any] = ...,
        delete: Callable[[Request], Any] = ...,
        fetch: Callable[[Request], Any] = ...,
        patch: Callable[[Request], Any] = ...,
        ipatch: Callable[[Request], Any] = ...,
        etag: _Tag | None = None,
        stream: bool = False,
        **attributes: str | int,
    ) -> None:
        """Adds a resource, or replaces it.

            server.add("temperature", get=read, rt="temperature-c", ct=0, obs=True)

        path: with or without / at its ends; a / inside a segment is %2F. Below it there is nothing else.
        get, post, put, delete, fetch, patch, ipatch: the handlers. A method without one is answered 4.05. Each is
            called with the `Request` and returns bytes or text for a 2.05 (GET, FETCH), 2.02 (DELETE) or 2.04, None
            for one without a payload, a `Response`, an `Error`, or LATER; a file or a function of (offset, size) for a
            body that is not in memory. It raises `Error` for another status; any other exception is a 5.00.
            A copy of a request runs it once. A GET or FETCH may run again for each block of a body.
        etag: called with a request, returns the ETag of the resource, 1 to 8 bytes, or None where it is not there:
            then If-Match, If-None-Match and ETag are looked after.
        stream: True for handlers that get a body block by block, with `Request.offset` and `Request.more`; what they
            return for the last is the answer. Without it a body of up to limit bytes comes as a whole.
        attributes: what /.well-known/core says: rt, if_ (for if), ct, sz, title; True for one without a value. obs=True
            lets clients observe the resource: `Server.notify(path)` tells them. ct, a number or several in a text, is
            also what Accept is checked against.

        Source: RFC 7252, 5.8 and 5.10; RFC 6690, 3.
        """

    def flush(self) -> None:
        """Sends what is to go out: nothing here, a driver puts its own in this place."""

    def spare(self) -> None:
        """Lets go of what strangers had it keep; MemoryError where it is not that which fills the heap.

        For the driver, where memory is short: a body is sent anew (4.08), and a copy of a request runs its handler
        again. Where that leaves less than 1200 bytes in one piece, answers under way and observers go, too; where there
        are not even 64 then, modules and the program's own objects fill the heap.
        """

    def notify(self, path: str) -> int:
        """Tells the observers of a resource what its handler says now; returns how many there are."""

    def receive(self, message: Message, peer: _Peer) -> None:
        """A request has come; a copy of one gets the reply that the first got (RFC 7252, 4.5)."""

    def tick(self) -> int | None:
        """Does what is due; returns the ms until there is more to do, or None."""

    def run(self, request: Request) -> None:
        """Runs the handler that a request is for, and sends what it comes to. Raises nothing that a handler raises."""

    def fail(self, request: Request, error: Exception) -> None:
        """A handler has raised an Error, which is the answer, or has failed, which is a 5.00."""

    def finish(self, request: Request, result: _Answer) -> None:
        """Sends what a handler came to, once: nothing where the request is finished already."""

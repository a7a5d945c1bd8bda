"""Observing a resource, the client's rules, free of sockets and clocks (RFC 7641, 3)."""

from typing import Any

from .exchange import Exchange
from .layer import Layer
from .message import Message, _Peer

class Observation(Exchange):
    """A registration, and the notifications that have come."""

    news: list[Message]
    """Those that nobody has fetched yet, the newest last: 4 at most, older ones give way."""

    @property
    def reply(self) -> Any:  # type: ignore[override]
        """Those that nobody has fetched yet. `over` is true after the last one."""

    def __init__(self, message: Message, peer: _Peer, **timing: Any) -> None:
        """message: a GET, which gets Observe: 0. As of `Exchange`."""

    def take(self, message: Message, peer: _Peer, now: int) -> bool:
        """A notification, unless a newer one came before it; True for the last. now: ms.

        It is good for its Max-Age, or 60 s, and 5 to 10 s more: then error is ETIMEDOUT, and renew() asks anew.

        Source: RFC 7641, 3.3.1 and 3.4.
        """

    def begin(self, layer: Layer) -> None:
        """Registers, unless that is under way. As of `renew`."""

    def renew(self) -> None:
        """Makes it ready to be started again, for nothing has come for long.

        OSError where not even the first answer has come, or not again; the next call is a new try.
        """

    def cancellation(self) -> Exchange:
        """The request by which the server strikes it out, a GET with Observe: 1 and its token (RFC 7641, 3.6)."""

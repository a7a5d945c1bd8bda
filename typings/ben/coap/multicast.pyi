"""Asking a group of servers at once (RFC 7252, 8)."""

from typing import Any

from . import aio, client
from .exchange import Exchange
from .message import Message, _Peer

class Poll(Exchange):
    """A request to a group, and what its members answer: pairs of a response and an address."""

    replies: list[tuple[Message, _Peer]]
    """What has come, in its order; 32 at most, one of each member. `error` is ETIMEDOUT when the time is over."""

    def __init__(self, message: Message, peer: _Peer, **timing: Any) -> None:
        """As of `Exchange`; the message a NON, the address a group's."""

    def expects(self, peer: _Peer) -> bool:
        """Each member may answer once."""

    def take(self, message: Message, peer: _Peer, now: int) -> bool:
        """One more has answered; False, for others may."""

    def confirm(self) -> bool:
        """False: a response does not end it, nor its time."""

def poll_of(client: client.Client | aio.Client, url: str, seconds: float, options: dict[str, Any]) -> Poll:
    """A Poll that has begun; arguments and errors as of `Client.gather`."""

def gather(
    client: client.Client, url: str, seconds: float, options: dict[str, Any]
) -> list[tuple[Message, _Peer]]:
    """What `Client.gather` returns."""

"""Requests whose answers come later, behind an empty acknowledgement (RFC 7252, 5.2.2)."""

from typing import Any

from .handling import Request
from .message import Message
from .resources import Resources

def take(server: Resources, request: Request, result: Any) -> None:
    """A request is answered later; result: LATER or what is awaited.

    Error 5.03 where 8 have no answer, or answers no acknowledgement: a stranger could fill the memory.
    """

def tick(server: Resources) -> int | None:
    """Acknowledges what takes over 250 ms; returns the ms until there is more to do, or None."""

def send(server: Resources, request: Request, reply: Message) -> None:
    """Sends the answer to a request that was acknowledged without, in copies until it is acknowledged itself."""

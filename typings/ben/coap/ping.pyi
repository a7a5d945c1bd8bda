"""Asking whether an endpoint is there (RFC 7252, 4.3). Loaded when it is first asked for."""

from typing import Any

from . import aio, client
from .exchange import Exchange

class Ping(Exchange):
    """An empty message that asks for acknowledgement, and is answered with a reset: `reply` is true then."""

    def fail(self, error: int) -> None:
        """The reset has come, ECONNRESET, which is what was asked for; or nothing."""

def ping_of(client: client.Client | aio.Client, url: str, options: dict[str, Any]) -> Ping:
    """A Ping of the endpoint of a URL; options and errors as of `Client.ping`. It has not begun."""

"""Asking whether an endpoint is there (RFC 7252, 4.3)."""

from errno import ECONNRESET

from .exchange import Exchange
from .message import Message
from .request import peer_of, request


class Ping(Exchange):
    """An empty message that asks for acknowledgement, and is answered with a reset."""

    def fail(self, error):
        """The reset has come, or nothing."""
        if error == ECONNRESET:
            self.take(True, None, 0)
        else:
            super().fail(error)


def ping_of(client, url, options):
    """A Ping of the endpoint of a URL."""
    _, host, port, timing = request(0, url, **options)
    return Ping(Message(), peer_of(client.endpoint, host, port), **timing)

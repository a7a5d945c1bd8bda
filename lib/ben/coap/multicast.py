"""Asking a group of servers at once (RFC 7252, 8)."""

from .exchange import Exchange
from .message import const
from .request import peer_of, request

_MOST = const(32)  # servers that are heard


class Poll(Exchange):
    """A request to a group, and what its members answer: pairs of a response and an address."""

    def __init__(self, message, peer, **timing):
        super().__init__(message, peer, **timing)
        self.replies = []

    def expects(self, peer):
        """Each member may answer once."""
        return len(self.replies) < _MOST and peer not in [each for _, each in self.replies]

    def take(self, message, peer, now):
        """One more has answered."""
        self.replies.append((message, peer))
        return False

    def confirm(self):
        """A response does not end it, nor its time."""
        return False


def poll_of(client, url, seconds, options):
    """A Poll that has begun."""
    message, host, port, timing = request(1, url, non=True, timeout=seconds, **options)
    poll = Poll(message, peer_of(client.endpoint, host, port), **timing)
    client.endpoint.layer.start(poll)
    return poll


def gather(client, url, seconds, options):
    """What Client.gather() returns."""
    poll = poll_of(client, url, seconds, options)
    try:
        while not poll.over:
            client.endpoint.step()
    finally:
        client.endpoint.layer.stop(poll)
    return poll.replies

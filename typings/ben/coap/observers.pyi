"""Who observes which resource, and what they are told, free of sockets and clocks (RFC 7641, 4)."""

from .exchange import Exchange
from .handling import Request
from .message import Message, _Peer
from .resources import Resources

class Observer:
    """A peer that is told of a resource, and what it asked."""

    message: Message
    """Its request, which runs again for each notification."""

    peer: _Peer
    """Its address."""

    path: str
    """The resource."""

    id: int | None
    """The message id of the last notification that is not confirmed; None before there was one."""

    told: int
    """Notifications sent."""

    busy: Notification | Request | None
    """The one that is not acknowledged yet, or the request whose handler takes a while."""

    stale: bool
    """There is news since that one."""

    def __init__(self, request: Request) -> None:
        """request: its GET with Observe: 0."""

class Notification(Exchange):
    """A notification that has to be acknowledged."""

    def __init__(self, observers: Observers, observer: Observer, message: Message) -> None:
        """What has come of it is told to observers."""

    def confirm(self) -> bool:
        """The observer is there; True."""

    def fail(self, error: int) -> None:
        """It is not, or wants no more: it is dropped."""

class Observers:
    """The observers of a server: 4 at most, of which the one that was heard of longest ago gives way."""

    def __init__(self, server: Resources) -> None:
        """There are none yet."""

    def asked(self, request: Request, reply: Message) -> None:
        """A GET or FETCH with Observe has been answered: its peer is entered, or struck out (RFC 7641, 4.1)."""

    def notify(self, path: str) -> int:
        """Tells the observers of a resource what its handler says now; returns how many there are.

        One of 8 notifications to an observer asks for confirmation, the first among them; until it is there the others
        wait, and only the newest state follows (RFC 7641, 4.5).
        """

    def heard(self, observer: Observer) -> None:
        """An observer has acknowledged; what it has missed meanwhile follows."""

    def drop(self, observer: Observer) -> None:
        """An observer is told no more, nor sent copies of the last."""

    def let_go(self) -> None:
        """Tells nobody any more: for a server whose memory is short."""

    def reset(self, id: int, peer: _Peer) -> None:
        """A peer does not know what the notification with this message id was for: it is dropped."""

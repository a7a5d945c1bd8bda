"""The message layer, free of sockets and clocks: what each message that comes is for (RFC 7252, 4)."""

from types import ModuleType

from .exchange import Exchange
from .message import Message, _Bytes, _Peer
from .resources import Resources

class Layer:
    """What leaves one socket and comes to it: a driver keeps now, calls tick(), and sends what is in out."""

    rules: ModuleType | None
    """The module of exchanges, loaded with the first; None before."""

    now: int
    """Milliseconds since some moment; the driver's."""

    out: list[tuple[_Bytes, _Peer]]
    """(datagram, address) of what is to be sent, in its order; the driver takes it away."""

    server: Resources | None
    """What takes requests, and the resets of what is no exchange; None where there is no server."""

    exchanges: list[Exchange]
    """Messages of this end's that are under way."""

    taken: list[tuple[_Peer, int]]
    """(address, message id) of the last 8 responses that were acknowledged."""

    ids: int
    """Message ids taken from this port; the endpoint opens another one after 60000."""

    def __init__(self) -> None:
        """Message ids begin anywhere, at random (RFC 7252, 4.4)."""

    def next_id(self) -> int:
        """A message id, 0 to 65535."""

    def start(self, exchange: Exchange) -> None:
        """Begins an exchange; ValueError for a token that another one of its peer has."""

    def stop(self, exchange: Exchange | None) -> None:
        """Ends an exchange, if it is under way: whatever answers it later is a stranger's."""

    def send(self, message: Message, peer: _Peer) -> bytes:
        """Sends a message once; returns its datagram."""

    def reset(self, id: int, peer: _Peer) -> bytes:
        """Tells a peer that its message with this id means nothing here; returns the datagram (RFC 7252, 4.2)."""

    def acknowledge(self, id: int, peer: _Peer) -> bytes:
        """Tells a peer that its message with this id has come, and no more; returns the datagram."""

    def tick(self) -> int | None:
        """Does what is due; returns the ms until there is more to do, or None."""

    def receive(self, datagram: bytes | None, peer: _Peer) -> None:
        """Takes what came from a peer: any bytes, None for a message that was cut.

        Raises nothing for what a stranger sends. A message to be confirmed that cannot be read is reset.

        Source: RFC 7252, 4.2 and 4.3.
        """

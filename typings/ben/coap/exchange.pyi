"""Messages of this end's on their way: their copies, and what answers them, free of sockets and clocks.

Source: RFC 7252, 4.2, 4.7 and 5.3.2.
"""

from .layer import Layer
from .message import Message, _Peer

class Exchange:
    """A message on its way, and for a request the way back; times in seconds, the defaults RFC 7252's (4.8)."""

    answered: bool
    """True where a response is waited for; False where an acknowledgement is all."""

    acknowledged: bool
    """The other end has it."""

    due: int | None
    """When the next copy goes, or the end is, in ms of `Layer.now`; None before the first copy."""

    reply: Message | None
    """The response; None before."""

    over: bool
    """Nothing more is waited for."""

    error: int | None
    """ETIMEDOUT: no answer. ECONNRESET: refused as meaningless. EIO: a response that nobody understands. None without.

    For a request with No-Response it is no error that none comes: that is one that was not wanted (RFC 7967).
    """

    message: Message
    """What is sent."""

    peer: _Peer
    """The address that it goes to."""

    datagram: bytearray
    """The message's bytes, from start() on."""

    end: int
    """When it ends, in ms of `Layer.now`, also while it waits for another; before the first tick() in how many, below 0."""

    wait: int
    """Milliseconds until the next copy; doubled with each."""

    copies: int
    """Copies that are left."""

    def __init__(
        self,
        message: Message,
        peer: _Peer,
        ack_timeout: float = 2,
        ack_random_factor: float = 1.5,
        max_retransmit: int = 4,
        timeout: float | None = None,
    ) -> None:
        """message: type 0, CON, goes in copies until it is acknowledged; 1, NON, goes once.

        ack_timeout: seconds before the first copy, times 1 to ack_random_factor at random. max_retransmit: the copies.
        timeout: seconds for this message and its response, also while it waits for another with its peer; 247 without, or 10 for a NON.
        """

    def copy(self, now: int) -> bool:
        """Whether another copy goes out now, in ms; without one it is over."""

    def confirm(self) -> bool:
        """The other end has it; True where nothing more is waited for."""

    def expects(self, peer: _Peer) -> bool:
        """Whether this peer may answer it: only the one that was asked."""

    def take(self, message: Message, peer: _Peer, now: int) -> bool:
        """A response; True where nothing more is waited for."""

    def fail(self, error: int) -> None:
        """It has ended without a response; error: an errno."""

def start(layer: Layer, exchange: Exchange) -> None:
    """Begins an exchange, which gets a message id; its first copy goes with the next tick().

    That waits until the one before with its peer is acknowledged, for NSTART is 1 (RFC 7252, 4.7). ValueError for a
    token that another request to its peer has.
    """

def tick(layer: Layer, wait: int | None) -> int | None:
    """Sends what is due, ends what is over; returns the ms until there is more to do, at most wait, or 60000."""

def ask_again(layer: Layer, peer: _Peer) -> None:
    """Something of a peer's was cut on its way in: its answers are sent for again, at once."""

def give_up(layer: Layer) -> None:
    """Ends answers and notifications that are under way, for a server whose memory is short; no exchange is told."""

def empty(layer: Layer, message: Message, peer: _Peer) -> bool:
    """An acknowledgement or a reset has come; whether it was for an exchange. Source: RFC 7252, 4.2."""

def response(layer: Layer, message: Message, peer: _Peer) -> bool:
    """A response has come; whether it was for an exchange, now or before.

    It is one if it has the token of a request to this peer, and in an acknowledgement also the message id. One to be
    confirmed is acknowledged, and so are copies of the last 8.

    Source: RFC 7252, 5.3.2 and 5.2.2.
    """

def unknown(message: Message) -> int:
    """The number of the first option that has to be understood and is not known here, or 0 (RFC 7252, 5.4.1)."""

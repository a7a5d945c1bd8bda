"""The client's rules for one datagram and its answer, free of sockets and clocks.

Source: protocol, The client.
"""

from collections.abc import Generator

from .crypto import Key as Key
from .crypto import _Bytes
from .keys import _File

def jitter(rto: int) -> int:
    """rto ms, or up to half as much again, at random: clients must not keep step."""

class Exchange:
    """One client's end of the link: its keys, session, sequence number and retransmission time.

    It is cold at first: without a token and with sequence number 0. Both clients have one.
    """

    timeout: int
    """Milliseconds that a message may take: the argument in seconds, at least 1."""

    buffersize: int
    """The most bytes of data in a request or a reply."""

    device: bytes
    """The device, 4 bytes."""

    token: bytes
    """S, 8 bytes: channel and chunk in the first, then the token; seven zeros while cold."""

    seq: int
    """The sequence number of the last datagram, 0 to 65535."""

    chunk: int
    """The most bytes of plaintext in a request, and of data in a reply."""

    now: int
    """Milliseconds since the message began, as the driver last said."""

    rto: int
    """The retransmission time, 100 to 2000 ms: how long before the first copy of a datagram."""

    busy: bool
    """True while a message is under way."""

    def __init__(
        self,
        timeout: float = 10,
        keyfile: _File = "key.sec",
        buffersize: int = 4096,
        *,
        device: int | None = None,
        channel: int | None = None,
        session: bytes | None = None,
        chunk: int = 1024,
    ) -> None:
        """The arguments are those of `Client` behind its port: units and bounds stand there.

        OSError if the key file cannot be read; ValueError if it is no key file or is another device's, or if
        an argument is out of its bounds.
        """

    @property
    def session(self) -> bytes:
        """S and seq, 10 bytes, for the next Exchange of this device to go on from. Cold during a message."""

    def forget(self) -> None:
        """Goes cold: the next request brings a new token first. Channel and chunk stay."""

    def ask(
        self, start: _Bytes, data: _Bytes = b""
    ) -> Generator[
        tuple[_Bytes | None, int],
        tuple[int, _Bytes | None],
        tuple[int, bytes | memoryview] | tuple[None, None],
    ]:
        """A generator: sends one plaintext, start | data, in copies until its answer comes or time is up.

        Yields and is sent what `message.send` does. Returns (kind, plaintext) of the answer, wire.REPLY with
        at least
        2 bytes or wire.CHALLENGE with at least 10; (None, None) where there was none by the deadline. After a
        challenge the token is the new one, and seq 0.

        Source: protocol, The client, 2 to 5.
        """

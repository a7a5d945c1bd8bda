"""Messages over one datagram: a request in parts, a reply in pieces. Loaded when the first one comes.

Source: protocol, Plaintexts.
"""

from collections.abc import Generator, Iterator

from .crypto import _Bytes
from .exchange import Exchange

class Parts:
    """The parts of a request that is longer than the chunk; to be walked any number of times."""

    def __init__(self, start: bytes, body: _Bytes, chunk: int) -> None:
        """start: fmt, length of the action, action. body: the data. chunk: the most bytes in one part."""

    def __len__(self) -> int:
        """How many parts there are."""

    def __iter__(self) -> Iterator[tuple[bool, bytes, memoryview]]:
        """Each part as (is it the last, fmt and action, data); those two make the plaintext."""

def collect(
    exchange: Exchange, form: int, body: _Bytes
) -> Generator[tuple[_Bytes | None, int], tuple[int, _Bytes | None], bytearray | None]:
    """A generator: fetches the other pieces of a reply.

    form: the message's format. body: the data of the first piece.

    Yields and is sent what `message.send` does. Returns all of the data, or None where the rest is gone; more
    than `exchange.buffersize` of it where the reply is longer than that: it stops there.

    Source: protocol, The client, 7.
    """

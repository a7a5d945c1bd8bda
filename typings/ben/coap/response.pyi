"""What a handler returns where a payload does not say it all."""

from collections.abc import Iterable

from .message import Message, _Body, _Value

class Response:
    """A payload with a status as "2.01", a format, an ETag, a max_age in seconds, a location, other options.

        return Response('{"celsius": 21.5}', format="application/json", max_age=60)

    A plain payload needs none: a handler may return it as it is.
    """

    payload: _Body
    """The body."""

    code: int | None
    """The status as one byte, 0x41 for "2.01"; None for the method's own."""

    options: list[tuple[int, _Value]]
    """(number, value)."""

    def __init__(
        self,
        payload: _Body = b"",
        status: str | int | None = None,
        *,
        format: int | str | None = None,
        etag: bytes | None = None,
        max_age: int | None = None,
        location: str = "",
        options: Iterable[tuple[int, _Value]] = (),
    ) -> None:
        """payload: bytes, text, a file with seek() and read(), or a function of (offset, size) that returns bytes.

        status: as "2.01"; without it what the method has done: 2.05 for GET and FETCH, 2.02 for DELETE, 2.04.
        format: the content format, by number or name (`ben.coap.formats`); ValueError for a name not known.
        etag: 1 to 8 bytes that stand for this state of the resource. A client that has it gets a 2.03.
        max_age: seconds that it may be kept; 60 for a client that is not told. For an observer, how long it waits for
            the next notification before it asks anew.
        location: path?query of what a POST has made, as "/lamps/7".
        options: (number, value) of others.

        Source: RFC 7252, 5.10.
        """

    def fill(self, message: Message) -> _Body:
        """Gives a message its status and its options; returns the payload."""

"""Options of a request by their names (RFC 7252, 5.10)."""

from collections.abc import Iterable, Mapping
from typing import Any

from .message import Message, _Value

def put_options(
    message: Message,
    token: bytes | None = None,
    query: Mapping[str, object] | None = None,
    accept: int | str | None = None,
    format: int | str | None = None,
    etag: bytes | list[bytes] | tuple[bytes, ...] | None = None,
    if_match: bytes | list[bytes] | tuple[bytes, ...] | None = None,
    if_none_match: bool = False,
    no_response: int | None = None,
    size: int | None = None,
    options: Iterable[tuple[int, _Value]] = (),
    **timing: Any,
) -> dict[str, Any]:
    """Gives a message the options that are asked for; returns the rest, which is for its Exchange.

    Arguments as of `request._Asked`. ValueError for a token of more than 8 bytes, a format or a size that there is not, and for times out of bounds:
    ack_timeout over 0 to 60 s, ack_random_factor 1 to 4, max_retransmit 0 to 10.
    """

def uint(number: int) -> bytes:
    """The value of an option that is a number: its bytes without leading zeros (RFC 7252, 3.2)."""

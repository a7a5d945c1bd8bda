"""Observing a resource, blocking (RFC 7641)."""

from typing_extensions import Self, Unpack

from .client import Client
from .message import Message
from .request import _Response, _Sent

class Observe:
    """Iterates over the notifications of a resource, the first of which is its state; OSError as from `request()`.

    Ends after a notification that is no success, such as 4.04, or that says it is the last. Where none comes for as
    long as the last one was good for, the server is asked anew.
    """

    def __init__(self, client: Client, url: str, limit: int = 65536, **options: Unpack[_Sent]) -> None:
        """Arguments as of `Client.observe`. The request leaves with the first step."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Message: ...
    def next(self, seconds: float | None = None) -> Message | None:
        """The next notification, or None: after so many seconds, or where the last one has been.

        seconds: None waits for as long as it takes; blocks of a long one are fetched beyond it. Notifications come in only while a call of this client's waits; at
        most 4 are kept until they are fetched, older ones give way.

        Raises OSError(ETIMEDOUT) where the server did not answer the first request, or does not answer any more;
        ECONNRESET, EIO, ENOMEM as `request()`. It is then not registered any more; the next call begins anew.
        """

    def cancel(self) -> _Response:
        """Has the server end it; returns what it replied, the present state. OSError as from `request()`."""

    def forget(self) -> None:
        """Ends it here, without a message: the server learns it from the answer to its next notification."""

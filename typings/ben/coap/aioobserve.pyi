"""Observing a resource, with await (RFC 7641)."""

from typing_extensions import Self, Unpack

from .aioclient import Client
from .message import Message
from .request import _Response, _Sent

class Observe:
    """Iterates over the states of a resource, the first its present one; OSError as from `request()`.

    Ends after a notification that is no success, such as 4.04, or that says it is the last. Where none comes for as
    long as the last one was good for, the server is asked anew.
    """

    def __init__(self, client: Client, url: str, limit: int = 65536, **options: Unpack[_Sent]) -> None:
        """Arguments as of `Client.observe`. Nothing leaves before the first step."""

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Message: ...
    async def next(self) -> Message | None:
        """The next notification, or None where the last one has been.

        It waits for as long as it takes: asyncio.wait_for() bounds that, and nothing is lost by it: the
        next call fetches a body of many blocks anew. At most 4 notifications are kept until they are fetched; older ones give way.

        Raises OSError(ETIMEDOUT) where the server did not answer the first request, or does not answer any more;
        ECONNRESET, EIO, ENOMEM as `request()`. It is then not registered any more; the next call begins anew.
        """

    async def cancel(self) -> _Response:
        """Has the server end it; returns what it replied, the present state. OSError as from `request()`."""

    def forget(self) -> None:
        """Ends it here, without a message: the server learns it from the answer to its next notification."""

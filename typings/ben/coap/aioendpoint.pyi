"""An endpoint with a task of its own, for asyncio."""

from asyncio import Task
from typing import Any, Protocol

from ..cpython import ready as ready
from ..cpython import running as running
from .net import Endpoint as _Blocking

class _Waited(Protocol):
    @property
    def reply(self) -> object: ...
    @property
    def over(self) -> object: ...

class Endpoint(_Blocking):
    """A socket and its message layer, moved on by a task of its own while anything is under way."""

    short: int
    """How many times in a row a server that runs on it had no memory for the next datagram."""

    tasks: list[Task[Any]]
    """Of a server's handlers; of the loop that runs."""

    def enter(self) -> None:
        """Makes it ready for the loop that runs. What an earlier loop left under way never ends."""

    def move(self) -> None:
        """Has the task do what is due now, where it may be waiting for something later."""

    async def wait(self, exchange: _Waited) -> None:
        """Until something has come of an exchange: its `reply` or its `over` is true.

        Raises what the task of this endpoint failed with, for all who wait: a MemoryError, perhaps.
        """

    def wake(self, error: BaseException | None = None) -> None:
        """Wakes those who wait for what has come; all of them, where something has failed: they raise the error."""

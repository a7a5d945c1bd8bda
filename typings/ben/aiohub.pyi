"""The asyncio Hub: the one of `ben.hub`, with await.

import asyncio
from ben import aiohub

async def main():
    hub = aiohub.Hub("192.168.1.2", 8585, "lamp")
    await hub.listen(switch)

asyncio.run(main())
"""

from asyncio import sleep as sleep
from collections.abc import Callable
from typing import Any, NoReturn

from . import hub as hub
from .aio import Client as Client
from .message import BenError as BenError

class Hub(hub.Hub):
    """A name at the server's hub, for the tasks of one loop: as `hub.Hub`, whose methods but close() are coroutines.

    While one task listens, others send over the same Hub.
    """

    async def targets(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """As `hub.Hub.targets`."""

    async def send(self, target: str, data: Any) -> None:  # type: ignore[override]
        """As `hub.Hub.send`. A task that is cancelled does not know whether its message was delivered."""

    async def receive(self, timeout: float | None = None) -> tuple[str, Any] | None:  # type: ignore[override]
        """As `hub.Hub.receive`."""

    async def listen(  # type: ignore[override]
        self,
        callback: Callable[[str, Any], Any],
        away: Callable[[OSError], Any] | None = None,
    ) -> NoReturn:
        """As `hub.Hub.listen`. Both may be coroutine functions; the next message comes when callback has ended."""

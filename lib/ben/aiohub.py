"""The asyncio Hub: the one of ben.hub, with await."""

from asyncio import sleep

from . import hub
from .aio import Client
from .message import BenError


class Hub(hub.Hub):
    """A name at the server's hub, for the tasks of one loop; its methods, but close(), are coroutines."""

    _open = Client  # pyright: ignore

    async def listen(self, callback, away=None):
        """Calls or awaits callback(who, data) for each message, away(error) where there was no answer."""
        while True:
            try:
                got = await self.receive()
            except OSError as error:
                await sleep(0.3)  # as in hub
                got = away and away(error)
            else:
                got = callback(*got)
            if hasattr(got, "send"):  # a coroutine's
                await got  # pyright: ignore

    async def _run(self, ask, channel):
        try:
            action, data = next(ask)
            while True:
                try:
                    got = await self._link(channel).send({"action": action, "data": data})
                except (OSError, BenError) as error:
                    action, data = ask.throw(error)
                else:
                    action, data = ask.send(got)
        except StopIteration as end:
            return end.value

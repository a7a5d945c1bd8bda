"""The asyncio server."""

import asyncio

from .aioendpoint import Endpoint
from .message import const
from .server import Server as Blocking

_OFTEN = const(100)  # times in a row without memory for the next datagram: it will not come back


class _Forever:
    reply = over = None


class Server(Blocking):
    """Resources at a UDP port, for one loop; handlers may be coroutines."""

    Endpoint = Endpoint

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.resources.spawn = self._spawn

    async def run(self):
        """Serves until it is cancelled."""
        while True:
            try:
                self.endpoint.enter()
                self.endpoint.move()
                await self.endpoint.wait(_Forever())
            except MemoryError:  # what strangers sent may have taken it
                self._spare()
                await asyncio.sleep(0)

    def _spare(self):
        self.endpoint.short += 1
        try:
            self.resources.spare()
            if self.endpoint.short > _OFTEN:
                raise MemoryError
        except MemoryError:
            if not self.endpoint.tasks:  # handlers that run will give back some, too
                raise

    def flush(self):
        """Sends what is to go out."""
        self.endpoint.move()

    def _spawn(self, request, awaitable):
        self.endpoint.tasks.append(asyncio.create_task(self._finish(request, awaitable)))

    async def _finish(self, request, awaitable):
        try:
            try:
                result = await awaitable
            except asyncio.CancelledError as error:
                self.resources.fail(request, error)
                raise
            except Exception as error:
                self.resources.fail(request, error)
            else:
                self.resources.finish(request, result)
            self.flush()
        except MemoryError as error:
            self.endpoint.wake(error)  # run() knows what to do
        finally:
            self.endpoint.tasks.remove(asyncio.current_task())

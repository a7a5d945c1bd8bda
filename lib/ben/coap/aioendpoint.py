"""An endpoint with a task of its own, for asyncio."""

import asyncio

from .message import const
from .net import Endpoint as Blocking

_LONG = const(60000)  # ms without anything to do
_PAUSE = const(20)  # ms between two looks at an object that cannot be waited for

try:
    from asyncio import core

    def _read(sock):
        yield core._io_queue.queue_read(sock)  # a queue of streams, but it wakes for any socket

    def running():
        """What is another one in another loop."""
        return core._task_queue

    async def ready(sock, ms, _):
        """True when there is something to read, False after ms milliseconds."""
        reading = asyncio.create_task(_read(sock))  # pyright: ignore - it takes generators
        try:
            await asyncio.wait_for_ms(reading, ms)
        except asyncio.TimeoutError:
            return False
        except MemoryError:
            if ms < _LONG:
                reading.cancel()
                raise
            await reading  # without a timer, which takes more memory
        return True

except ImportError:
    from ..cpython import ready, running


class Endpoint(Blocking):
    """A socket and its message layer, moved on by a task of its own while anything is under way."""

    short = 0  # times in a row that a server had no memory, and nothing has come since
    _loop = None
    _at_work = True  # the task, just now; before enter() there is nothing to move

    def enter(self):
        """Makes it ready for the loop that runs: what an earlier one left never ends."""
        if self._loop is not running():
            self._loop = running()
            self._task = None
            self._at_work = False
            self._waiting = []  # [exchange, Event, error]
            self.tasks = []  # of handlers; CPython's loop does not hold them
            if self.layer.server:
                self.layer.server.later = []
            self._turn = 0  # counts the tasks: one that is cancelled may have more to say

    def move(self):
        """Has the task do what is due now, where it may be waiting for something later."""
        if not self._at_work:
            if self._task:
                self._task.cancel()
            self._task = None
            self._turn += 1
            try:
                self._task = asyncio.create_task(self._move(self._turn))
            except MemoryError as error:  # for those who wait, too: nobody listens any more
                self.wake(error)
                raise

    async def wait(self, exchange):
        """Until something has come of an exchange."""
        entry = [exchange, asyncio.Event(), None]
        self._waiting.append(entry)
        try:
            await entry[1].wait()
            if entry[2]:
                raise entry[2]
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    async def _move(self, turn):
        try:
            came = None
            while True:
                wait = self._work(came)
                if turn != self._turn or wait is None and not self._waiting:
                    break
                wait = _LONG if wait is None else wait
                came = None
                if self.socket.poll and not await ready(self.socket.socket, wait, False):
                    continue
                came = self.socket.recv(0)
                if not came:  # an error, which may come again at once, or an object that cannot be waited for
                    await asyncio.sleep(min(wait, _PAUSE) / 1000)
        except Exception as error:  # for those who wait, and not for a task that nobody asks
            self.wake(error)
        if turn == self._turn:
            self._task = None

    def _work(self, came):
        self._at_work = True
        try:
            if came:
                self.short = 0
                self.receive(*came)
            wait = self.tick()
        finally:
            self._at_work = False
        self.wake()
        self.tidy()
        return wait

    def wake(self, error=None):
        """Wakes those who wait for what has come; all of them, where something has failed."""
        at = 0
        while at < len(self._waiting):  # not in a copy of it, for which there may be no memory
            entry = self._waiting[at]
            if error or entry[0].over or entry[0].reply:
                entry[2] = error
                self._waiting.pop(at)
                entry[1].set()
            else:
                at += 1

"""An event loop of asyncio's in simulated time: the server's coroutines run in it as they are."""

import asyncio
import contextlib
import warnings

from .world import Broken


class Loop(asyncio.AbstractEventLoop):
    """What futures, tasks and the hub's actions ask of a loop; its seconds are those of a clock of that rate."""

    def __init__(self, world, rate):
        self._world = world
        self._rate = rate
        self._stopped = False
        self._coroutines = []
        self._broken = None

    def stop(self):
        """Nothing that it was to do happens any more, as when a process is killed."""
        self._stopped = True
        with warnings.catch_warnings():  # of what was to begin in this moment
            warnings.simplefilter("ignore", RuntimeWarning)
            for coroutine in self._coroutines:
                coroutine.close()

    @contextlib.contextmanager
    def running(self):
        """For the code inside this is the running loop."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coroutine):
        guarded = self._guarded(coroutine)
        self._coroutines += guarded, coroutine
        return asyncio.Task(guarded, loop=self)

    def call_soon(self, callback, *args, context=None):
        return self.call_later(0, callback, *args, context=context)

    def call_later(self, delay, callback, *args, context=None):
        handle = asyncio.Handle(callback, args, self, context)
        self._world.at(delay / self._rate, self._call, handle)
        return handle

    def _call(self, handle):
        if not (self._stopped or handle.cancelled()):
            with self.running():
                handle._run()
            if self._broken:
                raise self._broken

    async def _guarded(self, coroutine):
        # a task would keep it for whoever asks
        try:
            await coroutine
        except Broken as broken:
            self._broken = broken

    def get_debug(self):
        return False

    def call_exception_handler(self, context):
        if not self._stopped:  # of a task that was killed with it, nobody cares
            raise Broken(f"the server's loop: {context}")

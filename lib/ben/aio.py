"""The asyncio client: the one of ben.udp, with await."""

# The biggest modules first, each in a heap as empty as can be.
from .crypto import const
from .message import send
from .exchange import Exchange
from .net import Udp, collect, ticks_diff, ticks_ms
import asyncio

try:
    from asyncio import core

    def _events(sock, write):
        # asyncio has no datagrams on a board, but its queue of streams wakes for any socket.
        yield (core._io_queue.queue_write if write else core._io_queue.queue_read)(sock)

    def running():
        """What is another one in another loop."""
        return core._task_queue

    async def ready(sock, ms, write):
        """True when a socket can be read, or written, False after ms milliseconds."""
        try:
            await asyncio.wait_for_ms(_events(sock, write), ms)
        except asyncio.TimeoutError:
            return False
        return True

except ImportError:
    from .cpython import ready, running

_PAUSE = const(20)  # ms, as in net, which would block


class Client:
    """A link to one server, for the tasks of one loop; the arguments behind port are Exchange's, and tcp=."""

    def __init__(self, host, port, *args, **kwargs):
        socket = Udp
        if kwargs.pop("tcp", False):
            from .tcp import Tcp as socket
        self._exchange = Exchange(*args, **kwargs)
        self._socket = socket(host, port)
        self._loop = None

    @property
    def session(self):
        """10 bytes to keep over a deep sleep, for the session= of the next client, once."""
        return self._exchange.session

    async def send(self, data, noreturn=False):
        """What the action returned, {} with noreturn; OSError(ETIMEDOUT, "not run" or "maybe"), BenError."""
        if self._loop is not running():  # the first in this loop; one that an earlier loop left never ends
            self._loop = running()
            self._turn = None  # an Event where others wait, for which a board loads a module
            self._closing = self._exchange.busy = False
        while self._exchange.busy:
            self._turn = self._turn or asyncio.Event()
            await self._turn.wait()
        collect()  # so that what a send needs goes into the holes, and leaves whole what is free
        steps = send(self._exchange, data, noreturn)
        try:
            began = ticks_ms()
            out, wait = next(steps)
            while True:
                got = None
                if out:
                    self._socket.send(out)
                if not self._socket.socket:  # it could not be opened
                    await asyncio.sleep(wait / 1000)
                elif await ready(self._socket.socket, wait, self._socket.out):
                    got = self._socket.recv(0)
                    if got is None:  # an error, which may come again at once
                        await asyncio.sleep(min(wait, _PAUSE) / 1000)
                out, wait = steps.send((ticks_diff(ticks_ms(), began), got))
        except StopIteration as end:
            return end.value
        finally:  # also of a task that is cancelled
            steps.close()
            # Cold: the next send() leaves from another port, for after a timeout this one may be blocked.
            if self._closing or not self._exchange.seq:
                self._socket.close()
                self._closing = False
            if self._turn:
                self._turn.set()
                self._turn = None

    def close(self):
        """Closes the socket, after the send() that is under way; a later one opens it again."""
        self._closing = self._exchange.busy
        if not self._closing:
            self._socket.close()


client = Client

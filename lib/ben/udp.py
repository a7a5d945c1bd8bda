"""The blocking client."""

from .exchange import Exchange
from .message import send
from .net import Udp, collect, ticks_diff, ticks_ms

try:
    from _thread import allocate_lock, get_ident
except ImportError:  # ESP8266: no threads, so nobody to wait for
    allocate_lock = None


class Client:
    """A link to one server; the arguments behind port are Exchange's, and tcp=."""

    def __init__(self, host, port, *args, **kwargs):
        socket = Udp
        if kwargs.pop("tcp", False):
            from .tcp import Tcp as socket
        self._exchange = Exchange(*args, **kwargs)
        self._socket = socket(host, port)
        self._lock = allocate_lock and allocate_lock()
        self._sender = None  # the thread that has the lock
        self._closing = False

    @property
    def session(self):
        """10 bytes to keep over a deep sleep, for the session= of the next client, once."""
        return self._exchange.session

    def send(self, data, noreturn=False):
        """What the action returned, {} with noreturn; OSError(ETIMEDOUT, "not run" or "maybe"), BenError."""
        # The callback of a timer or a signal inside of send() would wait for itself: it gets a RuntimeError.
        turn = self._lock and self._sender != get_ident()
        if turn:
            self._lock.acquire()
            self._sender = get_ident()
        steps = None
        try:
            collect()  # so that what a send needs goes into the holes, and leaves whole what is free
            steps = send(self._exchange, data, noreturn)
            began = ticks_ms()
            out, wait = next(steps)
            while True:
                if out:
                    self._socket.send(out)
                got = self._socket.recv(wait)
                out, wait = steps.send((ticks_diff(ticks_ms(), began), got))
        except StopIteration as end:
            return end.value
        finally:
            if steps:
                steps.close()
            # Cold: the next send() leaves from another port, for after a timeout this one may be blocked.
            if turn is not False and (self._closing or not self._exchange.seq):
                self._socket.close()
                self._closing = False
            if turn:
                self._sender = None
                self._lock.release()

    def close(self):
        """Closes the socket, after the send() that is under way; a later one opens it again."""
        self._closing = self._exchange.busy
        if not self._closing:
            self._socket.close()


client = Client

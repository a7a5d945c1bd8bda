"""The socket of a CoAP endpoint, with the message layer at it, and addresses as this port's sockets take them."""

import select
import socket

try:
    from gc import collect, mem_free
    from time import sleep_ms, ticks_diff, ticks_ms
except ImportError:
    from ..cpython import collect, mem_free, sleep_ms, ticks_diff, ticks_ms  # noqa: F401

from .layer import Layer
from .message import LIMIT, const

_LONG = const(1 << 28)  # ms: 3 days, so that the clock is looked at before its ticks are ambiguous, after 6
_PAUSE = const(20)  # ms after an error, which may come again at once
_SIZES = const((1153, 320, 64))  # bytes to make room for, what there is of it: LIMIT and one more, or less
_SHARE = const(8000)  # bytes free at the start for each datagram from one collection of garbage to the next


def resolve(host, port):
    """(family, address) of a host; IPv4 where a name has both. OSError."""
    found = socket.getaddrinfo(host, port)
    for each in found:
        if each[0] == socket.AF_INET:
            break
    else:
        each = found[0]
    address = each[-1]
    return each[0], address if isinstance(address, tuple) else bytes(address)


class Socket:
    """A UDP socket at any port, opened when first used; an error counts as a lost datagram."""

    socket = poll = family = None
    resolve = staticmethod(resolve)

    def open(self, family):
        """Opens it for addresses of one family."""
        self.close()
        self.family = family
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.poll = select.poll()
        self.poll.register(self.socket, select.POLLIN)

    def send(self, datagram, peer):
        """Sends one datagram."""
        try:
            self.socket.sendto(datagram, peer)
        except (OSError, AttributeError):  # Wi-Fi away, buffers full, closed: a copy follows
            pass

    def recv(self, ms):
        """(datagram, peer), None for a datagram that was cut, within ms, for ever with -1; or None."""
        try:
            if not self.poll.poll(ms):
                return None
            for size in _SIZES:
                try:
                    came = self.socket.recvfrom(size)
                    # One that is too long shows itself by the last byte.
                    return came if size > LIMIT or len(came[0]) < size else (None, came[1])
                except MemoryError:
                    collect()
                    if size == _SIZES[-1]:
                        raise
                if not self.poll.poll(0):  # taken from the socket all the same, and lost
                    return None
        except (OSError, AttributeError):
            sleep_ms(ms and _PAUSE)

    def close(self):
        """Closes it; what is sent next leaves from another port."""
        if self.socket:
            self.socket.close()
        self.socket = self.poll = None


class Endpoint:
    """A socket and its message layer; client and server may share one."""

    def __init__(self, socket=None):
        self.layer = Layer()
        self.socket = socket or Socket()
        self._each = self._left = mem_free() // _SHARE  # datagrams until garbage is collected
        self._ticks = ticks_ms()

    def _look(self):
        # At the clock.
        ticks = ticks_ms()
        self.layer.now += max(0, ticks_diff(ticks, self._ticks))  # below 0 after days without a call
        self._ticks = ticks

    def receive(self, datagram, peer):
        """Hands on what came, and sends what follows."""
        self._look()  # it may have been waited for for long
        self.layer.receive(datagram, peer)
        self._flush()

    def tick(self):
        """Sends what is due; returns the ms until there is more to do, or None."""
        self._look()
        wait = self.layer.tick()
        self._flush()
        return wait

    def _flush(self):
        while self.layer.out:
            self.socket.send(*self.layer.out.pop(0))

    def tidy(self):
        """Collects garbage now and then, so that what is kept of what comes goes into the holes."""
        self._left -= 1
        if self._left < 0:
            self._left = self._each
            collect()

    def step(self, ms=None):
        """Waits for one datagram, until something is due, or at most so many ms; True where one came."""
        wait = self.tick()
        self.tidy()
        if wait is None or ms is not None and ms < wait:
            wait = ms
        came = self.socket.recv(_LONG if wait is None else wait)
        if came:
            self.receive(*came)
        return came is not None

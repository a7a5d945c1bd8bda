"""The one place that knows sockets, and in what the ports differ about them."""

import select
import socket

try:
    from gc import collect
    from time import sleep_ms, ticks_diff, ticks_ms

    from micropython import const
except ImportError:
    from .cpython import collect, const, sleep_ms, ticks_diff, ticks_ms  # noqa: F401

_SHORT = const(256)  # recv(n) wants n free bytes in a row: most replies need no more
_FULL = const(1280)  # no datagram of ben is longer: what crosses every IPv6 path
_PAUSE = const(20)  # ms after a socket's error, which may come again at once


class Udp:
    """A connected UDP socket, opened when first used; an error counts as a lost datagram."""

    out = None  # what waits to be written: nothing, ever

    def __init__(self, host, port):
        self._to = host, port
        self.address = self.socket = self.poll = None
        self.size = _SHORT

    def _resolve(self):
        # Once: getaddrinfo blocks, on a board without Wi-Fi for ever, and a name server may be gone later.
        for self.address in socket.getaddrinfo(*self._to):
            if self.address[0] == socket.AF_INET:  # where a name has both
                break

    def _open(self):
        self.close()  # what an exception left half open
        self.socket = socket.socket(self.address[0], socket.SOCK_DGRAM)
        self.socket.connect(self.address[-1])
        self.poll = select.poll()
        self.poll.register(self.socket, select.POLLIN)

    def send(self, datagram):
        """Sends one datagram; OSError only for a host that cannot be resolved."""
        if not self.address:
            self._resolve()
        try:
            if not self.poll:
                self._open()
            self.socket.send(datagram)
        except OSError:  # Wi-Fi away, buffers full, an old refusal: a copy follows
            if not self.poll:
                self.close()

    def recv(self, ms):
        """The next datagram within ms milliseconds, or None."""
        try:
            if self.poll and self.poll.poll(ms):
                size, self.size = self.size, _SHORT  # also where so much is not free in a row
                datagram = self.socket.recv(size)
                if len(datagram) == size:  # cut short: its copy will fit
                    size = _FULL
                self.size = size
                return datagram
            if self.poll:
                return None
        except OSError:
            ms = min(ms, _PAUSE)
        sleep_ms(ms)

    def close(self):
        """Closes the socket; the next send() is from another port."""
        if self.socket:
            self.socket.close()
        self.socket = self.poll = None

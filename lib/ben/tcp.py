"""The link over TCP: length framing, and a connection with the manners of net.Udp."""

import select
import socket
from errno import EINPROGRESS

from .net import Udp, const, sleep_ms, ticks_diff, ticks_ms

_WIDTH = const(2)  # bytes of a length, big-endian
_LONGEST = const(1232)  # bytes of a message: as of a datagram
_PATIENCE = const(3)  # copies of a message that a connection may leave unanswered: it may be dead unnoticed


def framed(message):
    """The message behind its length; ValueError for one that is empty or over 65535 bytes."""
    if not 0 < len(message) <= 0xFFFF:
        raise ValueError("1 to 65535 bytes")
    return len(message).to_bytes(_WIDTH, "big") + message


class Frames:
    """Takes a stream as it comes, in pieces of any size; size: bytes of the longest message."""

    def __init__(self, size):
        self.size = size
        self.need = _WIDTH  # bytes that are missing: of a length, or of the message behind it
        self.body = b""  # what is there of it
        self.head = True  # whether it is a length

    def feed(self, data):
        """The message that data, no more than need bytes, completes, or None; ValueError for a wrong length."""
        data = self.body + data if self.body else data
        self.need -= len(data) - len(self.body)
        self.body = data if self.need else b""
        if self.need:
            return None
        self.head = not self.head
        self.need = _WIDTH if self.head else data[0] << 8 | data[1]
        if not 0 < self.need <= self.size:
            raise ValueError("a message of %d bytes" % self.need)
        return data if self.head else None


class Tcp(Udp):
    """A TCP connection, made when first used and again after it broke; only recv() waits."""

    def _open(self):
        self.close()
        self.frames = Frames(_LONGEST)
        self.datagram = None  # the message that this connection took
        self.copies = 0  # of it, that did not leave
        self.socket = socket.socket(self.address[0], socket.SOCK_STREAM)
        self.socket.setblocking(False)
        try:
            self.socket.connect(self.address[-1])
        except OSError as error:
            if error.errno != EINPROGRESS:
                raise
        self.poll = select.poll()
        self.poll.register(self.socket, select.POLLOUT)  # which comes when it is connected

    def send(self, datagram):
        """Sends one message; of its copies none, but where the connection is new."""
        if not self.address:
            self._resolve()
        try:
            again = self.poll and datagram is self.datagram
            self.copies = self.copies + 1 if again else 0
            if not self.poll or self.copies == _PATIENCE or self.out and not again:
                self._open()
            if datagram is not self.datagram:
                self.datagram = datagram
                self.out = memoryview(framed(datagram))
                self.poll.modify(self.socket, select.POLLOUT)
        except OSError:
            self.close()

    def recv(self, ms):
        """The next message within ms milliseconds, or None, or b"" where only a part went or came."""
        began = ticks_ms()
        got = None
        while not got:
            wait = max(0, ms - ticks_diff(ticks_ms(), began))
            if not self.poll:
                sleep_ms(wait)
                return None
            try:
                if not self.poll.poll(wait):
                    break
                got = self._step()
            except (OSError, ValueError):  # it broke, or this is no server of ours
                self.close()
        return got

    def _step(self):
        # Writes or reads what it can, now that it can.
        if self.out:
            self.out = self.out[self.socket.send(self.out) :] or None
            if not self.out:
                self.poll.modify(self.socket, select.POLLIN)
            return b""
        data = self.socket.recv(self.frames.need)
        if not data:
            self.close()
            return None
        return self.frames.feed(data) or b""

    def close(self):
        """Closes the connection; the next send() makes another."""
        self.out = None
        super().close()

"""The link over TCP: a connection with the manners of net.Udp."""

import select
import socket
from errno import EINPROGRESS

from .framing import Frames, framed
from .net import Udp, const, sleep_ms, ticks_diff, ticks_ms

_LONGEST = const(1232)  # bytes of a message: as of a datagram


_PATIENCE = const(3)  # copies of a message that a connection may leave unanswered: it may be dead unnoticed


class Tcp(Udp):
    """A TCP connection, made when first used and again after it broke; only recv() waits."""

    def _open(self):
        self.close()
        self._frames = Frames(_LONGEST)
        self._last = None  # the message that this connection took
        self._copies = 0  # of it, that did not leave
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
            again = self.poll and datagram is self._last
            self._copies = self._copies + 1 if again else 0
            if not self.poll or self._copies == _PATIENCE or self.out and not again:
                self._open()
            if datagram is not self._last:
                self._last = datagram
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
                got = self._write() if self.out else self._read()
            except (OSError, ValueError):  # it broke, or this is no server of ours
                self.close()
        return got

    def _write(self):
        self.out = self.out[self.socket.send(self.out) :]
        if not self.out:
            self.out = None
            self.poll.modify(self.socket, select.POLLIN)
        return b""

    def _read(self):
        data = self.socket.recv(self._frames.need)
        if not data:
            self.close()
            return None
        return self._frames.feed(data) or b""

    def close(self):
        """Closes the connection; the next send() makes another."""
        self.out = None
        super().close()

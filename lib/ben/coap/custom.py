"""A socket that is an object of the user's."""

import select

from .message import LIMIT, const
from .net import Socket, resolve, sleep_ms

_PAUSE = const(20)  # ms between two looks at an object without poll()


class Custom(Socket):
    """Any object with sendto() and recvfrom()."""

    def __init__(self, user):
        super().__init__()
        self._user = user
        self.open(None)

    def open(self, family):
        """Begins to use it."""
        self.family = family
        self.socket = self._user
        self.poll = select.poll()
        try:
            self.poll.register(self.socket, select.POLLIN)
        except (OSError, TypeError, ValueError, AttributeError):
            self.poll = None  # it cannot be waited for

    def recv(self, ms):
        """(datagram, peer) within ms milliseconds, for ever with -1, or None."""
        try:
            came = super().recv(ms) if self.poll else self.socket.recvfrom(LIMIT + 1)
            if isinstance(came, tuple) and came[0] != b"":
                datagram, peer = came
                # It may speak of (host, port) where sockets of this port have bytes.
                if isinstance(peer, tuple) and not isinstance(resolve("127.0.0.1", 0)[1], tuple):
                    peer = resolve(*peer[:2])[1]
                return datagram, peer
        except OSError:  # nothing has come, or from nobody
            pass
        sleep_ms(_PAUSE if ms < 0 else min(ms, _PAUSE))
        return None

    def close(self):
        """Leaves it to its owner."""
        self.socket = self.poll = None

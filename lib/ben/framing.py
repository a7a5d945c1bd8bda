"""Messages in a stream of bytes, each behind its length; free of sockets."""

from .crypto import const

_WIDTH = const(2)  # bytes of a length, big-endian


def framed(message):
    """The message behind its length; ValueError for one that is empty or over 65535 bytes."""
    if not 0 < len(message) <= 0xFFFF:
        raise ValueError("a message has 1 to 65535 bytes")
    return len(message).to_bytes(_WIDTH, "big") + message


def _number(head):
    return head[0] << 8 | head[1]


class Frames:
    """Takes a stream as it comes, in pieces of any size; most: bytes of the longest message."""

    def __init__(self, most, width=_WIDTH, number=_number):
        self._most = most
        self._width = width
        self._number = number
        self._got = bytearray()
        self._size = None  # of the message; None while its length is read

    @property
    def need(self):
        """Bytes that are missing: of a length, or of the message behind it."""
        size = self._width if self._size is None else self._size
        return size - len(self._got)

    def feed(self, data):
        """The message that data, no more than need bytes, completes, or None; ValueError for a wrong length."""
        if self._got or len(data) < self.need:
            self._got.extend(data)
            if self.need:
                return None
            data, self._got = self._got, bytearray()
        if self._size is None:
            self._size = self._number(data)
            if not 0 < self._size <= self._most:
                raise ValueError("a message of %d bytes" % self._size)
            return None
        self._size = None
        return data

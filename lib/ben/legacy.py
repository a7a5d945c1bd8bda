"""The framing of the plain dialect: a message behind 64 bytes that say its length in digits."""

WIDTH = 64  # bytes of a length, or of a target: ASCII, with spaces on its right


def block(text):
    """The 64 bytes that say a text, given as bytes; ValueError where it needs more."""
    if len(text) > WIDTH:
        raise ValueError("at most 64 bytes")
    return text + b" " * (WIDTH - len(text))


def framed(message):
    """The message behind its length; it may be empty, as a list of no targets is."""
    return block(b"%d" % len(message)) + message


def length(head, most):
    """The length that 64 bytes say, 0 to most; ValueError for another, and for what is none."""
    digits = bytes(head).rstrip(b" ")
    if not digits.isdigit():  # int() takes signs, spaces, underscores and other scripts, too
        raise ValueError("not a length: %r" % digits)
    size = int(digits)
    if size > most:
        raise ValueError("a message of %d bytes, where %d is the most" % (size, most))
    return size


class Frames:
    """Takes a stream as it comes, in pieces of any size; size: bytes of the longest message, 0 the shortest."""

    def __init__(self, size):
        self.size = size
        self.need = WIDTH  # bytes that are missing: of a length, or of the message behind it
        self.body = b""  # what is there of it
        self.head = True  # whether it is a length

    def feed(self, data):
        """The message that data, no more than need bytes, completes, b"" too, or None; ValueError for a length."""
        data = self.body + data if self.body else data
        self.need -= len(data) - len(self.body)
        self.body = data if self.need else b""
        if self.need:
            return None
        size = 0  # of the message that is missing
        if self.head:
            size, data = length(data, self.size), b""
        self.head = not size
        self.need = size or WIDTH
        return None if size else data

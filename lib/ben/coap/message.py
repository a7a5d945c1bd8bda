"""CoAP messages and their bytes (RFC 7252, section 3)."""

try:
    from micropython import const
except ImportError:
    from ..cpython import const

LIMIT = 1152  # bytes of a message: what RFC 7252, 4.6 takes for certain to cross a path

# A board has a tuple and a value of 16 bytes each for every option: a stranger could send a thousand.
_OPTIONS_MAX = const(64)


class Message:
    """A message; its options are (number, value) in the order in which they travel."""

    def __init__(self, code=0, payload=b"", type=0, id=0, token=b""):
        self.type = type
        self.code = code
        self.id = id
        self.token = token
        self.options = []
        self.payload = payload

    def __getattr__(self, name):
        # status; with a property, each attribute would take four times as long to set
        if name == "status":
            return "%d.%02d" % (self.code >> 5, self.code & 31)
        raise AttributeError(name)

    def add(self, number, value=b""):
        """Puts an option, of bytes, text or a number, behind those of its number and of lower ones."""
        if isinstance(value, int):
            from .options import uint

            value = uint(value)
        elif isinstance(value, str):
            value = value.encode()
        options = self.options
        at = len(options)
        while at and options[at - 1][0] > number:
            at -= 1
        options.insert(at, (number, value))

    def get(self, number):
        """The first value of an option, or None."""
        for each, value in self.options:
            if each == number:
                return value
        return None

    def uint(self, number):
        """The first value of an option that is a number, or None."""
        value = self.get(number)
        return None if value is None else int.from_bytes(value, "big")

    def encode(self):
        """The datagram."""
        token = self.token
        out = bytearray((0x40 | self.type << 4 | len(token), self.code, self.id >> 8, self.id & 0xFF))
        out += token
        last = 0
        for number, value in self.options:
            delta = number - last
            length = len(value)
            last = number
            if delta < 13 and length < 13:
                out.append(delta << 4 | length)
            else:
                first, more = _extended(delta)
                second, rest = _extended(length)
                out.append(first << 4 | second)
                out += more
                out += rest
            out += value
        if self.payload:
            out.append(0xFF)
            out += self.payload
        return out


def _extended(number):
    if number < 13:
        return number, b""
    if number < 269:
        return 13, bytes((number - 13,))
    return 14, (number - 269).to_bytes(2, "big")


def decode(datagram, limit=LIMIT):
    """The Message of a datagram of at most so many bytes; ValueError for what is none."""
    size = len(datagram)
    if not 4 <= size <= limit or datagram[0] >> 6 != 1:
        raise ValueError
    head = datagram[0]
    at = 4 + (head & 15)
    if head & 15 > 8 or at > size or (not datagram[1] and size > 4):
        raise ValueError
    message = Message(datagram[1], b"", head >> 4 & 3, datagram[2] << 8 | datagram[3], datagram[4:at])
    add = message.options.append
    number = 0
    for _ in range(_OPTIONS_MAX + 1):
        if at == size:
            return message
        head = datagram[at]
        at += 1
        if head == 0xFF:
            if at == size:
                break
            message.payload = datagram[at:]
            return message
        length = head & 15
        if head < 0xD0 and length < 13:
            number += head >> 4
        else:
            delta, at = _full(head >> 4, datagram, at)
            length, at = _full(length, datagram, at)
            number += delta
        end = at + length
        if end > size or number > 0xFFFF:
            break
        add((number, datagram[at:end]))
        at = end
    raise ValueError


def _full(nibble, datagram, at):
    if nibble < 13:
        return nibble, at
    size = nibble - 12
    if size > 2 or at + size > len(datagram):
        raise ValueError
    if size == 1:
        return 13 + datagram[at], at + 1
    return 269 + (datagram[at] << 8 | datagram[at + 1]), at + 2

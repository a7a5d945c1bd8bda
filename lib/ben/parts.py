"""Messages over one datagram: a request in parts, a reply in pieces."""

from . import wire


class Parts:
    """The parts of a request, as (last, start, data), any number of times; len() counts them."""

    def __init__(self, start, body, chunk):
        self._start = start
        self._body = memoryview(body)
        self._first = chunk - len(start)
        self._step = chunk - 2

    def __len__(self):
        return 2 + (len(self._body) - self._first - 1) // self._step

    def __iter__(self):
        form = self._start[0]
        first = form & 0x0F | wire.MORE  # the flags of the message are on its last part
        at = self._first
        yield False, bytes((first,)) + self._start[1:], self._body[:at]
        while at < len(self._body):
            until = at + self._step
            last = until >= len(self._body)
            yield last, bytes(((form if last else first) | wire.CONTINUES, 0)), self._body[at:until]
            at = until


def collect(exchange, form, body):
    """A generator like message.send: fetches a reply's other pieces; returns all, or None if they are gone."""
    whole = bytearray(body)
    more = True
    while more and len(whole) <= exchange.buffersize:
        kind, plain = yield from exchange.ask(bytes((wire.NEXT, 0)) + len(whole).to_bytes(4, "big"))
        if kind is None:
            exchange.forget()
        if kind != wire.REPLY or plain[0] & 0x1F or plain[1] & 0x0F != form:
            return None
        more = plain[0] & wire.MORE
        if more and len(plain) == 2:
            return None
        whole.extend(plain[2:])
    return whole

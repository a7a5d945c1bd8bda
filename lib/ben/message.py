"""The client's rules for a whole message, free of sockets and clocks."""

from errno import ETIMEDOUT

from . import wire
from .crypto import const
from .exchange import jitter

_SEQ_MAX = const(65000)  # no message begins that could pass it: seq has 16 bits
_PIECE_MIN = const(64)  # bytes; no piece of a reply but the last has fewer
_RESTARTS_FREE = const(2)  # then a pause before each: two clients of one channel must not chase each other
_ACTION_MAX = const(255)  # bytes: its length is one


class BenError(Exception):
    """The server refused, or the reply is lost: status (int) and text (str)."""

    def __init__(self, status, text):
        super().__init__(status, text)
        self.status = status
        self.text = text


def send(exchange, data, noreturn):
    """A generator: yields (datagram or None, ms to wait), is sent (ms, datagram or None)."""
    if exchange.busy:
        raise RuntimeError("a send() is under way")
    start, body = _request(data, noreturn, exchange.chunk, exchange.buffersize)
    parts = ((True, start, body),)
    if len(start) + len(body) > exchange.chunk:
        from .parts import Parts

        parts = Parts(start, body, exchange.chunk)
    exchange.busy = True
    try:
        exchange.now = 0
        reply = yield from _message(exchange, parts)
        status, form = reply[0], reply[1] & 0x0F
        body = reply[2:]
        if status & wire.MORE:
            from .parts import collect

            body = yield from collect(exchange, form, body)
        exchange.busy = False
    finally:
        if exchange.busy:  # broken off: how far the server went is not known
            exchange.forget()
            exchange.busy = False
    body = _result(status & 0x1F, form, body, exchange.buffersize)
    return {} if noreturn else body


def _message(exchange, parts):
    # Returns the plaintext of the reply to the last part, or to one that was refused.
    restarts = 0
    while True:
        if restarts > _RESTARTS_FREE:
            until = exchange.now + jitter(exchange.rto)
            while exchange.now < min(until, exchange.timeout):
                exchange.now, _ = yield None, min(until, exchange.timeout) - exchange.now
        if exchange.seq + len(parts) + exchange.buffersize // _PIECE_MIN + 2 > _SEQ_MAX:
            exchange.forget()
        for last, start, data in parts:
            if exchange.now >= exchange.timeout:  # an answer that came late: nothing more leaves
                raise OSError(ETIMEDOUT, "not run")
            can_run = last and exchange.token[1:] != bytes(7)
            began = exchange.now
            kind, plain = yield from exchange.ask(start, data)
            if kind is None:
                raise OSError(ETIMEDOUT, "maybe" if can_run else "not run")
            if kind == wire.CHALLENGE:
                # How long ago the server last forgot a session: if that was before the first
                # copy of this part, it never ran. Clocks differ: hence the eighth.
                age = (plain[8] << 8 | plain[9]) * 100
                if can_run and age <= (exchange.now - began) * 9 // 8:
                    exchange.busy = False  # the new token is good
                    raise OSError(ETIMEDOUT, "maybe")
                break
            if plain[0] & 0x1F == wire.OUT_OF_ORDER:
                break
            if last or plain[0] & 0x1F:
                return plain
        restarts += 1


def _request(data, noreturn, chunk, buffersize):
    # (start, data) of a request's plaintext
    action = isinstance(data, dict) and data.get("action")
    if not isinstance(action, str) or len(data) != 1 + ("data" in data):
        raise ValueError('not {"action": name, "data": anything}')
    action = action.encode()
    if not 0 < len(action) <= min(_ACTION_MAX, chunk - 2):
        raise ValueError("an action has 1 to %d bytes" % min(_ACTION_MAX, chunk - 2))
    form, body = wire.encode(data["data"]) if "data" in data else (wire.NONE, b"")
    if len(body) > buffersize:
        raise BenError(wire.TOO_BIG, "over buffersize")
    if noreturn:
        form |= wire.ACKNOWLEDGE
    return bytes((form, len(action))) + action, body


def _result(status, form, body, buffersize):
    # body: None where the rest of it got lost
    if body is None:
        raise BenError(wire.GONE, "the rest of the reply is gone")
    if len(body) > buffersize:
        raise BenError(wire.GONE, "the reply is over buffersize")
    try:
        value = wire.decode(wire.TEXT if status else form, body)
    except ValueError:
        status, value = status or wire.GONE, "the reply cannot be read"
    if status:
        raise BenError(status, value)
    return value

"""The hub's rules for who sends, free of sockets and clocks; loaded for the first message."""

from errno import ETIMEDOUT

from . import wire
from .crypto import const
from .message import BenError

_NAME_MAX = const(64)  # bytes
_FAILED = const(1)  # status: the server stopped, perhaps
_TOLD = {"maybe": "unknown", "not run": "not delivered"}  # the link's words for it, and the hub's


def targets():
    """A generator like send: returns the hub's list, which comes in pages."""
    found = []
    while True:
        page = yield "hub.list", found[-1]["name"] if found else ""
        if not page:
            return found
        found.extend(page)


def send(hub, target, data):
    """A generator: yields (action, data) and is sent the result; ends and raises as Hub.send."""
    form, body = wire.encode(data)
    out = min(hub.ms // 100, 0xFFFF).to_bytes(2, "big") + bytes((form,))
    for name in (hub.name, target):
        name = name.encode()
        if len(name) > _NAME_MAX:
            raise ValueError("a name has 1 to 64 bytes")
        out += bytes((len(name),)) + name
    try:
        told = yield "hub.send", out + body
    except BenError as error:
        if error.status != _FAILED and error.status != wire.GONE:
            raise
        told = "unknown"
    except OSError as error:
        told = _TOLD.get(error.args[-1])
        if not told:
            raise
    if told != "delivered":
        raise OSError(ETIMEDOUT, told)

"""What boards ask for, and what they may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ben import wire
from benserver import status

NEVER_RUN = (status.UNKNOWN, status.TOO_BIG, status.MALFORMED, status.REFUSED)

FRESH = {"fresh": 2.0, "fresher": 0.5}  # seconds
ACTIONS = (
    "plain",
    "fails",
    "strange",
    *FRESH,
)  # "bare N" and "forbidden" are the fallback's, "unknown" nobody's


class Unreadable(str):
    """A text that goes on its way as what is no UTF-8."""

    def encode(self):
        return b"\xff" + super().encode()


@dataclass
class Request:
    """One send(): `number` tells the handler which; the answer has `size`, the handler takes `pause` seconds."""

    number: int
    action: str
    data: Any
    noreturn: bool = False
    size: int = 0
    pause: float = 0

    @property
    def asked(self):
        """What the board gives to send()."""
        if self.data is None:
            return {"action": f"{self.action} {self.number}"}
        return {"action": self.action, "data": self.data}

    @property
    def fresh(self):
        """Seconds, or None."""
        return FRESH.get(self.action)

    def answer(self):
        """What the handler returns: of every type in turn, unlike any other request's, about `size` long."""
        text = f"{self.number} " + "ä" * (self.size // 2)
        values = (text, text.encode(), {"n": self.number, "x": text}, [text, self.number / 8, None])
        return values[self.number % 4] if self.size or self.number % 5 else None

    def told(self, board_size, server_size):
        """The statuses that the caller may be told, 0 for a result, when both ends can talk."""
        body = 0 if self.data is None else len(wire.encode(self.data)[1])
        if body > min(board_size, server_size):
            return {status.TOO_BIG}
        if self.action in ("unknown", "forbidden"):
            # whether the action or the data is looked at first makes no difference to the caller
            return {status.UNKNOWN if self.action == "unknown" else status.REFUSED}
        if isinstance(self.data, Unreadable):
            return {status.MALFORMED}
        if self.noreturn:
            return {status.OK}
        if self.action == "fails":
            return {status.FAILED}
        if self.action == "strange":
            return {status.GONE}
        answer = self.answer()
        size = 0 if answer is None else len(wire.encode(answer)[1])
        if size > min(board_size, server_size):
            return {status.GONE}
        return {status.OK, status.GONE} if size > 64 else {status.OK}  # a longer one may come in pieces


def number_of(action, data):
    """Which request a handler has before it."""
    if data is None:
        return int(action.split()[-1])
    if isinstance(data, dict):
        return data["n"]
    return int(data.split()[0])


def body(form, number, size):
    """Data of about size bytes in one of the formats, which names its request."""
    if form == "json":
        return {"n": number, "x": "ö" * (size // 2)}
    if form == "bytes":
        return b"%d " % number + bytes(range(256)) * (size // 256) + bytes(size % 256)
    return f"{number} " + "ü" * (size // 2)

"""The plain dialect of the Client-server-python clients, free of sockets: docs/hub.md has what it is good for.

A controller sends to targets, a target receives. No key protects what they say: they reach the names of the hub that
were opened for them, and no others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Generator
from typing import Any, Optional

from ben import wire
from ben.legacy import WIDTH, framed, length

from .actions import Refusal
from .hub import DELIVERED, NAME_MAX, NOT_DELIVERED, UNKNOWN, Hub, Message, check_name

log = logging.getLogger("benserver")

CLIENTS_MAX = 64  # at once: each may stay for ever, and without keys nobody is known to be worth more
TYPE_MAX = NAME_MAX  # bytes of a client type: a target's is its name
WAIT = 7.5  # s that a message waits for its target, as a Hub's does: these clients have no timeout
TICK = 1.0  # s between two looks at the clock: so much longer a message may wait

HEAD = 6  # bytes of what the hub hands out, the last for the length of the sender's name, which comes next
BEFORE_THE_FIRST = bytes(4)  # number of the last message that a target had: it confirms none
CONTROLLER = "python"  # the client type of who sends; with any other it receives
NO_TARGET, DISCONNECT = b"|no target|", b"|disconnect|"
SOURCE = "|plain|"  # what a board gets for the sender's name: nobody else can have one with a |

TOLD = {
    DELIVERED: "delivered",
    NOT_DELIVERED: "not delivered: {} has not asked for it",
    UNKNOWN: "unknown: it was on its way to {}, which had it once, or not at all",
}

# What a client says, bytes by bytes: yields how many are to come next, or None to hear from the hub.
Rules = Generator[Optional[int], Any, Any]


def open_names(names: Collection[str]) -> frozenset[str]:
    """The names that are open to plain clients; ValueError for one that they could not write, or that is none."""
    if isinstance(names, str):
        raise ValueError("plain: a collection of names, not one")
    for name in names:
        try:
            check_name(name)
        except Refusal as refusal:
            raise ValueError(f"plain: {name!r}: {refusal}") from None
        if name.encode().isdigit():
            raise ValueError(f"plain: {name!r} would be taken for a length")
    return frozenset(names)


def begins(data: bytes) -> bool:
    """Whether a connection that begins so is a plain client's: ben/2's lengths begin with a byte of 0 to 4."""
    return data[:1].isdigit()


class Relay:
    """What the conversations have in common: the hub, which of its names are open, and who is in.

    names: as of `open_names`; most: bytes of the longest message.
    soon: calls a function when what runs has ended, for the hub is in the middle of its own work when it calls.
    """

    def __init__(
        self,
        hub: Hub,
        names: frozenset[str],
        most: int,
        soon: Callable[..., object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hub = hub
        self.open_names = names
        self.most = most
        self.soon = soon
        self.clock = clock
        self.clients: set[Conversation] = set()
        self._noted: set[str] = set()

    def warn(self) -> None:
        """Says once what was asked for."""
        log.warning(
            "plain clients are let in: no key protects what they send and receive; open to them: %s",
            ", ".join(sorted(self.open_names)) or "no name",
        )

    def reachable(self) -> frozenset[str]:
        """Where controllers may send: a second arduino, too, under the name that it was given."""
        return self.open_names | {client.name for client in self.clients if client.name}

    def targets(self) -> list[str]:
        """The open names whose owners listen."""
        return sorted(name for name in self.reachable() if self.hub.here(name, self.clock()))

    def tick(self) -> None:
        """Lets everybody look at the clock; to be called each TICK."""
        for client in list(self.clients):
            client.tick()

    def note(self, reason: str, *details: object) -> None:
        """Logs why a client was sent away, for each reason once: strangers fill no log."""
        if reason not in self._noted:
            self._noted.add(reason)
            log.warning("a plain client was sent away (told once): " + reason, *details)


class Conversation:
    """What one client says and hears, until it has `ended`.

    send: takes the bytes that it is to get; moved: called when `need` or `ended` changed because of the hub.
    """

    def __init__(
        self, relay: Relay, send: Callable[[bytes], None], moved: Callable[[], None] = lambda: None
    ) -> None:
        self.ended = False
        self.resting = False  # whether it may be silent: it is between two messages, or waits for an answer
        self.name = self._kind = ""  # of a target that was let in, and its client type
        self._relay = relay
        self._send = send
        self._moved = moved
        self._have = bytearray()
        self._message: Message | None = None  # that it waits to hear of
        self._late = 0.0  # when that has waited for too long
        self._lives = 0  # each message ends one: what was handed before is unknown
        self._life = b""
        self._asking = False
        self._rules = self._talk()
        # Bytes that it takes next; 0 while it waits for the hub, and at its end.
        self.need = next(self._rules) or 0

    def __str__(self) -> str:
        return SOURCE  # as an owner in the hub

    @property
    def entered(self) -> bool:
        """Whether it has said what it is, and was let in: it counts until `close()`."""
        return self in self._relay.clients

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the stream, no more than `need`."""
        self.resting = False
        self._have += data
        self.need -= len(data)
        if not self.need:
            have, self._have = bytes(self._have), bytearray()
            self._go_on(have)

    def tick(self) -> None:
        """Some time has passed."""
        now = self._relay.clock()
        if self._message and now >= self._late:
            self._relay.hub.withdraw(self._message)
        if self._asking:
            self._ask()

    def close(self) -> None:
        """Its connection has ended; once more does no harm."""
        self._end()
        self._relay.clients.discard(self)  # not before, or who lingers would count nowhere

    def _end(self) -> None:
        self.ended, self.resting, self.need = True, False, 0
        if self.name:
            self._relay.hub.forget(self, self.name)
        if self._message:  # nobody would withdraw it later
            self._relay.hub.withdraw(self._message)
        self.name, self._message, self._asking = "", None, False

    def _go_on(self, got: Any) -> None:
        try:
            need = self._rules.send(got)
        except StopIteration:
            self._end()
        else:
            self.need = 0 if self.ended else need or 0

    # The rules

    def _talk(self) -> Rules:
        try:
            kind = (yield from self._heard(TYPE_MAX)).decode()
        except ValueError as error:
            self._relay.note("no client type: %s", error)
            return
        if kind != CONTROLLER:
            yield from self._receive(kind)
        elif self._enter():
            try:
                yield from self._control()
            except ValueError as error:
                self._tell(f"not delivered: {error}")
        else:
            self._tell("too many clients: come back later")

    def _heard(self, most: int, head: bytes = b"") -> Rules:
        # The next message; ValueError for what has no right length
        size = length(head or (yield WIDTH), most)
        return (yield size) if size else b""

    def _enter(self) -> bool:
        if len(self._relay.clients) >= CLIENTS_MAX:
            self._relay.note("there are %d already", CLIENTS_MAX)
            return False
        self._relay.clients.add(self)
        return True

    # Of a controller

    def _control(self) -> Rules:
        while True:
            self.resting = True
            head = yield WIDTH
            target = head.rstrip(b" ")
            if target == DISCONNECT:
                return
            if target.isdigit():  # the length of what is said to the server itself
                if (yield from self._heard(self._relay.most, head)) != DISCONNECT:
                    raise ValueError("a message without a target before it")
                return
            if target == NO_TARGET:
                self._tell(",".join(self._relay.targets()))
            else:
                data = yield from self._heard(self._relay.most)
                self._tell((yield from self._sent(target.decode(errors="replace"), data)))

    def _sent(self, target: str, data: bytes) -> Rules:
        # What became of a message, in words.
        if target not in self._relay.reachable():
            return f"not delivered: {target} is not open to plain clients"
        try:
            value: str | bytes = data.decode()
        except UnicodeDecodeError:
            value = data
        form, _ = wire.encode(value)
        now = self._relay.clock()
        try:
            self._message = self._relay.hub.send(self, "", target, form, data, now, self._on_told)
        except Refusal as refusal:
            return f"not delivered: {refusal}"
        self._late = now + WAIT
        self.resting = True
        told = yield None
        self._message = None
        return TOLD[told].format(target)

    def _on_told(self, told: str) -> None:
        self._relay.soon(self._told, told)

    def _told(self, told: str) -> None:
        if not self.ended:
            self._go_on(told)
            self._moved()

    def _tell(self, text: str) -> None:
        self._send(framed(text.encode()))

    # Of a target

    def _receive(self, kind: str) -> Rules:
        if kind not in self._relay.open_names:
            self._relay.note("a target, %r, whose name is not open", kind)
        elif self._enter() and self._join(kind):
            self._ask()
            self.resting = True
            try:
                yield from self._heard(len(DISCONNECT))  # whatever else it may be ends it, too
            except ValueError as error:
                self._relay.note("a target that talks: %s", error)

    def _join(self, kind: str) -> bool:
        self._kind = kind
        for number in range(1, CLIENTS_MAX + 1):
            name = f"{kind}-{number}" if number > 1 else kind
            try:
                self._begin_life(name)
            except Refusal:  # it is somebody's
                continue
            self.name = name
            return True
        self._relay.note("a target, %r, of which there are too many", kind)
        return False

    def _begin_life(self, name: str) -> None:
        self._lives += 1
        self._life = self._lives.to_bytes(8, "big")
        relay = self._relay
        room = relay.most + HEAD + NAME_MAX
        relay.hub.join(self, name, self._kind, self._life, room, relay.clock())

    def _ask(self) -> None:
        # For the next message; again while it waits, so that the hub hears of it.
        self._asking = True
        self._relay.hub.receive(
            self, self.name, self._life, BEFORE_THE_FIRST, self._relay.clock(), self._on_answer
        )

    def _on_answer(self, got: Any) -> None:
        if got is not None:  # else it asked again
            self._asking = False
            self._relay.soon(self._answered, got)

    def _answered(self, got: Any) -> None:
        if self.ended:
            return
        if got:
            self._send(framed(got[HEAD + got[HEAD - 1] :]))  # the data: these clients know nothing of senders
            got = not self.ended and self._renewed()
        if not got:  # the hub forgot it: it stops, or had no room
            self._end()
            self._moved()

    def _renewed(self) -> bool:
        # Asks for more, in a new life: it cannot tell us that it had the message of the last one.
        try:
            self._begin_life(self.name)
        except Refusal:
            return False
        self._ask()
        return True

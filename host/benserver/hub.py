"""The hub's rules, free of sockets and clocks: who has which name, what waits for whom, who is told what.

docs/hub.md tells what they promise. Times are monotonic seconds, passed in.
"""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Callable, Container, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import status
from .actions import Refusal

NAME_MAX = 64  # bytes: as wide as a target is written in the plain dialect
NAMES_MAX = 4096  # as many as devices; the one not heard for longest makes room
NAMES_EACH = 8  # of one owner: else a single stolen key could push out everybody else's
QUEUE_MAX = 16  # messages that wait for one target
QUEUE_EACH = 8  # of them of one sender: there is room for another's
MESSAGES_MAX = 1024  # that wait for all targets
MESSAGES_EACH = 64  # of them of one sender
HERE = 12.0  # s since it was heard: who listens asks at least every 7.5 s
NUMBER_MAX = (1 << 32) - 1  # of messages, which count from 1: 0 is before the first

_ID = re.compile("[0-9a-f]{8}")  # how a device is called that has no name: no name of another's

DELIVERED, NOT_DELIVERED, UNKNOWN = "delivered", "not delivered", "unknown"


@dataclass
class Message:
    """What was sent to a target, until its sender has been told what became of it."""

    owner: Hashable  # who sent it
    source: str
    target: Target
    form: int
    data: bytes
    tell: Callable[[str], None]
    number: bytes = bytes(4)

    def packed(self) -> bytes:
        """As its receiver gets it: docs/protocol.md has the layout."""
        source = self.source.encode()
        return self.number + bytes((self.form, len(source))) + source + self.data


@dataclass
class Waiter:
    """A receive() that is answered when there is a message: with it, with None for none, or False for who has to join."""

    answer: Callable[[Any], None]
    target: Target | None = None  # while it waits


@dataclass
class Target:
    """A name, whom it belongs to, and what is on its way there.

    `life` is drawn anew when a board starts: what was handed to the life before may have been had by it, or not.
    """

    name: str
    owner: Hashable
    seen: float
    kind: str = ""
    life: bytes | None = None  # None until it has joined
    joined: float = 0.0
    room: int = 0  # bytes of the longest message that it takes
    queue: deque[Message] = field(default_factory=deque)
    handed: Message | None = None  # given to it, and not confirmed yet
    waiter: Waiter | None = None


class Hub:
    """Names and messages.

    devices: {id: name}, of which a name is kept for its device; senders: the names that may send, or None for all.
    """

    def __init__(self, devices: Mapping[int, str], senders: Container[str] | None = None) -> None:
        self._devices = devices
        self._senders = senders
        self._targets: dict[str, Target] = {}  # the one heard last is last
        self._waiting: Counter[Hashable] = Counter()  # messages that no target has been handed yet, by sender
        # Not the same ones after a restart: a receiver knows the last that it had.
        self._number = int.from_bytes(os.urandom(4), "big")

    # What members ask for

    def join(self, owner: Hashable, name: str, kind: str, life: bytes, room: int, now: float) -> None:
        """Gives a name to whoever has it already or first; a new life of it starts with what was never handed."""
        target = self._claim(owner, name, now)
        if target.life != life:
            self._release(target)
            self._settle(target, UNKNOWN)
            target.life, target.joined = life, now
        target.kind, target.room = kind, room

    def list(self, now: float, after: str = "", most: int | None = None) -> list[dict[str, Any]]:
        """Who has joined, in the order of their names, behind one; times in seconds ago; "here" is who listens."""
        names = sorted(name for name, each in self._targets.items() if each.life is not None and name > after)
        return [
            {
                "name": name,
                "type": self._targets[name].kind,
                "here": self.here(name, now),
                "joined": round(now - self._targets[name].joined, 1),
                "seen": round(now - self._targets[name].seen, 1),
            }
            for name in names[:most]
        ]

    def here(self, name: str, now: float) -> bool:
        """Whether it has joined and was heard lately."""
        target = self._targets.get(name)
        return bool(target and target.life is not None and now - target.seen < HERE)

    def send(
        self,
        owner: Hashable,
        source: str,
        name: str,
        form: int,
        data: bytes,
        now: float,
        tell: Callable[[str], None],
    ) -> Message:
        """Takes a message; `tell` hears once what became of it, at `withdraw` at the latest. Refusal."""
        known = self._known(owner)
        self._check_sender(owner, source or known)
        target = self._targets.get(name)
        if target is None or target.life is None:
            raise Refusal(status.REFUSED, f"no such target: {name}")
        message = Message(owner, source or known or _id(owner), target, form, data, tell)
        over = len(message.packed()) - target.room
        if over > 0:
            raise Refusal(status.TOO_BIG, f"{over} bytes more than {name} takes")
        if not target.waiter:
            self._check_queue(target, owner)
        if source and source != known:
            self._claim(owner, source, now)
        target.queue.append(message)
        self._waiting[owner] += 1
        self._answer(target)
        return message

    def withdraw(self, message: Message) -> None:
        """The time of a message is over: it is handed to nobody from now on."""
        target = message.target
        if message in target.queue:
            target.queue.remove(message)
            self._leaves_queue(message)
            message.tell(NOT_DELIVERED)
        elif target.handed is message:
            self._settle(target, UNKNOWN)

    def receive(
        self, owner: Hashable, name: str, life: bytes, after: bytes, now: float, answer: Callable[[Any], None]
    ) -> Waiter:
        """Has the next message answered, when there is one; the message numbered `after` has been had."""
        waiter = Waiter(answer)
        target = self._targets.get(name)
        if target and target.owner != owner:
            raise Refusal(status.REFUSED, f"{name} is taken")  # and not told to join: two would never end
        if target is None or target.life is None:
            answer(False)  # we were started anew, or had no room for it
            return waiter
        if target.life != life:
            raise Refusal(status.REFUSED, f"{name} has joined again, elsewhere or after a restart")
        self._heard(target, now)
        self._release(target)
        if target.handed and target.handed.number == after:
            self._settle(target, DELIVERED)
        target.waiter, waiter.target = waiter, target
        self._answer(target)
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """The time of a receive() is over."""
        if waiter.target:
            self._release(waiter.target)

    def forget(self, owner: Hashable, name: str) -> None:
        """The owner has left for good: the name is anybody's, and what waits for it is not delivered."""
        target = self._targets.get(name)
        if target and target.owner == owner:
            self._forget(target)

    def close(self) -> None:
        """Tells everybody who waits: the server stops."""
        for target in list(self._targets.values()):
            self._forget(target)

    # Names

    def _claim(self, owner: Hashable, name: str, now: float) -> Target:
        self._check_owner(owner, name)
        target = self._targets.get(name)
        if target and target.owner != owner:
            self._forget(target)  # of a device that was replaced
            target = None
        if target is None:
            self._make_room(owner, now)
            target = Target(name, owner, now)
        self._heard(target, now)
        return target

    def _check_owner(self, owner: Hashable, name: str) -> None:
        check_name(name)
        kept = [device for device, each in self._devices.items() if each == name]
        if kept and owner not in kept or _ID.fullmatch(name) and name != _id(owner):
            raise Refusal(status.REFUSED, f"{name} is another device's name")
        target = self._targets.get(name)
        if target and target.owner != owner and not kept:
            raise Refusal(status.REFUSED, f"{name} is taken")

    def _check_sender(self, owner: Hashable, name: str) -> None:
        if self._senders is not None and name not in self._senders:
            raise Refusal(status.REFUSED, f"{name or 'who has no name'} may not send")
        if name:
            self._check_owner(owner, name)

    def _known(self, owner: Hashable) -> str:
        # What the server calls it, if that can be a name here.
        known = self._devices.get(owner, "") if isinstance(owner, int) else ""
        try:
            check_name(known)
        except Refusal:
            return ""
        return known

    def _heard(self, target: Target, now: float) -> None:
        target.seen = now
        self._targets.pop(target.name, None)
        self._targets[target.name] = target

    def _make_room(self, owner: Hashable, now: float) -> None:
        own = [target for target in self._targets.values() if target.owner == owner]
        if len(own) >= NAMES_EACH:
            self._replace(own[0], f"a device has {NAMES_EACH} names, and is using them", now)
        if len(self._targets) >= NAMES_MAX:
            self._replace(next(iter(self._targets.values())), "no room for another name", now)

    def _replace(self, target: Target, why: str, now: float) -> None:
        if self.here(target.name, now):  # it would join again, and push out another
            raise Refusal(status.REFUSED, why)
        self._forget(target)

    def _forget(self, target: Target) -> None:
        self._release(target)
        self._settle(target, UNKNOWN)
        while target.queue:
            self.withdraw(target.queue[0])
        del self._targets[target.name]

    # Messages

    def _check_queue(self, target: Target, owner: Hashable) -> None:
        own = sum(message.owner == owner for message in target.queue)
        if len(target.queue) >= QUEUE_MAX or own >= QUEUE_EACH:
            raise Refusal(status.REFUSED, f"too many messages wait for {target.name}")
        if sum(self._waiting.values()) >= MESSAGES_MAX or self._waiting[owner] >= MESSAGES_EACH:
            raise Refusal(status.REFUSED, "too many messages wait")

    def _leaves_queue(self, message: Message) -> None:
        self._waiting[message.owner] -= 1
        if not self._waiting[message.owner]:
            del self._waiting[message.owner]

    def _answer(self, target: Target) -> None:
        # To whoever waits: the message that it was handed already, or the next one.
        while target.waiter and not target.handed and target.queue:
            self._hand(target, target.queue.popleft())
        if target.waiter and target.handed:
            self._release(target, target.handed.packed())

    def _hand(self, target: Target, message: Message) -> None:
        self._leaves_queue(message)
        if len(message.packed()) > target.room:  # since it has joined anew
            message.tell(NOT_DELIVERED)
            return
        self._number = self._number % NUMBER_MAX + 1
        message.number = self._number.to_bytes(4, "big")
        target.handed = message

    def _release(self, target: Target, answer: Any = None) -> None:
        waiter, target.waiter = target.waiter, None
        if waiter:
            waiter.target = None
            waiter.answer(answer)

    def _settle(self, target: Target, told: str) -> None:
        message, target.handed = target.handed, None
        if message:
            message.tell(told)


def _id(owner: Hashable) -> str:
    return f"{owner:08x}" if isinstance(owner, int) else str(owner)


def check_name(name: str) -> None:
    """Refusal for what is no name: 1 to 64 bytes that can be printed, without a comma or | and spaces around."""
    good = name and name == name.strip() and name.isprintable() and not set(name) & set(",|")
    if not good or len(name.encode()) > NAME_MAX:
        raise Refusal(status.MALFORMED, "a name has 1 to 64 bytes, no comma, no |, and no spaces around it")

"""The hub's actions, on the registry that every transport asks: docs/protocol.md has what they take and give."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ben import wire

from . import status
from .actions import Action, Actions, Refusal, sender
from .hub import Hub

JOIN_FRESH = 10.0  # s: a join that somebody held back must not push out the life after it
RECEIVE_MAX = 60.0  # s that a receive() is kept waiting
SEND_MAX = 3600.0  # s that a message waits for its target


class HubActions:
    """Puts hub.join, hub.list, hub.send and hub.receive on a registry."""

    def __init__(self, hub: Hub, actions: Actions) -> None:
        self._hub = hub
        for name, handler, fresh in (
            ("hub.join", self.join, JOIN_FRESH),
            ("hub.list", self.list, 0.0),
            ("hub.send", self.send, 0.0),
            ("hub.receive", self.receive, 0.0),
        ):
            actions.add(Action(name, handler, fresh))

    def join(self, data: Any = None) -> None:
        """Data: [name, type, life, most bytes of data]."""
        name, kind, life, room = _checked(data, (str, str, int, int), "[name, type, life, bytes]")
        if not kind.isprintable() or len(kind) > 64:
            raise Refusal(status.MALFORMED, "a type has up to 64 letters")
        self._hub.join(sender().device, name, kind, life, room, time.monotonic())

    def list(self, data: Any = None) -> list[dict[str, Any]]:
        """Who has joined."""
        return self._hub.list(time.monotonic())

    async def send(self, data: Any = None) -> Any:
        """Data: tenths of a second, format, source, target and the message, as bytes; what became of it."""
        try:
            wait, form, source, target, body = _parted(data)
            wire.decode(form, body)  # what its target could not read stays here
        except (TypeError, IndexError, ValueError):
            raise Refusal(status.MALFORMED, "that takes a message as docs/protocol.md has it") from None
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        message = self._hub.send(
            sender().device, source, target, form, body, time.monotonic(), told.set_result
        )
        return await _until(told, min(wait, SEND_MAX), lambda: self._hub.withdraw(message))

    async def receive(self, data: Any = None) -> Any:
        """Data: [name, life, the number of the message before, ms to wait]; an envelope, nothing, or False for who has to join."""
        name, life, after, wait = _checked(data, (str, int, int, int), "[name, life, after, ms]")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiter = self._hub.receive(sender().device, name, life, after, time.monotonic(), answer.set_result)
        seconds = max(0.0, min(wait / 1000, RECEIVE_MAX))
        return await _until(answer, seconds, lambda: self._hub.leave(waiter))


def _parted(data: Any) -> tuple[float, int, str, str, bytes]:
    # TypeError, IndexError, ValueError for what has not this layout
    if not isinstance(data, bytes):
        raise TypeError
    names, at = [], 3
    for _ in range(2):
        end = at + 1 + data[at]
        names.append(data[at + 1 : end].decode())
        at = end
    if at > len(data):
        raise IndexError
    source, target = names
    return int.from_bytes(data[:2], "big") / 10, data[2], source, target, data[at:]


async def _until(future: asyncio.Future[Any], seconds: float, give_up: Callable[[], None]) -> Any:
    # give_up() resolves it.
    timer = asyncio.get_running_loop().call_later(seconds, give_up)
    try:
        return await future
    finally:
        timer.cancel()


def _checked(data: Any, kinds: tuple[type, ...], shape: str) -> list[Any]:
    # type(), for True is no number here
    if not isinstance(data, list) or tuple(map(type, data)) != kinds:
        raise Refusal(status.MALFORMED, f"that takes {shape}")
    return data

"""The hub's actions, on the registry that every transport asks: docs/protocol.md has what they take and give."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Any

from ben import wire

from . import status
from .actions import Action, Actions, Refusal, sender
from .hub import Hub

RECEIVE_MAX = 60.0  # s that a receive() is kept waiting
SEND_MAX = 3600.0  # s that a message waits for its target
PAGE_MAX = 900  # bytes of a part of the list: a datagram's, for boards
PAGE_LENGTH = 16  # of it, entries: no more would fit
KIND_MAX = 64  # letters of a type, which people read


class HubActions:
    """Puts hub.join, hub.list, hub.send and hub.receive on a registry; most: bytes of the longest reply."""

    def __init__(self, hub: Hub, actions: Actions, most: int) -> None:
        self._hub = hub
        self._most = most
        for handler in (self.join, self.list, self.send, self.receive):
            actions.add(Action(f"hub.{handler.__name__}", handler))

    def join(self, data: Any = None) -> None:
        """Gives the sender a name."""
        name, kind, life, room = parse_join(data)
        self._hub.join(sender().device, name, kind, life, min(room, self._most), time.monotonic())

    def list(self, after: Any = "") -> list[dict[str, Any]]:
        """Who has joined, behind a name, as many as fit one datagram; nobody where the list has ended."""
        if not isinstance(after, str):
            raise Refusal(status.MALFORMED, "that takes a name")
        page: list[dict[str, Any]] = []
        size = 0
        for each in self._hub.list(time.monotonic(), after, PAGE_LENGTH):
            size += len(wire.encode(each)[1]) + 1
            if page and size > min(PAGE_MAX, self._most - 2):
                break
            page.append(each)
        return page

    async def send(self, data: Any = None) -> Any:
        """Takes a message; what became of it."""
        seconds, source, target, form, body = parse_send(data)
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        message = self._hub.send(
            sender().device, source, target, form, body, time.monotonic(), told.set_result
        )
        return await _until(told, min(seconds, SEND_MAX), lambda: self._hub.withdraw(message))

    async def receive(self, data: Any = None) -> Any:
        """The next message, nothing, or False for who has to join."""
        name, life, after, seconds = parse_receive(data)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiter = self._hub.receive(sender().device, name, life, after, time.monotonic(), answer.set_result)
        return await _until(answer, min(seconds, RECEIVE_MAX), lambda: self._hub.leave(waiter))


def _layout(text: str) -> Callable[[Callable[[bytes], Any]], Callable[[Any], Any]]:
    # Of what an action takes: whatever has another one is refused.
    def checked(parse: Callable[[bytes], Any]) -> Callable[[Any], Any]:
        @functools.wraps(parse)
        def parsed(data: Any) -> Any:
            try:
                if isinstance(data, bytes):
                    return parse(data)
            except (IndexError, ValueError):
                pass
            raise Refusal(status.MALFORMED, f"that takes {text}")

        return parsed

    return checked


@_layout("life (4), room (4), the length of the name (1), name, a type of up to 64 letters")
def parse_join(data: bytes) -> tuple[str, str, bytes, int]:
    """(name, type, life, bytes of the longest message) of a hub.join; Refusal."""
    name, rest = _text(data, 8)
    kind = rest.decode()
    if not kind.isprintable() or len(kind) > KIND_MAX:
        raise ValueError
    return name, kind, data[:4], int.from_bytes(data[4:8], "big")


@_layout("0.1 s (2), format (1), source and target, each behind its length (1), the message")
def parse_send(data: bytes) -> tuple[float, str, str, int, bytes]:
    """(seconds to wait, source, target, format, body) of a hub.send; Refusal."""
    source, rest = _text(data, 3)
    target, body = _text(rest, 0)
    wire.decode(data[2], body)  # what its target could not read stays here
    return int.from_bytes(data[:2], "big") / 10, source, target, data[2], body


@_layout("life (4), the number of the message before (4), ms (2), name")
def parse_receive(data: bytes) -> tuple[str, bytes, bytes, float]:
    """(name, life, number of the message before, seconds to wait) of a hub.receive; Refusal."""
    if len(data) <= 10:
        raise IndexError
    return data[10:].decode(), data[:4], data[4:8], int.from_bytes(data[8:10], "big") / 1000


def _text(data: bytes, at: int) -> tuple[str, bytes]:
    # The text that stands behind its length, and what is behind it; IndexError, ValueError.
    end = at + 1 + data[at]
    if end > len(data):
        raise IndexError
    return data[at + 1 : end].decode(), data[end:]


async def _until(future: asyncio.Future[Any], seconds: float, give_up: Callable[[], None]) -> Any:
    # give_up() resolves it.
    timer = asyncio.get_running_loop().call_later(seconds, give_up)
    try:
        return await future
    finally:
        timer.cancel()

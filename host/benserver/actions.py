"""The one registry of action handlers, which every transport asks."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from ben import wire

from . import status

log = logging.getLogger("benserver")

SLOW = 0.1  # s that a function may hold the loop before the log names it
NOTHING = object()  # the data of a request that has none
RAISED = BaseException  # whatever a handler raises, its board is told and the server goes on


@dataclass(frozen=True)
class Sender:
    """Who asked.

    device: the board's 32-bit id, or None where no key names it; name: what `devices=` calls it;
    transport: "udp", ...; address: host and port as text; secure: whether a key protected the request.
    """

    device: int | None
    name: str | None
    transport: str
    address: str
    secure: bool


_sender: contextvars.ContextVar[Sender] = contextvars.ContextVar("sender")


def sender() -> Sender:
    """Who asked for the action that is running; LookupError outside a handler."""
    return _sender.get()


class Outcome(NamedTuple):
    """What became of an action: a status, and its value or, refused or failed, a text."""

    status: int
    value: Any

    def encoded(self, most: int) -> tuple[int, int, bytes]:
        """Status, format and bytes of a reply; GONE where the result is over `most` bytes, or cannot be sent."""
        try:
            form, data = (wire.NONE, b"") if self.value is None else wire.encode(self.value)
            data = bytes(data)
        except Exception:  # what a handler returns may do anything
            return Outcome(status.GONE, "its result cannot be encoded").encoded(most)
        if self.status == status.OK and len(data) > most:
            return Outcome(status.GONE, f"its result is over {most} bytes").encoded(most)
        return self.status, form, data


class Refusal(Exception):
    """An action that cannot be reached, or whose handler refuses: an Outcome instead of a call or a failure."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.outcome = Outcome(status, text)


@dataclass
class Action:
    """A handler and how it may be reached and run; fresh in seconds, 0 for any age."""

    name: str
    fn: Callable[..., Any]
    fresh: float = 0
    insecure: bool = False
    thread: bool = False
    called_slow: bool = False


class Actions:
    """Handlers by name."""

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.fallback: Callable[[str], Action] | None = None  # makes the action of a name that has none

    def add(self, action: Action) -> None:
        """Registers an action; one of the same name is replaced. ValueError for what cannot be asked for."""
        if not 0 < len(action.name.encode()) <= 255:
            raise ValueError("an action's name has 1 to 255 bytes")
        if not callable(action.fn):
            raise ValueError(f"the handler of {action.name!r} cannot be called")
        if action.fresh < 0:
            raise ValueError("fresh is a number of seconds")
        if action.fresh and action.insecure:
            raise ValueError("what has to be fresh cannot be insecure: only a key makes a request fresh")
        self._actions[action.name] = action

    def fresh(self, name: str | None) -> float:
        """How many seconds old the session of a request for this action may be; 0 for any age."""
        action = self._actions.get(name) if name else None
        return action.fresh if action else 0

    def insecure(self) -> list[str]:
        """The names of those that no key protects."""
        return sorted(action.name for action in self._actions.values() if action.insecure)

    def find(self, name: str, secure: bool) -> Action:
        """The action of this name; Refusal where there is none, or none that this door reaches."""
        action = self._actions.get(name)
        if action is None and self.fallback:
            action = self.fallback(name)
        if action is None:
            raise Refusal(status.UNKNOWN, f"no such action: {name}")
        if not (secure or action.insecure):
            raise Refusal(status.REFUSED, f"{name} takes no unprotected request")
        return action

    def run(self, action: Action, data: Any, asked: Sender, done: Callable[[Outcome], None]) -> None:
        """Starts a handler in the running loop; done gets its Outcome, at once or later."""
        args = () if data is NOTHING else (data,)
        token = _sender.set(asked)
        try:
            if action.thread:
                self._follow(action, self._in_thread(action.fn, args), done)
                return
            began = time.monotonic()
            try:
                result = action.fn(*args)
            finally:
                self._note_slow(action, time.monotonic() - began)
            if inspect.isawaitable(result):
                self._follow(action, result, done)
                return
            outcome = Outcome(status.OK, result)
        except RAISED as error:
            outcome = _failed(action, error)
        finally:
            _sender.reset(token)
        done(outcome)

    def _note_slow(self, action: Action, seconds: float) -> None:
        if seconds > SLOW and not action.called_slow:
            action.called_slow = True
            log.warning(
                "%s held up every other board for %.1f s: make it a coroutine or add it with thread=True",
                action.name,
                seconds,
            )

    def _in_thread(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Awaitable[Any]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(thread_name_prefix="action")
        context = contextvars.copy_context()

        def run() -> Any:  # a future cannot hold StopIteration, and lets KeyboardInterrupt end the loop
            try:
                return context.run(fn, *args), None
            except BaseException as error:
                return None, error

        return _unwrapped(asyncio.get_running_loop().run_in_executor(self._threads, run))

    def _follow(self, action: Action, running: Awaitable[Any], done: Callable[[Outcome], None]) -> None:
        async def follow() -> None:
            try:
                outcome = Outcome(status.OK, await running)
            except RAISED as error:
                outcome = _failed(action, error)
            done(outcome)

        task = asyncio.get_running_loop().create_task(follow())
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancels the coroutines that still run and leaves the worker threads to end by themselves."""
        await asyncio.sleep(0)  # one that has not begun yet would never be awaited
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._threads:
            self._threads.shutdown(wait=False)
            self._threads = None


async def _unwrapped(running: Awaitable[tuple[Any, BaseException | None]]) -> Any:
    value, error = await running
    if isinstance(error, StopIteration):
        raise RuntimeError("StopIteration") from error
    if error:
        raise error
    return value


def _failed(action: Action, error: BaseException) -> Outcome:
    if isinstance(error, Refusal):
        return error.outcome
    if isinstance(error, asyncio.CancelledError):
        log.warning("%s was cancelled", action.name)
    else:
        log.error("%s failed", action.name, exc_info=error)
    return Outcome(status.FAILED, type(error).__name__)

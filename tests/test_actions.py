"""Handlers: how they are called, what becomes of what they do, and who asked."""

import asyncio
import logging
import signal
import threading
import time

import pytest

import benserver
from ben import BenError, client
from benserver import status
from benserver.actions import Action, Actions, Refusal
from hosts import Host

SENDER = benserver.Sender(None, None, "test", "here", secure=False)


@pytest.fixture
def link(host, tmp_path):
    return client("127.0.0.1", host.port, keyfile=str(tmp_path / "key.sec"), device=7, timeout=20)


def test_who_asked(host, link):
    asked = []
    host.server.add_action_handler("who", lambda: asked.append(benserver.sender()))
    link.send({"action": "who"})
    [sender] = asked
    assert (sender.device, sender.name, sender.transport, sender.secure) == (7, None, "udp", True)
    assert sender.address.startswith("127.0.0.1:")
    with pytest.raises(LookupError):
        benserver.sender()


def test_a_coroutine_and_a_thread_know_who_asked(host, link):
    async def coroutine(data):
        await asyncio.sleep(0)
        return [benserver.sender().device, data]

    def thread(data):
        return [benserver.sender().device, threading.current_thread().name.startswith("action"), data]

    host.server.add_action_handler("coroutine", coroutine)
    host.server.add_action_handler("thread", thread, thread=True)
    assert link.send({"action": "coroutine", "data": 1}) == [7, 1]
    assert link.send({"action": "thread", "data": 2}) == [7, True, 2]


@pytest.mark.parametrize("error", [ValueError, KeyError, SystemExit, asyncio.CancelledError, RecursionError])
def test_a_handler_that_raises(host, link, error):
    async def coroutine():
        raise error("not for the board")

    def function():
        raise error("not for the board")

    host.server.add_action_handler("coroutine", coroutine)
    host.server.add_action_handler("thread", function, thread=True)
    host.server.add_action_handler("function", function)
    for action in ("coroutine", "thread", "function"):
        with pytest.raises(BenError) as told:
            link.send({"action": action})
        assert (told.value.status, told.value.text) == (1, error.__name__)


def test_a_slow_coroutine_holds_up_nobody(host, tmp_path):
    go_on = threading.Event()

    async def slow():
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return "slow"

    host.handle("slow", slow)
    host.handle("quick", lambda: go_on.set() or "quick")
    key = str(tmp_path / "key.sec")
    results = []
    waiting = threading.Thread(
        target=lambda: results.append(client("127.0.0.1", host.port, 20, key).send({"action": "slow"}))
    )
    waiting.start()
    host.wait_for_calls(1)
    assert client("127.0.0.1", host.port, 20, key).send({"action": "quick"}) == "quick"
    waiting.join()
    assert results == ["slow"] and len(host.calls) == 2


def test_a_function_that_holds_the_loop_is_named_once(host, link, caplog):
    host.server.add_action_handler("sluggish", lambda: time.sleep(0.15))
    with caplog.at_level(logging.WARNING, "benserver"):
        for _ in range(3):
            link.send({"action": "sluggish"})
    assert len([record for record in caplog.records if "sluggish held up" in record.getMessage()]) == 1


def test_an_unprotected_door_reaches_only_what_is_open_to_it():
    actions = Actions()
    actions.add(Action("open", print, insecure=True))
    actions.add(Action("closed", print))
    assert actions.find("open", secure=False).name == "open"
    assert actions.find("closed", secure=True).name == "closed"
    for name, code in (("closed", status.REFUSED), ("none", status.UNKNOWN)):
        with pytest.raises(Refusal) as refusal:
            actions.find(name, secure=False)
        assert refusal.value.outcome.status == code


def test_a_handler_is_replaced_by_another_of_its_name(host, link):
    host.server.add_action_handler("x", lambda: 1)
    assert link.send({"action": "x"}) == 1
    host.server.add_action_handler("x", lambda: 2)
    assert link.send({"action": "x"}) == 2


def test_stopping_cancels_what_still_runs(tmp_path):
    cancelled = []

    async def forever():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with Host(tmp_path / "key.sec") as host:
        host.handle("forever", forever)
        client("127.0.0.1", host.port, 20, str(tmp_path / "key.sec")).send(
            {"action": "forever"}, noreturn=True
        )
        host.wait_for_calls(1)
    assert cancelled == [True]


class Own(BaseException):
    pass


@pytest.mark.parametrize("error", [StopIteration, GeneratorExit, KeyboardInterrupt, Own])
@pytest.mark.parametrize("thread", [False, True])
def test_whatever_a_handler_raises_is_told(host, link, error, thread):
    def fails():
        raise error

    host.server.add_action_handler("fails", fails, thread=thread)
    for _ in range(2):
        with pytest.raises(BenError) as told:
            link.send({"action": "fails"})
        assert told.value.status == status.FAILED


class Odd:
    def __repr__(self):
        raise KeyError("not even this")


def test_whatever_a_handler_returns_is_answered(host, link):
    deep = []
    for _ in range(100000):
        deep = [deep]
    for value in (deep, Odd(), [Odd()]):
        host.server.add_action_handler("odd", lambda value=value: value)
        with pytest.raises(BenError) as told:
            link.send({"action": "odd"})
        assert told.value.status == status.GONE
    with pytest.raises(ValueError, match="not for JSON"):
        link.send({"action": "odd", "data": deep})


def test_noreturn_is_answered_before_its_handler_ends(host, link):
    go_on = threading.Event()
    host.handle("wait", go_on.wait)
    assert link.send({"action": "wait"}, noreturn=True) == {}
    go_on.set()


def test_what_runs_after_its_acknowledgement_is_not_answered(host, link):
    async def later():
        await asyncio.sleep(0)

    finished = []
    host.server._sessions.finish = lambda *arguments: finished.append(arguments)
    host.handle("later", later)
    assert link.send({"action": "later"}, noreturn=True) == {}
    assert link.send({"action": "later"}, noreturn=True) == {}
    host.wait_for_calls(2)
    assert finished == []


def test_a_datagram_that_breaks_the_rules_themselves_is_dropped(host, link):
    """Whatever happens inside, the next datagram is served."""
    receive, broken = host.server._sessions.receive, []

    def once(*arguments):
        if not broken:
            broken.append(True)
            raise RuntimeError("a fault of ours")
        return receive(*arguments)

    host.server._sessions.receive = once
    host.handle("x", lambda: "served")
    assert link.send({"action": "x"}) == "served" and broken


def test_a_server_that_is_stopped_while_it_starts_ends(tmp_path):
    """Its thread may have come no further than into start(): no moment of that loses a stop()."""
    benserver.generate_new_secret(tmp_path / "key.sec")
    for wait in range(40):
        server = benserver.Server("127.0.0.1", 0, tmp_path / "key.sec")
        starting = threading.Thread(target=server.start, daemon=True)
        starting.start()
        while server._told is None:
            time.sleep(0)
        time.sleep(wait / 20000)
        server.stop()
        starting.join(20)
        assert not starting.is_alive(), wait


def test_a_stopped_server_starts_again_with_worker_threads(tmp_path):
    host = Host(tmp_path / "key.sec")
    host.handle("thread", lambda: threading.current_thread() is threading.main_thread(), thread=True)
    for _ in range(2):
        with host:
            link = client("127.0.0.1", host.port, 20, str(tmp_path / "key.sec"))
            assert link.send({"action": "thread"}) is False


def test_signals_are_their_owners_again_after_the_server(tmp_path):
    """A program that starts a server in its main thread keeps its own handlers."""
    host = Host(tmp_path / "key.sec")
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    threading.Timer(0.3, host.server.stop).start()
    host.server.start()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before

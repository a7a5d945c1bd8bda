"""The asyncio client among other tasks: turns, cancelling, and a loop that nothing holds up."""

import asyncio

import pytest

from ben import aio

START = """
import asyncio, sys
from ben import BenError, aio
link = aio.client("127.0.0.1", int(sys.argv[1]), timeout=20)

def echo(value, **options):
    return link.send({"action": "echo", "data": value}, **options)
"""


@pytest.fixture
def served(host):
    async def slow(seconds):
        await asyncio.sleep(seconds)
        return "slept"

    host.handle("echo", lambda data: data)
    host.handle("slow", slow)
    return host


def run(board, host, body):
    lines = [f"    {line}\n" for line in body.strip().splitlines()]
    script = START + "async def main():\n" + "".join(lines) + "asyncio.run(main())"
    return board.run(script, host.port).splitlines()


def test_tasks_take_turns_in_the_order_in_which_they_came(board, served):
    body = """
print(await asyncio.gather(*[echo(i) for i in range(20)]))
"""
    assert run(board, served, body) == [str(list(range(20)))]
    assert [data for _, (data,) in served.calls] == list(range(20))


def test_other_tasks_go_on_during_a_send(board, served):
    body = """
ticks = 0
async def tick():
    nonlocal ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.01)
ticking = asyncio.create_task(tick())
print(await link.send({"action": "slow", "data": 1}))
print(ticks > 10)
ticking.cancel()
"""
    assert run(board, served, body) == ["slept", "True"]


@pytest.mark.parametrize("address", ["127.0.0.1", "255.255.255.255"])
def test_other_tasks_go_on_while_nobody_answers(board, served, address):
    """Nobody listens; or the socket cannot be opened."""
    body = f"""
ticks = 0
async def tick():
    nonlocal ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.01)
ticking = asyncio.create_task(tick())
away = aio.client("{address}", 9, timeout=1.5)
try:
    await away.send({{"action": "echo"}})
except OSError as error:
    print(error.args[1], ticks > 15)
ticking.cancel()
"""
    assert run(board, served, body) == ["not run True"]


def test_a_send_that_is_cancelled_leaves_the_link_usable(board, served):
    body = """
print(await echo(1))
sending = asyncio.create_task(link.send({"action": "slow", "data": 60}))
await asyncio.sleep(0.3)
sending.cancel()
try:
    await sending
except asyncio.CancelledError:
    print("cancelled", link.session[1:] == bytes(9))
print(await echo(2), await echo("x" * 3000) == "x" * 3000)
"""
    assert run(board, served, body) == ["1", "cancelled True", "2 True"]
    assert [name for name, _ in served.calls] == ["echo", "slow", "echo", "echo"]


def test_a_send_that_is_cancelled_before_its_turn_never_leaves(board, served):
    body = """
first = asyncio.create_task(link.send({"action": "slow", "data": 0.5}))
await asyncio.sleep(0.1)
second = asyncio.create_task(echo("never"))
third = asyncio.create_task(echo("third"))
await asyncio.sleep(0.1)
second.cancel()
print(await first, await third)
"""
    assert run(board, served, body) == ["slept third"]
    assert ("echo", ("never",)) not in served.calls


def test_a_task_that_is_cancelled_ends(served, tmp_path):
    """Also in the very moment of an answer: asyncio's own wait_for() loses some of these before Python 3.12."""
    link = aio.client("127.0.0.1", served.port, keyfile=tmp_path / "key.sec")
    hits = 60

    async def forever():
        while True:
            await link.send({"action": "echo", "data": 0})

    async def main():
        outlived = 0
        for hit in range(hits):
            task = asyncio.create_task(forever())
            await asyncio.sleep(0.002 + hit / 10000)
            task.cancel()
            await asyncio.wait([task], timeout=1)
            outlived += not task.done()
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)
        return outlived

    assert asyncio.run(main()) == 0


SECOND_LOOP = """
async def two():
    return await asyncio.gather(echo(1), echo(2))
print(asyncio.run(two()))
if sys.implementation.name == "micropython":
    asyncio.new_event_loop()
print(asyncio.run(two()))

async def left_in_the_middle():
    asyncio.create_task(link.send({"action": "slow", "data": 60}))
    await asyncio.sleep(0.2)
    raise KeyError
try:
    asyncio.run(left_in_the_middle())
except KeyError:
    print("ended")
if sys.implementation.name == "micropython":
    asyncio.new_event_loop()
print(asyncio.run(two()))
"""


def test_a_client_goes_on_in_another_loop(board, served):
    assert board.run(START + SECOND_LOOP, served.port).splitlines() == ["[1, 2]", "[1, 2]", "ended", "[1, 2]"]


def test_a_time_of_the_callers_own(board, served):
    body = """
try:
    await asyncio.wait_for(link.send({"action": "slow", "data": 60}), 0.3)
except asyncio.TimeoutError:
    print("time is up")
print(await echo(2))
"""
    assert run(board, served, body) == ["time is up", "2"]


def test_after_a_timeout_it_leaves_from_another_port(board, served):
    body = """
away = aio.client("127.0.0.1", int(sys.argv[1]), timeout=0.3)
try:
    await away.send({"action": "slow", "data": 60})
except OSError as error:
    print(error.args[1], away._socket.socket)
try:
    await away.send({"action": "nosuch"})
except BenError as error:
    print(error.status)
print(away._socket.socket is None)
"""
    assert run(board, served, body) == ["maybe None", "2", "False"]


def test_a_client_that_is_closed_during_a_send_closes_after_it(board, served):
    body = """
sending = asyncio.create_task(link.send({"action": "slow", "data": 0.3}))
await asyncio.sleep(0.1)
link.close()
print(await sending, link._socket.socket)
print(await echo(2), link._socket.socket is None)
link.close()
print(link._socket.socket, await echo(3))
"""
    assert run(board, served, body) == ["slept None", "2 False", "None 3"]
    assert len(served.calls) == 3
    assert served.datagrams == 4, "no copy was needed, and the session went on"


def test_the_public_names(board, served):
    body = """
import ben
from ben.aio import Client
print(ben.aio is aio, aio.client is aio.Client is Client)
"""
    assert run(board, served, body) == ["True True"]

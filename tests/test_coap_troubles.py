"""What goes wrong around CoAP: sockets closed, tasks cancelled, networks away, handlers that end badly."""

import asyncio
import errno
import socket

import pytest

from ben.coap import Client, Server, aio, micro, net
from ben.coap.layer import Layer
from ben.coap.message import Message
from ben.coap.multicast import Poll
from ben.coap.options import uint

NOBODY = "coap://127.0.0.1:9/x"
PATIENCE = 10  # s


def url(server, path):
    return f"coap://127.0.0.1:{server.endpoint.socket.socket.getsockname()[1]}/{path}"


def test_a_number_below_0_is_none():
    with pytest.raises(ValueError):
        uint(-1)


def test_a_server_may_notify_before_it_runs():
    server = aio.Server(0, "127.0.0.1")
    assert server.notify("x") == 0

    async def main():
        assert server.notify("x") == 0

    asyncio.run(main())
    server.close()


def test_a_closed_socket_is_one_that_loses():
    async def main():
        client = aio.Client()
        asked = asyncio.create_task(client.get(NOBODY, ack_timeout=0.02, max_retransmit=2))
        await asyncio.sleep(0.01)
        client.close()
        with pytest.raises(OSError) as error:
            await asked
        assert error.value.errno == errno.ETIMEDOUT

    asyncio.run(main())
    server = Server(0, "127.0.0.1")
    server.close()
    server.poll(5)


def test_a_failure_reaches_all_who_wait():
    async def main():
        client = aio.Client()
        tick, fails = client.endpoint.tick, []

        def failing():
            if fails:
                raise fails.pop()
            return tick()

        client.endpoint.tick = failing

        async def ask():
            with pytest.raises(MemoryError):
                await client.get(NOBODY, timeout=5)
            with pytest.raises(OSError):
                await client.get(NOBODY, timeout=0.05)

        asked = asyncio.gather(ask(), ask())
        await asyncio.sleep(0.01)
        fails.append(MemoryError())
        client.endpoint.move()
        await asked

    asyncio.run(main())


def test_the_time_of_a_request_that_waits_for_another_goes_by():
    """The peer is not there: what waited is over with the first, and was never sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"coap://127.0.0.1:{silent.getsockname()[1]}/x"

        async def main():
            client = aio.Client()
            asked = [client.get(address, timeout=0.3, ack_timeout=9) for _ in range(3)]
            return await asyncio.gather(*asked, return_exceptions=True)

        assert [error.args[0] for error in asyncio.run(main())] == 3 * [errno.ETIMEDOUT]
        silent.setblocking(False)
        silent.recv(100)
        with pytest.raises(BlockingIOError):
            silent.recv(100)


def test_a_name_is_looked_up_once_by_each_client(monkeypatch):
    """Which goes on where the name server is gone; a new client finds a host that has moved."""
    looked = []

    def resolve(host, port):
        looked.append(host)
        return net.resolve("127.0.0.1", port)

    monkeypatch.setattr(net.Socket, "resolve", staticmethod(resolve))
    for _ in range(2):
        client = Client()
        for _ in range(2):
            for _ in range(2):
                with pytest.raises(OSError):
                    client.get("coap://moving.example:9/x", non=True, timeout=0.01)
            client.close()
    assert looked == 2 * ["moving.example"]


def test_a_server_without_memory_ends_but_not_while_a_handler_runs_that_may_give_some_back():
    def nothing():
        raise MemoryError

    async def slow(request):
        await asyncio.sleep(0.3)
        ended.append(True)
        return "late"

    async def main():
        server = aio.Server(0, "127.0.0.1")
        server.add("slow", get=slow)
        running = asyncio.create_task(server.run())
        await asyncio.sleep(0)
        with pytest.raises(OSError):
            await aio.Client().get(url(server, "slow"), timeout=0.1)
        server.endpoint.enter = nothing
        server.endpoint.wake(MemoryError())
        with pytest.raises(MemoryError):
            await asyncio.wait_for(running, 5)
        assert ended, "the handler had not, and held memory"
        server.close()

    ended = []
    asyncio.run(main())


def test_a_handler_that_is_cancelled_is_answered_and_gone():
    async def handler(request):
        raise asyncio.CancelledError

    async def main():
        server = aio.Server(0, "127.0.0.1")
        server.add("x", get=handler)
        running = asyncio.create_task(server.run())
        await asyncio.sleep(0)
        reply = await aio.Client().get(url(server, "x"), timeout=PATIENCE)
        assert (reply.status, reply.payload, server.resources.later) == ("5.00", b"CancelledError", [])
        running.cancel()
        server.close()

    asyncio.run(main())


def test_who_forgets_waits_no_more():
    async def main():
        server = aio.Server(0, "127.0.0.1")
        server.add("x", get=lambda request: b"1", obs=True)
        running = asyncio.create_task(server.run())
        watch = aio.Client().observe(url(server, "x"))
        assert (await watch.next()).payload == b"1"
        waiting = asyncio.create_task(watch.next())
        await asyncio.sleep(0.01)
        watch.forget()
        assert await asyncio.wait_for(waiting, PATIENCE) is None
        running.cancel()
        server.close()

    asyncio.run(main())


def test_next_0_gives_what_has_come():
    server = Server(0, "127.0.0.1")
    server.add("x", get=lambda request: b"1", obs=True)
    watch = Client().observe(url(server, "x"))
    assert watch.next(0) is None  # it has only been asked for
    server.poll(5)
    assert watch.next(0.05).payload == b"1"
    server.notify("x")
    assert watch.next(0).payload == b"1"
    server.close()


def test_one_of_a_group_that_is_not_understood_does_not_end_the_poll():
    layer = Layer()
    poll = Poll(Message(1, b"", 1, 0, b"t"), "group", timeout=5)
    layer.start(poll)
    layer.tick()
    odd, good = Message(0x45, b"odd", 1, 1, b"t"), Message(0x45, b"good", 1, 2, b"t")
    odd.add(9, b"")
    layer.receive(bytes(odd.encode()), "one")
    layer.receive(bytes(good.encode()), "two")
    assert [(bytes(reply.payload), peer) for reply, peer in poll.replies] == [(b"good", "two")]


def test_a_program_of_microcoapy_piles_up_nothing_while_the_network_is_away():
    program = micro.Coap()
    program.start(0)
    sent = [program.put("127.0.0.1", 9, "x", "value") for _ in range(20)]
    assert sum(bool(each) for each in sent) == len(program._endpoint.layer.exchanges) == 8
    program.stop()


def test_a_port_that_is_taken():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError) as error:
            Server(taken.getsockname()[1], "127.0.0.1")
        assert error.value.errno == errno.EADDRINUSE

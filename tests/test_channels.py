"""Several clients with one channel of one device: they take the session from each other, and stay correct."""

import asyncio
from collections import Counter
from contextlib import ExitStack

from ben import wire
from proxy import Faults, Proxy
from test_paths import SENDS, Ledger, settle

LOSSES = (0, 0.1, 0.3)
REQUESTS = {2: 10, 3: 8, 8: 4}  # of each client, by how many share the channel

# The clients of a channel begin together, once all are there: they ask the server past the proxy.
TOGETHER = """
from ben import client as asks
asks("127.0.0.1", int(sys.argv[7]), 60).send({"action": "together", "data": [int(sys.argv[5]), int(sys.argv[8])]})
"""


def groups(names):
    """The boards that share a channel: two, three and eight."""
    runtimes = sorted({runtime for runtime, _ in names})
    twos = [[(runtime, "blocking"), (runtime, "asyncio")] for runtime in runtimes]
    threes = [[(runtimes[n % len(runtimes)], driver) for n in range(3)] for driver in ("blocking", "asyncio")]
    eight = [(runtimes[n % 2 - 1], "blocking") for n in range(8)]
    return [*twos, *threes, eight]


def let_begin_together(host):
    there, begin = Counter(), {}

    async def together(data):
        channel, count = data
        there[channel] += 1
        event = begin.setdefault(channel, asyncio.Event())
        if there[channel] == count:
            event.set()
        await event.wait()

    host.handle("together", together)


def test_clients_that_share_a_channel(crowd, host, tmp_path):
    """At every loss and all at the same time: nothing runs twice, and what they are told is true."""
    ledger, started, first = Ledger(host), [], 0
    let_begin_together(host)
    with ExitStack() as stack:
        for loss in LOSSES:
            for group in groups(crowd.names):
                faults = Faults(drop=loss), Faults(drop=loss)
                proxy = stack.enter_context(Proxy(host.port, *faults, seed=f"{loss}, {group}"))
                device, size = first, len(group)
                for name in group:
                    numbers = first, REQUESTS[size], 0, device
                    crowd.start(name, TOGETHER + SENDS, proxy.port, *numbers, 60, host.port, size)
                    started.append((loss, proxy))
                    first += REQUESTS[size]
        kinds = {loss: Counter() for loss in LOSSES}
        for (loss, proxy), lines in zip(started, crowd.lines()):
            kinds[loss] += ledger.hear(lines, proxy)
        proxies = {proxy: loss for loss, proxy in started}
        settle(host, tmp_path / "key.sec", *proxies)
    ledger.check()
    assert len(ledger.told) == first
    # That the rest of a reply is gone is as true as a "maybe": somebody else's request was committed.
    assert set(kinds[0]) <= {"ran", "maybe", "the rest of the reply is gone"}
    for loss in LOSSES:
        assert kinds[loss]["ran"] > kinds[loss]["maybe"], kinds
        clients = sum(each == loss for each, _ in started)
        challenges = sum(count_challenges(proxy) for proxy in proxies if proxies[proxy] == loss)
        assert challenges > 1.2 * clients, "they took the session from each other"


def count_challenges(proxy):
    return sum(datagram[1] == wire.CHALLENGE for _, datagram in proxy.replies)

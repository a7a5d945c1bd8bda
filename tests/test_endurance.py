"""What comes only after a long time: thousands of requests, the end of the sequence, the end of the clock's ticks."""

import pytest

from board import PATIENCE

MANY = 10000
NEAR_END = 64000  # a sequence number; at 65000 a client begins anew

MANY_SENDS = """
import sys
from ben import client
link = client("127.0.0.1", int(sys.argv[1]), device=1, channel=2, timeout=60)
link.send({"action": "add", "data": 0})
link._exchange.seq = int(sys.argv[2])
for number in range(1, int(sys.argv[3])):
    if link.send({"action": "add", "data": number}) != number:
        print("mixed up", number)
print(link._exchange.seq)
"""


def test_ten_thousand_requests_in_a_row_across_the_end_of_the_sequence(board, host):
    """The next request after the end takes a new token; each runs once, in order."""
    host.handle("add", lambda number: number)
    seq = int(board.run(MANY_SENDS, host.port, NEAR_END, MANY))
    assert [data for _, (data,) in host.calls] == list(range(MANY))
    assert seq < MANY and host.datagrams < 1.01 * MANY


IN_PARTS = """
import sys
from ben import client
link = client("127.0.0.1", int(sys.argv[1]), device=1, chunk=64, timeout=60)
data = bytes(range(250)) * 16
for start in range(64700, 65010, 23):
    print(link.send({"action": "echo", "data": 1}))
    link._exchange.seq = start
    print(link.send({"action": "echo", "data": data}) == data, link._exchange.seq < 65000)
"""


def test_the_end_of_the_sequence_within_a_message_in_parts(board, host):
    """4000 bytes in pieces of 64 take 65 sequence numbers there and 63 back."""
    host.handle("echo", lambda data: data)
    assert board.run(IN_PARTS, host.port).split() == ["1", "True", "True"] * 14
    assert len(host.calls) == 28


# A board's ticks begin anew after 12 days at most; here after half a second of a handler's two.
WRAPS = """
import sys, time
from ben import net
PERIOD = 1 << 30
while time.ticks_add(PERIOD - 1, 1) == PERIOD:  # a port of 64 bits counts further
    PERIOD <<= 1
shift = PERIOD - 500 - time.ticks_ms()
net.ticks_ms = lambda: (time.ticks_ms() + shift) & PERIOD - 1
start = net.ticks_ms()
from ben import %s
%s
print(start > net.ticks_ms())
"""
ACROSS_THE_WRAP = {
    "blocking": (
        "client",
        """
link = client("127.0.0.1", int(sys.argv[1]), timeout=float(sys.argv[2]))
try:
    print(link.send({"action": "slow", "data": 1}))
except OSError as error:
    print(error.args[1])
""",
    ),
    "asyncio": (
        "aio",
        """
import asyncio
async def main():
    link = aio.client("127.0.0.1", int(sys.argv[1]), timeout=float(sys.argv[2]))
    try:
        print(await link.send({"action": "slow", "data": 1}))
    except OSError as error:
        print(error.args[1])
asyncio.run(main())
""",
    ),
}


@pytest.mark.parametrize("driver", ACROSS_THE_WRAP)
@pytest.mark.parametrize(("timeout", "told"), [(60, "awake"), (1, "maybe")])
def test_the_end_of_the_ticks_within_a_send(micropython_board, host, driver, timeout, told):
    import asyncio

    async def slow(seconds):
        await asyncio.sleep(seconds if timeout > seconds else PATIENCE)
        return "awake"

    host.handle("slow", slow)
    lines = micropython_board.run(WRAPS % ACROSS_THE_WRAP[driver], host.port, timeout).split()
    assert lines == [told, "True"]
    assert len(host.calls) == 1

# As blocking.py, with the asyncio client; the bare echo still blocks.
import asyncio
import sys
from time import ticks_diff, ticks_us

from bare import connect
from reading import READING

from ben import aio

ben, echo, rounds, count = [int(word) for word in sys.argv[1:]]
echo = connect(echo)


async def send(link, count):
    for _ in range(count):
        await link.send(READING)


async def main():
    link = aio.client("127.0.0.1", ben, timeout=60)
    await send(link, 10)
    echo(10)
    for _ in range(rounds):
        began = ticks_us()
        echo(count)
        between = ticks_us()
        await send(link, count)
        ended = ticks_us()
        print(ticks_diff(between, began) / count, ticks_diff(ended, between) / count)


asyncio.run(main())

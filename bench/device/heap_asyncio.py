# As heap.py, for the asyncio client; asyncio itself is there before.
import asyncio
import gc
import sys

from reading import READING


def used():
    gc.collect()
    return gc.mem_alloc()


async def main():
    before = used()
    from ben import aio

    loaded = used()
    link = aio.client("127.0.0.1", int(sys.argv[1]))
    made = used()
    await link.send(READING)
    sent = used()
    gc.disable()
    await link.send(READING)
    churn = gc.mem_alloc() - sent
    print(loaded - before, made - loaded, sent - made, churn)


asyncio.run(main())

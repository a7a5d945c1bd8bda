"""The asyncio client."""

import asyncio

from ben import aio


def two_tasks(address, port, keyfile):
    """What became of the readings of two tasks, five each, over one link."""
    replies = []

    async def some(link, first):
        for number in range(first, first + 5):
            replies.append(await link.send({"action": "reading", "data": {"number": number}}))

    async def main():
        link = aio.Client(address, port, keyfile=keyfile)
        await asyncio.gather(some(link, 0), some(link, 5))

    asyncio.run(main())
    return sorted(replies)

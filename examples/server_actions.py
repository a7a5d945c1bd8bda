# What the other examples ask for. On the server:
#     python -m benserver serve --actions server_actions.py
import asyncio
import contextlib
import csv
from collections import Counter
from datetime import datetime

from benserver import sender

rain = Counter()  # tips by device
listening = set()  # boards that wait for the bell


def count(tips):
    """A function runs in the server's loop: quick, alone, and so in no need of a lock."""
    rain[sender().device] += tips  # sender(): who asked, as its key proves
    return rain[sender().device]


def write(reading):
    """A disk may be slow: with thread=True it holds up nobody but the board that waits for it."""
    with open("readings.csv", "a", newline="") as file:
        when = datetime.now().isoformat(timespec="seconds")
        csv.writer(file).writerow([when, f"{sender().device:08x}", *reading.values()])


async def listen(seconds):
    """A coroutine may wait, here for another board's "ring". True when it rang, False when it did not."""
    bell = asyncio.Event()
    listening.add(bell)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(bell.wait(), min(seconds, 5))  # less than the timeout= of who listens
    listening.remove(bell)
    return bell.is_set()


def ring():
    for bell in listening:
        bell.set()
    return len(listening)


def actions(server):
    """What `serve --actions` calls."""
    server.add_action_handler("rain", count)
    server.add_action_handler("dht", write, thread=True)
    server.add_action_handler("listen", listen)
    server.add_action_handler("ring", ring)
    server.add_action_handler("pace", lambda: 0.2)  # s, for the LED of with_asyncio.py

# Listens for commands while it sends readings; the command here is how many seconds to wait between two.
# On the board, as main.py; server_actions.py has its "dht". From a Python program, as switch.py is one:
#     hub.send("meter", 5)
import asyncio
from os import urandom

from config import INTERVAL, PORT, SERVER

from ben import BenError, aio, aiohub
from boot import join

NAME = "meter"  # each board has another one
PAUSE = 10  # s after the server said no

interval = INTERVAL
told = asyncio.Event()  # that there is another interval
hub = aiohub.Hub(SERVER, PORT, NAME, buffersize=256)  # bytes: no longer message is let through to it
link = aio.Client(SERVER, PORT)  # for what is no message to somebody, but an action of the server's


def obey(who, seconds):
    """Does what a message says. It must not raise, whoever sent this: that would end the program."""
    global interval
    if isinstance(seconds, (int, float)) and 1 <= seconds <= 3600:
        print("every", seconds, "s for", who)
        interval = seconds
        told.set()
    else:
        print(who, "sent what is no interval")


async def listen():
    while True:
        try:
            await hub.listen(obey)  # for ever, unless the server says no
        except BenError as error:  # another device has the name, perhaps until somebody mends that
            print("refused:", error)
            await asyncio.sleep(PAUSE)


async def measure():
    while True:
        told.clear()
        reading = {"temperature": 20 + urandom(1)[0] / 100}  # yours here
        try:
            await link.send({"action": "dht", "data": reading})
        except BenError as error:
            print("the server says:", error)
        except OSError as error:
            print("no answer:", error)
            join()  # the reason may be Wi-Fi; listen() waits, too, and has nobody to listen to
        try:
            await asyncio.wait_for(told.wait(), interval)
        except asyncio.TimeoutError:
            pass


async def main():
    await asyncio.gather(listen(), measure())


asyncio.run(main())

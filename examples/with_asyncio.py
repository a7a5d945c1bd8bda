# Tasks side by side: one sends readings, one asks the server how fast to blink, one blinks.
# On the board, as main.py; server_actions.py has its "dht" and "pace".
import asyncio
from os import urandom

from config import INTERVAL, PORT, SERVER

from ben import BenError, aio

try:
    from machine import Pin

    led = Pin(2, Pin.OUT)  # where many ESP boards have one; "LED" on a Pico W
except ImportError:  # a PC
    led = None
pace = 0.5  # s that the LED is on, and off
link = aio.Client(SERVER, PORT)  # for both tasks: they take turns. A client each would need more memory


async def ask(request):
    """The answer, or None: an exception would end its task, and with it the program."""
    try:
        return await link.send(request)
    except (OSError, BenError) as error:  # what it says: see blocking.py
        print(request["action"], error)


async def sense():
    while True:
        await ask({"action": "dht", "data": {"temperature": 20 + urandom(1)[0] / 100}})  # yours here
        await asyncio.sleep(INTERVAL)


async def obey():
    global pace
    while True:
        pace = await ask({"action": "pace"}) or pace
        await asyncio.sleep(INTERVAL)


async def blink():
    while led:  # it goes on while a send() waits
        led.value(not led.value())
        await asyncio.sleep(pace)


async def main():
    await asyncio.gather(sense(), obey(), blink())


asyncio.run(main())

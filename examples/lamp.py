# A lamp that others switch through the server: it needs no address of its own, and no open port. On the
# board, as main.py; switch.py switches it. The server is as it comes: python -m benserver serve
from time import sleep

from config import PORT, SERVER

from ben import BenError, Hub
from boot import join

NAME = "lamp"  # each board has another one
PAUSE = 10  # s after the server said no

try:
    from machine import Pin

    lamp = Pin(2, Pin.OUT)  # where many ESP boards have an LED, which 0 lights; "LED" on a Pico W
except ImportError:  # a PC
    lamp = None


def switch(who, on):
    """Does what a message says. When it returns, the sender hears that it was delivered."""
    if on is not True and on is not False:  # an exception would end the program, whoever sent this
        print(who, "sent what is neither on nor off")
        return
    if lamp:
        lamp.value(on)
    print("on" if on else "off", "for", who)


def away(error):
    print("no answer:", error)
    join()  # the reason may be Wi-Fi


hub = Hub(SERVER, PORT, NAME, buffersize=256)  # bytes: no longer message is let through to this board
while True:
    try:
        hub.listen(switch, away)  # for ever, unless the server says no
    except BenError as error:  # another device has the name, perhaps until somebody mends that
        print("refused:", error)
        sleep(PAUSE)

# A button that opens a door, and tells who presses it the truth. On the board, as main.py; the server is
# lock_server.py. Give this board a key of its own, so that no other one opens the door:
#     python -m benserver device-key key.sec 0d00b311 button.sec
#     mpremote cp button.sec :key.sec
from time import sleep_ms

from config import PORT, SERVER
from machine import Pin

from ben import BenError, client

TIMEOUT = 4  # s: who stands at a door does not wait for longer

button = Pin(0, Pin.IN, Pin.PULL_UP)  # pressed: 0
link = client(SERVER, PORT, timeout=TIMEOUT)


def press():
    """What to tell who pressed."""
    try:
        return "open" if link.send({"action": "open"}) else "the lock is stuck"
    except BenError as error:  # the server was there: it says why
        return "no: " + error.text
    except OSError as error:
        if error.args[-1] == "maybe":
            # Only the answer may be missing. Or the request is still on its way: then it opens the door
            # within the server's FRESH seconds, or never.
            return "perhaps open: try the door"
        return "shut: press again"  # this press will not open it, now or later


while True:
    if not button.value():
        print(press())  # a display, or a green and a red LED, say it better
        while not button.value():  # one press, one request, however long it is
            sleep_ms(20)
    sleep_ms(20)

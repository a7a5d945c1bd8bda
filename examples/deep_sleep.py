# Wakes, sends one reading, sleeps again. The session waits in RTC memory, so that a wake costs one
# round trip instead of two. On the board, as main.py; server_actions.py has its "dht".
#
# ESP8266: join GPIO16 (D0) to RST, or it never wakes.
# ESP8266 and Pico W: the sleep is counted in 32 bits of microseconds, so INTERVAL is at most 71 minutes.
# Pico W: it has no RTC.memory(), so each wake costs two round trips; all else is the same, for its
# deepsleep() ends in a restart, too.
# To get at a board that sleeps: mpremote's Ctrl-C in the seconds that it is awake.
from os import urandom

import machine
from config import INTERVAL, PORT, SERVER

from ben import BenError, client

TIMEOUT = 5  # s: being awake is what empties the battery


def no_memory(session=None):
    return b""


memory = getattr(machine.RTC(), "memory", no_memory)
session = memory()  # empty when power was lost, and then the link begins anew by itself
# A session is good once. It goes before the send: should this wake end in a crash, the next one must not
# take it again. (If it did, nothing would break: the server refuses it, and that costs a round trip.)
memory(b"")
try:
    if len(session) != 10:  # somebody else's
        session = None
    link = client(SERVER, PORT, timeout=TIMEOUT, session=session)
    link.send({"action": "dht", "data": {"temperature": 20 + urandom(1)[0] / 100}})  # yours here
    memory(link.session)  # as it is after the last send
except (OSError, BenError, ValueError, MemoryError) as error:  # whatever it is, the battery comes first
    print(error)
machine.deepsleep(INTERVAL * 1000)  # ms; boot.py and this file run again after it

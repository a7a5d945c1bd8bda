# A watchdog restarts the board when it hangs, and when no answer came for long: a restart joins Wi-Fi
# anew. On the board, as main.py; server_actions.py has its "dht".
#
# The blocking client, for there is one line of progress then: what hangs does not feed. With asyncio a
# task of its own would go on feeding while the one that sends hangs.
from time import sleep, ticks_diff, ticks_ms

from config import INTERVAL, PORT, SERVER
from machine import ADC, WDT

from ben import BenError, client

LIMIT = 8000  # ms without food; an RP2040 (Pico W) takes 8388 at most
TIMEOUT = 5  # s: a send() feeds nothing, so all of it must fit well into LIMIT
PATIENCE = 600  # s without an answer that are no reason to restart: servers restart, too

sensor = ADC(0)  # ESP32: ADC(36)
link = client(SERVER, PORT, timeout=TIMEOUT)  # SERVER an address: looking up a name has no TIMEOUT
try:
    dog = WDT(timeout=LIMIT)  # not before here: boot.py may wait for Wi-Fi longer than LIMIT
except (TypeError, ValueError):
    dog = WDT()  # ESP8266: its system sets the limit and does not say it; try TIMEOUT = 2 there
answered = ticks_ms()


def feed():
    """Feeds the watchdog, unless the last answer is too long ago."""
    if ticks_diff(ticks_ms(), answered) < PATIENCE * 1000:
        dog.feed()


while True:
    try:
        link.send({"action": "dht", "data": {"light": sensor.read_u16()}})
        answered = ticks_ms()
    except BenError as error:  # an answer, too: no restart of this board mends the server
        answered = ticks_ms()
        print(error)
    except OSError as error:
        print("no answer:", error)
    feed()
    for _ in range(INTERVAL):  # in steps that fit into LIMIT
        sleep(1)
        feed()

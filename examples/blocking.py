# A rain gauge: what to do with each outcome of send(), where counting twice would hurt.
# On the board, as main.py; host/: server_actions.py has its "rain".
from os import urandom
from time import sleep

from config import INTERVAL, PORT, SERVER

from ben import BenError, client
from boot import join

TIMEOUT = 10  # s for one send(), with all its copies


def tips():
    """How often the gauge tipped since the last call. Simulated: put yours here."""
    return urandom(1)[0] % 4


link = client(SERVER, PORT, timeout=TIMEOUT)  # one for the whole program: a second send() is cheaper
waiting = 0  # tips that the server certainly has not counted
while True:
    waiting += tips()
    try:
        total = link.send({"action": "rain", "data": waiting})
        print("counted", waiting, "of", total)
        waiting = 0
    except BenError as error:
        # The server was there and said no. 1: its handler failed, 5: it ran and the reply is lost; the
        # tips may be counted. Any other status: nothing ran, so they wait until somebody mends it.
        print("refused", waiting, error)
        if error.status in (1, 5):
            waiting = 0
    except OSError as error:
        if error.args[-1] == "maybe":
            # They may be counted, and to send them again could count them twice. A reading that only
            # says how things are, such as a temperature, may be sent again: twice does no harm.
            print("maybe", waiting)
            waiting = 0
        else:  # "not run", or the server's name is not known: certainly not counted, so they go again
            print("kept", waiting)
        join()  # the reason may be Wi-Fi
    sleep(INTERVAL)

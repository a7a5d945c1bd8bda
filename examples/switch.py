# Switches the lamp of lamp.py, and tells what became of it. On any machine with Python, beside key.sec:
#     python switch.py on
import sys

from ben import BenError, Hub

SERVER = "192.168.1.2"
PORT = 8585
NAME = "desk"  # as the lamp gets to know it; the server's senders= may say which names switch
DEVICE = 0x000DE5C0  # this program's id: a name belongs to the id that used it first
TIMEOUT = 10  # s; should the lamp be away, the message waits for three quarters of it


def switch(on):
    """What to tell who switches: delivered, not delivered, unknown or refused, and what that means."""
    try:
        hub.send("lamp", on)  # how it is to be, and not "toggle": to send it twice does no harm
    except BenError as error:  # the server was there: no such lamp, no right to send, a queue that is full
        return "refused: " + error.text
    except OSError as error:
        if error.args[-1] == "unknown":
            # It was on its way when the lamp, the server or the network went away.
            return "unknown: the lamp has got it once, or not at all; send it again"
        if error.args[-1] == "not delivered":  # the lamp was away, or the server
            return "not delivered: the lamp has not got it and never will"
        return f"not delivered: {error}"  # nothing was sent, for the server's name cannot be resolved
    return "delivered: the lamp has got it"


if sys.argv[1:] not in (["on"], ["off"]):
    sys.exit("python switch.py on, or python switch.py off")
hub = Hub(SERVER, PORT, NAME, timeout=TIMEOUT, device=DEVICE)
told = switch(sys.argv[1] == "on")
print(told)
sys.exit(not told.startswith("delivered"))  # for scripts: 0 only where it was delivered

# A door that opens only for a press of the last 3 seconds. On the server: python lock_server.py
#
# A request cannot be forged, read or run twice. But whoever sits on the way can hold one back and let it
# through when nobody stands at the door. fresh= ends that: a request runs only when it was sealed within
# that many seconds. It needs no clock on the board: the server hands out a token and knows its age.
#
# What it costs: whenever the token is older, as it is at a button that is rarely pressed, a press takes
# two round trips instead of one. So FRESH has to be longer than a round trip, and some more for Wi-Fi.
from benserver import sender, server

PORT = 8585
FRESH = 3  # s
DEVICES = {0x0D00B311: "front door"}  # the only boards that are answered; see lock_button.py


def opened():
    """Opens the door. It returns when that is done, for what it returns is what the button says."""
    print("opening for", sender().name, flush=True)  # turn your key here
    return True


ben = server("0.0.0.0", PORT, devices=DEVICES)
ben.add_action_handler("open", opened, fresh=FRESH)
ben.on_listening = lambda: print("the lock listens on port", ben.port, flush=True)
ben.start()

"""Wi-Fi."""

from time import sleep_ms, ticks_diff, ticks_ms

import network

WAIT = 30000  # ms


def join(ssid, password):
    """("joined", the board's address), or what is in the way and ""."""
    if not hasattr(network, "WLAN"):
        return "none", ""
    wlan = network.WLAN(network.STA_IF)
    try:
        if not wlan.isconnected():
            if not ssid:
                return "no names", ""
            wlan.active(True)
            wlan.connect(ssid, password)
        began = ticks_ms()
        while not wlan.isconnected():
            if ticks_diff(ticks_ms(), began) > WAIT:
                return "status " + str(wlan.status()), ""
            sleep_ms(100)
        return "joined", wlan.ifconfig()[0]
    except OSError as error:
        return str(error), ""

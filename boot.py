# Joins Wi-Fi when the board starts, as config.py says. Copy it to the board.
from time import sleep_ms, ticks_diff, ticks_ms

WAIT = 20000  # ms; then the program goes on, and main.py tries again after a failed send


def join():
    """Joins Wi-Fi where there is any, unless it is joined already; prints why when it could not."""
    try:
        import network
    except ImportError:  # a PC: its network is not ours to join
        return
    if not hasattr(network, "WLAN"):
        return
    from config import WIFI_PASSWORD, WIFI_SSID

    wlan = network.WLAN(network.STA_IF)
    try:
        wlan.active(True)
        if not wlan.isconnected():
            wlan.connect(WIFI_SSID, WIFI_PASSWORD)
        began = ticks_ms()
        while not wlan.isconnected():
            if ticks_diff(ticks_ms(), began) >= WAIT:
                print("no Wi-Fi:", why(network, wlan.status()))
                return
            sleep_ms(100)
    except OSError as error:  # an ESP32 that is still trying says so this way
        print("no Wi-Fi:", error)


def why(network, status):
    """The name that this port's network module has for a status, or the number."""
    for name in dir(network):
        if name.startswith("STAT_") and getattr(network, name) == status:
            return name
    return "status %s" % status


if __name__ == "__main__":  # not again when main.py imports it
    join()

# Sends a sensor's readings to the server. Copy it to the board and make it yours.
from time import sleep, ticks_diff, ticks_us

from ben import BenError, client
from boot import join
from config import INTERVAL, PORT, SERVER

PIN = 14  # where the sensor's data line is


def sensor():
    """A function that returns a reading: of a DHT11, or a simulated one where there is none."""
    try:
        from dht import DHT11  # or DHT22
        from machine import Pin
    except ImportError:
        print("no DHT sensor here: these readings are simulated")
        return simulated
    dht = DHT11(Pin(PIN))

    def read():
        dht.measure()
        return {"temperature": dht.temperature(), "humidity": dht.humidity()}

    return read


def simulated():
    from os import urandom

    chance = urandom(2)
    return {"temperature": 20 + chance[0] / 100, "humidity": 40 + chance[1] // 16}


def send(link, reading):
    """Sends one reading and prints what became of it."""
    began = ticks_us()
    try:
        link.send({"action": "dht", "data": reading})
        print("sent", reading, "in", ticks_diff(ticks_us(), began) / 1000, "ms")
    except BenError as error:
        print("the server says:", error)
    except OSError as error:  # no answer in time; it says whether the server may have it ("maybe") or not
        print("no answer:", error)
        join()


read = sensor()
link = client(SERVER, PORT)
while True:
    try:
        reading = read()
    except Exception as error:  # a DHT's wrong checksum is a bare Exception
        print("the sensor fails:", error)
    else:
        send(link, reading)
    sleep(INTERVAL)

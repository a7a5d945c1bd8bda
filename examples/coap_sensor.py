# A thermometer and a lamp that any CoAP client reads and switches. On the board, as main.py; in config.py, PORT is
# 5683, CoAP's. From a PC with libcoap's client (coap-client-notls on Debian), the board's address for BOARD:
#     coap-client -m get coap://BOARD/.well-known/core
#     coap-client -m get -s 60 coap://BOARD/temperature       for 60 s, each new value
#     coap-client -m put -e 1 coap://BOARD/lamp
# No key protects this: whoever reaches the board reads it, and switches the lamp.
from os import urandom

from config import INTERVAL, PORT

from ben.coap import Error, Response, Server

try:
    from machine import Pin

    lamp = Pin(2, Pin.OUT)  # where many ESP boards have an LED, which 0 lights; "LED" on a Pico W
except ImportError:  # a PC
    lamp = None

state = {"temperature": 21.5, "lamp": 0}


def temperature(request):
    return Response(str(state["temperature"]), format="text/plain", max_age=2 * INTERVAL)


def read_lamp(request):
    return str(state["lamp"])


def switch(request):
    if request.payload not in (b"0", b"1"):
        raise Error("4.00", "0 or 1")
    state["lamp"] = int(request.payload)
    if lamp:
        lamp.value(state["lamp"])
    print("lamp", state["lamp"])
    server.notify("lamp")


server = Server(PORT)
server.add("temperature", get=temperature, rt="temperature-c", obs=True, ct=0)
server.add("lamp", get=read_lamp, put=switch, rt="light", obs=True, ct=0)
print("CoAP on port", PORT)
while True:
    server.poll(INTERVAL * 1000)
    state["temperature"] = 20 + urandom(1)[0] / 100  # yours here
    server.notify("temperature")  # who observes it hears of it

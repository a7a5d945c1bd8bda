# A board that is server and client at once, on one socket: it serves a thermostat's wish, and asks a thermometer
# (coap_sensor.py) how warm it is. On the board, as main.py.
import asyncio

from config import INTERVAL, PORT, SERVER

from ben.coap import Error, aio

THERMOMETER = f"coap://{SERVER}:{PORT}/temperature"
OWN_PORT = 5683

state = {"wish": 20.0, "heating": False}


def read_wish(request):
    return str(state["wish"])


def wish(request):
    try:
        state["wish"] = float(request.payload)
    except ValueError:
        return Error("4.00", "a temperature")  # returned or raised, it is the answer
    print("wish", state["wish"])


async def heating(request):
    await measure()  # before it answers; a client that waits for long is told to
    return "on" if state["heating"] else "off"


server = aio.Server(OWN_PORT)
server.add("wish", get=read_wish, put=wish)
server.add("heating", get=heating)
client = aio.Client(server)


async def measure():
    reply = await client.get(THERMOMETER, timeout=10)
    state["heating"] = float(reply.payload) < state["wish"]


async def control():
    while True:
        try:
            await measure()
            print("heating", "on" if state["heating"] else "off")
        except (OSError, ValueError) as error:
            print("no temperature:", error)
        await asyncio.sleep(INTERVAL)


async def main():
    await asyncio.gather(server.run(), control())


asyncio.run(main())

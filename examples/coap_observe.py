# Follows a temperature that another board serves (coap_sensor.py). On a board, as main.py, or on a PC.
from time import sleep

from config import PORT, SERVER

from ben.coap import Client

URL = f"coap://{SERVER}:{PORT}/temperature"
PAUSE = 10  # s after nobody has answered, or there was nothing to observe

client = Client()
while True:
    try:
        # The first is what it is now; it asks anew when none comes for long.
        for reply in client.observe(URL):
            print(reply.status, reply.payload.decode())
    except OSError as error:
        print("no answer:", error)
    sleep(PAUSE)

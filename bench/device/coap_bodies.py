# Fetches and sends a body of many blocks, which no heap of its own holds, as lines tell it: "down", "up". It answers
# each with the microseconds. Port of a server with /body, bytes.
import sys
from time import ticks_diff, ticks_us

from ben.coap import Client

port, size = [int(word) for word in sys.argv[1:]]
url = f"coap://127.0.0.1:{port}/body"
client = Client()
block = bytes(1025)
came = 0


def read(at, most):
    return block[: max(0, min(most, size - at))]


def count(piece):
    global came
    came += len(piece)


print("ready")
for line in sys.stdin:
    came = 0
    began = ticks_us()
    if line.strip() == "up":
        reply = client.put(url, read)
        came = size
    else:
        reply = client.get(url, into=count)
    microseconds = ticks_diff(ticks_us(), began)
    if reply.code >> 5 != 2 or came != size:
        raise ValueError((reply.status, came))
    print(microseconds)

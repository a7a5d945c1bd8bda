# A CoAP client that says it is ready and does what lines tell it: "echo 200", "get 200". It answers each with the
# microseconds of one. Driver, port of a server with /temperature, port of a bare echo, bytes of its request, its reply.
import sys
from time import ticks_diff, ticks_us

from bare import connect

CONTENT = 0x45  # 2.05

driver = sys.argv[1]
port, echo, request, reply = [int(word) for word in sys.argv[2:]]
url = f"coap://127.0.0.1:{port}/temperature"

if driver == "asyncio":
    import asyncio

    from ben.coap import aio

    client = aio.Client()

    async def all_of(count):
        for _ in range(count):
            if (await client.get(url)).code != CONTENT:
                raise ValueError

    def get(count):
        asyncio.run(all_of(count))
else:
    from ben.coap import Client

    client = Client()

    def get(count):
        for _ in range(count):
            if client.get(url).code != CONTENT:
                raise ValueError


works = {"echo": connect(echo, request, reply), "get": get}
get(1)
print("ready")
for line in sys.stdin:
    what, count = line.split()
    began = ticks_us()
    works[what](int(count))
    print(ticks_diff(ticks_us(), began) / int(count))

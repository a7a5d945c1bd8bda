"""aiocoap's client, as device/coap_asks.py: port of a server, port of a bare echo, bytes of its request, its reply."""

import asyncio
import socket
import sys
import time

import aiocoap

port, echo, request, reply = map(int, sys.argv[1:])
loop = asyncio.new_event_loop()
bare = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
bare.connect(("127.0.0.1", echo))


async def open_context():
    return await aiocoap.Context.create_client_context(transports=["simple6"])


async def all_of(count):
    for _ in range(count):
        message = aiocoap.Message(code=aiocoap.GET, uri=f"coap://127.0.0.1:{port}/temperature")
        if (await context.request(message).response).code != aiocoap.CONTENT:
            raise ValueError


def get(count):
    loop.run_until_complete(all_of(count))


def echoes(count):
    for _ in range(count):
        bare.send(reply.to_bytes(2, "big") + bytes(request - 2))
        bare.recv(256)


context = loop.run_until_complete(open_context())
get(1)
print("ready", flush=True)
for line in sys.stdin:
    what, count = line.split()
    began = time.perf_counter()
    (get if what == "get" else echoes)(int(count))
    print((time.perf_counter() - began) / int(count) * 1e6, flush=True)

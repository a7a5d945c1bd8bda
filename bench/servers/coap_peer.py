"""aiocoap's server, with /temperature and /body, so many bytes: it prints its port."""

import asyncio
import os
import socket
import sys

os.environ["AIOCOAP_REUSE_PORT"] = "0"  # or it would share its port with others

import aiocoap
from aiocoap import resource

SIZE = int(sys.argv[1])


class Temperature(resource.Resource):
    async def render_get(self, request):
        return aiocoap.Message(payload=b"21.5")


class Body(resource.Resource):
    async def render_get(self, request):
        return aiocoap.Message(payload=bytes(SIZE))

    async def render_put(self, request):
        if len(request.payload) != SIZE:
            raise ValueError(len(request.payload))
        return aiocoap.Message()


async def main():
    site = resource.Site()
    site.add_resource(["temperature"], Temperature())
    site.add_resource(["body"], Body())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    await aiocoap.Context.create_server_context(
        site, bind=("127.0.0.1", port), transports=["simplesocketserver"]
    )
    print(port, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())

# A CoAP server: driver, port, bytes of /body.
import sys

driver, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if driver == "asyncio":
    import asyncio

    from ben.coap import aio

    Server = aio.Server
else:
    from ben.coap import Server

server = Server(port, "127.0.0.1")
block = bytes(1025)
state = [b"0"]


def put(request):
    state[0] = request.payload
    server.notify("counter")


def read(at, most):
    return block[: max(0, min(most, size - at))]


def take(request):
    if not request.more and request.offset + len(request.payload) != size:
        raise ValueError


server.add("temperature", get=lambda request: "21.5")
server.add("counter", get=lambda request: state[0], put=put, obs=True)
server.add("body", get=lambda request: read, put=take, stream=True)
if driver == "asyncio":
    asyncio.run(server.run())
else:
    server.run()

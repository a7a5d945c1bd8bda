"""Device scripts that speak CoAP: a client that asks what a test says, and a server with a resource for each thing.

    ask(board, "asyncio", url, ("get", "/echo", "", {"accept": 50}))[0].status
    with Serving(board, "blocking", SITE) as server:
        server.url, server.port

A script is written for asyncio, has async def main() and ends with run(main); for the blocking driver every
async and await is left out.
"""

import json
from typing import NamedTuple

from board import PATIENCE
from peers import LOCAL, Raw, base_url, free_port, until

METHODS = ("get", "post", "put", "delete", "fetch", "patch", "ipatch")
DRIVERS = {
    "blocking": "import sys, time\nfrom ben.coap import Client\nsleep = time.sleep\n"
    "def run(main):\n    main()\n",
    "asyncio": "import asyncio, sys\nfrom asyncio import sleep\nfrom ben.coap import aio\nClient = aio.Client\n"
    "def run(main):\n    asyncio.run(main())\n",
}
SERVERS = {
    "blocking": "from ben.coap import Server, Response, Error\n"
    "def pause(request):\n    request.acknowledge()\n    sleep(0.05)\n",
    "asyncio": "from ben.coap import Response, Error\nServer = aio.Server\n"
    "async def pause(request):\n    await sleep(1)  # four times as long as its request waits for an acknowledgement\n",
}

# What coap_site.pattern() gives, or a part of it
PATTERN = """
def pattern(size, at=0):
    out = bytearray(size)
    for i in range(at, at + size):
        out[i - at] = i + i // 251 & 255
    return out
"""

# The site of a board; its server is at port sys.argv[1] of sys.argv[2], its blocks have sys.argv[3] bytes.
SITE = (
    PATTERN
    + """
import json, hashlib
server = Server(int(sys.argv[1]), sys.argv[2], size=int(sys.argv[3]))
client = Client(server)
state = {"counter": "0", "text": b"first", "ran": 0, "long": pattern(3000)}
stored = {}

def digest(data):
    return hashlib.sha256(data).digest().hex()

async def echo(request):
    state["ran"] += 1
    query = sorted(request.query.items())
    return Response(
        json.dumps([request.method, request.path, query, len(request.payload), request.message.type]), format=50
    )

def size(request):
    return Response(pattern(int(request.query["n"])), format="application/octet-stream")

async def upload(request):
    return "%d %s" % (len(request.payload), digest(request.payload))

class Stream:
    hash = None

async def take(request):
    if not request.offset:
        Stream.hash = hashlib.sha256()
    Stream.hash.update(request.payload)
    if not request.more:
        return "%d %s" % (request.offset + len(request.payload), Stream.hash.digest().hex())

def give(request):
    return lambda at, size: pattern(max(0, min(size, 100000 - at)), at)

async def write(request):
    with open("body", "ab" if request.offset else "wb") as file:
        file.write(request.payload)

def read(request):
    return open("body", "rb")

def told(path):
    return str(server.notify(path))

async def get_counter(request):
    if state["counter"] == "gone":
        raise Error("4.04", "gone")
    return state["counter"]

def put_counter(request):
    state["counter"] = request.payload.decode()
    return told("counter")

async def put_long(request):
    state["long"] = request.payload
    return told("long")

async def slow(request):
    await pause(request)
    return "at last"

async def slow_error(request):
    await pause(request)
    raise Error("4.03", "no")

def text_tag(request):
    return hashlib.sha256(state["text"]).digest()[:4] if state["text"] is not None else None

async def get_text(request):
    if state["text"] is None:
        raise Error("4.04")
    return Response(state["text"], max_age=5)

def put_text(request):
    state["text"] = request.payload

def delete_text(request):
    state["text"] = None

def negotiate(request):
    if request.message.uint(17) == 50:
        return Response('{"temperature": 21.5}', format="application/json")
    return Response("21.5", format=0)

async def create(request):
    return Response(status="2.01", location="/store/a b?from=post&n=1")

async def relay(request):  # asks somebody else, from the same socket
    reply = await client.get(request.payload.decode(), timeout=10)
    return Response(reply.payload, reply.status)

def broken(request):
    return 1 / 0

every = {name: echo for name in ("get", "post", "put", "delete", "fetch", "patch", "ipatch")}
server.add("echo", rt="echo", **every)
for count in range(1, 13):
    server.add("/".join("abcdefghijkl"[:count]), get=echo)
server.add("a b/\\u00e4/%2F", get=echo)
server.add("size", get=size, rt="block data", ct=42, sz=2000)
server.add("upload", put=upload, post=upload, fetch=upload)
server.add("stream", put=take, post=take, get=give, stream=True)
server.add("file", put=write, get=read, stream=True)
server.add("counter", get=get_counter, put=put_counter, obs=True, rt="counter", if_="core.s")
server.add("long", get=lambda request: state["long"], put=put_long, obs=True)
server.add("slow", get=slow, put=slow)
server.add("slow/error", get=slow_error)
server.add("text", get=get_text, put=put_text, delete=delete_text, etag=text_tag)
server.add("negotiate", get=negotiate, ct="0 50", rt="temperature", if_="core.s")
server.add("fixed", get=lambda request: "21.5", ct=0)
server.add("store", post=create)
server.add("relay", post=relay)
server.add("broken", get=broken)
server.add("ran", get=lambda request: str(state["ran"]))
server.add("busy", get=lambda request: str(len([1 for each in server.resources.observers._all if each.busy])))

async def main():
    await server.run()

run(main)
"""
)

ASK = """
import json
async def main():
    client = Client()
    with open("rows.json") as file:
        rows = json.load(file)
    for method, path, payload, more in rows:
        try:
            reply = await getattr(client, method)(sys.argv[1] + path, payload, **more)
        except OSError as error:
            print(json.dumps([error.args[0], 0, [], ""]))
            continue
        options = [(number, bytes(value).hex()) for number, value in reply.options]
        print(json.dumps([reply.status, reply.type, options, bytes(reply.payload).hex()]))
run(main)
"""


class Reply(NamedTuple):
    """What came of a board's request; for status the number of an OSError."""

    status: object
    type: int  # CON, NON, ACK
    options: list
    payload: bytes

    def all(self, number):
        """The values of an option."""
        return [value for each, value in self.options if each == number]

    def said(self):
        """The payload as JSON."""
        return json.loads(self.payload)


def client_script(driver, script):
    """A script for a client of one of the drivers."""
    if driver == "blocking":
        script = script.replace("async ", "").replace("await ", "")
    return DRIVERS[driver] + script


def server_script(driver, script):
    """The same for a server."""
    return client_script(driver, SERVERS[driver] + script)


def lines(board, driver, script, *arguments, heap=None):
    """What a client's script printed."""
    return board.run(client_script(driver, script), *arguments, heap=heap).splitlines()


def ask(board, driver, url, *rows):
    """The Reply to each of the requests: (method, path, payload, keyword arguments), the last two to be left out."""
    rows = [(*row, "", {})[:4] if len(row) == 2 else (*row, {})[:4] for row in rows]
    (board.folder / "rows.json").write_text(json.dumps(rows))
    told = [json.loads(line) for line in lines(board, driver, ASK, url)]
    return [
        Reply(
            status,
            kind,
            [(number, bytes.fromhex(value)) for number, value in options],
            bytes.fromhex(payload),
        )
        for status, kind, options, payload in told
    ]


class Serving:
    """A board whose script serves at sys.argv[1], a port, of sys.argv[2], an address, until the test is over."""

    def __init__(self, board, driver, script=SITE, *arguments, host=LOCAL, size=1024, heap=None):
        self.host = host
        self.port = free_port(host)
        self.url = base_url(host, self.port)
        # Files of their own for each of several boards in one folder
        self._path = board.folder / f"serving{self.port}.py"
        self._path.write_text(server_script(driver, script))
        given = arguments or [size]
        self._start = lambda: board.start(self._path, self.port, host, *given, heap=heap)

    def __enter__(self):
        self.process = self._start()
        try:
            with Raw(self.port, self.host) as raw:
                # a ping, which RST answers
                until(lambda: self._ended() or raw.ask("40 00 00 01", timeout=0.01), lambda: "no answer")
            assert not self._ended(), self.process.communicate(timeout=PATIENCE)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *_):
        ended = self._ended()
        told = self._kill()
        assert not ended, told

    def _ended(self):
        return self.process.poll() is not None

    def _kill(self):
        self.process.kill()
        return self.process.communicate(timeout=PATIENCE)

"""CoAP on bad paths: real boards and real peers, with a proxy between them that does what paths do."""

import asyncio
import errno
import hashlib
import json
from collections import Counter
from contextlib import ExitStack
from importlib import import_module

from board import PATIENCE, Board, interpreter
from coap_board import PATTERN, Serving, client_script
from coap_site import pattern
from peers import LOCAL, AiocoapServer, base_url, until
from proxy import Faults, Proxy

# A board of each size, each with another driver, on a bad path and on a worse one
BOARDS = (("micropython-64", "blocking"), ("micropython-32", "asyncio"))
PATHS = {
    "10 % loss": {"drop": 0.1, "duplicate": 0.1, "reorder": 0.1, "hold": 0.1},
    "30 % loss": {"drop": 0.3, "duplicate": 0.1, "reorder": 0.1, "hold": 0.1},
}
TIMING = {"ack_timeout": 0.05, "max_retransmit": 6}
PATIENT = 0.5  # s, of who asks without confirmation
UPLOADED, FETCHED = 2500, 1500  # bytes
TIMEOUT = "timeout"
# What is asked for, in turn. The last takes long and is answered separately: a lost answer comes again after 2 s.
KINDS = ("get", "post", "put", "fetched", "non", "get", "post", "put", "fetched", "post", "post", "slow")


def each_path(stack, port):
    """(proxy, its number, runtime, driver), each to port(runtime, driver)."""
    number = 0
    for path, faults in PATHS.items():
        for runtime, driver in BOARDS:
            up, down = Faults(**faults), Faults(**faults)
            way = Proxy(port(runtime, driver), up, down, seed=f"{path}, {runtime}")
            yield stack.enter_context(way), number, runtime, driver
            number += 1


def body(path, number):
    """What a client sends: no two bodies are alike."""
    return b"%4d%4d" % (path, number) + pattern(UPLOADED)


def digest(data):
    return hashlib.sha256(data).hexdigest()


# The client of a board, and aiocoap's server

CLIENT = (
    PATTERN
    + """
import errno, hashlib, json
url, path, count, kinds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
timing = json.loads(sys.argv[5])

async def ask(client, number):
    kind = kinds[number % len(kinds)]
    echo = url + "/echo/%d/%d" % (path, number)
    if kind == "get":
        return await client.get(echo, **timing)
    if kind == "post":
        return await client.post(echo, "x", **timing)
    if kind == "put":
        return await client.put(url + "/upload", b"%4d%4d" % (path, number) + pattern(2500), **timing)
    if kind == "fetched":
        return await client.get(url + "/size/1500", **timing)
    if kind == "non":
        return await client.get(echo, non=True, timeout=0.5)
    return await client.get(url + "/slow?t=0.15", timeout=1, **timing)

async def main():
    client = Client()
    for number in range(count):
        try:
            reply = await ask(client, number)
            print(json.dumps([reply.status, bytes(hashlib.sha256(reply.payload).digest()).hex()]))
        except OSError as error:
            print(json.dumps(["timeout" if error.args[0] == errno.ETIMEDOUT else repr(error), ""]))

run(main)
"""
)
ASKED = 10  # requests of each client


def test_a_client_is_told_the_truth(tmp_path):
    """Every request ends with its answer or with a timeout, and no handler runs twice for one."""
    with AiocoapServer() as server, ExitStack() as stack:
        running = []
        for proxy, path, runtime, driver in each_path(stack, lambda *_: server.port):
            board = Board(interpreter(runtime), tmp_path)
            script = tmp_path / f"client{path}.py"
            script.write_text(client_script(driver, CLIENT))
            url = base_url(LOCAL, proxy.port)
            given = url, path, ASKED, json.dumps(KINDS), json.dumps(TIMING)
            running.append((proxy, board.start(script, *given)))
        timeouts = 0
        for path, (proxy, process) in enumerate(running):
            out, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, err
            told = [json.loads(line) for line in out.splitlines()]
            assert len(told) == ASKED
            for number, (status, got) in enumerate(told):
                timeouts += status == TIMEOUT
                check_answer(server, path, number, status, got, proxy)
        until(lambda: not any(proxy.late for proxy, _ in running), lambda: "datagrams are still held")
    assert timeouts <= ASKED * len(running) * 0.15, timeouts
    assert max(Counter(server.uploads).values()) == 1, "a body was handled twice"
    assert all(count == 1 for where, count in server.ran.items() if where.startswith("/echo")), server.ran


def check_answer(server, path, number, status, got, proxy):
    """AssertionError unless it is the right one, or a timeout, and the handler has run for it."""
    kind, where = KINDS[number % len(KINDS)], f"/echo/{path}/{number}"
    ran = server.ran[where] if kind in ("get", "post", "non") else None
    context = f"{kind} {number}: {status}, ran {ran}\n{proxy}"
    if status == TIMEOUT:
        return
    if ran is not None:
        assert ran == 1, context
    if kind == "put":
        sent = body(path, number)
        said = json.dumps({"length": len(sent), "sha256": digest(sent)}).encode()
        assert got == digest(said), context
        assert server.uploads.count(sent) == 1, context
    assert status == ("2.04" if kind in ("post", "put") else "2.05"), context
    if kind == "fetched":
        assert got == digest(pattern(FETCHED)), context
    elif kind == "slow":
        assert got == digest(b"at last"), context


# The server of a board, and ben's client on CPython

SERVER = (
    PATTERN
    + """
import hashlib, json
server = Server(int(sys.argv[1]), sys.argv[2])
ran = {}

def note(request):
    number = request.query["n"]
    ran[number] = ran.get(number, 0) + 1
    return number

async def slow(request):
    await pause(request)
    return note(request)

def put(request):
    return note(request) + " " + bytes(hashlib.sha256(request.payload).digest()).hex()

server.add("echo", get=note, post=note, put=put)
server.add("slow", post=slow)
server.add("size", get=lambda request: Response(pattern(1500)))
server.add("ran", get=lambda request: json.dumps(ran))

async def main():
    await server.run()

run(main)
"""
)


def test_a_server_handles_each_request_once(tmp_path):
    """Every request ends with its answer or with a timeout; a copy runs no handler, and is answered as the first was."""
    with ExitStack() as stack:

        def start(runtime, driver):
            board = Board(interpreter(runtime), tmp_path)
            servers.append(stack.enter_context(Serving(board, driver, SERVER)))
            return servers[-1].port

        servers = []
        ways = [proxy for proxy, *_ in each_path(stack, start)]
        told = asyncio.run(ask_all(ways))
        until(lambda: not any(proxy.late for proxy in ways), lambda: "datagrams are still held")
        ran = asyncio.run(ask_what_ran(servers))
        for path, proxy in enumerate(ways):
            for number, (status, payload) in enumerate(told[path]):
                check_told(path, number, status, payload, ran[path].get(str(number), 0), proxy)
    timeouts = sum(status == TIMEOUT for each in told for status, _ in each)
    assert timeouts <= ASKED * len(ways) * 0.15, timeouts


async def ask_all(ways):
    """What is told at the end of each way."""
    return await asyncio.gather(*(ask_server(path, proxy.port) for path, proxy in enumerate(ways)))


async def ask_server(path, port):

    client = import_module("ben.coap.aio").Client()
    told = []
    for number in range(ASKED):
        try:
            reply = await request(client, base_url(LOCAL, port), path, number)
            told.append((reply.status, bytes(reply.payload)))
        except OSError as error:
            told.append((TIMEOUT if error.args[0] == errno.ETIMEDOUT else repr(error), b""))
    client.close()
    return told


async def request(client, url, path, number):
    kind, query = KINDS[number % len(KINDS)], {"n": number}
    if kind == "get":
        return await client.get(url + "/echo", query=query, **TIMING)
    if kind == "post":
        return await client.post(url + "/echo", b"x", query=query, **TIMING)
    if kind == "put":
        return await client.put(url + "/echo", body(path, number), query=query, **TIMING)
    if kind == "fetched":
        return await client.get(url + "/size", **TIMING)
    if kind == "non":
        return await client.get(url + "/echo", query=query, non=True, timeout=PATIENT)
    return await client.post(url + "/slow", b"x", query=query, timeout=1, **TIMING)


async def ask_what_ran(servers):
    """How often a handler of each ran, by number; asked on a path without faults."""
    client = import_module("ben.coap.aio").Client()
    replies = [await client.get(server.url + "/ran") for server in servers]
    client.close()
    return [json.loads(reply.payload) for reply in replies]


def check_told(path, number, status, payload, ran, proxy):
    """AssertionError unless it is the right answer, or a timeout, and the handler has run once for it."""
    kind = KINDS[number % len(KINDS)]
    context = f"{kind} {number}: {status} {payload!r}, ran {ran}\n{proxy}"
    if status == TIMEOUT:
        assert ran <= 1, context
        return
    assert ran == (kind != "fetched"), context
    assert status == ("2.05" if kind in ("get", "non", "fetched") else "2.04"), context
    if kind == "fetched":
        assert payload == pattern(FETCHED), context
    elif kind == "put":
        assert payload == f"{number} {digest(body(path, number))}".encode(), context
    else:
        assert payload == str(number).encode(), context

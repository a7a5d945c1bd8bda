"""The CoAP server of a board, with aiocoap and libcoap as clients."""

import asyncio
import hashlib
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from board import Board, interpreter
from coap_board import METHODS, PATTERN, SITE, Serving, lines
from coap_site import pattern
from peers import LOCAL, AiocoapClient, Raw, free_port, libcoap, until

CON, NON, ACK = range(3)
SIZES = (0, 1, 15, 16, 17, 1023, 1024, 1025, 3000)
LARGE = 100_000
GROUP = "224.0.1.187"  # all CoAP nodes
QUERY = ["a", "b=1", "twelve=12345", "thirteen=1234", "c=" + "x" * 253, "d=" + "y" * 200]

# aiocoap warns of itself where it is told the size of blocks.
pytestmark = pytest.mark.filterwarnings("ignore:Setting a block1 option:DeprecationWarning")

# With a notification that is to be acknowledged soon; then its observer is gone
IMPATIENT = """
from ben.coap import observers
class Notification(observers.Notification):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.wait, self.copies = 100, 2
observers.Notification = Notification
"""


@pytest.fixture(params=(("micropython-64", "blocking"), ("micropython-32", "asyncio")))
def pair(request):
    return request.param


@pytest.fixture
def serving(pair, tmp_path):
    """A board of 64 or 32 bits, each with another driver, that serves."""
    with Serving(Board(interpreter(pair[0]), tmp_path), pair[1]) as server:
        yield server


@pytest.fixture
def client():
    with AiocoapClient() as client:
        yield client


def digest(data):
    return hashlib.sha256(data).hexdigest()


def told(data):
    """What the board says of a body that it got."""
    return f"{len(data)} {digest(data)}"


def codes(responses):
    return [response.code.dotted for response in responses]


# --- requests ---


@pytest.mark.parametrize("driver", ("blocking", "asyncio"))
def test_each_method(board, driver, client):
    """From aiocoap and libcoap, confirmable and not: NON is answered with NON."""
    with Serving(board, driver) as server:
        url = server.url + "/echo"
        responses = [
            client.request(name.upper(), url, b"hello", confirmable=confirmable)
            for confirmable in (True, False)
            for name in METHODS
        ]
        assert codes(responses) == 2 * ["2.05", "2.04", "2.04", "2.02", "2.05", "2.04", "2.04"]
        assert [json.loads(each.payload) for each in responses] == [
            [number, "echo", [], 5, kind] for kind in (CON, NON) for number in range(1, 8)
        ]
        assert [int(each.mtype) for each in responses] == 7 * [ACK] + 7 * [NON]
        for number, name in enumerate(METHODS, 1):
            answer = libcoap(name, url, payload="hello")
            assert json.loads(answer.payload) == [number, "echo", [], 5, CON]
        answer = libcoap("put", url, "-N", payload="hello")
        assert json.loads(answer.payload) == [3, "echo", [], 5, NON]
        assert [each.type for each in answer.packets] == ["NON", "NON"]


def test_paths_and_queries(serving, client):
    """Paths of 1 to 12 segments, queries of 1 to 500 bytes, escaped bytes, and what is not there."""
    paths = ["/".join("abcdefghijkl"[:count]) for count in range(1, 13)]
    assert [json.loads(client.request("GET", f"{serving.url}/{path}").payload)[1] for path in paths] == paths
    pairs = [[*part.split("="), None][:2] for part in QUERY]
    for count in range(1, 7):
        url = serving.url + "/echo?" + "&".join(QUERY[:count])
        payloads = [client.request("GET", url).payload]
        payloads += [libcoap("get", url).payload] if count < 5 else []  # it has room for 100 bytes
        for payload in payloads:
            assert json.loads(payload)[1:3] == ["echo", sorted(pairs[:count])]
    url = serving.url + "/a%20b/%C3%A4/%2F?x=%26%3D&y=%C3%A4%25"
    for payload in client.request("GET", url).payload, libcoap("get", url).payload:
        assert json.loads(payload)[1:3] == ["a b/ä/%2F", [["x", "&="], ["y", "ä%"]]]
    assert json.loads(libcoap("get", f"{serving.url}/{paths[-1]}").payload)[1] == paths[-1]
    asked = (("GET", "/a/c"), ("GET", "/echo/a"), ("GET", "/"), ("POST", "/a"), ("GET", "/broken"))
    assert codes(client.request(method, serving.url + path) for method, path in asked) == [
        *("4.04", "4.04", "4.04", "4.05", "5.00")
    ]


def test_what_a_request_depends_on(serving, client):
    """ETag and 2.03, If-Match, If-None-Match, Accept, Location, Max-Age."""

    def asked(method, path, payload=b"", **options):
        return client.request(method, serving.url + path, payload, **options)

    first = asked("GET", "/text")
    assert (first.code.dotted, first.opt.max_age, first.payload) == ("2.05", 5, b"first")
    again = asked("GET", "/text", etags=[b"no", first.opt.etag])
    assert (again.code.dotted, again.opt.etag, again.payload) == ("2.03", first.opt.etag, b"")
    assert again.opt.max_age == 5
    steps = [
        ("PUT", {"if_none_match": True}, "4.12"),
        ("PUT", {"if_match": [b"no"]}, "4.12"),
        ("PUT", {"if_match": [b"no", first.opt.etag]}, "2.04"),
        ("PUT", {"if_match": [first.opt.etag]}, "4.12"),
        ("PUT", {"if_match": [b""]}, "2.04"),
        ("GET", {"etags": [first.opt.etag]}, "2.05"),
        ("DELETE", {}, "2.02"),
        ("PUT", {"if_match": [b""]}, "4.12"),
        ("PUT", {"if_none_match": True}, "2.04"),
    ]
    for number, (method, options, code) in enumerate(steps):
        payload = b"%d" % number if method == "PUT" else b""
        assert asked(method, "/text", payload, **options).code.dotted == code, number
    assert asked("GET", "/text").payload == b"8"
    made = asked("POST", "/store", b"x")
    assert made.code.dotted == "2.01"
    assert made.opt.location_path == ("store", "a b") and made.opt.location_query == ("from=post", "n=1")
    accepted = [asked("GET", "/negotiate", accept=number) for number in (0, 50, 60)]
    assert codes(accepted) == ["2.05", "2.05", "4.06"]
    assert [each.payload for each in accepted[:2]] == [b"21.5", b'{"temperature": 21.5}']
    assert [int(each.opt.content_format) for each in accepted[:2]] == [0, 50]
    assert libcoap("put", serving.url + "/text", "-O", "5", payload="x").code == "4.12"
    tag = hashlib.sha256(b"8").hexdigest()[:8]
    assert libcoap("get", serving.url + "/text", "-O", "4,0x" + tag).code == "2.03"
    assert libcoap("get", serving.url + "/negotiate", "-A", 60).code == "4.06"
    assert libcoap("get", serving.url + "/fixed", "-A", 50).code == "4.06"


def test_no_response(serving, client):
    """A handler runs, and its client hears of it, unless it said not to."""
    url = serving.url + "/echo"
    with pytest.raises(asyncio.TimeoutError):
        client.request("PUT", url, b"x", no_response=2, confirmable=False, timeout=0.05)
    with pytest.raises(asyncio.TimeoutError):
        client.request("PUT", url, b"x", no_response=26, timeout=0.05)
    answer = client.request("GET", serving.url + "/none", no_response=2, confirmable=False)
    assert answer.code.dotted == "4.04"
    assert client.request("GET", serving.url + "/ran").payload == b"2"
    with Raw(serving.port) as raw:
        acknowledged = raw.ask("40 03 12 34 b4 65 63 68 6f d1 ea 02")
        assert acknowledged.hex(" ") == "60 00 12 34"
        raw.silence(0.05)


@pytest.mark.parametrize("method", ("get", "put"))
def test_a_response_that_takes_a_while(method, serving, client):
    """An empty acknowledgement at once, or after 250 ms, then a response by itself; NON has no other way."""
    code = "2.05" if method == "get" else "2.04"
    url = serving.url + "/slow"
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(libcoap, method, url, payload="x" if method == "put" else None)
        asked = [
            pool.submit(client.request, method.upper(), url, confirmable=confirmable)
            for confirmable in (True, False)
        ]
        failing = pool.submit(client.request, "GET", url + "/error")
        responses = [each.result() for each in asked]
    assert [(each.code.dotted, int(each.mtype)) for each in responses] == [(code, CON), (code, NON)]
    assert (failing.result().code.dotted, int(failing.result().mtype)) == ("4.03", CON)
    assert answer.result().payload == b"at last"
    assert [(each.type, each.code) for each in answer.result().packets] == [
        *(("CON", method.upper()), ("ACK", "0.00"), ("CON", code), ("ACK", "0.00"))
    ]


def test_ipv6(pair, tmp_path, client):
    try:
        Raw(host="::1").__exit__()
    except OSError:
        pytest.skip("no IPv6")
    with Serving(Board(interpreter(pair[0]), tmp_path), pair[1], host="::1") as server:
        assert client.request("GET", server.url + "/size?n=3000").payload == pattern(3000)
        assert libcoap("get", server.url + "/size?n=3000").payload == pattern(3000)


# --- bodies ---


def test_bodies(serving, client):
    """Bodies around the limits of blocks, in both directions, put together and taken piece by piece."""
    for size in SIZES:
        body = pattern(size)
        assert client.request("GET", f"{serving.url}/size?n={size}").payload == body
        for path in ("/upload", "/stream"):
            assert client.request("PUT", serving.url + path, body).payload.decode() == told(body)
        assert libcoap("get", f"{serving.url}/size?n={size}").payload == body
        answer = libcoap("put", serving.url + "/upload", payload=body)
        assert (answer.code, answer.payload.decode()) == ("2.04", told(body))
    assert client.request("FETCH", serving.url + "/upload", pattern(3000)).payload.decode() == told(
        pattern(3000)
    )
    assert client.request("PUT", serving.url + "/upload", pattern(5000)).code.dotted == "4.13"
    assert libcoap("put", serving.url + "/upload", payload=pattern(5000)).code == "4.13"


@pytest.mark.parametrize("driver", ("blocking", "asyncio"))
def test_streams(small_board, driver, client):
    """100,000 bytes to and from a function, and a file, in a heap that does not hold them."""
    body = pattern(LARGE)
    with Serving(small_board, driver, heap=96) as server:
        assert client.request("GET", server.url + "/stream").payload == body
        assert client.request("PUT", server.url + "/stream", body).payload.decode() == told(body)
        assert client.request("PUT", server.url + "/file", body).code.dotted == "2.04"
        assert Path(small_board.folder, "body").read_bytes() == body
        assert client.request("GET", server.url + "/file").payload == body


STREAM = (
    PATTERN
    + """
server = Server(int(sys.argv[1]), sys.argv[2])
taken = [0]
def take(request):
    taken[0] = request.offset + len(request.payload)
def give(request):
    return lambda at, size: pattern(max(0, min(size, 100000 - at)), at)
server.add("stream", put=take, get=give, stream=True)
server.add("taken", get=lambda request: str(taken[0]))
async def main():
    await server.run()
run(main)
"""
)


@pytest.mark.parametrize("driver, heap", (("blocking", 56), ("asyncio", 68)))
def test_streams_of_a_small_heap(driver, heap, small_board, client):
    """The same in a smaller one, with all of it compiled there."""
    body = pattern(LARGE)
    with Serving(small_board, driver, STREAM, heap=heap) as server:
        assert client.request("GET", server.url + "/stream").payload == body
        assert client.request("PUT", server.url + "/stream", body).code.dotted == "2.04"
        assert libcoap("get", server.url + "/stream").payload == body
        assert libcoap("put", server.url + "/stream", payload=body).code == "2.04"
        assert client.request("GET", server.url + "/taken").payload == b"100000"


def test_a_client_wants_small_blocks(serving, client):
    """Blocks have the size that the client asks for at first."""
    for block in (16, 64):
        for size in (0, 15, 16, 17, 300):
            response = client.request("GET", f"{serving.url}/size?n={size}", block=block)
            assert response.payload == pattern(size)
        assert response.opt.block2.size == block and response.opt.block2.block_number == 299 // block
        answer = libcoap("get", serving.url + "/size?n=1025", "-b", block)
        assert answer.payload == pattern(1025) and len(answer.responses) == 1024 // block + 1
        answer = libcoap("put", serving.url + "/upload", "-b", block, payload=pattern(1025))
        assert answer.payload.decode() == told(pattern(1025))
        assert len(answer.responses) == 1024 // block + 1
        response = client.request("PUT", serving.url + "/upload", pattern(1025), block=block)
        assert response.payload.decode() == told(pattern(1025))


@pytest.mark.parametrize("size", (16, 64))
def test_a_server_wants_small_blocks(size, pair, tmp_path, client):
    """Clients that begin with 1024 bytes go on with fewer."""
    with Serving(Board(interpreter(pair[0]), tmp_path), pair[1], size=size) as server:
        for length in (0, size - 1, size, size + 1, 1500):
            body = pattern(length)
            assert client.request("GET", f"{server.url}/size?n={length}").payload == body
            assert (
                client.request("PUT", server.url + "/upload", body).payload.decode()[:64] == told(body)[:64]
            )
        answer = libcoap("put", server.url + "/upload", payload=pattern(3000))
        assert answer.payload.decode() == told(pattern(3000))
        sizes = [part for each in answer.packets if each.sent for part in each.options.split(", ")]
        assert [part.rsplit("/")[-1] for part in sizes if "Block1" in part][1:3] == 2 * [str(size)]
        answer = libcoap("get", server.url + "/size?n=300")
        assert answer.payload == pattern(300) and len(answer.responses) == 299 // size + 1


# --- observing ---


def test_observing(serving, client):
    """20 notifications in order, of which some ask for an acknowledgement; the client ends it with Observe 1."""
    counter = serving.url + "/counter"
    observation = client.observe(counter)
    for number in range(1, 21):
        assert client.request("PUT", counter, b"%d" % number).payload == b"1"
        observation.wait(number + 1)
    assert observation.payloads == [b"%d" % number for number in range(21)]
    assert {str(each.mtype) for each in observation.responses[1:]} == {"CON", "NON"}
    numbers = [each.opt.observe for each in observation.responses]
    assert numbers == sorted(set(numbers))
    response = observation.deregister()
    assert (response.opt.observe, response.payload) == (None, b"20")
    assert client.request("PUT", counter, b"21").payload == b"0"


def test_observing_blocks(serving, client):
    """Each notification has the first block; the others are those of the same state."""
    observation = client.observe(serving.url + "/long", blockwise=True)
    bodies = [pattern(3000)[number:] for number in range(20)]
    for number, body in enumerate(bodies):
        assert client.request("PUT", serving.url + "/long", body).payload == b"1"
        assert observation.wait(number + 2)[-1].payload == body
    observation.deregister()


def test_an_observation_ends_with_an_error(serving, client):
    """The last notification is what the handler raised."""
    counter = serving.url + "/counter"
    observation = client.observe(counter)
    assert client.request("PUT", counter, b"gone").payload == b"1"
    observation.wait_for_end()
    assert (observation.responses[-1].code.dotted, observation.responses[-1].payload) == ("4.04", b"gone")
    assert client.request("PUT", counter, b"1").payload == b"0"


@pytest.mark.parametrize("kind", ("CON", "NON"))
def test_a_reset_ends_an_observation(kind, serving, client):
    """Of a notification of either type."""
    counter = serving.url + "/counter"
    with Raw(serving.port) as raw:
        first = raw.ask("41 01 12 34 aa 60 57" + b"counter".hex())
        assert first[:5].hex() == "61451234aa"
        for number in range(1 + (kind == "NON")):
            assert client.request("PUT", counter, b"%d" % number).payload == b"1"
            notification = raw.receive()
            if number or kind == "CON":
                break
            raw.send(b"\x60\0" + notification[2:4])
        assert notification[0] == {"CON": 0x41, "NON": 0x51}[kind]
        raw.send(b"\x70\0" + notification[2:4])
        assert client.request("PUT", counter, b"9").payload == b"0"
        raw.silence(0.02)


def test_a_client_that_is_gone(pair, tmp_path, client):
    """Without an acknowledgement of any copy its observation ends, and that of others goes on."""
    script = IMPATIENT + SITE
    with Serving(Board(interpreter(pair[0]), tmp_path), pair[1], script) as server, Raw(server.port) as raw:
        counter = server.url + "/counter"
        raw.ask("41 01 12 34 aa 60 57" + b"counter".hex())
        observation = client.observe(counter)
        assert client.request("PUT", counter, b"1").payload == b"2"
        copies = [raw.receive() for _ in range(3)]
        assert len(set(copies)) == 1
        raw.silence(0.5)
        assert client.request("PUT", counter, b"2").payload == b"1"
        assert observation.wait(3)[-1].payload == b"2"


def test_aiocoap_forgets(serving, client):
    """It acknowledges one more notification, and resets the confirmable one that follows at some time."""
    counter = serving.url + "/counter"
    client.observe(counter).forget()
    for number in range(12):
        if client.request("PUT", counter, b"%d" % number).payload == b"0":
            break
    assert 1 < number < 11


def test_libcoap_observes(tmp_path, client):
    """For some seconds, with both drivers at once; its last response is the one to Observe 1."""
    pairs = (("micropython-64", "blocking"), ("micropython-32", "asyncio"))
    boards = [Serving(Board(interpreter(runtime), tmp_path), driver) for runtime, driver in pairs]
    with boards[0] as one, boards[1] as other, ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(libcoap, "get", server.url + path, "-s", 4)
            for server in (one, other)
            for path in ("/counter", "/long")
        ]
        for server in (one, other):
            observed(client, server, "/counter", [b"%d" % number for number in range(1, 21)])
            observed(client, server, "/long", [pattern(1500)])
        for server, counted, long in zip((one, other), asked[::2], asked[1::2]):
            notes = counted.result().responses
            numbers = [0, *range(21)]  # 0 as the first response, and as a notification
            assert [each.payload for each in notes[:-1]] == [f"'{number}'" for number in numbers]
            assert notes[-1].payload == "'20'" and "Observe" not in notes[-1].options
            assert long.result().payload == 2 * pattern(3000) + 2 * pattern(1500)
            assert client.request("PUT", server.url + "/counter", b"x").payload == b"0"
            assert client.request("PUT", server.url + "/long", b"x").payload == b"0"


def observed(client, server, path, states):
    """Puts states to a resource, the first one as soon as it is observed: until then 0 are told."""
    first = {"/counter": b"0", "/long": pattern(3000)}[path]
    url, busy = server.url + path, server.url + "/busy"
    until(lambda: client.request("PUT", url, first).payload == b"1", lambda: f"nobody observes {path}")
    time.sleep(0.5)  # until all blocks of it are there
    for state in states:
        # What comes before the last one was acknowledged is told together with the next (RFC 7641, 4.5.2).
        until(lambda: client.request("GET", busy).payload == b"0", lambda: "no acknowledgement")
        assert client.request("PUT", server.url + path, state).payload == b"1"


# --- discovery, groups, and one socket for all ---


def test_discovery(serving, client):
    """The links that fit a query, for both clients the same."""
    listed = serving.url + "/.well-known/core"

    def links(query):
        response = client.request("GET", listed + query)
        assert int(response.opt.content_format) == 40
        assert libcoap("get", listed + query).payload == response.payload
        found = re.findall(r"<([^>]*)>([^,]*)", response.payload.decode())
        return {path: set(filter(None, attributes.split(";"))) for path, attributes in found}

    every = links("")
    assert {"/echo", "/counter", "/a/b/c/d/e/f/g/h/i/j/k/l"} <= set(every)
    assert every["/size"] == {'rt="block data"', "ct=42", "sz=2000"}
    assert every["/counter"] == {'rt="counter"', 'if="core.s"', "obs"}
    for query, paths in (
        ("?rt=echo", {"/echo"}),
        ("?rt=data", {"/size"}),
        ("?rt=c*", {"/counter"}),
        ("?if=core.s", {"/counter", "/negotiate"}),
        ("?ct=50", {"/negotiate"}),
        ("?obs", {"/counter", "/long"}),
        ("?href=/slow*", {"/slow", "/slow/error"}),
        ("?if=core.s&rt=temperature", {"/negotiate"}),
        ("?rt=nothing", set()),
    ):
        assert set(links(query)) == paths, query


def test_a_handler_asks_others(serving, client, aiocoap_server, libcoap_server):
    """From the socket at which the board serves, also the client that waits for its answer."""
    for url, said in (
        (aiocoap_server.url + "/size/3000", pattern(3000)),
        (aiocoap_server.url + "/slow?t=0.15", b"at last"),
        (libcoap_server.url + "/", b"This is a test server made with libcoap"),
    ):
        assert client.request("POST", serving.url + "/relay", url.encode()).payload[: len(said)] == said
    assert {message.remote.address[1] for _, _, message in aiocoap_server.requests} == {serving.port}
    with Raw(serving.port) as raw:
        url = (raw.url + "/x").encode()
        asked = raw.ask(b"\x41\x02\x12\x34\xbb\xb5relay\xff" + url)
        if asked[:4] == b"\x60\0\x12\x34":  # it takes a while
            asked = raw.receive()
        assert (asked[0] >> 4, asked[1]) == (4, 1)
        token = asked[4:8]
        answer = raw.ask(b"\x64\x45" + asked[2:4] + token + b"\xffrole reversal")
        assert answer[4:].endswith(b"\xffrole reversal") and answer[1] == 0x45


def test_several_clients_at_once(serving):
    """Four of aiocoap's and libcoap's, with short and long bodies and slow answers."""
    clients = [AiocoapClient() for _ in range(4)]
    wanted = [("/slow", b"at last"), ("/size?n=3000", pattern(3000)), ("/size?n=10", pattern(10))]
    with clients[0], clients[1], clients[2], clients[3], ThreadPoolExecutor(16) as pool:
        asked = [
            (pool.submit(client.request, "GET", serving.url + path), said)
            for client in clients
            for path, said in wanted
        ]
        asked += [(pool.submit(libcoap, "get", serving.url + path), said) for path, said in wanted]
        for each, said in asked:
            assert each.result().payload == said


MEMBER = """
import socket
from ben.coap.custom import Custom
port, group = int(sys.argv[1]), sys.argv[3]

class Member:  # hears what is sent to the group and to it, and speaks from an address of its own
    def __init__(self):
        self.heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.heard.bind(socket.getaddrinfo(group, int(sys.argv[4]))[0][-1])
        self.heard.setsockopt(0, 35, bytes(map(int, (group + ".127.0.0.1").split("."))))
        self.heard.setblocking(False)
        self.own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.own.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        self.own.setblocking(False)
        self.sendto = self.own.sendto

    def recvfrom(self, size):
        for sock in (self.own, self.heard):
            try:
                return sock.recvfrom(size)
            except OSError:
                pass
        raise OSError(11)

server = Server(port, "127.0.0.1", socket=Custom(Member()))
server.add("who", get=lambda request: "member %d" % port)

async def main():
    await server.run()
run(main)
"""


def test_members_of_a_group(small_board):
    """Two boards that hear a group, through sockets of their own making, and a third one that asks it."""
    script = """
import socket
from ben.coap.custom import Custom
async def main():
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(socket.getaddrinfo("127.0.0.1", 0)[0][-1])
    replies = await Client(socket=Custom(sender)).gather(sys.argv[1], 0.2)
    print(sorted([bytes(reply.payload).decode() for reply, _ in replies]))
run(main)
"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as group:
        try:
            joined = socket.inet_aton(GROUP) + socket.inet_aton(LOCAL)
            group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        except OSError:
            pytest.skip("no multicast")
    port = free_port()
    members = [Serving(small_board, driver, MEMBER, GROUP, port) for driver in ("blocking", "asyncio")]
    with members[0] as one, members[1] as other:
        names = sorted(f"member {each.port}" for each in (one, other))
        for driver in ("blocking", "asyncio"):
            assert lines(small_board, driver, script, f"coap://{GROUP}:{port}/who") == [str(names)]

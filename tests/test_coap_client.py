"""The CoAP client of a board, with aiocoap and libcoap as servers."""

import hashlib
import json
import socket
import threading
from pathlib import Path
from unittest import mock

import pytest
from aiocoap import Code, Message, resource
from aiocoap.transports import simplesocketserver

from board import PATIENCE, Board, interpreter
from coap_board import DRIVERS, METHODS, PATTERN, ask, client_script, lines
from coap_site import pattern
from peers import LOCAL, AiocoapServer, LibcoapServer, Raw, packets

CON, NON, ACK = range(3)
IF_MATCH, ETAG, OBSERVE, LOCATION_PATH, FORMAT, MAX_AGE, LOCATION_QUERY = 1, 4, 6, 8, 12, 14, 20
BLOCK2, BLOCK1, SIZE1 = 23, 27, 60
SIZES = (0, 1, 15, 16, 17, 1023, 1024, 1025, 3000)
LARGE = 100_000
# KB, on a port of 32 bits, with everything compiled there; asyncio needs a little more than a small board has.
HEAP = {"blocking": 38, "asyncio": 44}
GROUP = "224.0.1.187"  # all CoAP nodes

# More than 255 bytes and less than 500, in options of every length that the format treats in its own way
QUERY = ["a", "b=1", "twelve=12345", "thirteen=1234", "c=" + "x" * 253, "d=" + "y" * 200]


@pytest.fixture(params=(("micropython-64", "blocking"), ("micropython-32", "asyncio")))
def pair(request):
    return request.param


@pytest.fixture
def micropython_board(pair, tmp_path):
    """A board of 64 or 32 bits, each with another driver."""
    return Board(interpreter(pair[0]), tmp_path)


@pytest.fixture
def driver(pair):
    return pair[1]


@pytest.fixture(params=DRIVERS)
def each_driver(request):
    return request.param


def digest(data):
    return hashlib.sha256(data).hexdigest()


def statuses(replies):
    return [reply.status for reply in replies]


# --- requests ---


def test_each_method_at_aiocoap(board, each_driver, aiocoap_server):
    """Each method and its payload arrive, confirmable and not, and so does the answer."""
    rows = [(name, "/echo", "hi " + name, {"non": non}) for non in (False, True) for name in METHODS]
    replies = ask(board, each_driver, aiocoap_server.url, *rows)
    assert statuses(replies) == 2 * ["2.05", "2.04", "2.04", "2.02", "2.05", "2.04", "2.04"]
    said = [(reply.type, reply.said()) for reply in replies]
    assert [(kind, each["method"].lower(), each["payload"], each["type"]) for kind, each in said] == [
        (kind, name, "hi " + name, sent) for kind, sent in ((ACK, "CON"), (NON, "NON")) for name in METHODS
    ]


def test_each_method_at_libcoap(micropython_board, driver, libcoap_server):
    """What libcoap's server does with each method; it knows no PATCH."""
    replies = ask(
        micropython_board,
        driver,
        libcoap_server.url,
        ("put", "/new", "first"),
        ("put", "/new", "second", {"non": True}),
        ("get", "/new"),
        ("fetch", "/new", "what", {"format": 50}),
        ("fetch", "/new", "what"),
        ("post", "/other", "x"),
        ("delete", "/new"),
        ("get", "/new"),
        ("patch", "/time", "x"),
        ("ipatch", "/time", "x"),
    )
    assert statuses(replies) == [
        "2.01",
        "2.04",
        "2.05",
        "2.05",
        "4.15",
        "2.01",
        "2.02",
        "4.04",
        "4.05",
        "4.05",
    ]
    assert [reply.payload for reply in replies[2:4]] == [b"second", b"second"]
    assert [reply.type for reply in replies[:3]] == [ACK, NON, ACK]


def test_paths_and_queries_at_aiocoap(micropython_board, driver, aiocoap_server):
    """Paths of 1 to 12 segments, queries of 1 to 500 bytes, from a URL and from a dict, and escaped bytes."""
    paths = [["echo", *"bcdefghijkl"[:count]] for count in range(12)]
    rows = [("get", "/" + "/".join(path)) for path in paths]
    rows += [("get", "/echo?" + "&".join(QUERY[:count])) for count in range(1, 7)]
    query = dict((part + "=").split("=")[:2] for part in QUERY[1:])
    rows += [("get", "/echo", "", {"query": {**query, "a": None}})]
    rows += [("get", "/echo/a%20b/%C3%A4/%2f%26?x=%26%3D&y=a%2Bb+c&ä=%25")]
    said = [reply.said() for reply in ask(micropython_board, driver, aiocoap_server.url, *rows)]
    assert [each["path"] for each in said[:12]] == paths
    assert [each["query"] for each in said[12:18]] == [QUERY[:count] for count in range(1, 7)]
    assert sorted(said[18]["query"]) == sorted(QUERY)
    assert said[19]["path"] == ["echo", "a b", "ä", "/&"]
    assert said[19]["query"] == ["x=&=", "y=a+b+c", "ä=%"]


def test_paths_and_queries_at_libcoap(micropython_board, driver):
    """The same, as libcoap saw them."""
    paths = ["/".join("abcdefghijkl"[:count]) for count in range(1, 13)]
    rows = [("put", f"/{path}", path) for path in paths] + [("get", f"/{path}") for path in paths]
    rows += [("get", "/time?ticks"), ("get", "/time?" + "&".join(QUERY))]
    with LibcoapServer(verbosity=7) as server:
        replies = ask(micropython_board, driver, server.url, *rows)
        got = [each for each in packets(server.log()) if not each.sent and each.code == "GET"]
    assert statuses(replies) == 12 * ["2.01"] + 14 * ["2.05"]
    assert [reply.payload.decode() for reply in replies[12:24]] == paths
    assert replies[24].payload.isdigit()
    assert [part for part in got[-1].options.split(", ") if "Query" in part] == [
        "Uri-Query:" + part for part in QUERY
    ]


def test_options_at_aiocoap(micropython_board, driver, aiocoap_server):
    """What a request may be made to depend on, and what comes with a response."""
    (first,) = ask(micropython_board, driver, aiocoap_server.url, ("get", "/etag"))
    assert first.all(MAX_AGE) == [b"\5"] and len(first.all(ETAG)[0]) == 8
    replies = ask(
        micropython_board,
        driver,
        aiocoap_server.url,
        ("get", "/negotiate", "", {"accept": "application/json"}),
        ("get", "/negotiate", "", {"accept": 0}),
        ("get", "/negotiate", "", {"accept": 60}),
        ("put", "/store/a", "hello", {"if_none_match": True}),
        ("put", "/store/a", "hello", {"if_none_match": True}),
        ("put", "/store/a", "hello", {"if_match": "no"}),
        ("put", "/store/a", "hello", {"if_match": ["no", ""]}),
        ("post", "/store", "x"),
        ("get", "/broken"),
        ("get", "/nowhere"),
        ("post", "/etag", "x"),
        ("put", "/echo", "{}", {"format": "application/json", "options": [[65000, "hi"]]}),
    )
    assert statuses(replies) == [
        *("2.05", "2.05", "4.06", "2.01", "4.12", "4.12", "2.04", "2.01", "5.00", "4.04", "4.05", "2.04")
    ]
    assert [reply.payload for reply in replies[:2]] == [b'{"temperature": 21.5}', b"21.5"]
    assert [reply.all(FORMAT) for reply in replies[:2]] == [[b"\x32"], [b""]]
    assert replies[7].all(LOCATION_PATH) == [b"store", b"2"]
    assert replies[7].all(LOCATION_QUERY) == [b"from=post", b"n=2"]
    assert replies[11].said()["options"] == [[12, "32"], [65000, "6869"]]


VALID = """
async def main():
    client = Client()
    url = sys.argv[1]
    first = await client.get(url + "/etag")
    again = await client.get(url + "/etag", etag=[b"no", first.get(4)])
    print(again.status, again.get(4) == first.get(4), len(again.payload))
    print((await client.put(url + "/etag", "second")).status)
    again = await client.get(url + "/etag", etag=first.get(4))
    print(again.status, again.get(4) == first.get(4), len(again.payload))
    await client.put(url + "/store/b", "b")
    tag = (await client.get(url + "/store/b")).get(4)
    print((await client.put(url + "/store/b", "c", if_match=tag)).status)
    print((await client.put(url + "/store/b", "d", if_match=tag)).status)
    print(await client.put(url + "/etag", "third", non=True, no_response=2, timeout=0.1))
    print((await client.get(url + "/etag")).payload.decode())
run(main)
"""


def test_etags_and_no_response_at_aiocoap(micropython_board, driver, aiocoap_server):
    """2.03 for an ETag that is still good, 4.12 for one that is not, and silence where it was asked for."""
    assert lines(micropython_board, driver, VALID, aiocoap_server.url) == [
        "2.03 True 0",
        "2.04",
        "2.05 False 6",
        "2.04",
        "4.12",
        "None",
        "third",
    ]


def test_options_at_libcoap(micropython_board, driver, libcoap_server):
    replies = ask(
        micropython_board,
        driver,
        libcoap_server.url,
        ("put", "/new", "[1]", {"if_none_match": True, "format": "application/json"}),
        ("put", "/new", "[2]", {"if_none_match": True}),
        ("get", "/new"),
        ("get", "/nowhere"),
        ("get", "/example_data"),
    )
    assert statuses(replies) == ["2.01", "4.12", "2.05", "4.04", "2.05"]
    assert (replies[2].payload, replies[2].all(FORMAT)) == (b"[1]", [b"\x32"])
    assert len(replies[4].payload) == 1500 and replies[4].all(ETAG)


@pytest.mark.parametrize("peer", (AiocoapServer, LibcoapServer))
def test_ipv6(micropython_board, driver, peer):
    try:
        server = peer(host="::1")
        Raw(host="::1").__exit__()
    except OSError:
        pytest.skip("no IPv6")
    path = "/size/3000" if peer is AiocoapServer else "/example_data"
    with server:
        (reply,) = ask(micropython_board, driver, server.url, ("get", path))
    assert (reply.status, len(reply.payload)) == ("2.05", 3000 if peer is AiocoapServer else 1500)


# --- responses that take a while ---


def test_responses_of_aiocoap_that_take_a_while(micropython_board, driver, aiocoap_server):
    """After its empty acknowledgement a response comes by itself; NON is answered when it is ready."""
    replies = ask(
        micropython_board,
        driver,
        aiocoap_server.url,
        ("get", "/slow?t=0.15"),
        ("put", "/slow?t=0.15", "x"),
        ("get", "/slow?t=0"),
        ("get", "/slow?t=0.15", "", {"non": True}),
    )
    assert [reply.payload for reply in replies] == 4 * [b"at last"]
    assert [reply.type for reply in replies] == [CON, CON, ACK, NON]


def test_a_response_of_libcoap_that_takes_a_while(small_board, libcoap_server):
    """Both drivers at once, for it takes a second at least."""
    script = """
async def main():
    reply = await Client().get(sys.argv[1] + "/async?1")
    print(reply.status, reply.type, reply.payload.decode())
run(main)
"""
    running = []
    for driver in DRIVERS:
        path = small_board.folder / f"{driver}_client.py"
        path.write_text(client_script(driver, script))
        running.append(small_board.start(path, libcoap_server.url))
    assert [each.communicate(timeout=PATIENCE) for each in running] == 2 * [("2.05 0 done\n", "")]


# --- bodies ---

BODIES = (
    PATTERN
    + """
import hashlib
async def main():
    client = Client()
    put, get = sys.argv[1:3]
    for size in map(int, sys.argv[3:]):
        up = await client.put(put, pattern(size))
        down = await client.get(get + str(size) if get[-1] == "/" else get)
        print(up.status, down.status, len(down.payload), hashlib.sha256(down.payload).digest().hex())
run(main)
"""
)


def test_bodies_at_aiocoap(board, each_driver, aiocoap_server):
    """Bodies around the limits of blocks, in both directions."""
    url = aiocoap_server.url
    told = lines(board, each_driver, BODIES, url + "/upload", url + "/size/", *SIZES)
    assert told == [f"2.04 2.05 {size} {digest(pattern(size))}" for size in SIZES]
    assert aiocoap_server.uploads == [pattern(size) for size in SIZES]


def test_bodies_at_libcoap(micropython_board, driver, libcoap_server):
    url = libcoap_server.url + "/example_data"
    told = lines(micropython_board, driver, BODIES, url, url, *SIZES)
    assert told == [
        f"{'2.04' if number else '2.01'} 2.05 {size} {digest(pattern(size))}"
        for number, size in enumerate(SIZES)
    ]


STREAMS = (
    PATTERN
    + """
import hashlib
class Sink:
    size, hash = 0, hashlib.sha256()
    def write(data):
        Sink.size += len(data)
        Sink.hash.update(data)

def source(at, size):
    return pattern(max(0, min(size, 100000 - at)), at)

async def main():
    client = Client()
    put, get = sys.argv[1:]
    print((await client.put(put, source)).status)
    reply = await client.get(get, into=Sink.write)
    print(reply.status, len(reply.payload), Sink.size, Sink.hash.digest().hex())
    with open("body", "wb") as file:
        await client.get(get, into=file)
    with open("body", "rb") as file:
        print((await client.put(put, file)).status)
run(main)
"""
)


@pytest.mark.parametrize("peer", (AiocoapServer, LibcoapServer))
def test_streams(small_board, each_driver, peer):
    """100,000 bytes from a function and a file, and to them, in a small heap."""
    put, get = ("/upload", f"/size/{LARGE}") if peer is AiocoapServer else 2 * ["/example_data"]
    with peer() as server:
        told = lines(
            small_board, each_driver, STREAMS, server.url + put, server.url + get, heap=HEAP[each_driver]
        )
        if peer is AiocoapServer:
            assert server.uploads == 2 * [pattern(LARGE)]
    assert told[0] in ("2.01", "2.04")
    assert told[1:] == [f"2.05 0 {LARGE} {digest(pattern(LARGE))}", "2.04"]
    assert Path(small_board.folder, "body").read_bytes() == pattern(LARGE)


def test_small_blocks_of_aiocoap(micropython_board, driver, aiocoap_server):
    """Blocks of the size that was asked for, and those of a server that has none larger."""
    sizes = (0, 15, 16, 17, 300)
    rows = [
        ("get", f"/size/{size}", "", {"size": block, "non": block == 64})
        for block in (16, 64)
        for size in sizes
    ]
    replies = ask(micropython_board, driver, aiocoap_server.url, *rows)
    assert [reply.payload for reply in replies] == 2 * [pattern(size) for size in sizes]
    # The number of the last block, and the exponent of its size
    assert [reply.all(BLOCK2)[0] for reply in (replies[4], replies[9])] == [b"\x01\x20", b"\x42"]
    smaller = {"maximum_block_size_exp": 2, "maximum_payload_size": 64}
    with mock.patch.multiple(simplesocketserver._Address, **smaller):
        replies = ask(micropython_board, driver, aiocoap_server.url, ("get", "/size/300"))
    assert replies[0].payload == pattern(300) and replies[0].all(BLOCK2) == [b"\x42"]


def test_small_blocks_of_libcoap(micropython_board, driver):
    sizes = (16, 64)
    with LibcoapServer(verbosity=7) as server:
        rows = [("get", "/example_data", "", {"size": size}) for size in sizes]
        replies = ask(micropython_board, driver, server.url, *rows)
        asked = [each.options for each in packets(server.log()) if not each.sent and each.code == "GET"]
    assert [len(reply.payload) for reply in replies] == 2 * [1500]
    assert [sum(f"/{size}" in options for options in asked) for size in sizes] == [94, 24]


class Small(resource.Resource):
    """Takes blocks of 64 bytes and no larger ones, or a first one that is."""

    def __init__(self, first):
        super().__init__()
        self.first = first
        self.body = b""
        self.sizes = []

    async def needs_blockwise_assembly(self, request):
        return False

    async def render_put(self, request):
        number, more, exponent = request.opt.block1
        if exponent > 2 and not self.first:
            return Message(code=Code.REQUEST_ENTITY_TOO_LARGE, block1=(0, False, 2))
        if number << 4 + exponent != len(self.body):
            return Message(code=Code.REQUEST_ENTITY_INCOMPLETE)
        self.body += request.payload
        self.sizes.append(len(request.payload))
        code = Code.CONTINUE if more else Code.CHANGED
        return Message(code=code, block1=(number, more, min(exponent, 2)))


def test_a_server_wants_smaller_blocks(micropython_board, driver, aiocoap_server):
    """A body goes on in the size that the answer to its first block has, or begins anew after 4.13."""
    small = Small(True), Small(False)
    for number, each in enumerate(small):
        aiocoap_server.site.add_resource([f"small{number}"], each)
    script = """
async def main():
    client = Client()
    for number in "01":
        print((await client.put(sys.argv[1] + "/small" + number, PAYLOAD)).status)
run(main)
""".replace("PAYLOAD", repr(pattern(1300)))
    assert lines(micropython_board, driver, script, aiocoap_server.url) == ["2.04", "2.04"]
    assert [each.body for each in small] == 2 * [pattern(1300)]
    assert [each.sizes for each in small] == [[1024, 64, 64, 64, 64, 20], 20 * [64] + [20]]


# --- observing ---

OBSERVE_AIOCOAP = """
async def main():
    client = Client()
    url = sys.argv[1] + "/counter"
    for kind in ("CON", "NON"):
        states = client.observe(url, token=b"same")
        told = [int((await states.next()).payload)]
        kinds = []
        await client.post(url + "?n=20&interval=0.01&type=" + kind)
        async for reply in states:
            told.append(int(reply.payload))
            kinds.append(reply.type)
            if len(told) == 21:
                break
        print(told, kinds)
        last = await states.cancel()
        print(last.status, last.payload.decode(), last.get(6), await states.next())
        await sleep(0.03)  # until that count is over
    states = client.observe(url)
    await states.next()
    print("forget")
    states.forget()
    await client.post(url + "?n=3")
    for _ in range(10):
        await client.get(sys.argv[1] + "/echo")
        await sleep(0.01)
run(main)
"""


def test_observing_aiocoap(micropython_board, driver, aiocoap_server):
    """20 notifications, confirmable and not; cancel() is a request, forget() leaves it to a reset."""
    told = lines(micropython_board, driver, OBSERVE_AIOCOAP, aiocoap_server.url)
    assert told == [
        f"{list(range(21))} {20 * [CON]}",
        "2.05 20 None None",
        f"{list(range(20, 41))} {20 * [NON]}",
        "2.05 40 None None",
        "forget",
    ]
    aiocoap_server.wait_for_observers(0)


def test_aiocoap_ends_an_observation(micropython_board, driver, aiocoap_server):
    """An error is the last notification."""
    script = """
async def main():
    async for reply in Client().observe(sys.argv[1] + "/counter"):
        print(reply.status, reply.payload.decode())
run(main)
"""
    (micropython_board.folder / "observer.py").write_text(client_script(driver, script))
    observer = micropython_board.start(Path("observer.py"), aiocoap_server.url)
    aiocoap_server.wait_for_observers(1)
    aiocoap_server.notify(2)
    aiocoap_server.end_observations()
    out, err = observer.communicate(timeout=PATIENCE)
    assert (out, err) == ("2.05 0\n2.05 1\n2.05 2\n4.04 \n", "")


OBSERVE_LIBCOAP = (
    PATTERN
    + """
async def main():
    client = Client()
    url = sys.argv[1] + "/example_data"
    for size in (None, 64):
        states = client.observe(url, size=size)
        await states.next()
        good = 0
        for number in range(20):
            body = pattern(1100 + number)
            await client.put(url, body)
            reply = await states.next()
            good += reply.payload == body
        print(good, (await states.cancel()).get(6))
    states = client.observe(url)
    await states.next()
    states.forget()
    for number in range(4):
        await client.put(url, str(number))
        await sleep(0.01)
        await client.get(url)
run(main)
"""
)


@pytest.mark.parametrize("options", ((), ("-N",)))
def test_observing_libcoap(options, micropython_board, driver):
    """20 notifications of several blocks, confirmable and not, until they are cancelled, or reset."""
    with LibcoapServer(*options, verbosity=7) as server:
        told = lines(micropython_board, driver, OBSERVE_LIBCOAP, server.url)
        log = server.log()
    assert told == ["20 None", "20 None"]
    before, after = log.split("got RST for mid=")
    # Its own acknowledgements may have the same message id: that is the board's count, which begins anywhere.
    told = [each for each in packets(before) if each.sent and each.type != "ACK"]
    reset = [each for each in told if "0x" + each.mid == after[:6]][-1]
    assert (reset.type, reset.code) == ("NON" if options else "CON", "2.05")
    assert {(each.type, each.code) for each in packets(after) if each.sent} == {
        ("ACK", "2.04"),
        ("ACK", "2.05"),
    }


# --- discovery, groups, and one socket for all ---

DISCOVER = """
import json
from ben.coap import discovery
async def main():
    client = Client()
    for query in json.loads(sys.argv[2]):
        reply = await client.get(sys.argv[1] + "/.well-known/core", query=query)
        print(json.dumps([reply.uint(12), discovery.parse(reply.payload)]))
run(main)
"""


def discovered(board, driver, url, *queries):
    """The links that a board read: for each query a dict."""
    told = [json.loads(line) for line in lines(board, driver, DISCOVER, url, json.dumps(queries))]
    assert [kind for kind, _ in told] == len(queries) * [40]
    return [dict(links) for _, links in told]


def test_discovery_at_aiocoap(micropython_board, driver, aiocoap_server):
    every, typed, several, interfaces, one, none = discovered(
        micropython_board,
        driver,
        aiocoap_server.url,
        *({}, {"rt": "echo"}, {"rt": "b*"}, {"if": "core.s"}, {"href": "/size"}, {"rt": "nothing"}),
    )
    assert {"/echo", "/size", "/counter", "/negotiate"} <= set(every)
    assert every["/size"] == {"rt": "block data", "ct": "42", "sz": "2000"}
    assert every["/counter"] == {"rt": "counter", "if": "core.s", "obs": True}
    assert [set(each) for each in (typed, several, interfaces, one, none)] == [
        {"/echo"},
        {"/size", "/upload"},
        {"/counter", "/negotiate"},
        {"/size"},
        set(),
    ]


def test_discovery_at_libcoap(micropython_board, driver, libcoap_server):
    every, one, typed = discovered(
        micropython_board, driver, libcoap_server.url, {}, {"href": "/time"}, {"rt": "ticks"}
    )
    assert set(every) == {"/", "/time", "/async", "/example_data"}
    assert every["/time"] == one["/time"] == typed["/time"]
    assert one["/time"].items() >= {"if": "clock", "rt": "ticks", "ct": "0", "obs": True}.items()
    assert set(one) == set(typed) == {"/time"}


def test_a_group_is_asked(micropython_board, driver):
    """Several answers to one datagram: each from an address of its own, and none twice."""
    script = """
import socket
from ben.coap.custom import Custom
async def main():
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(socket.getaddrinfo("127.0.0.1", 0)[0][-1])
    client = Client(socket=Custom(sender))
    replies = await client.gather(sys.argv[1], 0.2)
    print(sorted([bytes(reply.payload).decode() for reply, _ in replies]))
    print(len(set([peer for _, peer in replies])))
run(main)
"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as group:
        group.bind((GROUP, 0))
        joined = socket.inet_aton(GROUP) + socket.inet_aton(LOCAL)
        try:
            group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        except OSError:
            pytest.skip("no multicast")
        group.settimeout(PATIENCE)

        def answer():
            asked, peer = group.recvfrom(2000)
            for text in (b"one", b"two", b"three"):
                with Raw(peer) as raw:
                    answer = b"\x54\x45" + asked[2:4] + asked[4:8] + b"\xff" + text
                    raw.send(answer)
                    raw.send(answer)
                    raw.send(b"\x54\x45" + asked[2:4] + b"none\xff" + text)  # another token
            told.append(asked[:2].hex())

        told = []
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"coap://{GROUP}:{group.getsockname()[1]}/x"
        assert lines(micropython_board, driver, script, url) == ["['one', 'three', 'two']", "3"]
        thread.join(PATIENCE)
        assert told == ["5401"]  # a GET without confirmation

"""A CoAP client on a board, byte by byte: a server that answers wrongly, late, twice, or not at all (RFC 7252, 7641)."""

import re

import pytest

from board import Board, interpreter
from peers import Raw
from test_coap_wire import KINDS, PING, PONG, octets

PATIENCE = 10  # s

# It does what it is told by a datagram, and tells what came of it.
CLIENT = """
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tester = socket.getaddrinfo("127.0.0.1", int(sys.argv[1]))[0][-1]

async def observe(url, **options):
    global watch
    watch = client.observe(url, **options)
    return await watch.next()

async def news():
    return await watch.next()

def name(error):
    return "OSError " + errno.errorcode.get(error.args[0], "?")

async def tell(line):
    try:
        result = eval(line)
        if hasattr(result, "send"):
            result = await result
        return "%s %s" % (result.status, result.payload) if result else "nothing"
    except OSError as error:
        return name(error)
    except Exception as error:
        return repr(error)

async def main():
    global client
    client = Client()
    control.sendto(b"ready", tester)
    while True:
        control.sendto((await tell(await hear())).encode(), tester)

run(main)
"""
DRIVERS = {
    "blocking": "import errno, socket, sys\nfrom ben.coap import Client\n"
    "def run(main):\n    main()\n"
    "def hear():\n    return control.recv(300)\n",
    "asyncio": "import asyncio, errno, socket, sys\nfrom ben.coap import aio, aioendpoint\nClient = aio.Client\n"
    "def run(main):\n    asyncio.run(main())\n"
    "async def hear():\n    while not await aioendpoint.ready(control, 60000, False):\n        pass\n"
    "    return control.recv(300)\n",
}


class Asker:
    """A client's process."""

    def __init__(self, board, driver, heap=None):
        script = CLIENT if driver == "asyncio" else CLIENT.replace("async ", "").replace("await ", "")
        self._control = Raw()
        self._process = board.start(DRIVERS[driver] + script, self._control.port, heap=heap)
        assert self._control.receive() == b"ready"
        self._servers = []

    def server(self):
        """One that never heard of the client; all stay open, so that none has the port of one before."""
        self._servers.append(Raw())
        return self._servers[-1]

    def do(self, line):
        """Has the client do something."""
        while self._control.receive(0.0005) is not None:  # of a test that failed
            pass
        self._control.send(line.encode())

    def told(self, timeout=PATIENCE):
        """What came of it, "" if nothing came in time."""
        return (self._control.receive(timeout) or b"").decode()

    def end(self):
        """Ends it; AssertionError if it had ended by itself, or complained."""
        died = self._process.poll()
        self._process.kill()
        said = self._process.communicate()
        for peer in [self._control, *self._servers]:
            peer.__exit__()
        assert (died, *said) == (None, "", "")


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def asker(request, tmp_path_factory):
    """A client of each runtime and driver."""
    runtime, driver = request.param
    asker = Asker(Board(interpreter(runtime), tmp_path_factory.mktemp("asker")), driver)
    yield asker
    asker.end()


class Server:
    """What a client asks, and what is to be sent to it: lines in which ID and TOKEN are the request's."""

    def __init__(self, asker):
        self._asker = asker
        self._raw = asker.server()
        self._others = {"": self._raw}
        self.url = self._raw.url

    def asked(self, line=None):
        """Has the client ask, and returns the request."""
        if line is not None:
            self._asker.do(line.replace("URL", self.url))
        self.request = self._raw.receive(PATIENCE)
        assert self.request, self._asker.told()
        assert self.request[0] & 0xC0 == 0x40
        self.id = self.request[2:4]
        self.token = self.request[4 : 4 + (self.request[0] & 15)]
        return self.request

    def datagram(self, line):
        following = int.from_bytes(self.id, "big") + 1 & 0xFFFF
        line = line.replace("NEXT", f"{following:04x}").replace("ID", self.id.hex())
        return octets(line.replace("TOKEN", self.token.hex()))

    def follow(self, script):
        """Sends the lines with >, and expects those with <, and no others but these; other> is another port."""
        for line in script.strip().splitlines():
            way, what = (line.strip() + " ").split(" ", 1)
            raw = self._raw if way in "<>" else self._other()
            if way[-1] == ">":
                raw.send(self.datagram(what))
            else:
                came = raw.receive(PATIENCE)
                assert came is not None, f"nothing came instead of {what}"
                assert re.fullmatch(self.datagram(what), came.hex()), f"{came.hex(' ')} instead of {what}"

    def _other(self):
        if "other" not in self._others:
            self._others["other"] = self._asker.server()
            self._others["other"].peer = self._raw.peer
        return self._others["other"]

    def nothing(self):
        """Nothing has come; to be asked while the client waits for something."""
        for raw in self._others.values():
            assert raw.ask(PING, PATIENCE) == PONG

    def answer(self, text="right"):
        """Answers the last request as one should."""
        self.follow(f"> 64 45 ID TOKEN FF '{text}'")


@pytest.fixture
def server(asker):
    return Server(asker)


GET = "client.get('URL/x', ack_timeout=30)"
RIGHT = "2.05 b'right'"

# After each of these the client still waits for the right answer.
NO_ANSWERS = {
    "another token": "> 64 45 ID AA BB CC DD FF 'wrong'",
    "another token, as CON": "> 44 45 70 01 AA BB CC DD FF 'wrong'\n < 70 00 70 01",
    "another token, as NON": "> 54 45 70 01 AA BB CC DD FF 'wrong'",
    "a longer token": "> 65 45 ID TOKEN 00 FF 'wrong'\n > 45 45 70 01 TOKEN 00\n < 70 00 70 01",
    "a shorter token": "> 63 45 ID AA BB CC FF 'wrong'",
    "no token": "> 60 45 ID FF 'wrong'\n > 50 45 70 01 FF 'wrong'",
    "another id": "> 64 45 NEXT TOKEN FF 'wrong'",
    "another port": "other> 64 45 ID TOKEN FF 'wrong'\n other> 54 45 70 01 TOKEN FF 'wrong'",
    "another port, as CON": "other> 44 45 70 01 TOKEN FF 'wrong'\n other< 70 00 70 01",
    "a RST with a response": "> 74 45 ID TOKEN FF 'wrong'",
    "a RST of another message": "> 70 00 NEXT",
    "a RST from another port": "other> 70 00 ID",
    "a RST with a token": "> 74 00 ID TOKEN",
    "an ACK of another message": "> 60 00 NEXT",
    "an ACK from another port": "other> 60 00 ID",
    "a request": "> 44 01 70 01 TOKEN\n < 70 00 70 01\n > 54 01 70 02 TOKEN\n > 64 01 ID TOKEN",
    "a ping": "> 40 00 70 01\n < 70 00 70 01",
    "0.00 as NON": "> 50 00 ID",
    "codes of the reserved classes": """
        > 64 21 ID TOKEN FF 'wrong'
        > 64 65 ID TOKEN FF 'wrong'
        > 64 C1 ID TOKEN FF 'wrong'
        > 64 E1 ID TOKEN FF 'wrong'
        > 54 65 70 01 TOKEN FF 'wrong'
        > 44 65 70 02 TOKEN FF 'wrong'
        < 70 00 70 02""",
    "a marker without payload": "> 64 45 ID TOKEN FF\n > 44 45 70 01 TOKEN FF\n < 70 00 70 01",
    "a truncated option": "> 64 45 ID TOKEN C2 00\n > 44 45 70 01 TOKEN C2 00\n < 70 00 70 01",
    "nibbles of 15": "> 64 45 ID TOKEN F0 FF 'wrong'\n > 54 45 70 01 TOKEN 0F FF 'wrong'",
    "a token of nine bytes": "> 69 45 ID TOKEN 5*00 FF 'wrong'\n > 49 45 70 01 TOKEN 5*00\n < 70 00 70 01",
    "half a token": "> 64 45 ID 00\n > 44 45 70 01 00\n < 70 00 70 01",
    "other versions": "> 24 45 ID TOKEN FF 'wrong'\n > A4 45 ID TOKEN FF 'wrong'\n > E4 45 ID TOKEN",
    "0 to 3 bytes": "> 0*00\n > 64\n > 64 45\n > 64 45 00\n > 40 00 00",
    "1153 bytes": "> 64 45 ID TOKEN FF 1144*61\n > 44 45 70 01 TOKEN FF 1144*61\n < 70 00 70 01",
    "60000 bytes": "> 64 45 ID TOKEN FF 59991*61",
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_what_is_no_answer_is_not_delivered(asker, server, name):
    server.asked(GET)
    server.follow(NO_ANSWERS[name])
    server.nothing()
    server.answer()
    assert asker.told() == RIGHT


ANSWERS = {
    "with the ACK": ("> 64 45 ID TOKEN FF 'right'", RIGHT),
    "as CON, after the ACK": ("> 60 00 ID\n > 44 45 70 01 TOKEN FF 'right'\n < 60 00 70 01", RIGHT),
    "as CON, before the ACK": ("> 44 45 70 01 TOKEN FF 'right'\n < 60 00 70 01\n > 60 00 ID", RIGHT),
    "as CON, with the id of the request": ("> 44 45 ID TOKEN FF 'right'\n < 60 00 ID", RIGHT),
    "as NON, after the ACK": ("> 60 00 ID\n > 54 45 70 01 TOKEN FF 'right'", RIGHT),
    "as NON": ("> 54 45 70 01 TOKEN FF 'right'", RIGHT),
    "after two ACKs": ("> 60 00 ID\n > 60 00 ID\n > 54 45 70 01 TOKEN FF 'right'", RIGHT),
    "an error": ("> 64 84 ID TOKEN FF 'none'", "4.04 b'none'"),
    "an error of the server's": ("> 44 A0 70 01 TOKEN\n < 60 00 70 01", "5.00 b''"),
    "an unknown code of a known class": ("> 64 5E ID TOKEN FF 'right'", "2.30 b'right'"),
    "an unknown option, elective": ("> 64 45 ID TOKEN A3 'any' E0 FC D1 FF 'right'", RIGHT),
    "an unknown option, critical": ("> 64 45 ID TOKEN 93 'any' FF 'wrong'", "OSError EIO"),
    "the same as CON": ("> 44 45 70 01 TOKEN 93 'any' FF 'wrong'\n < 70 00 70 01", "OSError EIO"),
    "the same as NON": ("> 54 45 70 01 TOKEN 93 'any' FF 'wrong'", "OSError EIO"),
    "a RST": ("> 70 00 ID", "OSError ECONNRESET"),
    "a block of the reserved size": ("> 64 45 ID TOKEN D1 0A 0F FF 16*61", "OSError EIO"),
    "a long Block2": ("> 64 45 ID TOKEN D4 0A 00 00 00 08 FF 16*61", "OSError EIO"),
    "a second block": ("> 64 45 ID TOKEN D1 0A 18 FF 16*61", "OSError EIO"),
    "a short block": ("> 64 45 ID TOKEN D1 0A 08 FF 15*61", "OSError EIO"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer(asker, server, name):
    script, told = ANSWERS[name]
    server.asked(GET)
    server.follow(script)
    assert asker.told() == told
    server.asked("client.get('URL/y', ack_timeout=30)")
    server.nothing()
    server.answer("another")
    assert asker.told() == "2.05 b'another'"


# What may come to a client that has its answer, or has none in time, and what it answers.
LATE = {
    "the same": ("> 64 45 ID TOKEN FF 'right'", []),
    "another one": ("> 64 45 ID TOKEN FF 'wrong'", []),
    "a NON": ("> 54 45 70 01 TOKEN FF 'wrong'", []),
    "a CON": ("> 44 45 70 01 TOKEN FF 'wrong'", ["70 00 70 01"]),
    "an ACK": ("> 60 00 ID", []),
    "a RST": ("> 70 00 ID", []),
}


def replies(server, count):
    """So many datagrams, the last request aside, which is the only one."""
    came = [server._raw.receive(PATIENCE) for _ in range(count + 1)]
    (server.request,) = [datagram for datagram in came if datagram[1]]
    server.id, server.token = server.request[2:4], server.request[4 : 4 + (server.request[0] & 15)]
    return [datagram.hex(" ").upper() for datagram in came if not datagram[1]]


@pytest.mark.parametrize("name", LATE)
@pytest.mark.parametrize("timeout", (False, True), ids=("answered", "given up"))
def test_the_next_request_is_not_answered_by_what_comes_late(asker, server, name, timeout):
    if timeout:
        server.asked("client.get('URL/x', timeout=0.02)")
        assert asker.told() == "OSError ETIMEDOUT"
    else:
        server.asked(GET)
        server.answer()
        assert asker.told() == RIGHT
    script, expected = LATE[name]
    server.follow(script)
    asker.do(f"client.get('{server.url}/y', ack_timeout=30)")
    assert replies(server, len(expected)) == expected
    server.nothing()
    server.answer("another")
    assert asker.told() == "2.05 b'another'"


def test_an_answer_to_a_request_with_the_same_token_is_not_the_nexts(asker, server):
    server.asked("client.get('URL/x', token=b'abc', ack_timeout=30)")
    late = server.datagram("63 45 ID 'abc' FF 'one'")
    server.follow("> " + late)
    assert asker.told() == "2.05 b'one'"
    server.asked("client.get('URL/x', token=b'abc', ack_timeout=30)")
    server.follow("> " + late)
    server.nothing()
    server.follow("> 63 45 ID 'abc' FF 'right'")
    assert asker.told() == RIGHT


def test_copies_of_a_separate_response_are_acknowledged_each_and_delivered_once(asker, server):
    server.asked(GET)
    separate = "> 44 45 70 01 TOKEN FF 'right'"
    server.follow(f"> 60 00 ID\n {separate}\n < 60 00 70 01")
    assert asker.told() == RIGHT
    server.follow(f"{separate}\n {separate}")
    asker.do(f"client.get('{server.url}/y', ack_timeout=30)")
    assert replies(server, 2) == ["60 00 70 01", "60 00 70 01"]
    server.nothing()
    server.answer("another")
    assert asker.told() == "2.05 b'another'"


def test_a_separate_response_refused_once_is_refused_again(asker, server):
    server.asked(GET)
    server.follow("> 44 45 70 01 TOKEN 93 'any'\n < 70 00 70 01")
    assert asker.told() == "OSError EIO"
    server.follow("> 44 45 70 01 TOKEN 93 'any'")
    asker.do(f"client.get('{server.url}/y', ack_timeout=30)")
    assert replies(server, 1) == ["70 00 70 01"]
    server.answer()
    assert asker.told() == RIGHT


@pytest.mark.parametrize("copies", (0, 1, 3))
def test_a_request_goes_out_so_often_and_then_times_out(asker, server, copies):
    first = server.asked(f"client.get('URL/x', ack_timeout=0.01, max_retransmit={copies})")
    for _ in range(copies):
        assert server.asked() == first
    assert asker.told() == "OSError ETIMEDOUT"
    server.asked("client.get('URL/y', ack_timeout=30)")
    assert server.request != first
    server.nothing()
    server.answer()
    assert asker.told() == RIGHT


def test_the_last_copy_may_be_answered(asker, server):
    server.asked("client.get('URL/x', ack_timeout=0.5, ack_random_factor=1, max_retransmit=1)")
    server.asked()
    server.answer()
    assert asker.told() == RIGHT


def test_an_acknowledged_request_is_not_sent_again(asker, server):
    server.asked("client.get('URL/x', ack_timeout=0.5, ack_random_factor=1, timeout=1)")
    server.follow("> 60 00 ID")
    assert asker.told() == "OSError ETIMEDOUT"
    server.asked("client.get('URL/y', ack_timeout=30)")
    assert server.request.endswith(b"y")
    server.answer()
    assert asker.told() == RIGHT


def test_a_request_that_nobody_confirms(asker, server):
    request = server.asked("client.get('URL/x', non=True)")
    assert request[0] == 0x54
    server.follow("> 64 45 ID TOKEN FF 'wrong'\n > 60 00 ID\n > 54 45 70 01 AA BB CC DD FF 'wrong'")
    server.nothing()
    server.follow("> 54 45 70 01 TOKEN FF 'right'")
    assert asker.told() == RIGHT
    server.asked("client.get('URL/x', non=True)")
    server.follow("> 44 45 70 02 TOKEN FF 'right'\n < 60 00 70 02")
    assert asker.told() == RIGHT
    server.asked("client.get('URL/x', non=True)")
    server.follow("> 70 00 ID")
    assert asker.told() == "OSError ECONNRESET"
    server.asked("client.get('URL/x', non=True, timeout=0.05)")
    assert asker.told() == "OSError ETIMEDOUT"
    server.asked("client.get('URL/y', ack_timeout=30)")
    assert server.request.endswith(b"y")
    server.answer()
    assert asker.told() == RIGHT


@pytest.mark.parametrize("size", range(9))
def test_tokens(asker, server, size):
    request = server.asked(f"client.get('URL/x', ack_timeout=30, token={size * b'~'})")
    assert request == bytes((0x40 | size, 1)) + server.id + size * b"~" + b"\xb1x"
    server.follow(f"> 6{size} 45 ID TOKEN FF 'right'")
    assert asker.told() == RIGHT


def test_tokens_and_ids_differ(asker, server):
    requests = []
    for _ in range(20):
        requests.append(server.asked(GET))
        server.answer()
        assert asker.told() == RIGHT
    assert len({request[4:8] for request in requests}) == len({request[2:4] for request in requests}) == 20


# --- blocks ---

FIRST = "> 64 45 ID TOKEN 41 01 D1 06 08 FF 16*61"


@pytest.mark.parametrize(
    "script",
    (
        "> 64 45 ID TOKEN 41 02 D1 06 10 FF 'b'",
        "> 64 45 ID TOKEN D1 0A 10 FF 'b'",
        "> 64 45 ID TOKEN 41 01 FF 'b'",
        "> 64 45 ID TOKEN 41 01 D1 06 20 FF 'b'",
        "> 64 45 ID TOKEN 41 01 D1 06 00 FF 'b'",
        "> 64 45 ID TOKEN 41 01 D1 06 18 FF 'b'",
    ),
    ids=("another ETag", "no ETag", "no block", "a later block", "an earlier block", "a short block"),
)
def test_pieces_of_two_bodies_are_not_put_together(asker, server, script):
    server.asked(GET)
    server.follow(FIRST)
    assert server.asked().endswith(bytes.fromhex("b1 78 c1 10"))
    server.follow(script)
    assert asker.told() == "OSError EIO"


def test_a_copy_of_a_block_is_not_the_next_one(asker, server):
    server.asked(GET)
    first = "> " + server.datagram(FIRST[2:])
    server.follow(first)
    server.asked()
    server.follow(first)
    server.nothing()
    server.follow("> 64 45 ID TOKEN 41 01 D1 06 10 FF 'b'")
    assert asker.told() == f"2.05 {16 * b'a' + b'b'}"


def test_a_server_that_refuses_every_size_is_believed_at_last(asker, server):
    asker.do(f"client.put('{server.url}/x', 3000 * b'a', ack_timeout=30)")
    for size in (3, 2, 1, 0, 0):
        server.asked()
        server.follow(f"> 64 8D ID TOKEN D1 0E 0{size}")
    assert asker.told() == "4.13 b''"


# --- observing ---

OBSERVE = "observe('URL/x', ack_timeout=30)"


@pytest.fixture
def observed(asker, server):
    """A server that is observed, and has said 5."""
    request = server.asked(OBSERVE)
    assert request[8:] == b"\x60\x51x"
    server.follow("> 64 45 ID TOKEN 61 05 FF '5'")
    assert asker.told() == "2.05 b'5'"
    yield server
    asker.do("watch.forget()")
    assert asker.told() == "nothing"


OLD = {
    "an old one": "> 54 45 70 01 TOKEN 61 04 FF '4'",
    "the same again": "> 54 45 70 01 TOKEN 61 05 FF '5'",
    "the first answer again": "> 64 45 ID TOKEN 61 05 FF '5'",
    "a very old one": "> 54 45 70 01 TOKEN 63 80 00 06 FF 'old'",
    "an old CON": "> 44 45 70 01 TOKEN 61 04 FF '4'\n < 60 00 70 01",
    "from another port": "other> 54 45 70 01 TOKEN 61 09 FF '9'\n other< 70 00 70 01",
    "a CON from another port": "other> 44 45 70 01 TOKEN 61 09 FF '9'\n other< 70 00 70 01",
    "with another token": "> 54 45 70 01 AA BB CC DD 61 09 FF '9'\n < 70 00 70 01",
    "a CON with another token": "> 44 45 70 01 AA BB CC DD 61 09 FF '9'\n < 70 00 70 01",
    "with the id of another": "> 64 45 NEXT TOKEN 61 09 FF '9'",
}


@pytest.mark.parametrize("name", OLD)
def test_old_notifications_are_not_delivered(asker, observed, name):
    asker.do("news()")
    observed.follow(OLD[name])
    observed.nothing()
    observed.follow("> 54 45 70 02 TOKEN 61 06 FF '6'")
    assert asker.told() == "2.05 b'6'"


def test_notifications_are_delivered_once_and_acknowledged_each_time(asker, observed):
    asker.do("news()")
    observed.follow("> 44 45 70 01 TOKEN 61 06 FF '6'\n < 60 00 70 01")
    assert asker.told() == "2.05 b'6'"
    asker.do("news()")
    observed.follow("> 44 45 70 01 TOKEN 61 06 FF '6'\n < 60 00 70 01")
    observed.follow("> 44 45 70 01 TOKEN 61 06 FF '6'\n < 60 00 70 01")
    observed.nothing()
    observed.follow("> 54 45 70 02 TOKEN 62 01 00 FF '256'")
    assert asker.told() == "2.05 b'256'"


def test_the_numbers_of_notifications_wrap(asker, observed):
    for number in ("63 7F FF FF", "63 FF FF FE", "60", "61 01"):
        asker.do("news()")
        observed.follow(f"> 54 45 70 01 TOKEN {number} FF 'new'")
        assert asker.told() == "2.05 b'new'"


def test_an_error_ends_it(asker, observed):
    asker.do("news()")
    observed.follow("> 44 84 70 01 TOKEN\n < 60 00 70 01")
    assert asker.told() == "4.04 b''"
    asker.do("news()")
    assert asker.told() == "nothing"


def test_an_observe_option_of_four_bytes_is_passed_over(asker, observed):
    """So it is a response, and the last."""
    asker.do("news()")
    observed.follow("> 54 45 70 01 TOKEN 64 00 00 00 06 FF '6'")
    assert asker.told() == "2.05 b'6'"
    asker.do("news()")
    assert asker.told() == "nothing"


def test_a_notification_with_an_unknown_critical_option(asker, observed):
    """It is refused; what is observed is asked for anew, for the server has now forgotten the client."""
    asker.do("news()")
    observed.follow("> 44 45 70 01 TOKEN 61 06 33 'any' FF '6'\n < 70 00 70 01")
    assert observed.asked()[8:] == b"\x60\x51x"
    observed.follow("> 64 45 ID TOKEN 61 01 FF '1'")
    assert asker.told() == "2.05 b'1'"


@pytest.mark.parametrize("age", ("80", "84 FF FF FF FF", "88 8*FF", "8D F2 255*FF"))
def test_any_max_age(asker, observed, age):
    """They may be good for a century, or for longer than there are numbers for."""
    asker.do("news()")
    observed.follow(f"> 54 45 70 01 TOKEN 61 06 {age} FF '6'")
    assert asker.told() == "2.05 b'6'"
    asker.do("news()")
    observed.nothing()
    observed.follow(f"> 54 45 70 02 TOKEN 61 07 {age} FF '7'")
    assert asker.told() == "2.05 b'7'"


def test_any_length_of_a_number(asker, observed):
    asker.do("news()")
    observed.follow("> 54 45 70 01 TOKEN 6D F2 255*07 FF 'long'\n > 54 45 70 02 TOKEN 61 08 FF '8'")
    assert asker.told() in ("2.05 b'long'", "2.05 b'8'")


@pytest.mark.parametrize("kind", "45")
def test_what_is_forgotten_is_refused(asker, server, kind):
    server.asked(OBSERVE)
    server.follow("> 64 45 ID TOKEN 61 05 FF '5'")
    assert asker.told() == "2.05 b'5'"
    asker.do("watch.forget()")
    assert asker.told() == "nothing"
    server.follow(f"> {kind}4 45 70 01 TOKEN 61 06 FF '6'")
    asker.do(f"client.get('{server.url}/y', ack_timeout=30)")
    assert replies(server, 1) == ["70 00 70 01"]
    server.answer()
    assert asker.told() == RIGHT


def test_it_is_cancelled_with_the_same_token(asker, server):
    server.asked(OBSERVE)
    token = server.token
    server.follow("> 64 45 ID TOKEN 61 05 FF '5'")
    assert asker.told() == "2.05 b'5'"
    assert server.asked("watch.cancel()")[4:] == token + b"\x61\x01\x51x"
    server.follow("> 54 45 70 01 AA BB CC DD 61 06\n < 70 00 70 01")
    server.answer()
    assert asker.told() == RIGHT
    asker.do("news()")
    assert asker.told() == "nothing"

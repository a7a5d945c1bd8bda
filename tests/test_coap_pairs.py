"""A client and a server of ben's in one process, and what happens between two of their messages."""

import asyncio
import contextlib
from errno import EIO, ETIMEDOUT

import pytest

from ben.coap import LATER, Client, Error, Response, Server, aio, bodies, discovery
from ben.coap.exchange import Exchange
from ben.coap.layer import Layer
from ben.coap.message import Message, decode
from ben.coap.request import request as make_request
from peers import Raw, free_port

BLOCK1, BLOCK2, OBSERVE, ETAG = 27, 23, 6, 4
PATIENCE = 10  # s


class Pair:
    """A blocking client, and a server that is served while it waits; at_work: False for one that is away."""

    def __init__(self, **options):
        self.server = Server(0, "127.0.0.1", **options)
        self.at_work = True
        self.add = self.server.add
        self.port = self.server.endpoint.socket.socket.getsockname()[1]
        self.client = self.another()

    def another(self):
        """One more client."""
        client = Client()
        receive = client.endpoint.socket.recv

        def recv(ms):
            if self.at_work:
                self.server.poll(0)
            return receive(min(ms, 5))

        client.endpoint.socket.recv = recv
        return client

    def url(self, path):
        return f"coap://127.0.0.1:{self.port}/{path}"

    def later(self, seconds):
        """The client's clock goes on."""
        self.client.endpoint._ticks -= seconds * 1000

    def observers(self):
        observers = self.server.resources.observers
        return len(observers._all) if observers else 0


@contextlib.asynccontextmanager
async def serving(**of):
    """A server of asyncio's with one resource, x, in the loop that runs; and the URL of that."""
    server = aio.Server(0, "127.0.0.1")
    server.add("x", **of)
    running = asyncio.create_task(server.run())
    await asyncio.sleep(0)
    yield server, f"coap://127.0.0.1:{server.endpoint.socket.socket.getsockname()[1]}/x"
    running.cancel()
    server.close()


@pytest.fixture
def pair():
    pair = Pair()
    yield pair
    pair.client.close()
    pair.server.close()


def of(letter, size=3000):
    """What a long body of one letter is read from."""
    return lambda at, most: letter * max(0, min(most, size - at))


# --- bodies ---


@pytest.mark.parametrize("non", (False, True))
def test_a_long_body_whose_answer_is_not_wanted_comes_whole(pair, non):
    """Its blocks before the last one are answered (RFC 7959, 2.9.1): who sends them has to know."""
    came = []

    def put(request):
        request.acknowledge()
        came.append(request.offset)

    pair.add("up", put=put, stream=True)
    assert pair.client.put(pair.url("up"), bytes(3000), no_response=2, non=non, timeout=0.3) is None
    assert came == [0, 1024, 2048]


def test_a_body_that_is_read_anew_is_tagged_anew(pair):
    """So the client learns that it has changed, and does not put together two halves."""
    now, reads = [b"1"], []

    def read(at, most):
        reads.append(at)
        data = of(now[0])(at, most)
        if len(reads) == 2:
            now[0] = b"2"
        return data

    pair.add("file", get=lambda _: read, etag=lambda _: now[0])
    with pytest.raises(OSError) as error:
        pair.client.get(pair.url("file"))
    assert error.value.errno == EIO
    reply = pair.client.get(pair.url("file"))
    assert (reply.payload, reply.get(ETAG)) == (3000 * b"2", b"2")


@pytest.mark.parametrize("method", ("get", "post", "fetch"))
@pytest.mark.parametrize("own", (b"own", b"tag"))
def test_an_etag_of_the_handlers_own_stays(pair, method, own):
    pair.add("x", etag=lambda _: b"tag", **{method: lambda _: Response(of(b"1"), etag=own)})
    reply = getattr(pair.client, method)(pair.url("x"))
    assert (reply.payload, reply.get(ETAG)) == (3000 * b"1", own)


def test_a_fetch_that_asks_with_each_block(pair):
    pair.add("what", fetch=lambda request: of(bytes(request.payload)))
    message = make_request(5, pair.url("what"), options=((BLOCK2, 1 << 4 | 6),))[0]
    message.payload = b"a"
    assert asked(pair, pair.client, message).payload == 1024 * b"a"


def test_the_rest_of_a_fetch_that_is_not_kept_any_more(pair):
    """Its question came with the first block only: the handler cannot be asked again without it."""
    pair.add("what", fetch=lambda request: of(bytes(request.payload)[:1] or b"?"))
    messages = []
    for letter in (b"a", b"b", b"c"):
        message = make_request(5, pair.url("what"), size=1024)[0]
        message.payload = letter
        messages.append((pair.another(), message))
    firsts = [asked(pair, client, message) for client, message in messages]
    assert [reply.payload[:1] for reply in firsts] == [b"a", b"b", b"c"]
    client, message = messages[0]
    rest = make_request(5, pair.url("what"), options=((BLOCK2, 1 << 4 | 6),))[0]
    assert asked(pair, client, rest).status == "4.08"


def asked(pair, client, message):
    peer = pair.server.endpoint.socket.resolve("127.0.0.1", pair.port)
    if not client.endpoint.socket.socket:
        client.endpoint.socket.open(peer[0])
    return client.exchange(Exchange(message, peer[1], ack_timeout=5))


@pytest.mark.parametrize("condition", ({"if_none_match": True}, {"if_match": b"0"}))
@pytest.mark.parametrize("stream", (False, True))
def test_a_condition_is_judged_once(pair, condition, stream):
    """By what was there before the request, and not by what its first blocks have made of that."""
    state = {} if "if_none_match" in condition else {"x": b""}

    def put(request):
        state["x"] = state.get("x", b"") + request.payload
        return None if request.more else 500 * b"long "

    pair.add("x", put=put, etag=lambda _: b"%d" % len(state["x"]) if "x" in state else None, stream=stream)
    reply = pair.client.put(pair.url("x"), bytes(3000), **condition)
    assert (reply.status, reply.payload) == ("2.04", 500 * b"long ")
    assert state["x"] == bytes(3000)
    assert pair.client.put(pair.url("x"), b"again", **condition).status == "4.12"


def test_two_uploads_of_a_client_do_not_disturb_each_other():
    """They have Request-Tags (RFC 9175, 3)."""
    came = []
    bodies = [letter * 3000 for letter in (b"a", b"b")]

    async def main():
        async with serving(post=lambda request: came.append(bytes(request.payload))) as (_, url):
            client = aio.Client()
            return await asyncio.gather(*[client.post(url, body) for body in bodies])

    assert [reply.status for reply in asyncio.run(main())] == 2 * ["2.04"]
    assert sorted(came) == bodies


@pytest.mark.parametrize("limit, status", ((1500, "4.13"), (4096, "5.00")))
def test_a_body_for_which_there_is_no_room_is_let_go(monkeypatch, limit, status):
    """At once: the memory that it has is needed."""

    class Short(bytearray):
        def __iadd__(self, data):
            if len(self) > 1500:
                raise MemoryError
            return super().__iadd__(data)

    monkeypatch.setattr(bodies, "bytearray", Short, raising=False)
    pair = Pair(limit=limit)
    pair.add("up", put=lambda _: b"")
    message = make_request(3, pair.url("up"))[0]
    replies = []
    for number in range(3):
        block = Message(3, bytes(1024), 0, 0, bytes((number,)))
        block.options = [*message.options, (BLOCK1, bytes((number << 4 | 8 | 6,)))]
        replies.append(asked(pair, pair.client, block).status)
    assert status in replies
    assert pair.server.resources.bodies._coming == []
    pair.server.close()


def test_later_blocks_of_an_answer_have_no_observe_and_no_block1(pair):
    pair.add("x", get=lambda _: bytes(3000), put=lambda _: bytes(3000), obs=True)
    with Raw(pair.port) as raw:
        for code, options in ((1, ((OBSERVE, b""),)), (3, ((BLOCK1, b"\6"),))):
            first = Message(code, b"", 0, code, b"t")
            rest = Message(code, b"", 0, code + 10, b"t")
            for number, value in options:
                first.add(number, value)
            rest.add(BLOCK2, 1 << 4 | 6)
            for message in (first, rest):
                message.add(11, "x")
                raw.send(bytes(message.encode()))
                pair.server.poll(20)
            answers = [decode(raw.receive()) for _ in range(2)]
            assert answers[0].get(options[0][0]) is not None
            assert [number for number, _ in answers[1].options] == [ETAG, BLOCK2]


def test_an_errors_text_fits_a_message(pair):
    pair.add("x", get=lambda _: Error("4.00", 2000 * "x"))
    reply = pair.client.get(pair.url("x"))
    assert (reply.status, reply.payload) == ("4.00", 1024 * b"x")


# --- observing ---


def test_a_state_that_has_changed_while_it_was_fetched_gives_way_to_the_next(pair):
    now = [0]
    pair.add("long", get=lambda _: b"%d" % now[0] * 3000, obs=True)
    states = pair.client.observe(pair.url("long"))
    assert states.next().payload == 3000 * b"0"
    for _ in range(2):
        now[0] += 1
        pair.server.notify("long")
    assert states.next().payload == 3000 * b"2"


def test_a_state_that_cannot_be_fetched_ends_the_observation_until_the_next_call(pair):
    """Who begins anew leaves nothing behind, and who goes on asks anew."""
    now = [0]
    pair.add("long", get=lambda _: Response(b"%d" % now[0] * 3000, max_age=3600), obs=True)
    states = pair.client.observe(pair.url("long"), ack_timeout=0.05, max_retransmit=1)
    assert states.next().payload == 3000 * b"0"
    now[0] = 1
    pair.server.notify("long")
    pair.at_work = False
    with pytest.raises(OSError) as error:
        states.next()
    assert (error.value.errno, pair.client.endpoint.layer.exchanges) == (ETIMEDOUT, [])
    pair.at_work = True
    assert states.next(PATIENCE).payload == 3000 * b"1"


def test_who_goes_on_after_an_error_is_back_with_the_server(pair):
    pair.add("x", get=lambda _: Response(b"1", max_age=0), obs=True)
    states = pair.client.observe(pair.url("x"), ack_timeout=0.05, max_retransmit=1)
    assert states.next().payload == b"1"
    pair.at_work = False
    pair.later(20)
    for _ in range(2):
        with pytest.raises(OSError) as error:
            states.next()
        assert error.value.errno == ETIMEDOUT
    pair.at_work = True
    assert states.next(PATIENCE).payload == b"1"


def test_what_has_waited_in_the_socket_is_older_than_the_answer(pair):
    """It does not pass for the answer of a server that was started anew, and counts from 1."""
    name = [b"before"]

    def add():
        pair.add("x", get=lambda _: Response(name[0], max_age=1), obs=True)

    add()
    states = pair.client.observe(pair.url("x"))
    assert states.next().payload == b"before"
    for _ in range(42):  # and so far do its numbers go
        pair.server.notify("x")
        assert states.next().payload == b"before"
    pair.server.notify("x")
    pair.server.poll(0)
    pair.server.resources.observers = None
    name[0] = b"after"
    add()
    pair.later(20)
    assert states.next().payload == b"before"
    pair.later(20)
    assert states.next().payload == b"after"
    pair.server.notify("x")
    assert states.next(1).payload == b"after"


def test_next_with_a_time_where_it_changes_faster_than_it_can_be_fetched(pair):
    now = [0]
    pair.add("long", get=lambda _: b"%d" % (now[0] % 10) * 3000, obs=True)
    states = pair.client.observe(pair.url("long"))
    assert states.next(PATIENCE).payload == 3000 * b"0"
    recv = pair.client.endpoint.socket.recv

    def changing(ms):
        if now[0] < 1000:
            now[0] += 1
            pair.server.notify("long")
        return recv(ms)

    pair.client.endpoint.socket.recv = changing
    with pytest.raises(OSError) as error:
        states.next(PATIENCE)
    assert (error.value.errno, now[0] < 1000) == (EIO, True)


def test_who_forgets_after_an_error_is_not_registered_again(pair):
    pair.add("x", get=lambda _: Response(b"1", max_age=0), obs=True)
    states = pair.client.observe(pair.url("x"), ack_timeout=0.05, max_retransmit=1)
    assert states.next().payload == b"1"
    pair.at_work = False
    pair.later(20)
    with pytest.raises(OSError):
        states.next()
    states.forget()
    assert states.next() is None


def test_cancel_again(pair):
    pair.add("x", get=lambda _: b"1", obs=True)
    states = pair.client.observe(pair.url("x"))
    states.next()
    assert [states.cancel().status for _ in range(2)] == 2 * ["2.05"]
    assert pair.observers() == 0


def test_next_with_await_that_is_broken_off_loses_nothing():
    now = [b"0"]

    async def main():
        async with serving(get=lambda _: now[0] * 20000, obs=True) as (server, url):
            states = aio.Client().observe(url, size=64)
            assert (await states.next()).payload == 20000 * b"0"
            now[0] = b"1"
            server.notify("x")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(states.next(), 0.01)
            assert (await asyncio.wait_for(states.next(), PATIENCE)).payload == 20000 * b"1"

    asyncio.run(main())


def test_news_while_the_handler_of_a_registration_takes_its_time():
    async def main():
        state, reading, told = [b"old"], asyncio.Event(), asyncio.Event()

        async def get(request):
            now = state[0]
            reading.set()
            await told.wait()
            return now

        async with serving(get=get, obs=True) as (server, url):
            states = aio.Client().observe(url)
            first = asyncio.create_task(states.next())
            await reading.wait()
            state[0] = b"new"
            server.notify("x")
            told.set()
            assert (await first).payload == b"old"
            assert (await asyncio.wait_for(states.next(), PATIENCE)).payload == b"new"

    asyncio.run(main())


def test_who_cannot_be_told_for_want_of_memory_hears_of_it(pair, monkeypatch):
    pair.add("x", get=lambda _: b"1", obs=True)
    states = pair.client.observe(pair.url("x"))
    states.next()
    start = Layer.start

    def starved(layer, exchange):
        monkeypatch.setattr(Layer, "start", start)
        raise MemoryError

    monkeypatch.setattr(Layer, "start", starved)
    pair.server.notify("x")
    assert (states.next(1).status, states.next(1), pair.observers()) == ("5.00", None, 0)


# --- servers ---


def test_requests_that_wait_are_acknowledged_one_beside_the_other(pair):
    """A board's stack has no room for eight ticks inside each other."""
    pair.add("x", get=lambda _: LATER)
    depth = []
    tick = pair.server.endpoint.tick

    def deep():
        depth.append(depth[-1] + 1 if depth else 1)
        try:
            assert depth[-1] < 2
            return tick()
        finally:
            depth.pop()

    with Raw(pair.port) as raw:
        for number in range(8):
            raw.send(bytes((0x41, 1, 0, number, number)) + b"\xb1x")
        pair.server.poll(20)
        pair.server.endpoint.tick = deep
        pair.server.poll(300)
        assert sorted(raw.receive()[3] for _ in range(8)) == list(range(8))


BROKEN_OFF = """
import asyncio
from ben.coap import aio
server = aio.Server(PORT, "127.0.0.1")
async def slow(request):
    await asyncio.sleep(0.5)
    return "late"
server.add("x", get=slow)
async def main(breaks):
    asyncio.create_task(server.run())
    asked = [asyncio.create_task(aio.Client().get("coap://127.0.0.1:PORT/x")) for _ in range(6)]
    while len(server.resources.later) < 6:
        await asyncio.sleep(0.01)
    if breaks:
        raise KeyboardInterrupt
    for each in asked:
        print((await each).status)
for breaks in (True, True, False):
    try:
        asyncio.run(main(breaks))
    except KeyboardInterrupt:
        asyncio.new_event_loop()
"""


def test_what_an_earlier_loop_left_does_not_count(micropython_board):
    """A loop that Ctrl-C has broken off leaves handlers that never end."""
    told = micropython_board.run(BROKEN_OFF.replace("PORT", str(free_port())))
    assert told == 6 * "2.05\n"


def test_who_is_told_of_failures_may_fail(pair):
    """Its exception comes out of poll(), and the client has its answer all the same."""
    told = []

    def failed(request, error):
        told.append(error)
        raise KeyError("nobody catches this")

    pair.server.resources.failed = failed
    pair.add("x", get=lambda _: 1 // 0)
    with Raw(pair.port) as raw:
        raw.send("40 01 00 01 B1 78")
        with pytest.raises(KeyError):
            pair.server.poll(20)
        pair.server.poll(0)
        assert raw.receive()[1] == 0xA0
    assert isinstance(told[0], ZeroDivisionError)


def test_a_coroutine_may_answer_later():
    asked = []

    async def get(request):
        asked.append(request)
        return LATER

    async def main():
        async with serving(get=get) as (server, url):
            reply = asyncio.create_task(aio.Client().get(url))
            while not asked:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
            server.answer(asked[0], "now")
            assert (await asyncio.wait_for(reply, PATIENCE)).payload == b"now"

    asyncio.run(main())


NOBODY = """
from ben.coap import Custom, Server
class Modem:
    def __init__(self):
        self.came = [(b"\\x40\\0\\0\\1", ("no.such.host.invalid", 1)), (b"\\x40\\0\\0\\2", ("127.0.0.1", 9))]
    def sendto(self, datagram, peer):
        print(bytes(datagram))
    def recvfrom(self, size):
        if self.came:
            return self.came.pop(0)
        raise OSError(11)
Server(socket=Custom(Modem())).poll(100)
"""


def test_a_modem_that_heard_of_nobody(micropython_board):
    """What comes from an address that cannot be resolved is lost, and the next is answered."""
    assert micropython_board.run(NOBODY) == "b'p\\x00\\x00\\x02'\n"


# --- clients ---


THREADS = """
import _thread, time
from ben.coap.request import request
wrong = []
left = [1, 2, 3]
def ask(number):
    host = "10.0.0.%d" % number
    url = "coap://%s/%s" % (host, host)
    for _ in range(20000):
        message, asked, _, _ = request(1, url)
        if asked != host or message.options[-1][1] != host.encode():
            wrong.append(number)
    left.remove(number)
for number in list(left):
    _thread.start_new_thread(ask, (number,))
while left:
    time.sleep(0.01)
print(len(wrong))
"""


def test_threads_with_clients_of_their_own(micropython_board):
    """What one asks is not asked by another one."""
    assert micropython_board.run(THREADS) == "0\n"


def test_a_poll_of_a_group_that_is_broken_off_is_over(pair):
    pair.add("x", get=lambda _: b"1")
    recv = pair.client.endpoint.socket.recv

    def interrupted(_):
        raise KeyboardInterrupt

    pair.client.endpoint.socket.recv = interrupted
    with pytest.raises(KeyboardInterrupt):
        pair.client.gather(pair.url("x"), seconds=60)
    pair.client.endpoint.socket.recv = recv
    assert pair.client.get(pair.url("x")).payload == b"1"

    async def main():
        client = aio.Client()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.gather(pair.url("x"), seconds=60), 0.05)
        assert client.endpoint.layer.exchanges == []

    asyncio.run(main())


def test_an_acknowledged_response_is_known_by_its_token_too():
    """A server that counts its messages from the same number, after a restart, is not taken for its past."""
    layer = Layer()
    for token in (b"one", b"two"):
        exchange = Exchange(Message(1, b"", 0, 0, token), "peer")
        layer.start(exchange)
        layer.tick()
        response = bytes(Message(0x45, token, 0, 7, token).encode())
        for _ in range(2):
            layer.out.clear()
            layer.receive(response, "peer")
            assert [datagram for datagram, _ in layer.out] == [b"\x60\0\0\7"]
        assert exchange.reply.payload == token


def test_two_pings_at_once():
    async def main():
        async with serving() as (_, url):
            client = aio.Client()
            assert await asyncio.gather(client.ping(url), client.ping(url)) == [True, True]

    asyncio.run(main())


# --- discovery ---


def test_what_attributes_say(pair):
    """Values in quotes, found whole and by their words; what is False is not there."""
    title = 'Lamp "left" in the \\ hall'
    pair.add("lamp", get=lambda _: b"", title=title, rt="lamp switch", ct=0, obs=False)

    def found(**query):
        reply = pair.client.get(pair.url(".well-known/core"), query=query)
        return [path for path, _ in discovery.parse(reply.payload)]

    links = discovery.parse(pair.client.get(pair.url(".well-known/core")).payload)
    assert links == [("/lamp", {"title": title, "rt": "lamp switch", "ct": "0"})]
    for query in ({"title": title}, {"rt": "switch"}, {"rt": "lamp switch"}, {"ct": "0"}, {"title": "Lamp*"}):
        assert found(**query) == ["/lamp"]
    for query in ({"obs": "False"}, {"obs": "*"}, {"rt": "swi"}, {"ct": "40"}):
        assert found(**query) == []


@pytest.mark.parametrize("text", ('</a>;title="x', '</a>;title="x\\', '</a>;title="x\\"', '</a>;title="'))
def test_a_value_without_an_end(text):
    with pytest.raises(ValueError):
        discovery.parse(text)

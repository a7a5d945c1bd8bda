"""The link's promises on bad paths: real boards and a real server, with a proxy between them that does what paths do."""

import contextlib
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack

import benserver
from ben import client
from hosts import PATIENCE
from proxy import Direction, Faults, Proxy

# The proxy itself

EVERY_FAULT = Faults(drop=0.2, duplicate=0.2, reorder=0.2, corrupt=0.2, rebind=0.2)


def decisions(seed, count=200):
    direction = Direction(EVERY_FAULT, seed)
    return [direction.decide(bytes((number,))) for number in range(count)], direction.did


def test_the_same_seed_decides_the_same():
    assert decisions("1 up") == decisions("1 up")
    assert decisions("1 up") != decisions("2 up")
    longer = Direction(EVERY_FAULT, "1 up")
    for number in range(200):
        longer.decide(bytes(1 + number))
    assert longer.did == decisions("1 up")[1], "whatever the datagrams are"


def through(up, count=100):
    """[(from which port, number)] of what a server gets when a client sends numbers up to count; and the proxy."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        with Proxy(server.getsockname()[1], up, seed=3) as proxy:
            for number in range(count):
                client.sendto(bytes((number,)), ("127.0.0.1", proxy.port))
            wait_until(lambda: proxy.call(lambda: len(proxy.requests) == count and not proxy.late))
        got = []
        with contextlib.suppress(BlockingIOError):
            while True:
                datagram, address = server.recvfrom(10)
                got.append((address[1], datagram[0]))
        return got, proxy.up


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_fault_happens():
    def numbers(**fault):
        got, up = through(Faults(**fault))
        count = up.count(*fault)
        assert 30 <= count <= 70, (fault, str(up))
        return [number for _, number in got], count

    everything = list(range(100))
    assert [number for _, number in through(Faults())[0]] == everything
    assert through(Faults(hole=True))[0] == []
    got, count = numbers(drop=0.5)
    assert len(got) == 100 - count and got == sorted(got)
    got, count = numbers(duplicate=0.5)
    assert len(got) == 100 + count and sorted(set(got)) == everything
    got, _ = numbers(reorder=0.5)
    assert got != everything and sorted(got) == everything
    got, count = numbers(corrupt=0.5)
    assert sum(bin(one ^ two).count("1") for one, two in zip(got, everything)) == count
    assert all(bin(one ^ two).count("1") < 2 for one, two in zip(got, everything))
    got, up = through(Faults(rebind=0.5))
    assert len({port for port, _ in got}) > up.count("rebind") / 2 > 10
    began = time.monotonic()
    assert len(through(Faults(delay=0.1))[0]) == 100 and time.monotonic() - began > 0.1


# At most once, and the truth

SENDS = """
def ask(number):
    if number % 10 == 5:  # in parts
        return {"action": "take", "data": number.to_bytes(4, "big") * 750}, number
    if number % 20 == 10:  # its reply in pieces
        return {"action": "give", "data": number}, number.to_bytes(4, "big") * 750
    return {"action": "note", "data": number}, number

async def main():
    port, first, count, channel, device = map(int, sys.argv[1:6])
    link = Client("127.0.0.1", port, float(sys.argv[6]), channel=channel, device=device)
    for number in range(first, first + count):
        request, expected = ask(number)
        noreturn = number % 4 == 3
        try:
            got = await link.send(request, noreturn)
            print(number, "ran" if got == ({} if noreturn else expected) else "wrong: %r" % got)
        except OSError as error:
            print(number, error.args[1])
        except BenError as error:
            print(number, error.text)

run(main)
"""
# What a send() may tell, and how often its handler has run then
TRUTH = {"ran": {1}, "the rest of the reply is gone": {1}, "not run": {0}, "maybe": {0, 1}}


class Ledger:
    """What ran how often, and what boards were told."""

    def __init__(self, host):
        self.ran = Counter()
        self.told = {}
        self.mixed_up = False
        host.handle("note", self._note)
        host.handle("take", self._take)
        host.handle("give", lambda number: self._note(number).to_bytes(4, "big") * 750)

    def _note(self, number):
        self.ran[number] += 1
        return number

    def _take(self, data):
        number = self._note(int.from_bytes(data[:4], "big"))
        self.mixed_up |= data != data[:4] * 750
        return number

    def hear(self, lines, proxy):
        """Takes the lines of one board; how many there are of each kind."""
        told = dict(line.split(" ", 1) for line in lines)
        self.told.update((int(number), (what, proxy)) for number, what in told.items())
        return Counter(told.values())

    def check(self):
        """AssertionError with the promises that were broken, and with what the first one's path did."""
        assert not self.mixed_up, "a message has parts of another"
        broken = [
            (f"{number}: told {what!r}, and ran {self.ran[number]} times", proxy)
            for number, (what, proxy) in sorted(self.told.items())
            if self.ran[number] not in TRUTH.get(what, ())
        ]
        assert not broken, "\n".join([text for text, _ in broken] + [str(broken[0][1])])


def settle(host, key, *proxies):
    """Until everything that is held has come, and the server has had it."""
    wait_until(lambda: not any(proxy.late for proxy in proxies))
    host.server.add_action_handler("settle", lambda: None)
    client("127.0.0.1", host.port, PATIENCE, key).send({"action": "settle"})  # comes after all the others


def both(**faults):
    return Faults(**faults), Faults(**faults)


# Faults there and back; into how many clients the 200 requests are split; s for each.
EVERYTHING = {"drop": 0.1, "duplicate": 0.1, "reorder": 0.1, "corrupt": 0.05}
PATHS = {
    "10 % loss": (both(drop=0.1), 1, 5),
    "30 % loss": (both(drop=0.3), 10, 5),
    "30 % duplication": (both(duplicate=0.3), 1, 5),
    "30 % reordering": (both(reorder=0.3), 2, 5),
    "corruption": (both(corrupt=0.1), 1, 5),
    "everything": (both(**EVERYTHING), 3, 5),
    "a short time": (both(drop=0.3, reorder=0.1), 3, 0.4),
}
REQUESTS = 200


def test_at_most_once_and_the_truth(crowd, host, tmp_path):
    """On every path, on every board, with both drivers; all at the same time."""
    key = tmp_path / "key.sec"
    ledger, paths, first = Ledger(host), [], 0
    with ExitStack() as stack:
        for path, (faults, clients, timeout) in PATHS.items():
            for name in crowd.names:
                proxy = stack.enter_context(Proxy(host.port, *faults, seed=f"{path}, {name}"))
                for count in shares(REQUESTS, clients):
                    crowd.start(name, SENDS, proxy.port, first, count, 0, first, timeout)
                    paths.append((path, proxy))
                    first += count
        kinds = Counter()
        for (path, proxy), lines in zip(paths, crowd.lines()):
            for what, count in ledger.hear(lines, proxy).items():
                kinds[path, what] += count
        settle(host, key, *{proxy for _, proxy in paths})
        ledger.check()
        replay(host, key, {proxy for path, proxy in paths if path == "a short time"})
    ledger.check()
    everything = REQUESTS * len(crowd.names)
    assert len(ledger.told) == everything * len(PATHS)
    for path in PATHS:
        if path != "a short time":
            assert kinds[path, "ran"] > 0.85 * everything, kinds
    for what in "ran", "not run", "maybe":
        assert kinds["a short time", what] > 0.02 * everything, kinds
    maybe = {ledger.ran[number] for number, (what, _) in ledger.told.items() if what == "maybe"}
    assert maybe == {0, 1}, "it can be either"


def shares(whole, count):
    return [whole // count + (number < whole % count) for number in range(count)]


def replay(host, key, proxies):
    """Everything that clients sent comes to the server once more, from a stranger's address."""
    for proxy in proxies:
        datagrams = [datagram for _, datagram in proxy.requests]
        while datagrams:
            some, datagrams = datagrams[:100], datagrams[100:]  # no more than the server's queue holds
            proxy.call(lambda proxy=proxy, some=some: [proxy.to_server("stranger", each) for each in some])
            settle(host, key)


# Addresses that change

CHANGES = """
async def main():
    link = Client("127.0.0.1", int(sys.argv[1]), 60, device=1 + int(sys.argv[2]))
    for number in range(13):
        for size in (10,) if number < 10 else (10, 900, 1500):
            got = await link.send({"action": "give", "data": [int(sys.argv[2]), number, size]})
            print(got == "x" * size)

run(main)
"""
CALM = 1 + 10  # replies, a challenge and those of the first ten requests: a client copies sooner after them


class LosesEveryOther(Proxy):
    """Of the server's datagrams every other is lost after the calm, so that each has to be asked for twice."""

    def from_server(self, client, datagram):
        if len(self.replies) <= CALM or len(self.replies) % 2:
            self.to_client(client, datagram)


def test_an_address_that_changes_with_every_datagram(crowd, host):
    """Also between a request and its copy, whose answer is cut short then, and the rest of it fetched."""
    asked = []

    def give(data):
        asked.append((*data, benserver.sender().address))
        return "x" * data[-1]

    host.handle("give", give)
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(LosesEveryOther(host.port, Faults(rebind=1), seed=name))
            for name in crowd.names
        ]
        for number, (name, proxy) in enumerate(zip(crowd.names, proxies)):
            crowd.start(name, CHANGES, proxy.port, number)
        assert crowd.lines() == [["True"] * 19] * len(proxies), "\n".join(map(str, proxies))
    expected = [(n, 10) for n in range(10)] + [(n, size) for n in (10, 11, 12) for size in (10, 900, 1500)]
    for board, proxy in enumerate(proxies):
        assert sorted(each[1:3] for each in asked if each[0] == board) == expected, "each ran once"
        lengths = [len(datagram) for _, datagram in proxy.replies]
        assert max(lengths) > 1000, "a first answer, whole"
        copies = len(proxy.requests) - len({datagram for _, datagram in proxy.requests})
        assert copies >= (len(lengths) - CALM) // 2 > 3 * 2400 / (3 * 64), "copies had answers cut short"
    assert len({address for *_, address in asked}) > len(asked) / 2, "hardly two from one address"


# Nothing comes through for longer than a send() waits

CONTROL = """
number, direct, port = map(int, sys.argv[1:4])
control = Client("127.0.0.1", direct, 60)

async def order(action, *data):
    return await control.send({"action": action, "data": [number] + list(data)})

async def tell(link, action, data):
    try:
        return await link.send({"action": action, "data": data})
    except OSError as error:
        return error.args[1]

"""
HOLES = """
async def main():
    link = Client("127.0.0.1", port, 1)
    for up, down in (True, True), (True, True), (True, False), (False, True):
        await order("hole", up, down)
        print(await tell(link, "note", [number, "in"]), await order("ran", "in"))
        await order("hole", False, False)
        print(await tell(link, "note", [number, "after"]))

run(main)
"""


class Controlled:
    """A proxy for each board of a crowd, to which scripts give orders past it."""

    def __init__(self, crowd, host, stack, kind=Proxy, times=1, **options):
        self.ran = Counter()
        self.names = crowd.names * times
        self.proxies = [
            stack.enter_context(kind(host.port, seed=number, **options)) for number in range(len(self.names))
        ]
        self._crowd = crowd
        self._port = host.port
        host.handle("note", lambda data: self.note(*data))
        host.handle("ran", lambda data: self.ran[tuple(data)])

    def run(self, script):
        """The lines of each board's."""
        for number, (name, proxy) in enumerate(zip(self.names, self.proxies)):
            self._crowd.start(name, CONTROL + script, number, self._port, proxy.port)
        return self._crowd.lines()

    def note(self, number, what, *_):
        self.ran[number, what] += 1
        return "ran"


def test_a_send_in_a_hole_tells_the_truth_and_the_next_one_works_from_a_new_port(crowd, host):
    def hole(data):
        number, up, down = data
        proxy = controlled.proxies[number]
        proxy.up.faults.hole, proxy.down.faults.hole = up, down

    with ExitStack() as stack:
        controlled = Controlled(crowd, host, stack)
        host.handle("hole", hole)
        for lines in controlled.run(HOLES):
            assert lines == ["not run 0", "ran", "maybe 0", "ran", "maybe 0", "ran", "maybe 1", "ran"]
    for number, proxy in enumerate(controlled.proxies):
        assert controlled.ran[number, "after"] == 4 and controlled.ran[number, "in"] == 1
        assert len({client for client, _ in proxy.requests}) >= 4, (
            "5, of which two might be the same by chance"
        )


# Deadlines of more than a minute

COMES_BACK = """
async def main():
    link = Client("127.0.0.1", port, 90)
    for _ in range(2):
        began = time.time()
        print(await tell(link, "note", [number, "x"]), time.time() - began)
        await order("away")

run(main)
"""


def test_a_server_that_comes_back_within_a_timeout_of_more_than_a_minute(crowd, host):
    def away(data):
        proxy = controlled.proxies[data[0]]
        proxy.up.faults.hole = True
        threading.Timer(2, lambda: setattr(proxy.up.faults, "hole", False)).start()

    with ExitStack() as stack:
        controlled = Controlled(crowd, host, stack)
        host.handle("away", away)
        for first, second in controlled.run(COMES_BACK):
            assert first.startswith("ran ") and second.startswith("ran ")
            assert 1.5 < float(second.split()[1]) < 30, "about 2 s"


# The rules on the board's own numbers, with times that are made up: ticks that pass their end, and long waits.
DEADLINES = """
from ben import message
from ben.exchange import Exchange
from ben.net import ticks_diff
from ben.wire import encode
try:
    from time import ticks_add
except ImportError:
    def ticks_add(ticks, ms):
        return ticks + ms

for timeout in (61, 90, 3600):
    for start in (0, ticks_add(0, -1), ticks_add(0, -60000)):
        steps = message.send(Exchange(timeout), {"action": "x"}, False)
        out, wait = next(steps)
        elapsed, longest, copies = 0, wait, 0
        try:
            while True:
                elapsed += wait
                copies += 1
                out, wait = steps.send((ticks_diff(ticks_add(start, elapsed), start), None))
                longest = max(longest, wait)
        except OSError as error:
            print(error.args[1], elapsed == timeout * 1000, longest <= 3200, copies >= timeout * 1000 // 3200)
"""


def test_a_deadline_of_more_than_a_minute_ends_a_send(board, host):
    assert board.run(DEADLINES).splitlines() == ["not run True True True"] * 9


# Requests that somebody holds back

HELD = """
async def main():
    warm = number >= COLD_ONES
    sent = 0
    for action, size, later in CASES:
        sent += 1
        link = Client("127.0.0.1", port, 1, device=number + 1, channel=0)
        if warm:
            await link.send({"action": "warm", "data": ""})
        await order("hold", (not warm) + 2 * (size > 1000))
        told = await tell(link, action, "%d %d %s" % (number, sent, "x" * size))
        await order("stop")
        before = await order("ran", sent)
        if later:
            await link.send({"action": "warm", "data": ""})
        held = await order("release")
        print(action, size, later, told, before, held, await order("ran", sent))

run(main)
"""
SHORT, PARTS = 10, 2500  # three parts
# The action, its size, whether a later request is committed before it comes; how often it runs then
CASES = {
    ("note", SHORT, False): 1,  # the limit: this is what fresh= is for
    ("note", PARTS, False): 1,
    ("note", SHORT, True): 0,
    ("note", PARTS, True): 0,
    ("lock", SHORT, False): 0,
    ("lock", PARTS, False): 0,
}


class Holds(Proxy):
    """Holds back the request behind some that it lets through, and drops what comes then."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._passing = None

    def hold(self, after):
        self._passed, self._held, self._passing = set(), [], after

    def stop(self):
        self._passing = None

    def release(self):
        """Lets it come, at last; its length."""
        client, datagram = self._held[0]
        self.to_server(client, datagram)
        return len(datagram)

    def from_client(self, client, datagram):
        if self._passing is not None and datagram not in self._passed:
            if len(self._passed) == self._passing:
                self._held.append((client, datagram))
                return
            self._passed.add(datagram)
        super().from_client(client, datagram)


def test_a_request_that_is_held_back_runs_late_unless_it_has_to_be_fresh(crowd, host):
    """Or a later one of its channel was committed; and so does the last part of a message in parts."""

    def note(data):
        number, sent, _ = data.split()
        controlled.note(int(number), int(sent))

    with ExitStack() as stack:
        controlled = Controlled(crowd, host, stack, Holds, times=2)  # with a session, and without
        host.handle("note", note)
        host.handle("lock", note, fresh=0.4)
        host.handle("warm", lambda data: None)
        host.handle("hold", lambda data: controlled.proxies[data[0]].hold(data[1]))
        host.handle("stop", lambda data: controlled.proxies[data[0]].stop())
        host.handle("release", lambda data: controlled.proxies[data[0]].release())
        told = controlled.run(f"CASES = {list(CASES)}\nCOLD_ONES = {len(crowd.names)}\n{HELD}")
    lengths = {SHORT: 80, PARTS: 528}  # of the request, of the last part
    expected = [
        f"{action} {size} {later} maybe 0 {lengths[size]} {ran}"
        for (action, size, later), ran in CASES.items()
    ]
    for lines in told:
        assert lines == expected


SLOW_PATH = """
async def main():
    link = Client("127.0.0.1", port, 60)
    for what, pause in ("cold", 0), ("later", 1.2), ("parts", 1.2):
        await sleep(pause)
        print(await tell(link, "lock", [number, what, "x" * 1500 * (what == "parts")]))

run(main)
"""


def test_what_has_to_be_fresh_over_a_slow_path(crowd, host):
    """Two round trips where the token is older than allowed."""
    slow = Faults(delay=0.15)
    took = {}

    def lock(data):
        proxy = controlled.proxies[data[0]]
        took[data[0], data[1]] = len({datagram for _, datagram in proxy.requests})
        return controlled.note(*data)

    with ExitStack() as stack:
        controlled = Controlled(crowd, host, stack, up=slow, down=slow)
        host.handle("lock", lock, fresh=1)
        assert controlled.run(SLOW_PATH) == [["ran"] * 3] * len(crowd.names)
    for number in range(len(crowd.names)):
        assert (took[number, "cold"], took[number, "later"]) == (2, 2 + 2)
        assert took[number, "parts"] >= 4 + 3
    assert set(controlled.ran.values()) == {1}


# Whoever reads along, and sends what they like


class Hostile(Proxy):
    """Adds what can be made of the datagrams that were seen: on the way, turned back, from here and elsewhere."""

    def from_client(self, client, datagram):
        seen = self.requests
        earlier = [seen[-back][1] for back in (2, 3, 9) if back <= len(seen)]
        if len(seen) % 3 == 0:  # a stranger is faster
            self.to_server("stranger", datagram)
        for each in pieces(datagram, earlier):
            self.to_server(client, each)
        self.to_client(client, datagram)
        self.to_server(client, datagram)
        for each in earlier + [datagram]:
            self.to_server(client, each)
            self.to_server("stranger", each)

    def from_server(self, client, datagram):
        seen = self.replies
        earlier = [seen[-back][1] for back in (2, 3, 9) if back <= len(seen)]
        for each in pieces(datagram, earlier) + earlier:
            self.to_client(client, each)
        self.to_client(client, datagram)
        if client != "stranger":
            self.to_server(client, datagram)
            self.to_server("stranger", datagram)


def pieces(datagram, others):
    """Cut, joined and mixed with others."""
    cut = [datagram[:size] for size in (0, 1, 16, 32, len(datagram) - 16, len(datagram) - 1)]
    cut += [datagram[1:], datagram[16:], datagram + datagram, datagram + b"\0"]
    for other in others[:2]:
        cut += [datagram + other, other + datagram, datagram[:16] + other[16:], datagram[:-16] + other[-16:]]
    return [each for each in cut if each not in (datagram, *others)]


def test_nothing_that_was_seen_can_be_used_again(crowd, host, tmp_path):
    key = tmp_path / "key.sec"
    ledger, count = Ledger(host), 40
    with ExitStack() as stack:
        proxies = [stack.enter_context(Hostile(host.port, seed=name)) for name in crowd.names]
        for number, (name, proxy) in enumerate(zip(crowd.names, proxies)):
            crowd.start(name, SENDS, proxy.port, number * count, count, 0, number, 20)
        for proxy, lines in zip(proxies, crowd.lines()):
            assert ledger.hear(lines, proxy) == {"ran": count}
        settle(host, key)
        ledger.check()
        replay(host, key, proxies)
    ledger.check()
    assert host.datagrams > 20 * len(ledger.told)

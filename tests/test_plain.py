"""The plain dialect: its framing, and the old clients at a server that was asked to let them in."""

import random
import socket
import struct
import sys
import time
from collections import Counter, deque
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ben
import benserver.legacy
import benserver.tcp
from ben import legacy
from ben.tcp import framed
from benserver.hub import NAME_MAX, Hub
from benserver.legacy import CLIENTS_MAX, TICK, TYPE_MAX, WAIT, Conversation, Relay, open_names
from benserver.tcp import Tcp
from hosts import PATIENCE, Host
from test_paths import wait_until
from test_streams import Wire

LOCAL = "127.0.0.1"
SEEDS = Path(__file__).parent / "seeds"
MOST = 4096  # bytes of a message, where a server says no other

# Framing

MESSAGES = [b"", b"a", b"7" * 64, bytes(range(256)), b"", b" " * 65, b"c" * MOST]
STREAM = b"".join(map(legacy.framed, MESSAGES))


def taken(*parts):
    """The messages of a stream that comes in these pieces; it must need a length when they end."""
    frames, got = legacy.Frames(MOST), []
    for part in parts:
        while part:
            need = frames.need
            message = frames.feed(part[:need])
            if message is not None:
                got.append(bytes(message))
            part = part[need:]
    assert frames.need == 64 and frames.head, "between two messages"
    return got


def test_a_length_has_64_bytes():
    assert legacy.framed(b"hi") == b"2" + b" " * 63 + b"hi"
    assert legacy.framed(b"") == b"0" + b" " * 63
    assert legacy.block(b"lamp") == b"lamp" + b" " * 60 and legacy.block(bytes(64)) == bytes(64)
    with pytest.raises(ValueError):
        legacy.block(bytes(65))


def test_a_stream_may_be_cut_anywhere():
    assert taken(STREAM) == MESSAGES
    assert taken(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == MESSAGES
    for at in range(len(STREAM)):
        assert taken(STREAM[:at], STREAM[at:]) == MESSAGES


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(0, 3000)))
def test_any_split_of_any_messages_gives_the_same(messages, cuts):
    stream = b"".join(map(legacy.framed, messages))
    at = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    assert taken(*(stream[one:two] for one, two in zip(at, at[1:]))) == messages


LIES = [b"-1", b"+1", b"", b" 1", b"1 1", b"1_0", b"1.", b"1e2", b"0x1", b"1\0", b"1\n", b"one", b"\xb2"]
LIES += ["\u0663".encode(), b"9" * 64, b"4097"]


@pytest.mark.parametrize("lie", LIES, ids=repr)
def test_a_length_that_lies_is_refused_and_the_reason_told(lie):
    head = legacy.block(lie)
    for at in range(64):
        frames = legacy.Frames(MOST)
        assert at == 0 or frames.feed(head[:at]) is None
        with pytest.raises(
            ValueError, match="4096 is the most" if lie[:1] in (b"9", b"4") else "not a length"
        ):
            frames.feed(head[at:])


# On a board: what the cases above have in common with it.
FRAMING = """
from ben.legacy import Frames, block, framed, length
messages = {messages}
stream = b"".join([framed(message) for message in messages])
def taken(size):
    frames = Frames({most})
    at = 0
    got = []
    while at < len(stream):
        data = memoryview(stream)[at : at + min(size, frames.need)]
        at += len(data)
        message = frames.feed(bytes(data))
        if message is not None:
            got.append(message)
    return got
for size in 1, 7, 64, 65, 5000:
    assert taken(size) == messages, size
for lie in {lies}:
    try:
        length(block(lie), {most})
    except ValueError as error:
        print(error)
    else:
        raise ValueError(lie)
print(length(block(b"0"), 0), length(block(b"4096"), 4096))
"""


def test_boards_frame_alike(board):
    told = board.run(FRAMING.format(messages=MESSAGES, most=MOST, lies=LIES)).splitlines()
    assert told[-1] == "0 4096" and len(told) == len(LIES) + 1
    assert all("the most" in line or "not a length" in line for line in told[:-1])


# The server's rules, without sockets


class World:
    """A hub and its relay, whose clock a test moves and whose callbacks it runs."""

    def __init__(self, *names, senders=None, devices=None):
        self.now = 0.0
        self.soon = deque()
        self.hub = Hub(devices or {}, senders)
        self.relay = Relay(
            self.hub, open_names(names), MOST, lambda *call: self.soon.append(call), lambda: self.now
        )

    def client(self, kind=b"", *stream):
        client = Client(self)
        if kind:
            client.say(legacy.framed(kind), *stream)
        return client

    def run(self):
        for _ in range(10000):
            if not self.soon:
                return
            function, *arguments = self.soon.popleft()
            function(*arguments)
        raise AssertionError("it goes on for ever")

    def wait(self, seconds):
        end = self.now + seconds
        while self.now < end:
            self.now += TICK
            self.relay.tick()
            self.run()

    def board(self, name, owner=1, life=b"life"):
        """A ben/2 board that asks for its messages and confirms each; what it had."""
        had = []

        def ask(after=bytes(4)):
            self.hub.receive(owner, name, life, after, self.now, heard)

        def heard(got):
            if got:
                had.append((got[6 : 6 + got[5]].decode(), got[4], got[6 + got[5] :]))
                self.soon.append((ask, got[:4]))

        self.hub.join(owner, name, "board", life, MOST, self.now)
        ask()
        return had


class Client:
    """What one client says to the world, and what it is told."""

    def __init__(self, world):
        self.world = world
        self.told = b""
        self.unfed = b""
        self.talk = Conversation(world.relay, self.tell, self.feed)

    def tell(self, data):
        self.told += data

    def feed(self):
        while self.unfed and self.talk.need:
            need = self.talk.need
            data, self.unfed = self.unfed[:need], self.unfed[need:]
            self.talk.feed(data)

    def say(self, *parts):
        for part in parts:
            self.unfed += part
            self.feed()
        self.world.run()
        return self

    def heard(self):
        """The messages that it was told since the last time."""
        told, self.told = self.told, b""
        frames, messages = legacy.Frames(1 << 20), []
        while told:
            need = frames.need
            message = frames.feed(told[:need])
            told = told[need:]
            if message is not None:
                messages.append(message.decode(errors="replace"))
        assert frames.head and frames.need == 64
        return messages


LIST, END = legacy.block(b"|no target|"), legacy.block(b"|disconnect|")
END_TOO = legacy.framed(b"|disconnect|")


def to(target, data):
    return legacy.block(target) + legacy.framed(data)


def test_a_controller_lists_and_sends():
    world = World("lamp", "away")
    had = world.board("lamp")
    world.board("secret", owner=2)
    one = world.client(b"python", LIST, to(b"lamp", b"on"), to(b"lamp", b"\xff"), to(b"lamp", b""), LIST)
    assert one.heard() == ["lamp", "delivered", "delivered", "delivered", "lamp"]
    assert had == [("|plain|", 3, b"on"), ("|plain|", 2, b"\xff"), ("|plain|", 3, b"")]
    assert not one.talk.ended and one.talk.resting


def test_what_a_controller_is_told_where_it_does_not_arrive():
    world = World("lamp", "away", "small", "\u706f")
    world.board("secret", owner=2)
    world.hub.join(3, "small", "", b"life", 20, 0.0)
    one = world.client(b"python")
    for target, reason in (
        (b"secret", "secret is not open to plain clients"),
        (b"nobody", "nobody is not open to plain clients"),
        (b"away", "no such target: away"),
        (b"", " is not open to plain clients"),
        (b"|x|", "|x| is not open to plain clients"),
        (b"\xff", "\ufffd is not open to plain clients"),
        ("\u706f".encode(), "no such target: \u706f"),
        (b"small", "8 bytes more than small takes"),
    ):
        assert one.say(to(target, b"x" * 15)).heard() == [f"not delivered: {reason}"]
    assert not one.talk.ended


def test_an_empty_list_has_a_length_of_0():
    world = World("lamp")
    assert world.client(b"python", LIST).told == legacy.framed(b"")


def test_who_does_not_listen_is_not_in_the_list():
    world = World("lamp", "arduino")
    world.board("lamp")
    one = world.client(b"python", LIST)
    world.client(b"arduino")
    world.wait(20)
    assert one.heard() == ["lamp"] and one.say(LIST).heard() == ["arduino"]


def test_a_message_waits_for_its_target_and_one_at_a_time():
    world = World("lamp")
    world.hub.join(1, "lamp", "", b"life", MOST, 0.0)
    one = world.client(b"python", to(b"lamp", b"1"), to(b"lamp", b"2"))
    assert one.talk.need == 0 and one.talk.resting and one.unfed == to(b"lamp", b"2")
    world.wait(WAIT - TICK)
    assert one.heard() == []
    world.wait(2 * TICK)
    assert one.heard() == ["not delivered: lamp has not asked for it"]
    world.hub.receive(1, "lamp", b"life", bytes(4), world.now, lambda got: None)  # has it, and tells nobody
    world.wait(WAIT + TICK)
    assert one.heard() == ["unknown: it was on its way to lamp, which had it once, or not at all"]


def test_who_goes_before_it_is_told_leaves_nothing_behind():
    world = World("lamp")
    world.hub.join(1, "lamp", "", b"life", MOST, 0.0)
    one = world.client(b"python", to(b"lamp", b"1"), to(b"lamp", b"2"))
    one.talk.close()
    world.run()
    assert one.told == b"" and world.board("lamp") == []


def test_who_is_dropped_while_it_is_told_takes_no_more():
    world = World("lamp", "arduino")
    had = world.board("lamp")
    one, target = world.client(b"python"), world.client(b"arduino")
    one.talk._send = lambda data: one.talk.close()
    target.talk._send = lambda data: target.talk.close()
    one.say(LIST + to(b"lamp", b"on"))
    assert one.talk.need == 0 and one.talk.ended and had == []
    world.client(b"python", to(b"arduino", b"on"))
    assert target.talk.ended and [each["name"] for each in world.hub.list(0.0)] == ["lamp"]


def test_what_the_hub_tells_in_the_middle_of_its_work_is_heard_behind_it():
    world = World("lamp")
    world.hub.join(1, "lamp", "", b"life", MOST, 0.0)
    one = world.client(b"python", to(b"lamp", b"1") + to(b"lamp", b"2"))
    world.hub.forget(1, "lamp")
    world.run()
    assert one.heard() == ["not delivered: lamp has not asked for it", "not delivered: no such target: lamp"]


def test_a_full_queue_is_told():
    world = World("lamp")
    world.hub.join(1, "lamp", "", b"life", MOST, 0.0)
    several = [world.client(b"python", to(b"lamp", b"%d" % number)) for number in range(17)]
    assert [each.heard() for each in several] == [[]] * 16 + [
        ["not delivered: too many messages wait for lamp"]
    ]


def test_who_may_not_send_without_a_name():
    world = World("lamp", senders={"desk"})
    had = world.board("lamp")
    assert world.client(b"python", to(b"lamp", b"on")).heard() == [
        "not delivered: who has no name may not send"
    ]
    assert had == []


@pytest.mark.parametrize("end", [END, END_TOO])
def test_a_controller_says_that_it_goes(end):
    one = World().client(b"python", LIST, end, LIST)
    assert one.heard() == [""] and one.talk.ended and one.talk.need == 0


@pytest.mark.parametrize("where", [b"", legacy.block(b"lamp")], ids=["target", "data"])
@pytest.mark.parametrize("lie", LIES, ids=repr)
def test_a_controller_is_told_why_its_length_ends_it(lie, where):
    world = World("lamp")
    had = world.board("lamp")
    one = world.client(b"python", where + legacy.block(lie) + legacy.framed(b"on"))
    if where or lie.isdigit():
        [why] = one.heard()
        assert why.startswith("not delivered: ") and one.talk.ended
    else:  # it is a target's name, such as it is
        assert [each[:15] for each in one.heard()] == ["not delivered: "] and not one.talk.ended
    assert had == []


def test_a_message_to_the_server_itself_can_only_be_the_end():
    one = World().client(b"python", legacy.framed(b"something"))
    assert one.heard() == ["not delivered: a message without a target before it"] and one.talk.ended


def test_what_is_no_client_type_is_sent_away_without_a_word(caplog):
    world = World("lamp")
    for stream in map(legacy.block, (*LIES, b"%d" % (TYPE_MAX + 1))):
        one = world.client().say(stream + b"python")
        assert one.talk.ended and one.told == b""
    for kind in b"\xff", b"", b"python3", b"lamp-2", b"LAMP":
        one = world.client().say(legacy.framed(kind))
        assert one.talk.ended and one.told == b"" and not one.talk.entered
    assert world.relay.clients == set() and world.hub.list(0.0) == []
    assert len(caplog.records) == 2, "one line for each reason"


def test_targets_get_data_without_its_sender():
    world = World("arduino")
    one, two = (world.client(b"arduino") for _ in range(2))
    assert (one.talk.name, two.talk.name) == ("arduino", "arduino-2")
    controller = world.client(
        b"python", LIST, to(b"arduino", b"1"), to(b"arduino-2", b"2"), to(b"arduino", b"3")
    )
    assert controller.heard() == [
        "arduino,arduino-2",
        *(
            f"unknown: it was on its way to {name}, which had it once, or not at all"
            for name in ("arduino", "arduino-2", "arduino")
        ),
    ]
    assert one.heard() == ["1", "3"] and two.heard() == ["2"]
    told = []
    for number in range(20):  # from ben/2
        world.hub.send(5, "", "arduino", 1, b"[%d]" % number, world.now, told.append)
        world.run()
    assert one.heard() == [f"[{number}]" for number in range(20)] and told == ["unknown"] * 20


def test_several_messages_at_once_arrive_in_order_and_once():
    world = World("arduino")
    one = world.client(b"arduino")
    told = []
    for number in range(17):
        sender = 5 + number // benserver.hub.QUEUE_EACH
        world.hub.send(sender, "", "arduino", 3, b"%d" % number, world.now, told.append)
        world.relay.tick()  # which asks again only where nothing is on its way
    world.run()
    assert one.heard() == [str(number) for number in range(17)] and told == ["unknown"] * 17


@pytest.mark.parametrize("end", [END_TOO, END, legacy.block(b"-1"), legacy.framed(b"hello")])
def test_a_target_that_goes_is_forgotten(end):
    world = World("arduino")
    one = world.client(b"arduino", end)
    assert one.talk.ended and one.told == b"" and world.hub.list(0.0) == []
    assert one.talk.entered, "it counts until its connection has ended"
    one.talk.close()
    assert not one.talk.entered
    had = world.board("arduino")
    world.client(b"python", to(b"arduino", b"on"))
    assert had == [("|plain|", 3, b"on")]


def test_what_waits_for_a_target_that_goes_is_told():
    world = World("arduino")
    one = world.client(b"arduino")
    told = []
    for number in range(3):  # before it was run again
        world.hub.send(5, "", "arduino", 3, b"%d" % number, 0.0, told.append)
    one.talk.close()
    one.talk.close()
    world.run()
    assert told == ["unknown", "not delivered", "not delivered"] and one.told == b""


def test_nobody_takes_anothers_name():
    world = World("lamp", "door", "arduino", devices={7: "door"})
    had = world.board("lamp")
    lamp, door = world.client(b"lamp"), world.client(b"door")
    assert (lamp.talk.name, door.talk.name) == ("lamp-2", "door-2")
    world.client(b"arduino")
    with pytest.raises(benserver.actions.Refusal, match="taken"):
        world.board("arduino")
    world.client(b"python", to(b"lamp", b"on"))
    assert len(had) == 1 and lamp.told == b""
    world.hub.forget(2, "lamp")
    assert "lamp" in world.relay.targets(), "it is not the business of 2"


def test_a_second_ones_name_is_open_only_while_it_is_there():
    world = World("arduino")
    had = world.board("arduino-2")
    names = [world.client(b"arduino").talk.name for _ in range(2)]
    assert names == ["arduino", "arduino-3"]
    assert world.client(b"python", to(b"arduino-2", b"x")).heard() == [
        "not delivered: arduino-2 is not open to plain clients"
    ]
    assert had == []
    another = world.client(b"arduino-3")
    assert another.talk.ended and not another.talk.name, "a type is open only where the server was told so"


def test_what_the_hub_forgot_ends():
    world = World("arduino")
    one = world.client(b"arduino")
    world.hub.close()
    world.run()
    assert not one.talk.ended
    world.wait(TICK)
    assert one.talk.ended


def test_only_so_many_are_let_in(caplog):
    world = World("arduino")
    many = [world.client((b"python", b"arduino")[number % 2]) for number in range(CLIENTS_MAX)]
    assert all(each.talk.entered for each in many)
    for _ in range(3):
        controller, target = world.client(b"python"), world.client(b"arduino")
        assert controller.heard() == ["too many clients: come back later"] and target.told == b""
        assert controller.talk.ended and target.talk.ended
    many[0].talk.close()
    assert world.client(b"arduino").talk.entered
    assert len(caplog.records) == 1


@pytest.mark.parametrize("names", [["a,b"], [""], ["|x|"], [" a"], ["a" * (NAME_MAX + 1)], ["42"], "lamp"])
def test_names_that_cannot_be_opened(names, tmp_path):
    with pytest.raises(ValueError, match="plain"):
        open_names(names)


def test_a_session_may_be_cut_anywhere():
    stream = legacy.framed(b"python") + LIST + to(b"lamp", b"on") + to(b"no", b"") + END_TOO
    expected = None
    for at in range(len(stream)):
        world = World("lamp")
        had = world.board("lamp")
        one = world.client().say(stream[:at], stream[at:])
        assert one.talk.ended
        heard = one.heard()
        expected = expected or heard
        assert heard == expected and len(heard) == 3 and had == [("|plain|", 3, b"on")]


SESSIONS = [
    legacy.framed(b"python") + LIST + to(b"lamp", b"on") + to(b"arduino", b"x" * 200) + LIST + END,
    legacy.framed(b"python") + to(b"arduino-2", b"1") + to(b"nobody", b"") + END_TOO,
    legacy.framed(b"arduino") + END_TOO,
    legacy.framed(b"raspberrypi"),
    legacy.framed(b"arduino"),
]


def mutated(draw, stream):
    for _ in range(draw.randrange(4)):
        at, until = sorted(draw.randrange(len(stream) + 1) for _ in range(2))
        stream = draw.choice(
            (
                stream[:at],
                stream[:at] + stream[until:],
                stream[:until] + stream[at:],
                stream[:at] + draw.randbytes(draw.randrange(70)) + stream[at:],
                stream[:at] + bytes((draw.randrange(256),)) + stream[at + 1 :],
                stream[:at] + legacy.block(draw.choice(LIES)) + stream[at:],
            )
        )
    return stream


def test_whatever_is_said_the_server_goes_on():
    draw = random.Random(8)
    world = World("lamp", "arduino", "arduino-2")
    had = world.board("lamp")
    clients, answers = [], Counter()
    for number in range(20000):
        stream = mutated(draw, draw.choice(SESSIONS)) if number % 4 else draw.randbytes(draw.randrange(200))
        cut = draw.randrange(len(stream) + 1)
        clients.append(world.client().say(stream[:cut], stream[cut:]))
        if draw.random() < 0.02:
            world.wait(TICK)
        if len(clients) > draw.randrange(80):
            gone = clients.pop(draw.randrange(len(clients)))
            gone.talk.close()
            answers.update(text.split(":")[0] for text in gone.heard())
        assert len(world.relay.clients) <= CLIENTS_MAX and len(world.relay._noted) < 10
    for each in clients:
        each.talk.close()
    world.run()
    assert min(answers[what] for what in ("delivered", "unknown", "not delivered")) > 1000, answers
    assert answers["delivered"] <= len(had)
    assert world.relay.clients == set() and [each["name"] for each in world.hub.list(0.0)] == ["lamp"]
    assert world.client(b"python", to(b"lamp", b"still")).heard() == ["delivered"]
    assert had[-1] == ("|plain|", 3, b"still")


# Over sockets


class Plain:
    """An old client's connection, which says what it is told."""

    def __init__(self, host, kind=b"", room=None):
        self.socket = socket.socket()
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((LOCAL, host.tcp))
        self._frames = legacy.Frames(1 << 20)
        if kind:
            self.say(legacy.framed(kind))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, stream):
        self.socket.sendall(stream)

    def hear(self):
        """The next message, or None where the connection ends instead."""
        try:
            while data := self.socket.recv(self._frames.need):
                message = self._frames.feed(data)
                if message is not None:
                    return message.decode()
        except ConnectionResetError:
            pass
        return None

    def ask(self, stream):
        self.say(stream)
        return self.hear()


class OpenHost(Host):
    """A host that lets plain clients in, to the names lamp and arduino; `transport` is its Tcp."""

    def __init__(self, folder, **options):
        self.key = folder / "key.sec"
        super().__init__(self.key, **{"legacy": True, "plain": {"lamp", "arduino"}, **options})

    def __enter__(self):
        made = []

        def kept(*arguments):
            made.append(Tcp(*arguments))
            return made[0]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules["benserver.server"], "Tcp", kept)
            super().__enter__()
        [self.transport] = made
        return self

    def targets(self):
        return self.server.hub.list(time.monotonic())

    def connections(self):
        return len(self.transport.connections) + len(self.transport.plain)


@pytest.fixture
def served(tmp_path):
    with OpenHost(tmp_path) as host:
        yield host


def hub(host, name="", **options):
    """A ben/2 Hub in this process."""
    options = {"device": 9, "kind": "test", **options}
    return ben.Hub(LOCAL, host.port, name, keyfile=str(host.key), **options)


LAMP = """
import sys
from ben import Hub
hub = Hub("127.0.0.1", int(sys.argv[1]), "lamp", device=1)
print("joins", hub.receive(0))
for _ in range(int(sys.argv[2])):
    print(*hub.receive(30))
hub.receive(0)
"""


@contextmanager
def lamp(board, host, count):
    """A board that listens under the name lamp for so many messages, and prints them."""
    process = board.start(LAMP, host.port, count)
    try:
        assert process.stdout.readline() == "joins None\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def seed(board, name, *arguments):
    return board.start(SEEDS / f"client_server_python_{name}.py", LOCAL, *arguments)


def printed(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out + err
    return out.splitlines()


def test_the_published_controller_switches_a_board(board, served):
    with lamp(board, served, 3) as process:
        told = printed(seed(board, "controller", served.tcp, "lamp", "on", "{'a': 1}", "\u00e9"))
        assert told == ["['lamp']", *["delivered"] * 3]
        assert printed(process) == ["|plain| on", "|plain| {'a': 1}", "|plain| \u00e9"]


def test_the_published_clients_among_themselves_and_with_ben(board, served):
    target = seed(board, "target", served.tcp, "arduino", 3)
    wait_until(served.targets)
    told = printed(seed(board, "controller", served.tcp, "arduino", "on"))
    assert told[0] == "['arduino']" and told[1].startswith("unknown: ") and len(told) == 2
    sender = hub(served)
    for data in "off", {"on": True}:
        with pytest.raises(OSError, match="unknown"):
            sender.send("arduino", data)
    sender.close()
    assert printed(target) == ["on", "off", '{"on":true}', "b''"]
    wait_until(lambda: not served.targets())


def test_the_published_clients_are_refused_where_the_name_is_not_open(board, served, caplog):
    with lamp(board, served, 1):
        told = printed(seed(board, "controller", served.tcp, "raspberrypi", "on"))
        assert told == ["['lamp']", "not delivered: raspberrypi is not open to plain clients"]
        for _ in range(2):
            assert printed(seed(board, "target", served.tcp, "raspberrypi", 0)) == ["b''"]
    assert [each.getMessage() for each in caplog.records if "raspberrypi" in each.getMessage()] == [
        "a plain client was sent away (told once): a target, 'raspberrypi', whose name is not open"
    ]


def test_it_says_once_that_it_is_insecure_and_what_is_open(tmp_path, caplog):
    with OpenHost(tmp_path, plain=["b", "a"]):
        pass
    [record] = caplog.records
    assert record.levelname == "WARNING" and record.getMessage().endswith("open to them: a, b")
    assert "no key protects" in record.getMessage()


def test_names_are_opened_only_where_it_was_asked_for(tmp_path):
    benserver.generate_new_secret(tmp_path / "key.sec")
    for options in ({"tcp": 0}, {"legacy": True}, {"legacy": True, "tcp": 0, "plain": "lamp"}):
        with pytest.raises(ValueError, match="plain"):
            benserver.Server(LOCAL, 0, tmp_path / "key.sec", **{"plain": {"lamp"}, **options})


def test_without_being_asked_it_answers_not_a_byte(tmp_path, caplog):
    with Host(tmp_path / "key.sec") as host:
        for stream in SESSIONS:
            with Plain(host) as client:
                client.say(stream)
                assert client.hear() is None
        assert host.server.hub.list(time.monotonic()) == []
    assert caplog.records == []


def test_ben_2_goes_on_beside_it(served):
    served.handle("echo", lambda data: data)
    with Plain(served, b"python") as client:
        link = ben.Client(LOCAL, served.tcp, keyfile=str(served.key), device=3, tcp=True)
        assert link.send({"action": "echo", "data": "x"}) == "x"
        link.close()
        assert client.ask(LIST) == ""
    wait_until(lambda: not served.transport.plain)


def test_a_piece_of_ben_2_that_begins_with_a_digit_stays_one(served):
    served.handle("x", lambda data: data)
    with Wire(served).warm() as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cuts = []
        while not cuts:  # its bytes are as good as drawn
            request = peer.request(b"data")
            stream = framed(request)
            cuts = [at for at in range(1, len(stream)) if stream[at : at + 1].isdigit()]
        for one, two in zip([0, *cuts], [*cuts, len(stream)]):
            peer.say(stream[one:two])
            time.sleep(0.01)  # so that each comes by itself
        assert peer.open(peer.hear(), request)[1] == b"\0\2data"


def test_a_session_may_come_byte_by_byte(served):
    with Plain(served) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in legacy.framed(b"python") + LIST + to(b"lamp", b"on"):
            client.say(bytes((byte,)))
            time.sleep(0.001)  # so that each comes by itself
        assert client.hear() == "" and client.hear() == "not delivered: no such target: lamp"


def test_whoever_ends_its_half_is_answered(served):
    """Also of what waits for a target."""
    with Plain(served, b"arduino") as target, Plain(served) as client:
        wait_until(served.targets)
        client.say(legacy.framed(b"python") + LIST + to(b"arduino", b"on") * 40 + LIST)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.hear() == "arduino"
        assert all(client.hear().startswith("unknown") for _ in range(40))
        assert client.hear() == "arduino" and client.hear() is None
        assert [target.hear() for _ in range(40)] == ["on"] * 40
        target.socket.shutdown(socket.SHUT_WR)
        assert target.hear() is None
        wait_until(lambda: not served.targets())


def test_what_it_was_told_last_is_not_lost_where_it_goes_on_talking(served):
    with Plain(served, b"python") as client:
        try:
            client.say(
                to(b"lamp", b"x" * MOST) + legacy.block(b"lamp") + legacy.block(b"5000") + bytes(100000)
            )
        except OSError:
            pass
        assert client.hear() == "not delivered: no such target: lamp"
        assert client.hear() == "not delivered: a message of 5000 bytes, where 4096 is the most"
        assert client.hear() is None


def test_a_connection_that_is_reset_leaves_nothing_behind(served):
    for stream in (legacy.framed(b"arduino"), legacy.framed(b"python") + to(b"arduino", b"x")[:100], b"1"):
        with Plain(served) as client:
            client.say(stream)
            wait_until(lambda: served.connections())
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: not served.connections())
    assert served.targets() == []


def test_whoever_says_nothing_or_stops_within_a_message_is_dropped(served, monkeypatch):
    with Plain(served, b"python") as idle, Plain(served, b"arduino") as target:
        wait_until(served.targets)
        assert idle.ask(LIST) == "arduino"
        monkeypatch.setattr(benserver.tcp, "PATIENCE", 0.4)
        with ExitStack() as stack:
            stalled = [stack.enter_context(Plain(served)) for _ in range(5)]
            for each, stream in zip(stalled, (b"6", legacy.framed(b"python")[:65], LIST[:1], LIST, LIST)):
                each.say(stream)
            for each, stream in ((stalled[3], legacy.block(b"6")), (stalled[4], b"")):
                each.say(stream)
            within = [stack.enter_context(Plain(served, b"python")) for _ in range(4)]
            for each, size in zip(within, (1, 63, 64, 129)):
                each.say(to(b"lamp", b"12")[:size])
            for each in stalled + within:
                told = each.hear()
                assert told is None, told
        assert idle.ask(LIST) == "arduino"
        target.say(b"1")
        assert target.hear() is None


def test_whoever_waits_for_an_answer_is_not_dropped(served, monkeypatch):
    monkeypatch.setattr(benserver.tcp, "PATIENCE", 0.2)
    monkeypatch.setattr(benserver.legacy, "WAIT", 1.0)
    receiver = hub(served, "lamp")
    receiver.receive(0)
    with Plain(served, b"python") as client:
        assert client.ask(to(b"lamp", b"x")) == "not delivered: lamp has not asked for it"
        client.say(to(b"lamp", b"y"))
        assert receiver.receive(PATIENCE) == ("|plain|", "y")
        receiver.receive(0)
        assert client.hear() == "delivered"
    receiver.close()


def test_who_comes_when_it_is_full_is_told_and_pushes_nobody_out(served, monkeypatch):
    monkeypatch.setattr(benserver.legacy, "CLIENTS_MAX", 3)
    monkeypatch.setattr(benserver.tcp, "STRANGERS_MAX", 2)
    monkeypatch.setattr(benserver.tcp, "CONNECTIONS_MAX", 2)
    with ExitStack() as stack:
        plain = []
        for _ in range(3):
            plain.append(stack.enter_context(Plain(served, b"python")))
            assert plain[-1].ask(LIST) == ""
        served.handle("echo", lambda data: data)
        links = [
            ben.Client(LOCAL, served.tcp, keyfile=str(served.key), device=device, tcp=True)
            for device in (1, 2)
        ]
        for link in links:
            stack.callback(link.close)
            assert link.send({"action": "echo", "data": 1}) == 1
        links.pop().close()
        wait_until(lambda: served.connections() == 4)
        for _ in range(4):
            with Plain(served, b"python") as late, Plain(served, b"arduino"):
                assert late.hear() in ("too many clients: come back later", None)
        with Plain(served, b"python") as late:
            assert late.hear() == "too many clients: come back later" and late.hear() is None
        assert [each.ask(LIST) for each in plain] == [""] * 3
        before = served.datagrams
        assert links[0].send({"action": "echo", "data": 2}) == 2
        assert served.datagrams == before + 1, "over the same connection, or there were a challenge"


def test_who_has_ended_and_stays_counts(served, monkeypatch):
    """Or strangers could hold as many connections as they like."""
    monkeypatch.setattr(benserver.legacy, "CLIENTS_MAX", 1)
    with Plain(served, b"python") as first:
        assert first.ask(END) is None
        first.say(bytes(10000))  # which nobody keeps
        with Plain(served, b"python") as second:
            assert second.hear() == "too many clients: come back later"
        assert [each._unfed for each in served.transport.plain] == [b""]
        monkeypatch.setattr(benserver.tcp, "PATIENCE", 0.2)
        with Plain(served, b"arduino") as third:  # is sent away, but does not go
            assert third.hear() is None
            wait_until(lambda: served.connections() == 1)
    wait_until(lambda: not served.connections())
    with Plain(served, b"python") as last:
        assert last.ask(LIST) == ""


def test_whoever_reads_nothing_is_dropped_and_slows_nobody(served, caplog):
    with Plain(served, b"arduino", room=4096), Plain(served, b"python") as client:
        wait_until(served.targets)
        caplog.clear()
        answers = set()
        for _ in range(10000):
            answers.add(client.ask(to(b"arduino", b"x" * MOST)))
            if len(answers) == 2:
                break
        assert [answer[:30] for answer in sorted(answers)] == [
            "not delivered: no such target:",
            "unknown: it was on its way to ",
        ]
        with Plain(served, b"python", room=4096) as asks, pytest.raises(OSError):
            for _ in range(100000):
                asks.say(to(b"nobody", b"") * 20)
                assert client.ask(LIST) == ""
    assert caplog.records == []


def test_a_server_that_stops_ends_it(tmp_path):
    with OpenHost(tmp_path) as host:
        receiver = hub(host, "lamp")
        receiver.receive(0)
        receiver.close()
        target = Plain(host, b"lamp")
        client = Plain(host, b"python")
        wait_until(lambda: len(host.targets()) == 2)
        assert client.ask(LIST) == "lamp,lamp-2"
        client.say(to(b"lamp", b"x"))
        wait_until(lambda: host.server.hub._waiting)
    with target, client:
        assert client.hear() == "not delivered: lamp has not asked for it"
        assert client.hear() is None and target.hear() is None
    assert host.targets() == [] and host.transport._timer.cancelled()

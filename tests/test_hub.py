"""The hub with real processes: boards that listen and who sends to them, on good paths and bad ones."""

import ast
import asyncio
import contextlib
import itertools
import json
import logging
import queue
import resource
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack, closing
from errno import ETIMEDOUT

import pytest

import benserver.hub
import benserver.hub_actions
import proxy as datagrams
import stream
from ben import BenError, Hub, aiohub, client
from benserver import device_key, generate_new_secret, status
from board import PATIENCE
from hosts import Host, ServeProcess
from peers import free_port
from test_outages import Lines
from test_paths import wait_until

LOCAL = "127.0.0.1"
BOARD = 100  # the first board's device; controllers have smaller ones

# A board that prints each message, once for each line of its output.
LISTENS = """
async def main():
    port, device, name, tcp, timeout = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] == "tcp", sys.argv[5]
    hub = Hub("127.0.0.1", port, name, "test", float(timeout), device=device, tcp=tcp)
    async def told(who, data):
        print("%s: %r" % (who, data))
        if data == "end":
            raise KeyboardInterrupt
    try:
        await hub.listen(told)
    except KeyboardInterrupt:
        pass

run(main)
"""
HUBS = {
    "blocking": "import sys\nfrom ben import Hub\ndef run(main):\n    main()\n",
    "asyncio": "import asyncio, sys\nfrom ben.aiohub import Hub\ndef run(main):\n    asyncio.run(main())\n",
}


def script(driver, text=LISTENS):
    if driver == "blocking":
        text = text.replace("async ", "").replace("await ", "")
    return HUBS[driver] + text


class Listener:
    """A board that listens, as a process, whose lines are read as they come."""

    def __init__(self, board, driver, port, name, device, transport="udp", timeout=10):
        path = board.folder / f"listens {device}.py"  # its own: to write one empties it for a moment
        path.write_text(script(driver))
        self.name = name
        self.process = board.start(path, port, device, name, transport, timeout)
        self._lines = Lines(self.process.stdout)

    @property
    def lines(self):
        return self._lines.lines

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        """Every line that it printed; what it said on its way to the end is an error."""
        self.kill()
        lines = self._lines.all()
        error = self.process.stderr.read()
        assert "Traceback" not in error or "KeyboardInterrupt" in error, error
        self.process.stdout.close()
        self.process.stderr.close()
        return lines


@pytest.fixture
def listen():
    """Starts listeners, which end with the test."""
    with ExitStack() as stack:

        def start(*arguments, **options):
            listener = Listener(*arguments, **options)
            stack.callback(listener.kill)
            return listener

        yield start


@pytest.fixture
def controller(host, tmp_path):
    """A Hub of CPython's, named desk."""
    hub = Hub(LOCAL, host.port, "desk", keyfile=tmp_path / "key.sec", device=1)
    yield hub
    hub.close()


def joined(hub, *names):
    """Waits until these have joined."""

    def have_joined():
        with contextlib.suppress(OSError):  # a server that was just started
            return set(names) <= {each["name"] for each in hub.targets()}

    wait_until(have_joined)


def fails(call, *arguments):
    """What a call that fails tells: (errno or status, text)."""
    with pytest.raises((OSError, BenError)) as caught:
        call(*arguments)
    return caught.value.args


# One message after the other

DATA = [
    {"on": True},
    [1, 2.5, None],
    None,
    7,
    "text, and ü",
    "",
    b"\0\xff",
    b"",
    "x" * 3000,
    bytes(range(256)) * 8,
]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("driver", HUBS)
def test_a_board_gets_what_was_sent_to_it(board, driver, transport, host, listen, tmp_path):
    port = host.port if transport == "udp" else host.tcp
    lamp = listen(board, driver, port, "lamp", BOARD, transport)
    hub = Hub(LOCAL, port, "desk", keyfile=tmp_path / "key.sec", device=1, tcp=transport == "tcp")
    joined(hub, "lamp")
    for data in DATA:
        hub.send("lamp", data)
    wait_until(lambda: len(lamp.lines) == len(DATA))
    assert [ast.literal_eval(line.split(": ", 1)[1]) for line in lamp.lines] == DATA
    nobody = Hub(LOCAL, host.port, keyfile=tmp_path / "key.sec", device=0xC0FFEE)
    nobody.send("lamp", "from whom?")
    wait_until(lambda: lamp.lines[-1] == "00c0ffee: 'from whom?'")
    [told] = hub.targets()
    assert (told["name"], told["type"], told["here"]) == ("lamp", "test", True)
    assert 0 <= told["seen"] <= told["joined"] < PATIENCE
    hub.close()
    nobody.close()


ASKS = """
async def main():
    port, key = int(sys.argv[1]), sys.argv[2]
    hub = Hub("127.0.0.1", port, "door", keyfile=key, device=7)
    print(await hub.receive(0), await hub.receive(0.1))
    print([each["name"] for each in await hub.targets()])
    await hub.send("sink", {"t": 21.5})
    try:
        await hub.send("sunk", 1)
    except Exception as error:
        print(error.args)
    print(await hub.receive(20))
    print(await hub.receive(0))
    hub.close()
    print(await hub.receive(0))

run(main)
"""


def listening(hub):
    """The queue of what a thread of its own hears, which ends with the server."""
    got = queue.Queue()

    def away(error):
        raise error

    def listen():
        with contextlib.suppress(OSError):
            hub.listen(lambda *message: got.put(message), away)

    threading.Thread(target=listen, daemon=True).start()
    return got


@pytest.mark.parametrize("driver", HUBS)
def test_a_board_sends_and_receives_by_itself(board, driver, host, controller, tmp_path):
    got = listening(Hub(LOCAL, host.port, "sink", timeout=2, keyfile=tmp_path / "key.sec", device=3))
    joined(controller, "sink")
    path = board.folder / "asks.py"
    path.write_text(script(driver, ASKS))
    process = board.start(path, host.port, "key.sec")
    assert got.get(timeout=PATIENCE) == ("door", {"t": 21.5})
    controller.send("door", "open")
    out, error = process.communicate(timeout=PATIENCE)
    assert out.splitlines() == [
        "None None",
        "['door', 'sink']",
        f"({status.REFUSED}, 'no such target: sunk')",
        "('desk', 'open')",
        "None",
        "None",
    ], error


def test_what_was_had_is_told_with_the_next_receive_and_not_before(host, controller, tmp_path):
    lamp = Hub(LOCAL, host.port, "lamp", keyfile=tmp_path / "key.sec", device=BOARD)
    hasty = Hub(LOCAL, host.port, timeout=0.4, keyfile=tmp_path / "key.sec", device=2)
    assert lamp.receive(0) is None
    told = queue.Queue()
    threading.Thread(target=lambda: told.put(controller.send("lamp", 1)), daemon=True).start()
    assert lamp.receive() == ("desk", 1)
    with pytest.raises(queue.Empty):
        told.get(timeout=0.3)
    assert lamp.receive(0) is None and told.get(timeout=PATIENCE) is None
    assert fails(hasty.send, "lamp", 2) == (ETIMEDOUT, "not delivered"), "nobody asked"
    assert lamp.receive(0) is None, "nor will it ever come"
    threading.Thread(target=lambda: told.put(fails(hasty.send, "lamp", 3)), daemon=True).start()
    assert lamp.receive() == ("00000002", 3)
    assert told.get(timeout=PATIENCE) == (ETIMEDOUT, "unknown"), "it did not ask for the next in time"
    assert lamp.receive(0) is None
    for each in lamp, hasty:
        each.close()


def test_what_comes_once_more_is_dropped(host, controller, tmp_path):
    """From a server that does not forget it."""
    message = (7).to_bytes(4, "big") + b"\3\4desk" + b"once"
    asked = []

    def receive(data):
        asked.append(data[4:8])
        return message if len(asked) < 4 else None

    host.server.add_action_handler("hub.receive", receive)
    lamp = Hub(LOCAL, host.port, "lamp", keyfile=tmp_path / "key.sec", device=BOARD)
    assert lamp.receive(0.1) == ("desk", "once")
    assert lamp.receive(10) is None
    assert asked[0] == bytes(4) and set(asked[1:]) == {message[:4]}
    lamp.close()


def test_who_listens_can_send_meanwhile(host, controller, tmp_path):
    """Over the same Hub: in another task, and in another thread."""
    lamp = Hub(LOCAL, host.port, "lamp", timeout=2, keyfile=tmp_path / "key.sec", device=BOARD)
    got = listening(lamp)
    joined(lamp, "lamp")
    lamp.send("lamp", "to myself")
    assert got.get(timeout=PATIENCE) == ("lamp", "to myself")

    async def tasks():
        hub = aiohub.Hub(LOCAL, host.port, "bell", keyfile=tmp_path / "key.sec", device=BOARD + 1)
        heard = asyncio.Queue()
        listening = asyncio.create_task(hub.listen(lambda *message: heard.put(message)))
        while len(await hub.targets()) < 2:
            await asyncio.sleep(0.01)
        await hub.send("bell", "to myself")
        assert await heard.get() == ("bell", "to myself"), "a callback may be a coroutine"
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        hub.close()

    asyncio.run(tasks())


def test_without_an_id_that_lasts_there_is_no_hub(board, tmp_path):
    generate_new_secret(tmp_path / "key.sec")
    device_key(tmp_path / "key.sec", 5, tmp_path / "five.sec")
    printed = board.run("""
from ben import Hub, aiohub
for made in Hub, aiohub.Hub:
    for key, options in ("key.sec", {}), ("key.sec", {"device": 5}), ("five.sec", {}):
        try:
            made("127.0.0.1", 8585, "lamp", keyfile=key, **options)
            print("made")
        except ValueError as error:
            print(error)
""")
    assert printed.splitlines() == ["device: no id of its own", "made", "made"] * 2


# Names, and who may


def test_a_name_belongs_to_the_device_that_was_first(host, controller, tmp_path):
    """Nobody else takes it, hears it or sends in it, and its owner notices nothing."""
    key = tmp_path / "key.sec"
    for device in BOARD, BOARD + 1:
        device_key(key, device, tmp_path / f"{device}.sec")
    lamp = Hub(LOCAL, host.port, "lamp", keyfile=tmp_path / f"{BOARD}.sec")
    thief = Hub(LOCAL, host.port, "lamp", keyfile=tmp_path / f"{BOARD + 1}.sec")
    assert lamp.receive(0) is None
    assert fails(thief.receive, 0) == (status.REFUSED, "lamp is taken")
    thief.seq = bytes(4)  # as if it had joined
    assert fails(thief.receive, 0) == (status.REFUSED, "lamp is taken")
    assert fails(thief.send, "lamp", 1) == (status.REFUSED, "lamp is taken")
    thread = threading.Thread(target=controller.send, args=("lamp", "for the owner"), daemon=True)
    thread.start()
    assert lamp.receive() == ("desk", "for the owner")
    assert lamp.receive(0) is None
    thread.join(PATIENCE)
    for each in lamp, thief:
        each.close()


def test_a_key_of_another_server_is_silence(host, controller, tmp_path):
    generate_new_secret(tmp_path / "other.sec")
    stranger = Hub(LOCAL, host.port, "lamp", timeout=0.5, keyfile=tmp_path / "other.sec", device=BOARD)
    assert fails(stranger.receive, 0) == (ETIMEDOUT, "not run")
    assert fails(stranger.send, "desk", 1) == (ETIMEDOUT, "not delivered")
    assert controller.targets() == []
    stranger.close()


def test_names_that_the_server_gives_to_devices_are_theirs(tmp_path):
    """Also where somebody else comes first; and a board that replaces another gets its name."""
    names = {5: "lamp", 6: "desk", 7: "bell"}
    with Host(tmp_path / "key.sec", devices=names, senders={"desk"}) as host:

        def hub(name, device):
            return Hub(LOCAL, host.port, name, timeout=3, keyfile=tmp_path / "key.sec", device=device)

        bell, thief, lamp, desk = hub("bell", 7), hub("lamp", 7), hub("lamp", 5), hub("", 6)
        assert fails(thief.receive, 0) == (status.REFUSED, "lamp is another device's name")
        assert lamp.receive(0) is None and bell.receive(0) is None
        thread = threading.Thread(target=desk.send, args=("lamp", "by the name of its device"), daemon=True)
        thread.start()
        assert lamp.receive() == ("desk", "by the name of its device") and lamp.receive(0) is None
        thread.join(PATIENCE)
        for who in hub("desk", 7), hub("bell", 7), hub("", 7), hub("any", 7):
            number, text = fails(who.send, "lamp", 1)
            assert number == status.REFUSED and text in (
                "desk is another device's name",
                "bell may not send",
                "any may not send",
            )
            who.close()
        assert lamp.receive(0) is None, "not a trace of it"
        names[8] = names.pop(5)
        again = hub("lamp", 8)
        assert again.receive(0) is None
        assert fails(lamp.receive, 0)[0] == ETIMEDOUT, "the device is off the list"
        for each in bell, thief, lamp, desk, again:
            each.close()


def test_the_second_life_of_a_name_ends_the_first(host, controller, tmp_path):
    one, two = (
        Hub(LOCAL, host.port, "lamp", keyfile=tmp_path / "key.sec", device=BOARD, channel=n) for n in (0, 1)
    )
    assert one.receive(0) is None and two.receive(0) is None
    assert fails(one.receive, 0) == (
        status.REFUSED,
        "lamp has joined again, elsewhere or after a restart",
    )
    assert two.receive(0) is None, "and does not take it back"
    one.close()
    two.close()


def test_what_no_hub_takes(host, controller, tmp_path):
    lamp = Hub(LOCAL, host.port, "lamp", buffersize=100, keyfile=tmp_path / "key.sec", device=BOARD)
    assert lamp.receive(0) is None
    room = 100 - 6 - len("desk")
    assert fails(controller.send, "lamp", "x" * (room + 7)) == (
        status.TOO_BIG,
        "7 bytes more than lamp takes",
    )
    wide = Hub(LOCAL, host.port, "wide", buffersize=9000, keyfile=tmp_path / "key.sec", device=BOARD + 1)
    assert wide.receive(0) is None
    far = Hub(LOCAL, host.port, buffersize=9000, keyfile=tmp_path / "key.sec", device=1)
    assert fails(far.send, "wide", "x" * (4096 - 6 - len("00000001") + 1))[0] == status.TOO_BIG
    far.close()
    wide.close()
    for data in (object(), {1: 2}, float("nan")):
        with pytest.raises(ValueError):
            controller.send("lamp", data)
    with pytest.raises(ValueError):
        controller.send("x" * 65, 1)
    for name in ("", "x" * 65, "a,b", "|x|", " x", "x ", "a\nb"):
        who = Hub(LOCAL, host.port, name, keyfile=tmp_path / "key.sec", device=9)
        assert fails(who.receive, 0)[0] == status.MALFORMED
        who.close()
    link = client(LOCAL, host.port, keyfile=tmp_path / "key.sec", device=9)
    for action in "hub.join", "hub.send", "hub.receive":
        for data in (
            None,
            7,
            "",
            b"",
            bytes(3),
            bytes(9),
            b"\xff" * 20,
            ["lamp", 1],
            bytes(2) + b"\1\0\4lamp{",
        ):
            assert fails(link.send, {"action": action, "data": data})[0] in (status.MALFORMED, status.REFUSED)
        assert fails(link.send, {"action": action})[0] == status.MALFORMED
    assert lamp.receive(0) is None
    for each in lamp, link:
        each.close()


def test_a_queue_has_an_end(host, controller, tmp_path):
    lamp = Hub(LOCAL, host.port, "lamp", keyfile=tmp_path / "key.sec", device=BOARD)
    assert lamp.receive(0) is None
    link = client(LOCAL, host.port, keyfile=tmp_path / "key.sec", device=1)
    body = (600).to_bytes(2, "big") + b"\3\0\4lamp"
    for number in range(benserver.hub.QUEUE_EACH):
        link.send({"action": "hub.send", "data": body + b"%d" % number}, noreturn=True)
    assert fails(controller.send, "lamp", 1) == (status.REFUSED, "too many messages wait for lamp")
    for number in range(benserver.hub.QUEUE_EACH):
        assert lamp.receive() == ("00000001", str(number)), "in their order"
    assert lamp.receive(-1) is None
    link.close()
    lamp.close()


def test_a_list_comes_in_pages_that_fit(host, controller, tmp_path, monkeypatch):
    names = [f"{number} " + "x" * 60 for number in range(20, 60)]
    for number, name in enumerate(names):
        host.server.hub.join(BOARD + number, name, "y" * 60, b"life", 100, 0.0)
    link = client(LOCAL, host.port, keyfile=tmp_path / "key.sec", device=2)
    page = link.send({"action": "hub.list"})
    assert 2 < len(page) < 10 and len(json.dumps(page)) < 1200
    assert [each["name"] for each in controller.targets()] == names
    monkeypatch.setattr(benserver.hub_actions, "PAGE_MAX", 1)
    assert [each["name"] for each in controller.targets()] == names
    link.close()


def test_nothing_waits_for_ever(host, controller, tmp_path, monkeypatch):
    monkeypatch.setattr(benserver.hub_actions, "SEND_MAX", 0.1)
    monkeypatch.setattr(benserver.hub_actions, "RECEIVE_MAX", 0.1)
    lamp = Hub(LOCAL, host.port, "lamp", keyfile=tmp_path / "key.sec", device=BOARD)
    patient = Hub(LOCAL, host.port, timeout=3600, keyfile=tmp_path / "key.sec", device=2)
    assert lamp.receive(0) is None
    assert fails(patient.send, "lamp", 1) == (ETIMEDOUT, "not delivered")
    asked = host.datagrams
    assert lamp.receive(5) is None
    assert host.datagrams - asked < 4, "it had its answer before a third copy was due"
    for each in lamp, patient:
        each.close()


def test_what_is_too_much_for_a_board_does_not_come_again(small_board, host, controller, listen):
    lamp = small_board.start(TOO_MUCH, host.port, heap=40)
    joined(controller, "lamp")
    assert fails(controller.send, "lamp", [[]] * 1300) == (ETIMEDOUT, "unknown")
    controller.send("lamp", "small")
    key = small_board.folder / "key.sec"
    with closing(Hub(LOCAL, host.port, timeout=0.4, keyfile=key, device=2)) as hasty, pytest.raises(OSError):
        hasty.send("lamp", "end")
    out, error = lamp.communicate(timeout=PATIENCE)
    assert out.split() == ["MemoryError", "small", "end"], error


TOO_MUCH = """
import sys
from ben import Hub
hub = Hub("127.0.0.1", int(sys.argv[1]), "lamp", device=100)
data = None
while data != "end":
    try:
        who, data = hub.receive()
        print(data)
    except MemoryError:
        print("MemoryError")
"""


RULES = r"""
from errno import ETIMEDOUT
from ben import Hub, outbox
from ben.hub import receive
from ben.message import BenError

hub = Hub("127.0.0.1", 1, "lamp", timeout=1000, device=1)
steps = receive(hub, None)
print(next(steps)[0])
action, data = steps.send(None)
print(action, int.from_bytes(data[8:10], "big"), data[:4] == hub.token, data[4:8], data[10:])
try:
    steps.send(b"\0\0\0\7\3\4desktext")
except StopIteration as end:
    print(end.value)
steps = receive(hub, 0)
print(next(steps)[1][4:8])
print(steps.send(False)[0])
print(steps.send(None)[1][4:8])
print(steps.throw(BenError(5, "gone"))[0])
print(steps.send(b"\0\0\0\7\3\4desktext")[0], "once more")
try:
    steps.send(b"\0\0\0\x08\3\4desk\xff")
except ValueError:
    print(hub.seq, hub.token != data[:4])
steps = receive(hub, None)
next(steps)
steps.send(None)
try:
    steps.throw(BenError(8, "no"))
except BenError as error:
    print(error.text)
try:
    next(outbox.send(hub, "x" * 65, 1))
except ValueError as error:
    print(error)
for error in OSError(ETIMEDOUT, "maybe"), OSError(ETIMEDOUT, "not run"), BenError(1, "x"), BenError(5, "x"), \
        BenError(8, "no"), OSError(2):
    steps = outbox.send(hub, "lamp", 1)
    next(steps)
    try:
        steps.throw(error)
    except (OSError, BenError) as told:
        print(told.args[-1])
"""


def test_the_rules_of_a_board(board, tmp_path):
    """How long it waits, which number it names, what it makes of what it cannot read, what a sender is told."""
    generate_new_secret(tmp_path / "key.sec")
    assert board.run(RULES).splitlines() == [
        "hub.join",
        "hub.receive 7500 True b'\\x00\\x00\\x00\\x00' b'lamp'",
        "('desk', 'text')",
        "b'\\x00\\x00\\x00\\x07'",
        "hub.join",
        "b'\\x00\\x00\\x00\\x07'",
        "hub.receive",
        "hub.receive once more",
        "None True",
        "no",
        "a name has 1 to 64 bytes",
        *("unknown", "not delivered", "unknown", "unknown", "no", "2"),
    ]


AWAY = """
async def main():
    seen = []
    def away(error):
        seen.append(error)
        print(error.args[-1])
        if len(seen) == 2:
            raise KeyboardInterrupt
    hub = Hub("127.0.0.1", 1, "lamp", timeout=0.3, device=1)
    try:
        await hub.listen(print, away)
    except KeyboardInterrupt:
        hub.close()

run(main)
"""


@pytest.mark.parametrize("driver", HUBS)
def test_who_listens_to_nobody_is_told(board, driver, tmp_path):
    generate_new_secret(tmp_path / "key.sec")
    (tmp_path / "away.py").write_text(script(driver, AWAY))
    out, error = board.start(tmp_path / "away.py").communicate(timeout=PATIENCE)
    assert out.split() == ["not", "run"] * 2, error


def test_one_receive_over_tcp_takes_one_connection(host, tmp_path):
    lamp = Hub(LOCAL, host.tcp, "lamp", keyfile=tmp_path / "key.sec", device=BOARD, tcp=True)
    with stream.Proxy(host.tcp) as path:
        lamp._to = (LOCAL, path.port, *lamp._to[0][2:]), lamp._to[1]
        lamp._clients.clear()
        assert lamp.receive(3) is None
        assert len(path.links) == 1
    lamp.close()


def test_a_server_that_stops_answers_who_waits_and_says_nothing(tmp_path, caplog):
    with caplog.at_level(logging.INFO), Host(tmp_path / "key.sec") as host:
        key = tmp_path / "key.sec"
        lamp = Hub(LOCAL, host.port, "lamp", keyfile=key, device=BOARD)
        away = Hub(LOCAL, host.port, "away", keyfile=key, device=BOARD + 1)
        desk = Hub(LOCAL, host.port, keyfile=key, device=1)
        assert away.receive(0) is None
        told = queue.Queue()

        def tell(call, *arguments):
            try:
                told.put(call(*arguments))
            except OSError as error:
                told.put(error.args[1])

        for arguments in ((lamp.receive, 5), (desk.send, "away", 1)):
            threading.Thread(target=tell, args=arguments, daemon=True).start()
        wait_until(lambda: host.server.hub._waiting and "lamp" in host.server.hub._targets)
        host.server.stop()
        assert {told.get(timeout=PATIENCE) for _ in range(2)} == {None, "not delivered"}
    assert caplog.records == []
    for each in lamp, away, desk:
        each.close()


# Bad paths

COUNT = 25  # messages to each board on each path
UP_AND_DOWN = {"drop": 0.2}
RESETS = stream.Faults(reset=0.4, end=0.2, stall=0.05, within=3000, single=0.1, piece=300, refuse=0.2)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_nothing_is_lost_in_silence_or_comes_twice(transport, crowd, host, listen, tmp_path):
    """Boards of every kind listen, and controllers send, through paths that lose a fifth each way, or break."""
    port = host.port if transport == "udp" else host.tcp
    with ExitStack() as stack:

        def path(seed):
            if transport == "tcp":
                return stack.enter_context(stream.Proxy(port, RESETS, seed=seed))
            faults = datagrams.Faults(**UP_AND_DOWN)
            return stack.enter_context(datagrams.Proxy(port, faults, faults, seed=seed))

        boards, told, threads = [], {}, []
        for number, (runtime, driver) in enumerate(crowd.names):
            near = path(f"board {runtime} {driver}")
            name = f"{runtime} {driver}"
            boards.append(
                (listen(crowd.boards[runtime], driver, near.port, name, BOARD + number, transport, 4), near)
            )
        plain = Hub(LOCAL, host.port, keyfile=tmp_path / "key.sec", device=1)
        joined(plain, *(each.name for each, _ in boards))

        def send(number, name, far):
            key = tmp_path / "key.sec"
            hub = Hub(LOCAL, far.port, "", "", 6, key, device=10 + number, tcp=transport == "tcp")
            for count in range(COUNT):
                try:
                    hub.send(name, count)
                    told[name, count] = "delivered"
                except OSError as error:
                    told[name, count] = error.args[1]
            hub.close()

        for number, (board, _) in enumerate(boards):
            far = path(f"controller {board.name}")
            threads.append(threading.Thread(target=send, args=(number, board.name, far), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        for board, near in boards:
            had = Counter(int(line.split(": ")[1]) for line in board.close())
            for count in range(COUNT):
                word, times = told[board.name, count], had[count]
                allowed = {"delivered": {1}, "not delivered": {0}, "unknown": {0, 1}}[word]
                assert times in allowed, f"{board.name}: {count} was {word}, and came {times} times\n{near}"
        plain.close()
    words = Counter(told.values())
    print(transport, words)
    assert words["delivered"] > 0.7 * len(told), words


# Plugs


def serve(folder, port=0):
    return ServeProcess(folder, "--tcp", "0", port=port)


@pytest.mark.parametrize("driver", HUBS)
def test_boards_are_back_when_the_server_was_killed(board, driver, listen, tmp_path):
    generate_new_secret(tmp_path / "key.sec")
    port = free_port()
    server = serve(tmp_path, port)
    lamp = listen(board, driver, port, "lamp", BOARD)
    hub = Hub(LOCAL, port, "desk", timeout=20, keyfile=tmp_path / "key.sec", device=1)
    try:
        for number in range(3):
            joined(hub, "lamp")
            hub.send("lamp", number)
            server.process.kill()
            server.process.wait()
            server = serve(tmp_path, port)
        joined(hub, "lamp")
        hub.send("lamp", 3)
    finally:
        hub.close()
        server.__exit__()
    assert lamp.close() == [f"desk: {number}" for number in range(4)]


@pytest.mark.parametrize("driver", HUBS)
def test_a_sender_is_told_of_a_board_that_was_killed(board, driver, host, controller, listen, tmp_path):
    """What it had may have been had, and does not come again; what waited comes to its next life."""
    lamp = listen(board, driver, host.port, "lamp", BOARD)
    joined(controller, "lamp")
    controller.send("lamp", "one")
    lamp.kill()
    hasty = Hub(LOCAL, host.port, "hasty", timeout=2, keyfile=tmp_path / "key.sec", device=2)
    assert fails(hasty.send, "lamp", "two") == (ETIMEDOUT, "unknown"), "it was given to who is gone"
    assert fails(hasty.send, "lamp", "three") == (ETIMEDOUT, "not delivered")
    told = queue.Queue()
    threading.Thread(target=lambda: told.put(controller.send("lamp", "four")), daemon=True).start()
    wait_until(lambda: host.server.hub._waiting)
    lamp = listen(board, driver, host.port, "lamp", BOARD)
    assert told.get(timeout=PATIENCE) is None
    assert lamp.close() == ["desk: 'four'"]
    hasty.close()


def test_a_board_that_starts_anew_with_a_message_in_hand(host, controller, tmp_path):
    """Its sender hears at once that nobody knows."""
    key = tmp_path / "key.sec"
    before = Hub(LOCAL, host.port, "lamp", keyfile=key, device=BOARD)
    told = queue.Queue()
    assert before.receive(0) is None
    threading.Thread(target=lambda: told.put(fails(controller.send, "lamp", 1)), daemon=True).start()
    assert before.receive() == ("desk", 1)
    after = Hub(LOCAL, host.port, "lamp", keyfile=key, device=BOARD)
    assert after.receive(0) is None, "it does not come again"
    assert told.get(timeout=5) == (ETIMEDOUT, "unknown"), "before its time is over"
    before.close()
    after.close()


# Many


def test_five_hundred_listen_and_fifty_are_busy(host, tmp_path):
    """Over TCP, a connection each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4000, hard), hard))
    key = str(tmp_path / "key.sec")
    had = Counter()

    def member(number):
        name = f"board {number}"
        return aiohub.Hub(LOCAL, host.tcp, name, "", 60, key, device=BOARD + number, channel=0, tcp=True)

    async def everybody():
        hubs = [member(number) for number in range(550)]
        for hub in hubs:
            hub.tasks = asyncio.create_task(hub.listen(lambda who, data: had.update([data])))
        desk = aiohub.Hub(LOCAL, host.port, "desk", "", 60, key, device=1)
        while len(await desk.targets()) < 550:
            await asyncio.sleep(0.1)

        async def busy(number):
            hub = aiohub.Hub(LOCAL, host.tcp, "", "", 60, key, device=5000 + number, channel=0, tcp=True)
            for count in range(10):
                await hub.send(f"board {number * 11}", f"{number} {count}")
            hub.close()

        await asyncio.gather(*map(busy, range(50)))
        await desk.send("board 7", "an idle one")
        for hub in hubs:
            hub.tasks.cancel()
        await asyncio.gather(*(hub.tasks for hub in hubs), return_exceptions=True)
        for hub in (*hubs, desk):
            hub.close()

    try:
        asyncio.run(everybody())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    expected = {f"{number} {count}" for number, count in itertools.product(range(50), range(10))}
    assert had == Counter(expected | {"an idle one"})


# The command line


def command(folder, *arguments):
    line = [sys.executable, "-m", "benserver", *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, (done.stdout + done.stderr).strip()


def test_the_command_line_is_a_controller(host, small_board, listen, tmp_path):
    where = "--server", f"{LOCAL}:{host.port}"
    assert command(tmp_path, "targets", *where) == (0, "nobody has joined")
    lamp = listen(small_board, "blocking", host.port, "lamp", BOARD)
    wait_until(lambda: "lamp" in command(tmp_path, "targets", *where)[1])
    done, table = command(tmp_path, "targets", "--tcp", "--server", host.tcp)
    head, row = map(str.split, table.splitlines())
    assert done == 0 and head[:3] == ["NAME", "TYPE", "LISTENS"] and row[:3] == ["lamp", "test", "yes"]
    for data, *options in (['{"on": true}'], ["on", "--name", "desk"], ["7", "--text"]):
        assert command(tmp_path, "send", "lamp", data, *where, *options) == (0, "delivered")
    wait_until(lambda: len(lamp.lines) == 3)
    assert [line.split(": ", 1)[1] for line in lamp.lines] == ["{'on': True}", "'on'", "'7'"]
    assert lamp.lines[1].startswith("desk: ")
    assert command(tmp_path, "send", "lamb", "on", *where) == (1, "benserver: no such target: lamb")
    lamp.kill()
    hasty = *where, "--timeout", "2"
    told = [command(tmp_path, "send", "lamp", "on", *hasty) for _ in range(2)]
    assert told == [(3, "unknown: lamp had it once, or not at all"), (1, "not delivered")]
    done, text = command(tmp_path, "targets", "--server", "1", "--timeout", "0.5")
    assert done == 1 and text.startswith("benserver: no answer from 127.0.0.1 port 1: ")

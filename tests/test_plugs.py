"""Each plug pulled: the server restarts, the board restarts or wakes; the next send() works, and soon."""

import signal

import pytest

from hosts import Host, ServeProcess
from peers import free_port

SEND = """
import sys
from ben import client
session = bytes.fromhex(sys.argv[2]) if len(sys.argv) > 2 else None
link = client("127.0.0.1", int(sys.argv[1]), device=1, channel=2, session=session, timeout=20)
for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 1):
    print(link.send({"action": "echo", "data": "hello"}))
print("".join("%02x" % b for b in link.session))
"""


def send(board, host, session="", times=1):
    """The datagrams that it took, and the session then."""
    before = host.datagrams
    *replies, session = board.run(SEND, host.port, session, times).split()
    assert replies == ["hello"] * times
    return host.datagrams - before, session


@pytest.fixture
def echo(host):
    host.handle("echo", lambda data: data)
    return host


def test_a_board_that_restarts_needs_two_round_trips(board, echo):
    assert [send(board, echo)[0] for _ in range(3)] == [2, 2, 2]


def test_a_warm_send_needs_one(board, echo):
    assert send(board, echo, times=10)[0] == 2 + 9


def test_a_board_that_wakes_with_its_session_needs_one(board, echo):
    session = send(board, echo)[1]
    for _ in range(3):
        datagrams, session = send(board, echo, session)
        assert datagrams == 1


def test_a_stale_session_needs_two(board, echo):
    stale = send(board, echo)[1]
    send(board, echo, stale)
    assert send(board, echo, stale)[0] == 2
    assert len(echo.calls) == 3


def test_a_session_that_the_channel_has_left_needs_two(board, echo):
    session = send(board, echo)[1]
    send(board, echo)
    echo.server._sessions._devices[b"\0\0\0\1"].channels[2].forgot -= 60
    assert send(board, echo, session)[0] == 2


def test_a_session_from_before_the_servers_restart_needs_two(board, echo, tmp_path):
    session = send(board, echo)[1]
    with Host(tmp_path / "key.sec") as restarted:
        restarted.handle("echo", lambda data: data)
        restarted.server._sessions._forgot -= 60  # it restarted a minute ago
        assert send(board, restarted, session)[0] == 2
        assert len(restarted.calls) == 1


def test_right_after_a_restart_the_answer_may_be_maybe_and_the_next_send_works(board, echo, tmp_path):
    session = send(board, echo)[1]
    script = SEND.replace(
        '    print(link.send({"action": "echo", "data": "hello"}))',
        """
    try:
        print(link.send({"action": "echo", "data": "hello"}))
    except OSError as error:
        print(error.args[1])""",
    )
    with Host(tmp_path / "key.sec") as restarted:
        restarted.handle("echo", lambda data: data)
        receive = restarted.server._sessions.receive

        def within_the_round_trip(datagram, now):
            restarted.server._sessions._forgot = max(restarted.server._sessions._forgot, now - 0.001)
            return receive(datagram, now)

        restarted.server._sessions.receive = within_the_round_trip
        lines = board.run(script, restarted.port, session, 2).split()
        assert lines[:2] == ["maybe", "hello"]
        assert len(restarted.calls) == 1 and restarted.datagrams == 2


KEEPS_SENDING = """
import sys, time
from ben import client
link = client("127.0.0.1", int(sys.argv[1]), timeout=20)
sent = 0
while True:
    try:
        link.send({"action": "count", "data": sent})
        print("sent", sent)
    except OSError as error:
        print(error.args[1], sent)
    sent += 1
    time.sleep(0.05)
"""
COUNTS = """
def actions(server):
    server.add_action_handler("count", lambda number: print("count", number, flush=True))
"""


def test_a_killed_server_and_its_successor(board, tmp_path, in_folder):
    from benserver import generate_new_secret

    generate_new_secret("key.sec")
    (tmp_path / "counts.py").write_text(COUNTS)
    port = free_port()
    with ServeProcess(tmp_path, "--actions", "counts.py", port=port) as first:
        sending = board.start(KEEPS_SENDING, port)
        try:
            ran = [int(line.split()[1]) for line in take(first.process.stdout, 5)]
            first.end(signal.SIGKILL)
            with ServeProcess(tmp_path, "--actions", "counts.py", port=port) as second:
                ran += [int(line.split()[1]) for line in take(second.process.stdout, 5)]
        finally:
            sending.kill()
            told = sending.communicate()[0]
    assert len(set(ran)) == len(ran), "nothing ran twice"
    whole_lines = told[: told.rfind("\n") + 1].splitlines()  # it was killed, maybe within one
    told = {int(number): what for what, number in (line.rsplit(" ", 1) for line in whole_lines)}
    assert all(told.get(number) in ("sent", "maybe", None) for number in ran)
    assert told[ran[-2]] == "sent", "the link works again"


def take(lines, count):
    return [lines.readline() for _ in range(count)]


def test_a_server_object_that_stops_and_starts_again(board, tmp_path):
    host = Host(tmp_path / "key.sec")
    host.handle("echo", lambda data: data)
    with host:
        session = send(board, host)[1]
    with host:
        datagrams, _ = send(board, host, session)
        assert datagrams == 1, "it is the same server: it knows its sessions"


def test_the_end_of_the_sequence(board, echo):
    """A message that could pass seq 65000 begins cold."""
    session = send(board, echo)[1]
    channel = echo.server._sessions._devices[b"\0\0\0\1"].channels[2]
    channel.session.seq = 64900
    near_end = session[:16] + f"{64900:04x}"
    datagrams, after = send(board, echo, near_end, times=60)
    assert 60 + 1 <= datagrams < 60 + 5, "and copies, where the machine is slow"
    assert int(after[16:], 16) < 100
    assert len(echo.calls) == 61

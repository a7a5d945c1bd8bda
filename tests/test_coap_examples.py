"""The examples of CoAP, and ./run --coap: each is run, with a real peer at the other end."""

import contextlib
import os
import re
import signal
import subprocess

import pytest

from ben import coap
from board import ROOT, Board, interpreter
from hosts import Host
from peers import free_port, libcoap
from test_docs import Warmth
from test_examples import Program, equip, put

HEAP = 52  # K: from source these need more than an ESP8266 has; compiled they do not
TIMING = {"ack_timeout": 0.1, "max_retransmit": 8, "timeout": 30}
PATIENCE = 60  # s
SHOWN = r"^\d\d:\d\d:\d\d  2\.05 temperature \d\d\.\d+$"


@pytest.fixture
def start(tmp_path):
    """Starts an example on a board; it ends with the test."""
    board = Board(interpreter("micropython-32"), tmp_path)
    with contextlib.ExitStack() as stack:
        yield lambda path: stack.enter_context(Program(board.start(path, heap=HEAP)))


def test_sensor_is_read_observed_and_switched(start, tmp_path):
    port = free_port()
    equip(tmp_path, port, interval=1)
    sensor = start(put("coap_sensor.py", tmp_path))
    sensor.until(f"CoAP on port {port}")
    url = f"coap://127.0.0.1:{port}"
    assert 'rt="temperature-c"' in libcoap("get", url + "/.well-known/core").payload.decode()
    observed = libcoap("get", url + "/temperature", "-s", 2)
    told = [each for each in observed.responses if each.code == "2.05"]
    assert len(told) >= 2
    assert libcoap("put", url + "/lamp", payload=b"1").code == "2.04"
    sensor.until("lamp 1")
    assert libcoap("put", url + "/lamp", payload=b"on").code == "4.00"
    assert libcoap("get", url + "/lamp").payload == b"1"


def test_observe_follows_a_temperature_and_goes_on(start, tmp_path):
    with Warmth() as warmth:
        equip(tmp_path, warmth.port)
        follows = start(put("coap_observe.py", tmp_path, PAUSE=0.1))
        for _ in range(3):
            follows.until("2.05 21.5")
        follows.until("4.04")  # the last that it hears of this one


def test_observe_waits_where_there_is_nothing_to_observe(start, tmp_path):
    asked = []
    server = coap.Server(0, "127.0.0.1")
    server.add("temperature", get=asked.append)
    equip(tmp_path, server.endpoint.socket.socket.getsockname()[1])
    follows = start(put("coap_observe.py", tmp_path, PAUSE=3600))
    while not asked:
        server.poll(20)
    follows.until("2.05")
    server.poll(500)
    assert len(asked) == 1
    server.close()


def test_upload_sends_a_file_that_the_board_cannot_hold(start, tmp_path):
    text = b"0123456789\n" * 5000
    (tmp_path / "log.txt").write_bytes(text)
    came = []
    with Host(tmp_path / "key.sec", coap=0, buffersize=60000) as host:
        host.server.add_action_handler("log", came.append, insecure=True)
        equip(tmp_path, host.coap)
        start(put("coap_upload.py", tmp_path)).until(r"2\.04")
    assert came == [text]


def test_both_serves_and_asks_on_one_socket(start, tmp_path):
    own = free_port()
    with Warmth() as warmth:
        equip(tmp_path, warmth.port, interval=30)
        both = start(put("coap_both.py", tmp_path, OWN_PORT=own))
        both.until("heating off")  # it is 21.5, and 20 is wished for
        client = coap.Client()
        url = f"coap://127.0.0.1:{own}"
        assert client.put(url + "/wish", "22.5", **TIMING).status == "2.04"
        both.until("wish 22.5")
        assert client.get(url + "/wish", **TIMING).payload == b"22.5"
        assert client.get(url + "/heating", **TIMING).payload == b"on"
        assert client.put(url + "/wish", "warm", **TIMING).status == "4.00"
        client.close()


def test_the_demo_finds_observes_and_switches_and_ends_by_itself():
    done = subprocess.run(
        [ROOT / "run", "--coap", "--count", "4"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (
        done.returncode == 0 and "Traceback" not in done.stderr
    )  # which may tell of an environment being made
    assert len(re.findall(SHOWN, done.stdout, re.M)) == 4
    assert re.search(r"^found:  /temperature  temperature-c$", done.stdout, re.M)
    assert "PUT lamp 1: 2.04, and GET says 1" in done.stdout
    assert done.stdout.startswith("board:  a simulated board")


def test_the_demo_leaves_nothing_behind():
    demo = subprocess.Popen(
        [ROOT / "run", "--coap"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        while not re.match(SHOWN, demo.stdout.readline()):
            assert demo.poll() is None
        demo.send_signal(signal.SIGTERM)  # not to the board
        demo.communicate(timeout=PATIENCE)
        assert demo.returncode == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            os.killpg(demo.pid, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)

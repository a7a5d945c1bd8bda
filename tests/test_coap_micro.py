"""microCoAPy's examples, with nothing changed but the import, and the rest of its interface (ben.coap.micro)."""

import threading
import time
from pathlib import Path

import pytest
from aiocoap.error import NetworkError

from ben.coap import Client, Server, micro
from peers import AiocoapClient, Raw, free_port

SEEDS = Path(__file__).parent / "seeds"
IMPORT = "import ben.coap.micro as microcoapy"
PATIENCE = 20  # s
LEAD = "import time\n"  # which the server's example leaves to its reader


def example(name, **changed):
    """An example with another import, and with addresses that are this test's."""
    text = (SEEDS / name).read_text()
    for old in ("import microcoapy.microcoapy as microcoapy", "import microcoapy"):
        if old in text:
            text = text.replace(old, IMPORT, 1)
            break
    for old, new in changed.items():
        assert old in text
        text = text.replace(old, new)
    return LEAD + text


def wait_for(client, url):
    """Until somebody answers."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            return client.request("GET", url)
        except NetworkError:
            time.sleep(0.02)
    raise AssertionError("nobody answers")


@pytest.fixture
def coap_server():
    """A server with current/measure, in a thread of this process."""
    server = Server(0, "127.0.0.1")
    server.add("current/measure", get=lambda request: "222")
    ended = threading.Event()

    def run():
        while not ended.is_set():
            server.poll(20)

    thread = threading.Thread(target=run)
    thread.start()
    yield server, server.endpoint.socket.socket.getsockname()[1]
    ended.set()
    thread.join()
    server.close()


def test_the_clients_example(board, coap_server):
    script = example(
        "microcoapy_client.py",
        **{"192.168.1.2": "127.0.0.1", "_SERVER_PORT=5683": f"_SERVER_PORT={coap_server[1]}"},
    ).replace("client.start()", f"client.start({free_port()})")
    printed = board.run(script)
    assert "[GET] Sent bytes:  24" in printed
    assert "Mesage payload:  222" in printed


def test_the_servers_example(micropython_board):
    port = free_port()
    script = example("microcoapy_server.py").replace("client.start()", f"client.start({port})")
    process = micropython_board.start(script)
    try:
        with AiocoapClient() as client:
            wait_for(client, f"coap://127.0.0.1:{port}/nothing")
            reply = client.request("GET", f"coap://127.0.0.1:{port}/current/measure", timeout=PATIENCE)
            assert (reply.code.dotted, reply.payload) == ("2.05", b"222")
            assert client.request("GET", f"coap://127.0.0.1:{port}/nothing").code.dotted == "4.04"
    finally:
        process.kill()
        printed = process.communicate()[0]
    assert "Measure-current request received:" in printed and "127.0.0.1" in printed


CALLS = """
import time
import ben.coap.micro as microcoapy
told = []
client = microcoapy.Coap()
client.responseCallback = lambda packet, sender: told.append((packet.code, bytes(packet.payload), sender[1]))
print(client.get("127.0.0.1", PORT, "echo"))  # not started
client.start(OWN)
FORMAT = microcoapy.COAP_CONTENT_FORMAT
for send in (
    lambda: client.get("127.0.0.1", PORT, "a/b"),
    lambda: client.getNonConf("127.0.0.1", PORT, "a/b"),
    lambda: client.put("127.0.0.1", PORT, "store", "x", "unit=c", FORMAT.COAP_TEXT_PLAIN),
    lambda: client.putNonConf("127.0.0.1", PORT, "store", b"y"),
    lambda: client.post("127.0.0.1", PORT, "store", "long" * 800),
    lambda: client.postNonConf("127.0.0.1", PORT, "store", "z"),
):
    was = len(told)
    sent = send()
    while len(told) == was:
        client.poll(5000)
    print(sent > 0, *told[-1][:2], told[-1][2] == PORT)
print(client.get("no.such.host.invalid", PORT, "a"), client.poll(10), client.loop(False))
client.stop()
"""


def test_each_call(board, coap_server):
    server, port = coap_server
    seen = []

    def store(request):
        seen.append((request.method, request.payload, request.query, request.message.type))
        return f"{len(request.payload)}"

    server.add("a/b", get=lambda request: "ab")
    server.add("store", put=store, post=store)
    printed = board.run(CALLS.replace("PORT", str(port)).replace("OWN", str(free_port()))).splitlines()
    assert printed == [
        "0",
        "True 69 b'ab' True",
        "True 69 b'ab' True",
        "True 68 b'1' True",
        "True 68 b'1' True",
        "True 68 b'3200' True",
        "True 68 b'1' True",
        "0 False False",
    ]
    assert seen == [
        (3, b"x", {"unit": "c"}, 0),
        (3, b"y", {}, 1),
        (2, b"long" * 800, {}, 0),
        (2, b"z", {}, 1),
    ]


LATE = """
import ben.coap.micro as microcoapy
server = microcoapy.Coap(OWN)
waiting = []
server.addIncomingRequestCallback("slow", lambda packet, ip, port: waiting.append((packet, ip, port)))
server.start()
print("up")
while not waiting:
    server.poll(1000)
for _ in range(30):
    server.loop(False)
    server.poll(20)
packet, ip, port = waiting[0]
RESPONSE, FORMAT = microcoapy.COAP_RESPONSE_CODE, microcoapy.COAP_CONTENT_FORMAT
print(server.sendResponse(ip, port, packet.messageid, "late", RESPONSE.COAP_CONTENT, FORMAT.COAP_NONE, packet.token) > 0)
print(server.sendResponse(ip, port, packet.messageid, "late", RESPONSE.COAP_CONTENT, FORMAT.COAP_NONE, packet.token))
server.poll(100)
server.stop()
"""


def test_an_answer_may_come_later_and_once(board):
    port = free_port()
    process = board.start(LATE.replace("OWN", str(port)))
    assert process.stdout.readline() == "up\n"
    with Raw(port) as raw:
        raw.send("41 01 12 34 77 b4 73 6c 6f 77")  # CON GET /slow, token 77
        assert raw.receive(PATIENCE) == bytes.fromhex("60001234")  # acknowledged
        answer = raw.receive(PATIENCE)
        assert answer[:2] == b"\x41\x45" and answer[4:] == b"\x77\xfflate"  # CON, from it
        raw.send(b"\x60\0" + answer[2:4])
    out, error = process.communicate(timeout=PATIENCE)
    assert (out, error) == ("True\n0\n", "")


CUSTOM = """
import ben.coap.micro as microcoapy
class Modem:
    def __init__(self):
        self.answers = []
    def sendto(self, data, address):
        data = bytes(data)
        print(data[:2] + data[8:])
        self.answers.append((b"\\x64\\x45" + data[2:8] + b"\\xff21", PEER))
        return len(data)
    def recvfrom(self, size):
        return self.answers.pop(0) if self.answers else b""
    def setblocking(self, flag):
        pass
client = microcoapy.Coap()
client.responseCallback = lambda packet, sender: print(packet.payload, sender)
client.setCustomSocket(Modem())
print(client.get("127.0.0.1", 5683, "t"), client.poll(2000))
"""


@pytest.mark.parametrize("peer", ['("127.0.0.1", 5683)', "address"])
def test_a_socket_of_ones_own(board, peer):
    """It may know addresses as (host, port), or give back what it was given."""
    printed = board.run(CUSTOM.replace("PEER", peer)).splitlines()
    assert printed == ["b'D\\x01\\xb1t'", "b'21' ('127.0.0.1', 5683)", "10 True"]


def served_by_micro(paths):
    """A program of microCoAPy's that serves, with a client that has it work while it waits."""
    program = micro.Coap(0)
    for path, callback in paths.items():
        program.addIncomingRequestCallback(path, callback)
    program.start()
    client = Client()
    receive = client.endpoint.socket.recv

    def recv(ms):
        while program.loop(False):
            pass
        return receive(min(ms, 5))

    client.endpoint.socket.recv = recv
    port = program._endpoint.socket.socket.getsockname()[1]
    return program, client, f"coap://127.0.0.1:{port}/"


def test_requests_that_a_callback_leaves_unanswered_keep_no_other_from_being_answered():
    def answer(packet, ip, port):
        assert program.sendResponse(ip, port, packet.messageid, "yes", 0x45, -1, packet.token)

    program, client, url = served_by_micro({"never": lambda *_: None, "always": answer})
    for _ in range(10):
        with pytest.raises(OSError):
            client.get(url + "never", ack_timeout=0.01, max_retransmit=1, timeout=0.03)
    assert client.get(url + "always").payload == b"yes"
    program.stop()


def test_a_callback_gets_a_long_body_whole():
    def answer(packet, ip, port):
        came.append(packet.payload)
        program.sendResponse(ip, port, packet.messageid, "thanks", 0x44, -1, packet.token)

    came = []
    program, client, url = served_by_micro({"log": answer})
    assert client.put(url + "log", 3000 * b"x").payload == b"thanks"
    assert came == [3000 * b"x"]
    program.stop()


def test_a_callback_that_fails_ends_its_request(coap_server):
    def fails(packet, sender):
        raise KeyError

    program = micro.Coap(0)
    program.responseCallback = fails
    program.start()
    for _ in range(10):
        assert program.get("127.0.0.1", coap_server[1], "current/measure")
        with pytest.raises(KeyError):
            program.poll(5000)
    program.stop()


def test_a_program_that_starts_again_has_no_open_requests():
    asked = []
    program, client, url = served_by_micro({"never": lambda *got: asked.append(got)})
    with pytest.raises(OSError):
        client.get(url + "never", ack_timeout=0.01, max_retransmit=1, timeout=0.03)
    program.stop()
    program.start()
    packet, ip, port = asked[0]
    assert program.sendResponse(ip, port, packet.messageid, "late", 0x45, -1, packet.token) == 0
    program.stop()

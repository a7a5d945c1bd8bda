"""The command line: python -m benserver."""

import signal
import socket
import subprocess
import sys

import pytest

from ben import client
from benserver import generate_new_secret
from hosts import Host, ServeProcess

PATIENCE = 30  # s


def benserver(folder, *arguments):
    """Exit status, and what it says."""
    command = [sys.executable, "-m", "benserver", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, (done.stdout + done.stderr).strip()


def test_help_names_every_command(tmp_path):
    status, text = benserver(tmp_path, "--help")
    assert status == 0 and all(word in text for word in ("keygen", "device-key", "serve", "targets", "send"))
    for command in ("keygen", "device-key", "targets", "send", "serve"):
        status, text = benserver(tmp_path, command, "--help")
        assert status == 0 and text.startswith("usage: python -m benserver " + command)
    assert all(f"--{transport} [HOST:]PORT" in text for transport in ("udp", "tcp", "coap"))


def test_keygen_and_device_key(tmp_path):
    assert benserver(tmp_path, "keygen", "key.sec")[0] == 0
    assert (tmp_path / "key.sec").stat().st_size == 32
    assert benserver(tmp_path, "device-key", "key.sec", "0000000a", "a.sec")[0] == 0
    assert (tmp_path / "a.sec").read_bytes()[:8] == b"ben2\0\0\0\x0a"


ERRORS = [
    (
        ("keygen", "key.sec"),
        1,
        "benserver: key.sec exists already; it is left as it is (--overwrite replaces it)",
    ),
    (("keygen", "no/such/folder/key.sec"), 1, "benserver: no/such/folder/key.sec: No such file or directory"),
    (("device-key", "none.sec", "0000000a", "a.sec"), 1, "benserver: none.sec: No such file or directory"),
    (("device-key", "key.sec", "a", "a.sec"), 2, "a device is written as 8 hex digits, not 'a'"),
    (("device-key", "bad.sec", "0000000a", "a.sec"), 1, "benserver: bad.sec is no key file"),
    (("serve", "--key", "none.sec"), 1, "benserver: none.sec: No such file or directory"),
    (("serve", "--key", "."), 1, "benserver: .: Is a directory"),
    (("serve", "--key", "bad.sec"), 1, "benserver: bad.sec is no key file"),
    (("serve", "--udp", "port"), 2, "'port' is not PORT or HOST:PORT"),
    (("serve", "--udp", "65536"), 2, "'65536' is not PORT or HOST:PORT"),
    (
        ("serve", "--udp", "192.0.2.1:0"),
        1,
        "benserver: cannot listen on 192.0.2.1 port 0 (UDP): Cannot assign requested address",
    ),
    (("serve", "--udp", "no host:0"), 1, "benserver: cannot listen on no host port 0 (UDP): "),
    (("serve", "--tcp", "port"), 2, "'port' is not PORT or HOST:PORT"),
    (("serve", "--tcp", "127.0.0.1:65536"), 2, "'127.0.0.1:65536' is not PORT or HOST:PORT"),
    (
        ("serve", "--tcp", "127.0.0.1:1"),
        1,
        "benserver: --udp and --tcp have one HOST: --udp 127.0.0.1:8585, too",
    ),
    (("serve", "--coap", "port"), 2, "'port' is not PORT or HOST:PORT"),
    (("serve", "--coap", "65536"), 2, "'65536' is not PORT or HOST:PORT"),
    (
        ("serve", "--coap", "127.0.0.1:1"),
        1,
        "benserver: --udp and --coap have one HOST: --udp 127.0.0.1:8585, too",
    ),
    (("serve", "--actions", "none.py"), 1, "none.py"),
    (("serve", "--actions", "bad.sec"), 1, "bad.sec does not define actions(server)"),
    (("serve", "--device", "5"), 2, "a device is written as 8 hex digits, not '5'"),
    (("serve", "--legacy"), 1, "need legacy=True and a TCP port"),
    (("serve", "--plain", "lamp", "--tcp", "0"), 1, "need legacy=True and a TCP port"),
    (("serve", "--tcp", "0", "--legacy", "--plain", "a,b"), 1, "plain: 'a,b': a name has 1 to 64 bytes"),
    (("targets", "--key", "none.sec"), 1, "benserver: none.sec: No such file or directory"),
    (("targets", "--server", "port"), 2, "'port' is not PORT or HOST:PORT"),
    (("send", "lamp"), 2, "required: DATA"),
    (("send", "lamp", "1", "--timeout", "0"), 2, "'0' is not a number of seconds, 0 to 360000"),
    (("send", "lamp", "1", "--timeout", "inf"), 2, "'inf' is not a number of seconds, 0 to 360000"),
    (("targets", "--timeout", "soon"), 2, "'soon' is not a number of seconds, 0 to 360000"),
    (("reserve",), 2, "invalid choice: 'reserve'"),
    ((), 2, "required: COMMAND"),
]


@pytest.mark.parametrize(("arguments", "status", "sentence"), ERRORS, ids=lambda value: str(value)[:40])
def test_errors_are_one_clear_sentence(tmp_path, arguments, status, sentence):
    generate_new_secret(tmp_path / "key.sec")
    (tmp_path / "bad.sec").write_bytes(b"")
    got, text = benserver(tmp_path, *arguments)
    assert got == status
    assert sentence in text.splitlines()[-1]


def test_a_port_in_use(tmp_path):
    with Host(tmp_path / "key.sec", coap=0) as host:
        udp = benserver(tmp_path, "serve", "--udp", f"127.0.0.1:{host.port}", "--tcp", "0")
        tcp = benserver(tmp_path, "serve", "--udp", "127.0.0.1:0", "--tcp", host.tcp)
        coap = benserver(tmp_path, "serve", "--udp", "127.0.0.1:0", "--coap", host.coap)
    why = "Address already in use"
    assert udp == (1, f"benserver: cannot listen on 127.0.0.1 port {host.port} (UDP): {why}")
    assert tcp == (1, f"benserver: cannot listen on 127.0.0.1 port {host.tcp} (TCP): {why}")
    assert coap == (1, f"benserver: cannot listen on 127.0.0.1 port {host.coap} (CoAP): {why}")


SEND = """
import sys
from ben import client
link = client("127.0.0.1", int(sys.argv[1]), device=10, timeout=20)
print(link.send({"action": sys.argv[2], "data": {"t": 23}}), link.send({"action": sys.argv[2]}))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_what_comes_and_ends_cleanly(board, tmp_path, ending):
    generate_new_secret(tmp_path / "key.sec")
    with ServeProcess(tmp_path) as serve:
        assert board.run(SEND, serve.port, "dht") == "None None\n"
        assert board.run(SEND, serve.port, "door") == "None None\n"
        status, text = serve.end(ending)
    assert status == 0
    lines = [line.split(" ", 1)[1] for line in text.splitlines()]
    assert lines == ["0000000a dht {'t': 23}", "0000000a dht", "0000000a door {'t': 23}", "0000000a door"]


def test_serve_greets_with_its_ports(tmp_path):
    generate_new_secret(tmp_path / "key.sec")
    with ServeProcess(tmp_path) as serve:
        assert serve.greeting == f"listening on 127.0.0.1 port {serve.port} (UDP); Ctrl-C ends it\n"
        with socket.socket() as nobody, pytest.raises(ConnectionRefusedError):
            nobody.connect(("127.0.0.1", serve.port))
    with ServeProcess(tmp_path, "--tcp", "127.0.0.1:0") as serve:
        both = f"{serve.port} (UDP) and {serve.tcp} (TCP)"
        assert serve.greeting == f"listening on 127.0.0.1 port {both}; Ctrl-C ends it\n"


SEND_TWICE = """
import sys
from ben import client
for port, tcp in ((int(sys.argv[1]), False), (int(sys.argv[2]), True)):
    print(*client("127.0.0.1", port, device=10, timeout=20, tcp=tcp).send({"action": "how"}))
"""


def test_serve_over_both(board, tmp_path):
    generate_new_secret(tmp_path / "key.sec")
    (tmp_path / "how.py").write_text(
        "import benserver\n"
        "def how():\n"
        "    asked = benserver.sender()\n"
        "    host, _, port = asked.address.rpartition(':')\n"
        "    return [asked.transport, asked.device, asked.secure, host, 0 < int(port) < 65536]\n"
        "def actions(server):\n"
        "    server.add_action_handler('how', how)\n"
    )
    with ServeProcess(tmp_path, "--actions", "how.py", "--tcp", "0") as serve:
        lines = board.run(SEND_TWICE, serve.port, serve.tcp).splitlines()
        assert serve.end() == (0, "")
    assert lines == [f"{transport} 10 True 127.0.0.1 True" for transport in ("udp", "tcp")]


STRANGE = """
import sys
from ben import client
link = client("127.0.0.1", int(sys.argv[1]), device=10, timeout=20)
print(link.send({"action": "say", "data": "\\x1b[2Jgone\\nforged"}), link.send({"action": "say\\n", "data": "\\u00fc"}))
"""


def test_serve_prints_a_boards_text_harmlessly(board, tmp_path, monkeypatch):
    generate_new_secret(tmp_path / "key.sec")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with ServeProcess(tmp_path) as serve:
        assert board.run(STRANGE, serve.port) == "None None\n"
        text = serve.end()[1]
    lines = [line.split(" ", 1)[1] for line in text.splitlines()]
    assert lines == [r"0000000a say '\x1b[2Jgone\nforged'", r"0000000a 'say\n' \xfc"]


@pytest.mark.parametrize("handler", ["def stuck(): time.sleep(1000)", "async def stuck(): await refusing()"])
def test_a_second_signal_ends_what_does_not_end_by_itself(tmp_path, handler):
    generate_new_secret(tmp_path / "key.sec")
    (tmp_path / "stuck.py").write_text(f"""
import asyncio, time
async def refusing():
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("refused", flush=True)
{handler}
def actions(server):
    server.add_action_handler("stuck", stuck)
""")
    with ServeProcess(tmp_path, "--actions", "stuck.py") as serve:
        client("127.0.0.1", serve.port, 20, str(tmp_path / "key.sec")).send(
            {"action": "stuck"}, noreturn=True
        )
        serve.process.send_signal(signal.SIGINT)
        if handler.startswith("async"):
            assert serve.process.stdout.readline() == "refused\n"
        with pytest.raises(subprocess.TimeoutExpired):
            serve.process.wait(0.5)
        assert serve.end(signal.SIGINT)[0] == -signal.SIGINT


def test_serve_with_actions_and_devices(board, tmp_path):
    generate_new_secret(tmp_path / "key.sec")
    (tmp_path / "mine.py").write_text(
        "import benserver\n"
        "def actions(server):\n"
        "    server.add_action_handler('who', lambda *data: benserver.sender().name)\n"
    )
    with ServeProcess(tmp_path, "--actions", "mine.py", "--device", "0000000A=kitchen") as serve:
        assert board.run(SEND, serve.port, "who") == "kitchen kitchen\n"
        assert serve.end()[0] == 0


def test_stop_from_a_handler_and_an_own_loop(tmp_path):
    import asyncio

    from benserver import Server

    generate_new_secret(tmp_path / "key.sec")
    server = Server("127.0.0.1", 0, tmp_path / "key.sec")

    async def main():
        serving = asyncio.create_task(server.serve())
        while not server.listening.is_set():
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="listening already"):
            await server.serve()
        server.stop()
        await serving
        again = asyncio.create_task(server.serve())
        while not server.listening.is_set():
            await asyncio.sleep(0)
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert not server.listening.is_set()
    server.stop()

"""The command line: python -m benserver."""

import signal
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
    assert status == 0 and all(word in text for word in ("keygen", "device-key", "serve"))
    for command in ("keygen", "device-key", "serve"):
        status, text = benserver(tmp_path, command, "--help")
        assert status == 0 and text.startswith("usage: python -m benserver " + command)


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
    (("serve", "--udp", "192.0.2.1:0"), 1, "annot assign requested address"),
    (("serve", "--actions", "none.py"), 1, "none.py"),
    (("serve", "--actions", "bad.sec"), 1, "bad.sec does not define actions(server)"),
    (("serve", "--device", "5"), 2, "a device is written as 8 hex digits, not '5'"),
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
    with Host(tmp_path / "key.sec") as host:
        status, text = benserver(tmp_path, "serve", "--udp", f"127.0.0.1:{host.port}")
    assert status == 1 and len(text.splitlines()) == 1
    assert str(host.port) in text and "in use" in text


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

"""README.md and docs/: their code runs, their links lead somewhere, their figures are the tests'."""

import json
import re
import subprocess
import sys
import threading

import pytest

from ben import coap
from benserver import generate_new_secret
from board import ROOT
from peers import free_port
from test_memory import BUDGETS
from test_paths import wait_until
from test_seeds import wait_for

README = (ROOT / "README.md").read_text()
PATIENCE = 30  # s


def test_readme_code_runs(board, in_folder):
    client, server = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    port = free_port()
    generate_new_secret("key.sec")
    server = server.replace('"0.0.0.0", 8585', f'"127.0.0.1", {port}')
    serving = subprocess.Popen([sys.executable, "-u", "-c", server], stdout=subprocess.PIPE, text=True)
    try:
        wait_for(port)
        assert board.run(client.replace('"192.168.1.2", 8585', f'"127.0.0.1", {port}')) == "thank you\n"
    finally:
        serving.terminate()
        out = serving.communicate(timeout=PATIENCE)[0]
    assert out == "{'temperature': 21.5}\n" and serving.returncode == 0


def test_the_code_of_the_hub_runs(micropython_board, host, in_folder):
    listens, sends = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "hub.md").read_text(), re.DOTALL)
    (in_folder / "machine.py").write_text('def unique_id():\n    return b"board"\n')  # which a real one has
    listening = micropython_board.start(listens.replace('"192.168.1.2", 8585', f'"127.0.0.1", {host.port}'))
    try:
        wait_until(lambda: [each["name"] for each in host.server.hub.list(0.0)] == ["lamp"])
        exec(sends.replace('"192.168.1.2", 8585', f'"127.0.0.1", {host.port}'), {})
    finally:
        listening.kill()
        out, error = listening.communicate(timeout=PATIENCE)
    assert (out, error) == ("desk says {'on': True}\n", "")


def blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(), re.DOTALL)


class Warmth:
    """A server with what docs/coap.md asks for, in a thread; its temperature ends after three states."""

    def __enter__(self):
        self.server = coap.Server(0, "127.0.0.1")
        self.port = self.server.endpoint.socket.socket.getsockname()[1]
        self.asked = []
        self.server.add("temperature", get=self._temperature, obs=True, rt="temperature-c", if_="sensor")
        for path in ("lamp", "log", "firmware"):
            self.server.add(path, get=lambda request: b"new" * 1000, put=self._keep, post=self._keep)
        self._running = True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self):
        while self._running:
            self.server.poll(20)
            self.server.notify("temperature")

    def _temperature(self, request):
        if len(self.asked) > 6:
            raise coap.Error("4.04")
        self.asked.append(request.query)
        return "21.5"

    def _keep(self, request):
        self.asked.append((request.path, request.payload))

    def __exit__(self, *_):
        self._running = False
        self._thread.join()
        self.server.close()


def test_the_code_of_coap_asks(board):
    first, files, observing, discovering = blocks("coap.md")[:4]
    (board.folder / "log.txt").write_bytes(b"line\n" * 500)
    with Warmth() as warmth:
        script = (first + files + observing + discovering).replace("192.168.1.2", f"127.0.0.1:{warmth.port}")
        printed = board.run(script).splitlines()
        asked = warmth.asked
    assert printed[0] == "2.05 b'21.5'" and asked[0] == {"unit": "c"}
    assert asked[1:3] == [("lamp", b"1"), ("log", b"line\n" * 500)]
    assert (board.folder / "firmware.bin").read_bytes() == b"new" * 1000
    assert printed[1:3] == ["b'21.5'"] * 2 and "b''" in printed
    assert printed[-1].startswith("/temperature {") and "temperature-c" in printed[-1]


@pytest.mark.parametrize("number", (4, 5), ids=("blocking", "asyncio"))
def test_the_code_of_coap_serves(micropython_board, number):
    port = free_port()
    with Warmth() as warmth:
        script = blocks("coap.md")[number].replace("Server(5683)", f'Server({port}, "127.0.0.1")')
        process = micropython_board.start(script.replace("192.168.1.2", f"127.0.0.1:{warmth.port}"))
        client = coap.Client()
        timing = {"ack_timeout": 0.1, "max_retransmit": 8, "timeout": PATIENCE}
        try:
            if number == 5:
                assert client.get(f"coap://127.0.0.1:{port}/warmth", **timing).payload == b"21.5"
            else:
                url = f"coap://127.0.0.1:{port}/"
                reply = client.get(url + "sensor/temperature", **timing)
                assert (reply.payload, reply.uint(12), reply.uint(14)) == (b"21.5", 0, 30)
                assert client.put(url + "lamp", "1", **timing).status == "2.04"
                assert client.put(url + "lamp", "2", **timing).status == "4.00"
                assert client.get(url + "lamp", **timing).payload == b"1"
        finally:
            process.kill()
            process.communicate()
            client.close()


def test_the_tests_that_coap_names_are_there():
    named = re.findall(r"(test_coap_\w+): ([a-z0-9_, ]+)", (ROOT / "docs" / "coap.md").read_text())
    assert len(named) > 20
    for module, names in named:
        text = (ROOT / "tests" / f"{module}.py").read_text()
        for name in names.split(", "):
            assert f"def test_{name.strip()}" in text, f"{module}: {name}"


def test_readme_is_short_and_its_figures_are_held():
    assert len(README.splitlines()) < 200
    text = " ".join(README.split())
    for source, compiled in BUDGETS.values():
        assert f"**{source} KB** from source, **{compiled} KB** compiled" in text


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")), ids=lambda path: path.name
)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_the_demo_shows_readings_and_ends_by_itself():
    done = subprocess.run([ROOT / "run", "--count", "2"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    shown = re.findall(
        r"^\S+  [0-9a-f]{8}  humidity \d+  temperature [\d.]+  round trip [\d.]+ ms$", done.stdout, re.M
    )
    assert len(shown) == 2 and done.stdout.startswith("server: 127.0.0.1 port ")


def test_the_demo_refuses_what_it_does_not_know():
    for arguments, sentence in (
        (["--count", "0"], "--count"),
        (["--nonsense"], "unrecognized"),
        (["dmeo"], "./run"),
    ):
        done = subprocess.run([ROOT / "run", *arguments], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr


def test_the_protocols_vectors_are_those_that_are_tested():
    vectors = json.loads((ROOT / "tests" / "vectors" / "ben2.json").read_text())
    written = re.findall(r"^    ([0-9a-f]{80,})$", (ROOT / "docs" / "protocol.md").read_text(), re.M)
    assert written == [vectors["device_file"], *(vector["datagram"] for vector in vectors["datagrams"])]

"""README.md and docs/: their code runs, their links lead somewhere, their figures are the tests'."""

import json
import re
import subprocess
import sys

import pytest

from benserver import generate_new_secret
from board import ROOT
from test_memory import BUDGETS
from test_paths import wait_until
from test_seeds import free_port, wait_for

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

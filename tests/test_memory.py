"""Memory on the board: heaps in which the link works, from source and compiled, and no growth."""

import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from board import ROOT

LARGEST = 40  # K: "works at N" means at N and at every larger heap up to this
BUDGETS = {".py": 24, ".mpy": 16}  # K, for one send() with a reply

# Programs that differ by little, for a fragmented heap fails in islands.
PROGRAMS = {
    "from import": """
from ben import client
link = client("127.0.0.1", PORT, keyfile="key.sec")
print(link.send({"action": "echo", "data": {"t": 23}}))
""",
    "module": """
import ben
print(ben.client("127.0.0.1", PORT).send({"action": "echo", "data": "x" * 40}))
""",
    "sensor loop": """
import time
from ben import BenError, client
link = client("127.0.0.1", PORT, timeout=5)
for i in range(3):
    try:
        link.send({"action": "echo", "data": {"temperature": 21.5, "humidity": i}}, noreturn=True)
    except (OSError, BenError) as error:
        print(error)
    time.sleep(0)
print(link.send({"action": "echo", "data": {"t": 23}}))
""",
    "session": """
from ben import client
link = client("127.0.0.1", PORT, device=7, channel=1)
print(link.send({"action": "echo", "data": [1, 2.5, None]}))
print(len(link.send({"action": "echo", "data": bytes(60)})), len(link.session))
""",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """lib/ as it is released."""
    folder = tmp_path_factory.mktemp("release")
    command = [sys.executable, str(ROOT / "tools" / "release.py"), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "lib"


@pytest.mark.parametrize("kind", BUDGETS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_link_works_in_its_budget(small_board, host, compiled, kind, program):
    host.handle("echo", lambda data: data)
    board = small_board
    (board.folder / "lib").symlink_to(compiled if kind == ".mpy" else ROOT / "lib")
    board.lib = Path("lib")  # as short as on a board: paths take heap
    script = PROGRAMS[program].replace("PORT", str(host.port))
    for heap in range(BUDGETS[kind], LARGEST + 1):
        assert board.run(script, heap=heap), f"{heap}K"


GROWTH = """
import gc
from ben import client
link = client("127.0.0.1", PORT)
used = [0, 0, 0]
for i in range(3):
    for _ in range(1000 if i else 10):
        link.send({"action": "echo", "data": {"t": 23}})
    gc.collect()
    used[i] = gc.mem_alloc()
print(used[2] - used[1])
"""


def test_a_thousand_sends_leave_memory_as_it_was(micropython_board, host):
    host.handle("echo", lambda data: data)
    assert int(micropython_board.run(GROWTH.replace("PORT", str(host.port)))) == 0


AFTER_MEMORY_ERROR = """
from ben import client
link = client("127.0.0.1", PORT)
print(link.send({"action": "echo", "data": 1}))
fill = []
failed = 0
try:
    while True:
        fill.append(bytes(64))
except MemoryError:
    pass
for _ in range(3):
    try:
        link.send({"action": "echo", "data": "x" * 200})
    except MemoryError:
        failed += 1
fill = None
print(failed, link.send({"action": "echo", "data": 2}))
"""


def test_a_memory_error_leaves_the_link_usable(small_board, host):
    host.handle("echo", lambda data: data)
    assert small_board.run(AFTER_MEMORY_ERROR.replace("PORT", str(host.port)), heap=38).split() == [
        "1",
        "3",
        "2",
    ]


def sizes(path):
    """Lines and bytes of a module without comments and blank lines."""
    text = path.read_text()
    cut = {
        token.start[0]: token.start[1]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    lines = [line[: cut.get(number, len(line))].rstrip() for number, line in enumerate(text.splitlines(), 1)]
    lines = [line for line in lines if line]
    return len(lines), sum(len(line) + 1 for line in lines)


@pytest.mark.parametrize("path", sorted((ROOT / "lib").rglob("*.py")), ids=lambda path: path.name)
def test_modules_are_small(path):
    """Compiling a module takes 2.4 to 3.2 bytes of heap for each byte of it, all at once."""
    lines, size = sizes(path)
    assert lines <= 110 and size <= 4096

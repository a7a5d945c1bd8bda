"""Memory on the board: heaps in which the link works, from source and compiled, and no growth."""

import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from board import ROOT

LARGEST = 40  # K: "works at N" means at N and at every larger heap up to this
BUDGETS = {  # K, for one send() at a time with a reply: from source, compiled
    "blocking": (24, 16),
    "asyncio": (30, 20),
    "TCP": (28, 18),
    "TCP, asyncio": (35, 23),
}

# Programs that differ by little, for a fragmented heap fails in islands.
PROGRAMS = {
    "blocking: from import": """
from ben import client
link = client("127.0.0.1", PORT, keyfile="key.sec")
print(link.send({"action": "echo", "data": {"t": 23}}))
""",
    "blocking: module": """
import ben
print(ben.client("127.0.0.1", PORT).send({"action": "echo", "data": "x" * 40}))
""",
    "blocking: sensor loop": """
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
    "blocking: session": """
from ben import client
link = client("127.0.0.1", PORT, device=7, channel=1)
print(link.send({"action": "echo", "data": [1, 2.5, None]}))
print(len(link.send({"action": "echo", "data": bytes(60)})), len(link.session))
""",
    "asyncio: from import": """
import asyncio
from ben import aio
async def main():
    link = aio.client("127.0.0.1", PORT, keyfile="key.sec")
    print(await link.send({"action": "echo", "data": {"t": 23}}))
asyncio.run(main())
""",
    "asyncio: sensor loop": """
import asyncio
from ben import BenError, aio
async def blink():
    while True:
        await asyncio.sleep_ms(1)
async def main():
    link = aio.client("127.0.0.1", PORT, timeout=5)
    asyncio.create_task(blink())
    for i in range(3):
        try:
            await link.send({"action": "echo", "data": {"temperature": 21.5, "humidity": i}}, noreturn=True)
        except (OSError, BenError) as error:
            print(error)
        await asyncio.sleep(0)
    print(await link.send({"action": "echo", "data": {"t": 23}}))
asyncio.run(main())
""",
    "asyncio: module": """
import asyncio
from ben.aio import Client
async def main(link):
    print(await link.send({"action": "echo", "data": [1, 2.5, None]}))
    print(len(await link.send({"action": "echo", "data": bytes(60)})), len(link.session))
asyncio.run(main(Client("127.0.0.1", PORT, device=7, channel=1)))
""",
    "TCP: from import": """
from ben import client
link = client("127.0.0.1", PORT, keyfile="key.sec", tcp=True)
print(link.send({"action": "echo", "data": {"t": 23}}))
""",
    "TCP: sensor loop": """
import time
from ben import BenError, client
link = client("127.0.0.1", PORT, timeout=5, tcp=True)
for i in range(3):
    try:
        link.send({"action": "echo", "data": {"temperature": 21.5, "humidity": i}}, noreturn=True)
    except (OSError, BenError) as error:
        print(error)
    time.sleep(0)
print(link.send({"action": "echo", "data": {"t": 23}}))
""",
    "TCP, asyncio: from import": """
import asyncio
from ben import aio
async def main():
    link = aio.client("127.0.0.1", PORT, keyfile="key.sec", tcp=True)
    print(await link.send({"action": "echo", "data": {"t": 23}}))
asyncio.run(main())
""",
    "TCP, asyncio: module": """
import asyncio
from ben.aio import Client
async def main(link):
    print(await link.send({"action": "echo", "data": [1, 2.5, None]}))
    print(len(await link.send({"action": "echo", "data": bytes(60)})), len(link.session))
asyncio.run(main(Client("127.0.0.1", PORT, device=7, channel=1, tcp=True)))
""",
}


def on_port(script, host):
    return script.replace("PORT", str(host.tcp if "tcp=True" in script else host.port))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """lib/ as it is released."""
    folder = tmp_path_factory.mktemp("release")
    command = [sys.executable, str(ROOT / "tools" / "release.py"), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "lib"


@pytest.mark.parametrize("is_compiled", (False, True), ids=(".py", ".mpy"))
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_link_works_in_its_budget(small_board, host, compiled, is_compiled, program):
    host.handle("echo", lambda data: data)
    board = small_board
    (board.folder / "lib").symlink_to(compiled if is_compiled else ROOT / "lib")
    board.lib = Path("lib")  # as short as on a board: paths take heap
    script = on_port(PROGRAMS[program], host)
    budget = BUDGETS[program.split(":")[0]][is_compiled]
    for heap in range(budget, LARGEST + 1):
        assert board.run(script, heap=heap), f"{heap}K"


GROWTH = {
    "blocking": """
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
""",
    "asyncio": """
import asyncio, gc
from ben import aio
async def main():
    link = aio.client("127.0.0.1", PORT)
    used = [0, 0, 0]
    for i in range(3):
        for _ in range(1000 if i else 10):
            await link.send({"action": "echo", "data": {"t": 23}})
        gc.collect()
        used[i] = gc.mem_alloc()
    print(used[2] - used[1])
asyncio.run(main())
""",
}
GROWTH.update(
    {f"{driver} over TCP": text.replace("PORT)", "PORT, tcp=True)") for driver, text in GROWTH.items()}
)


@pytest.mark.parametrize("driver", GROWTH)
def test_a_thousand_sends_leave_memory_as_it_was(micropython_board, host, driver):
    host.handle("echo", lambda data: data)
    assert int(micropython_board.run(on_port(GROWTH[driver], host))) == 0


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


IN_THE_MIDDLE = """
import gc
from ben import client
link = client("127.0.0.1", PORT)
print(link.send({"action": "echo", "data": 1}))
big = b"x" * 3000
failed = []
for size in range(0, 20000, 300):
    fill = None
    gc.collect()
    try:
        fill = [bytes(size // 2), bytes(size - size // 2)]
        link.send({"action": "echo", "data": big})
    except MemoryError:
        failed.append(size)
fill = None
gc.collect()
print(0 < len(failed) < 60, link.send({"action": "echo", "data": 2}))
"""


def test_a_memory_error_in_the_middle_of_a_large_message_leaves_the_link_usable(small_board, host):
    """With ever less memory it fails at ever earlier steps: fetching pieces, opening, sealing, encoding."""
    host.handle("echo", lambda data: data)
    printed = small_board.run(IN_THE_MIDDLE.replace("PORT", str(host.port)), heap=44).split()
    assert printed == ["1", "True", "2"]
    assert len({data for _, data in host.calls}) == 3


AFTER_A_LONG_REPLY = """
import gc
from ben import client
link = client("127.0.0.1", PORT)
hoard = []
for i in range(40):  # ever longer ones, in a heap of ever smaller pieces
    try:
        link.send({"action": "echo", "data": "x" * (i * 40)})
    except MemoryError:
        pass
    try:
        hoard.append(bytearray(256))
    except MemoryError:
        pass
hoard = None
gc.collect()
for _ in range(6):
    try:
        print(link.send({"action": "echo", "data": "short"}))
    except MemoryError:
        print("MemoryError")
"""


@pytest.mark.parametrize("heap", [25, 26, 27, 28])
def test_short_messages_go_on_where_a_long_one_no_longer_fits(small_board, host, heap):
    """The first of them may still make room for a long one."""
    host.handle("echo", lambda data: data)
    lines = small_board.run(AFTER_A_LONG_REPLY.replace("PORT", str(host.port)), heap=heap).split()
    assert lines[1:] == ["short"] * 5


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

"""What the tests share: interpreters for device scripts, and servers to talk to."""

import os
import subprocess
import sys

import pytest

from board import PATIENCE, ROOT, Board, interpreter
from hosts import Host

# For the processes that tests start, also where pytest was started by itself.
os.environ["PYTHONPATH"] = os.pathsep.join(str(ROOT / name) for name in ("lib", "host"))
RUNTIMES = ("cpython", "micropython-64", "micropython-32")


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the tests that take minutes, too")


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: takes minutes, and runs with --soak only")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--soak"):
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: --soak"))


@pytest.fixture(params=RUNTIMES)
def board(request, tmp_path):
    """A board for each runtime of the device code: in its folder scripts run, and lie their files."""
    return Board(interpreter(request.param), tmp_path)


@pytest.fixture(params=RUNTIMES[1:])
def micropython_board(request, tmp_path):
    """A board that runs MicroPython, of 64 and of 32 bits."""
    return Board(interpreter(request.param), tmp_path)


@pytest.fixture
def small_board(tmp_path):
    """A board of 32 bits, whose objects have the sizes of a real one's."""
    return Board(interpreter("micropython-32"), tmp_path)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """lib/ as it is released."""
    folder = tmp_path_factory.mktemp("release")
    command = [sys.executable, str(ROOT / "tools" / "release.py"), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "lib"


@pytest.fixture
def host(tmp_path):
    """A server with a new key, key.sec in the board's folder, on a free port of 127.0.0.1."""
    with Host(tmp_path / "key.sec") as host:
        yield host


# What a script for both drivers begins with: it has async def main(), and ends with run(main).
DRIVERS = {
    "blocking": "import sys, time\nfrom ben import BenError, client as Client\nsleep = time.sleep\n"
    "def run(main):\n    main()\n",
    "asyncio": "import asyncio, sys, time\nfrom asyncio import sleep\nfrom ben import BenError\n"
    "from ben.aio import Client\ndef run(main):\n    asyncio.run(main())\n",
}


class Crowd:
    """Boards of every runtime, with both drivers, whose scripts run at the same time."""

    def __init__(self, folder):
        self.boards = {}
        self._folder = folder
        self._running = []
        for runtime in RUNTIMES:
            try:
                self.boards[runtime] = Board(interpreter(runtime), folder)
            except pytest.skip.Exception:  # the others can still run
                pass
        self.names = [(runtime, driver) for runtime in self.boards for driver in DRIVERS]

    def start(self, name, script, *arguments):
        """Starts a script on the board of a (runtime, driver)."""
        runtime, driver = name
        if driver == "blocking":
            script = script.replace("async ", "").replace("await ", "")
        path = self._folder / f"script{len(self._running)}.py"
        path.write_text(DRIVERS[driver] + script)
        self._running.append((name, self.boards[runtime].start(path, *arguments)))

    def lines(self):
        """What each script printed, in the order in which they were started, once all have ended."""
        told = []
        for name, process in self._running:
            out, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, f"{name}: {out}{err}"
            told.append(out.splitlines())
        return told

    def kill(self):
        for _, process in self._running:
            process.kill()
            process.communicate()


@pytest.fixture
def crowd(tmp_path):
    """A board for each runtime and driver, to run side by side."""
    crowd = Crowd(tmp_path)
    yield crowd
    crowd.kill()


@pytest.fixture
def in_folder(tmp_path):
    """The test's folder as the current one."""
    before = os.getcwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@pytest.fixture
def aiocoap_server():
    """A CoAP server of aiocoap's, with the resources of coap_site.py."""
    from peers import AiocoapServer  # here, for its import takes a while

    with AiocoapServer() as server:
        yield server


@pytest.fixture
def libcoap_server():
    """libcoap's example server."""
    from peers import LibcoapServer

    with LibcoapServer() as server:
        yield server

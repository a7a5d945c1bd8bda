"""What the tests share: interpreters for device scripts, and servers to talk to."""

import os

import pytest

from board import ROOT, Board, interpreter
from hosts import Host

# For the processes that tests start, also where pytest was started by itself.
os.environ["PYTHONPATH"] = os.pathsep.join(str(ROOT / name) for name in ("lib", "host"))
RUNTIMES = ("cpython", "micropython-64", "micropython-32")


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


@pytest.fixture
def host(tmp_path):
    """A server with a new key, key.sec in the board's folder, on a free port of 127.0.0.1."""
    with Host(tmp_path / "key.sec") as host:
        yield host


@pytest.fixture
def in_folder(tmp_path):
    """The test's folder as the current one."""
    before = os.getcwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)

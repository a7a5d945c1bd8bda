"""tools/coverage.py: its marks tell what ran, and its report says so."""

import importlib.util
import subprocess
import sys

import pytest

from board import PATIENCE, ROOT, Board

# The statements that SCRIPT does not reach end with "no".
SAMPLE = '''"""A module."""

_TWO = 2


def first(value):
    """Text."""
    global _TWO
    if value:
        return 1  # no
    if not value:
        _TWO = 3


def second(value):
    if value == 1:
        return 1  # no
    elif value == 2:
        return 2
    elif value == 3:
        return 3  # no
    for _ in range(value):
        while True:
            break
    while value > 8:
        value -= 1  # no
    else:
        value = 0
    try:
        return 1 // value
    except ZeroDivisionError:
        value = (yield 4) or (
            5
        )
    finally:
        value = 6


async def never():
    async with None:  # no
        return (lambda: 5)()  # no
'''
SCRIPT = """
import sys
from ben.sample import first, second
first(0)
for value in (2, 4):
    list(second(value))
print("done")
sys.stdin.read()
"""
MISSING = """
ben/sample.py:10  return 1  # no
ben/sample.py:11  if not value:  (never false)
ben/sample.py:17  return 1  # no
ben/sample.py:21  return 3  # no
ben/sample.py:26  value -= 1  # no
ben/sample.py:40-41  async with None:  # no ...
"""


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("ben_coverage", ROOT / "tools" / "coverage.py")
    module = importlib.util.module_from_spec(spec)
    before = sys.path[:]
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.fixture
def sample(coverage, tmp_path):
    """A marked package with the module ben.sample."""
    package = tmp_path / "source" / "ben"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "sample.py").write_text(SAMPLE)
    (package / "cpython.py").write_text("never = True\n")
    (tmp_path / "marked").mkdir()
    return coverage.Marked(str(tmp_path / "source"), str(tmp_path / "marked"))


def statements(places):
    return {place.line for place in places if not place.way}


def test_every_statement_is_told_apart(board, sample, coverage):
    """Also of a board that is killed, as this one is."""
    process = Board(board.command, board.folder, lib=sample.copy).start(SCRIPT)
    try:
        assert process.stdout.readline() == "done\n", process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    unreached = {number for number, line in enumerate(SAMPLE.splitlines(), 1) if line.endswith("# no")}
    assert statements(sample.places) - statements(sample.reached()) == unreached
    assert len(statements(sample.places)) == 26
    assert coverage.missing(sample) == MISSING.strip().splitlines()
    assert coverage.table(sample)[1].split() == ["ben/sample.py", "20", "of", "26", "9", "of", "14"]


def test_what_only_one_process_reached_counts(micropython_board, sample):
    board = Board(micropython_board.command, micropython_board.folder, lib=sample.copy)
    for value in (1, 3):
        board.run(f"from ben.sample import second\nlist(second({value}))")
    assert statements(sample.reached()) >= {17, 21}
    assert 19 not in statements(sample.reached())


def test_the_whole_tool():
    """The vectors reach the modules that they are about, and not the client."""
    command = [sys.executable, str(ROOT / "tools" / "coverage.py"), "tests/test_vectors.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line.split()[1:4] for line in done.stdout.splitlines() if " of " in line}
    assert int(rows["ben/crypto.py"][0]) > 40
    assert rows["ben/udp.py"][0] == "0" and "ben/cpython.py" not in rows
    assert "ben/crypto.py:18  from .cpython import aes, const, same" in done.stdout

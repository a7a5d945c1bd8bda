"""Device scripts, and the interpreters that run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import micropython

ROOT = Path(__file__).parent.parent
LIB = Path(os.environ.get("BEN_LIB") or ROOT / "lib")  # tools/coverage.py has a copy of its own
PATIENCE = 120  # s for one script: far more than any takes


def interpreter(runtime):
    """The command of "cpython", "micropython-64" or "micropython-32"; skips a test only outside CI."""
    if runtime == "cpython":
        return [sys.executable]
    try:
        return [micropython.find(int(runtime[-2:]))]
    except micropython.Missing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


class Board:
    """A folder, and an interpreter that runs scripts in it with lib/ on its path."""

    def __init__(self, command, folder, lib=LIB):
        self.command = command
        self.folder = Path(folder)
        self.lib = lib

    def run(self, script, *arguments, heap=None):
        """What the script prints; AssertionError with what it says where it fails."""
        done = self.start(script, *arguments, heap=heap)
        out, err = done.communicate(timeout=PATIENCE)
        assert done.returncode == 0, out + err
        return out

    def start(self, script, *arguments, heap=None):
        """The process of a script: source text, or the Path of a file."""
        if not isinstance(script, Path):
            (self.folder / "script.py").write_text(script)
            script = Path("script.py")
        options = ["-X", f"heapsize={heap}K"] if heap else []
        environment = dict(
            os.environ,
            PYTHONPATH=str(self.lib),
            PYTHONUNBUFFERED="1",  # what a script printed is to be had although it was killed
            MICROPYPATH=f".:{self.lib}:.frozen",
        )
        return subprocess.Popen(
            [*self.command, *options, str(script), *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

"""A board as mpremote reaches it: it runs source and tells what came of it."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time

from .verdicts import Failed, Stop

FOLDER = "/ben-check"  # on the board
PATIENCE = 150  # s for one step on the board; a dozen sends without an answer take 120
RESTART = 40  # s for a board to come back after a reset, its USB included
DEVICE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "device")

# What the first step begins with after the board was restarted.
PRELUDE = f"""
import json, sys
sys.path.insert(0, "{FOLDER}")
def tell(value):
    print("ben-check=" + json.dumps(value))
"""


def device(name):
    """The source of device/NAME.py."""
    with open(os.path.join(DEVICE, name + ".py")) as file:
        return file.read()


def last_line(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return (lines or ["mpremote failed without a word"])[-1]


class Board:
    """What mpremote reaches at a serial port. Between resets it keeps its names, so that steps go on from others."""

    def __init__(self, port):
        self._port = port

    def call(self, name, *arguments, restarted=False):
        """What the function NAME of device/NAME.py returns."""
        words = ", ".join(map(repr, arguments))
        return self.ask(f"{name}({words})", device(name), restarted)

    def ask(self, expression, first="", restarted=False):
        """What the expression is on the board, after the source that comes first."""
        told = self.run(f"{first}\ntell({expression})\n", restarted)
        if len(told) != 1:
            raise Failed(f"the board told {len(told)} things instead of one")
        return told[0]

    def run(self, source, restarted=False, timeout=PATIENCE):
        """What the source told, as a list; restarted: after a soft reset, which begins with empty memory."""
        # In a file, for a command line can be read by every user of this machine.
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(PRELUDE + source if restarted else source)
            file.flush()
            words = ["run", file.name] if restarted else ["resume", "run", file.name]
            status, output = self.mpremote(*words, timeout=timeout)
        if status:
            raise (Failed if "Traceback" in output else Stop)(last_line(output))
        return [json.loads(told) for told in re.findall("^ben-check=(.*)$", output, re.MULTILINE)]

    def restart(self):
        """Resets it as its button does, and waits until it is back."""
        self.mpremote("reset")
        deadline = time.monotonic() + RESTART
        while True:
            time.sleep(1)  # until it begins; USB may go away with it
            try:
                return self.run("", restarted=True, timeout=20)
            except Stop:
                if time.monotonic() > deadline:
                    raise Stop(f"after a reset the board did not come back within {RESTART} s") from None

    def mpremote(self, *words, timeout=PATIENCE):
        """(exit status, output) of an mpremote."""
        command = [sys.executable, "-m", "mpremote", "connect", self._port, *words]
        try:
            # In a session of its own: Ctrl-C is ours, and the board is to be tidied up first.
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise Stop(f"the board did not answer within {timeout} s") from None
        return done.returncode, done.stdout.decode(errors="replace").replace("\r", "")

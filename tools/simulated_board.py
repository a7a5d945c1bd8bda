"""What both demos are made of: a server with a new key, and a simulated board beside it.

The board is the MicroPython unix port with the heap of an ESP8266. It runs a program of this project as it is,
with boot.py, a config.py and a key, in a folder of its own.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading

from benserver import Server, generate_new_secret
from tools import micropython

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEAP = "38K"  # an ESP8266's, when its program starts
CONFIG = 'WIFI_SSID = WIFI_PASSWORD = ""\nSERVER = "127.0.0.1"\nPORT = %d\nINTERVAL = 1\n'


def parser(prog, description, counted):
    """A demo's arguments: --count N of what is counted."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument(
        "--count", type=positive, metavar="N", help=f"end after N {counted} (otherwise: at Ctrl-C)"
    )
    return parser


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def end_tidily_at_signals():
    """Let signals raise SystemExit, as Ctrl-C raises KeyboardInterrupt: every `finally` is run."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def start_server(folder, handlers):
    """A server in a thread, on a free port, with a new key, key.sec in the folder, and handlers, {name: function}."""
    key = os.path.join(folder, "key.sec")
    generate_new_secret(key)
    server = Server("127.0.0.1", 0, key)
    for name, handler in handlers.items():
        server.add_action_handler(name, handler)
    threading.Thread(target=server.start, daemon=True).start()
    server.listening.wait()
    return server


class SimulatedBoard:
    """A board that has boot.py and a program, a path in the project, beside the key that is in its folder."""

    def __init__(self, folder, port, program, heap=HEAP):
        self._folder = folder
        self._heap = heap
        self._program = os.path.basename(program)
        for name in ("boot.py", program):
            shutil.copy(os.path.join(ROOT, name), folder)
        self.add("config.py", CONFIG % port)
        self._interpreter, what = find_interpreter(heap)
        self.description = f"{what}, running {program}"

    def add(self, name, text):
        """One more file."""
        with open(os.path.join(self._folder, name), "w") as file:
            file.write(text)

    def start(self):
        """The process that runs the program, its output to be read line by line."""
        return subprocess.Popen(
            [self._interpreter, "-X", "heapsize=" + self._heap, self._program],
            cwd=self._folder,
            env=dict(os.environ, MICROPYPATH=os.path.join(ROOT, "lib") + ":.frozen"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def find_interpreter(heap=HEAP):
    """The interpreter that is most like a small board, and what to call it."""
    try:
        board = "ESP8266" if heap == HEAP else "board"
        return micropython.find(32), f"a simulated {board} (32-bit MicroPython with a heap of {heap})"
    except micropython.Missing:
        found = micropython.find(64)
        return found, f"64-bit MicroPython, for no 32-bit one is to be had here, with a heap of {heap}"

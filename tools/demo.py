#!/usr/bin/env python3
"""The demo: a server here, a simulated board beside it, and the board's readings as they arrive.

The board is the MicroPython unix port with the heap of an ESP8266. It runs boot.py and main.py of this
folder as they are, with a config.py and a key of its own.
"""

import os
import queue
import re
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: micropython.py of ours would hide MicroPython's module

from benserver import sender  # noqa: E402
from tools import simulated_board  # noqa: E402
from tools.cache import run_script  # noqa: E402

SENT = re.compile(r"sent .* in (\S+) ms")  # what main.py prints after a reply


def main(arguments):
    args = simulated_board.parser("./run", __doc__.split("\n\n")[0], "readings").parse_args(arguments)
    simulated_board.end_tidily_at_signals()
    with tempfile.TemporaryDirectory(prefix="ben-demo-") as folder:
        readings = queue.Queue()
        handlers = {"dht": lambda reading: readings.put((sender(), reading))}
        server = simulated_board.start_server(folder, handlers)
        board = start_board(folder, server.port)
        try:
            return show(board, readings, args.count)
        finally:
            board.kill()
            board.wait()
            server.stop()


def start_board(folder, port):
    board = simulated_board.SimulatedBoard(folder, port, "main.py")
    print(f"server: 127.0.0.1 port {port} (UDP), with a new key", flush=True)
    print(f"board:  {board.description}", flush=True)
    return board.start()


def show(board, readings, count):
    """Prints each reading with its round trip, which the board measured, until there were count of them."""
    shown = 0
    for line in board.stdout:
        sent = SENT.match(line)
        if not sent:
            print("board: ", line.rstrip(), flush=True)
            continue
        who, reading = readings.get(timeout=1)  # it was here before the board had its reply
        shown += 1
        values = "  ".join(f"{name} {value:g}" for name, value in sorted(reading.items()))
        print(
            f"{time.strftime('%H:%M:%S')}  {who.device:08x}  {values}  round trip {float(sent[1]):.1f} ms",
            flush=True,
        )
        if shown == count:
            return 0
    print(f"the board stopped by itself, with exit status {board.wait()}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    run_script(main, sys.argv[1:])

#!/usr/bin/env python3
"""The demo: a server here, a simulated board beside it, and the board's readings as they arrive.

The board is the MicroPython unix port with the heap of an ESP8266. It runs boot.py and main.py of this
folder as they are, with a config.py and a key of its own.
"""

import argparse
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: micropython.py of ours would hide MicroPython's module

from benserver import Server, generate_new_secret, sender  # noqa: E402
from tools import micropython  # noqa: E402
from tools.cache import run_script  # noqa: E402

HEAP = "38K"  # an ESP8266's, when its program starts
CONFIG = 'WIFI_SSID = WIFI_PASSWORD = ""\nSERVER = "127.0.0.1"\nPORT = %d\nINTERVAL = 1\n'
SENT = re.compile(r"sent .* in (\S+) ms")  # what main.py prints after a reply


def main(arguments):
    args = parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that what follows is tidied up
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="ben-demo-") as folder:
        readings = queue.Queue()
        server = start_server(folder, readings)
        board = start_board(folder, server.port)
        try:
            return show(board, readings, args.count)
        finally:
            board.kill()
            board.wait()
            server.stop()


def parser():
    parser = argparse.ArgumentParser(prog="./run", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--count", type=positive, metavar="N", help="end after N readings (otherwise: at Ctrl-C)"
    )
    return parser


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def start_server(folder, readings):
    """A server with a new key, which puts each reading and who sent it into the queue."""
    key = os.path.join(folder, "key.sec")
    generate_new_secret(key)
    server = Server("127.0.0.1", 0, key)
    server.add_action_handler("dht", lambda reading: readings.put((sender(), reading)))
    threading.Thread(target=server.start, daemon=True).start()
    server.listening.wait()
    return server


def start_board(folder, port):
    """A process that runs main.py as a board would, its output to be read line by line."""
    for name in ("boot.py", "main.py"):
        shutil.copy(os.path.join(ROOT, name), folder)
    with open(os.path.join(folder, "config.py"), "w") as file:
        file.write(CONFIG % port)
    interpreter, what = find_interpreter()
    print(f"server: 127.0.0.1 port {port} (UDP), with a new key", flush=True)
    print(f"board:  {what}, running main.py", flush=True)
    return subprocess.Popen(
        [interpreter, "-X", "heapsize=" + HEAP, "main.py"],
        cwd=folder,
        env=dict(os.environ, MICROPYPATH=os.path.join(ROOT, "lib") + ":.frozen"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def find_interpreter():
    """The interpreter that is most like a small board, and what to call it."""
    try:
        return micropython.find(32), f"a simulated ESP8266 (32-bit MicroPython with a heap of {HEAP})"
    except micropython.Missing:
        found = micropython.find(64)
        return found, f"64-bit MicroPython, for no 32-bit one is to be had here, with a heap of {HEAP}"


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

#!/usr/bin/env python3
"""The hub's demo: a server, a simulated board that is a lamp, and a program that switches it, on and off.

Each switch is shown with what the lamp said, what the program was told and how long that took. Once, the lamp is
unplugged for two of them, and plugged in again.

The lamp is the MicroPython unix port with the heap of an ESP8266. It runs examples/lamp.py as it is, with a
config.py, a key and an id of its own.
"""

import os
import queue
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: see tools/demo.py

from ben import Hub  # noqa: E402
from tools import simulated_board  # noqa: E402
from tools.cache import run_script  # noqa: E402

NAME = "lamp"  # as examples/lamp.py has it
PAUSE = 1  # s between two switches
TIMEOUT = 3  # s; a message waits for three quarters of it, while the lamp is away
PATIENCE = 20  # s for the lamp to start
UNPLUGGED, PLUGGED_IN = 6, 8  # before which switch that happens
DEVICE = 0xDE5C  # of the program: a name belongs to an id, and a PC has none
MACHINE = 'def unique_id():\n    return b"lamp"\n'  # as a board's own module has it, the same after a restart
MEANS = {
    "delivered": "the lamp has got it",
    "not delivered": "it has not got it and never will",
    "unknown": "the lamp has got it once, or not at all",
}


def main(arguments):
    description = " ".join(__doc__.split("\n\n")[:2])
    args = simulated_board.parser("./run --hub", description, "switches").parse_args(arguments)
    simulated_board.end_tidily_at_signals()
    with tempfile.TemporaryDirectory(prefix="ben-hub-demo-") as folder:
        server = simulated_board.start_server(folder, {})
        hub = Hub("127.0.0.1", server.port, "desk", "program", TIMEOUT, folder + "/key.sec", device=DEVICE)
        lamp = Lamp(folder, server.port)
        print(f"server: 127.0.0.1 port {server.port} (UDP), with a new key", flush=True)
        print(f"lamp:   {lamp.description}", flush=True)
        try:
            show(hub, lamp, args.count)
        finally:
            lamp.unplug()
            hub.close()
            server.stop()


class Lamp:
    """A simulated board that can be plugged in, more than once; what it says is kept until somebody asks."""

    def __init__(self, folder, port):
        self._board = simulated_board.SimulatedBoard(folder, port, "examples/lamp.py")
        self._board.add("machine.py", MACHINE)
        self.description = self._board.description
        self._lines = queue.Queue()
        self._process = None  # while it is unplugged

    def plug_in(self):
        self._process = self._board.start()
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()

    def unplug(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listen(self, stream):
        for line in stream:
            self._lines.put(line.rstrip())

    def said(self, wait=0):
        """The lines since it was asked last; wait: seconds for the first of them."""
        lines = []
        try:
            lines.append(self._lines.get(timeout=wait) if wait else self._lines.get_nowait())
            while True:
                lines.append(self._lines.get_nowait())
        except queue.Empty:
            return lines

    def check(self):
        """Ends the demo where its program has ended, which it never does."""
        if self._process and self._process.poll() is not None:
            said = "\n".join(self.said(1))
            sys.exit(f"the lamp stopped by itself, with exit status {self._process.returncode}:\n{said}")


def show(hub, lamp, count):
    """Switches, count times or for ever, and prints what became of it."""
    plug_in(hub, lamp)
    number = 1
    while True:
        pull_the_plug(hub, lamp, number)
        switch(hub, lamp, number % 2 == 1)
        if number == count:
            return
        number += 1
        time.sleep(PAUSE)


def pull_the_plug(hub, lamp, number):
    """Before the switches at which that is to happen."""
    if number == UNPLUGGED:
        lamp.unplug()
        print("          the lamp is unplugged", flush=True)
    if number == PLUGGED_IN:
        plug_in(hub, lamp)
        print("          the lamp is plugged in again, and listens", flush=True)


def plug_in(hub, lamp):
    """Returns when it has joined; from then on a message finds it."""
    began = time.monotonic()
    lamp.plug_in()
    while not joined_since(hub, began):
        lamp.check()
        if time.monotonic() - began > PATIENCE:
            sys.exit("\n".join([f"the lamp has not joined within {PATIENCE} s; it said:", *lamp.said()]))
        time.sleep(0.05)


def joined_since(hub, began):
    """Whether the hub's list has a lamp that joined since then: the one that was unplugged stays there."""
    return any(
        target["name"] == NAME and target["joined"] < time.monotonic() - began for target in hub.targets()
    )


def switch(hub, lamp, on):
    """Sends one message; a line says when, what, what the lamp said, and what its sender was told after how long."""
    when, began = time.strftime("%H:%M:%S"), time.monotonic()
    try:
        hub.send(NAME, on)
        told = "delivered"
    except OSError as error:
        told = error.args[-1]
    ms = (time.monotonic() - began) * 1000
    lamp.check()
    # It spoke before the message was confirmed, but our thread may not have read it yet.
    said = lamp.said(1 if told == "delivered" else 0)
    print(
        f"{when}  sent {'on' if on else 'off':<3}  the lamp: {', '.join(said) or '-':<13}"
        f"  {told} after {ms:.1f} ms: {MEANS[told]}",
        flush=True,
    )


if __name__ == "__main__":
    run_script(main, sys.argv[1:])

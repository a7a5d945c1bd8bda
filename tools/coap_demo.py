#!/usr/bin/env python3
"""CoAP's demo: a simulated board that serves a temperature and a lamp, and a program that finds, observes and switches.

The board is the MicroPython unix port, with a small heap. It runs examples/coap_sensor.py as it is; any other CoAP
client finds it, too, at the address that is shown.
"""

import os
import socket
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: see tools/demo.py

from ben.coap import Client, discovery  # noqa: E402
from tools import simulated_board  # noqa: E402
from tools.cache import run_script  # noqa: E402

HEAP = "48K"  # an ESP8266 has less: it runs the compiled package
PATIENCE = 20  # s for the board to start
SWITCH = 3  # every so many temperatures, the lamp is switched


def main(arguments):
    description = " ".join(__doc__.split("\n\n")[:2])
    args = simulated_board.parser("./run --coap", description, "temperatures").parse_args(arguments)
    simulated_board.end_tidily_at_signals()
    with tempfile.TemporaryDirectory(prefix="ben-coap-demo-") as folder:
        port = free_port()
        board = simulated_board.SimulatedBoard(folder, port, "examples/coap_sensor.py", HEAP)
        process = board.start()
        url = f"coap://127.0.0.1:{port}"
        print(f"board:  {board.description}, at {url}", flush=True)
        try:
            client = Client()
            show_resources(client, url, process)
            observe(client, url, args.count)
        finally:
            process.kill()
            process.wait()


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def show_resources(client, url, process):
    """What the board says of itself, as soon as it is up."""
    began = time.monotonic()
    while True:
        try:
            reply = client.get(url + "/.well-known/core", ack_timeout=0.2, timeout=1)
            break
        except OSError:
            if process.poll() is not None:
                sys.exit(f"the board stopped by itself:\n{process.stdout.read()}")
            if time.monotonic() - began > PATIENCE:
                sys.exit(f"the board has not answered within {PATIENCE} s")
    for path, attributes in discovery.parse(reply.payload):
        print(f"found:  {path:<13} {attributes['rt']}", flush=True)


def observe(client, url, count):
    """Prints each temperature that comes, count of them or for ever, and switches the lamp now and then."""
    lamp = 0
    temperatures = client.observe(url + "/temperature")
    number = 0
    for reply in temperatures:
        number += 1
        print(f"{time.strftime('%H:%M:%S')}  {reply.status} temperature {reply.payload.decode()}", flush=True)
        if number == count:
            temperatures.cancel()
            return
        if number % SWITCH == 0:
            lamp = 1 - lamp
            switched = client.put(url + "/lamp", str(lamp))
            state = client.get(url + "/lamp").payload.decode()
            print(f"          PUT lamp {lamp}: {switched.status}, and GET says {state}", flush=True)


if __name__ == "__main__":
    run_script(main, sys.argv[1:])

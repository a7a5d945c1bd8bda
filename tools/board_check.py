#!/usr/bin/env python3
"""Check ben on a real board, plugged in over USB, and print a report to paste into an issue.

    tools/board_check.py                                   the board that mpremote finds, Wi-Fi from config.py
    tools/board_check.py --port /dev/ttyUSB0 --compiled    an ESP8266, which has no memory to compile ben

It copies ben and a new key into a folder of its own on the board, joins Wi-Fi, starts a server on this machine,
and lets the board send readings through what can go wrong. Then it removes the folder and restarts the board; the
board's own files stay as they are. (An ESP8266 remembers the Wi-Fi that it joined last.) It takes about a minute.

Exit status: 0 all is well, 1 a check failed, 2 the checks could not be made; then it says why.
"""

import argparse
import importlib.util
import os
import signal
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: see tools/demo.py
sys.path[1:1] = [os.path.join(ROOT, name) for name in ("lib", "host")]

from tools import environment  # noqa: E402
from tools.cache import Missing  # noqa: E402
from tools.checks.verdicts import Stop  # noqa: E402

CONFIG = os.path.join(ROOT, "config.py")


def run(arguments):
    """The exit status; what is in the way is said in one line."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the board is tidied up
    try:
        return main(arguments)
    except (Stop, Missing) as error:
        print(f"ben: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def main(arguments):
    options = parser().parse_args(arguments)
    with_packages(arguments)
    from tools.checks.visit import visit  # now that it finds what it needs

    return 0 if visit(options) else 1


def parser():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--port", default="auto", help="the board's serial port (default: the first that mpremote finds)"
    )
    parser.add_argument(
        "--wifi-from",
        metavar="FILE",
        default=CONFIG if os.path.exists(CONFIG) else None,
        help="a config.py with WIFI_SSID and WIFI_PASSWORD (default: config.py of this checkout, if there is one)",
    )
    parser.add_argument(
        "--address", help="this machine's address, where the board is to find it (default: it is found)"
    )
    parser.add_argument(
        "--udp-port", type=udp_port, default=0, metavar="N", help="the server's port (default: a free one)"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="check the compiled package: an ESP8266 needs that"
    )
    parser.add_argument(
        "--only", metavar="WORDS", default="", help="only the checks that have WORDS in their names"
    )
    return parser


def udp_port(text):
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def with_packages(arguments):
    """Goes on as a Python that has mpremote and the cipher, if this one has not."""
    if not all(map(importlib.util.find_spec, ("mpremote", "Crypto"))):
        python = environment.python("test")
        os.execv(python, [python, os.path.abspath(__file__), *arguments])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

"""What happens to a board, from the first question to the restart at the end."""

import contextlib
import signal
import sys
import tempfile
import time

import ben

from .board import FOLDER, Board
from .checks import Checks
from .install import install
from .station import Station
from .verdicts import Failed, Stop, report
from .wifi import Wifi, own_address


def visit(options):
    """Makes the checks and leaves the board as it was; whether all is well."""
    checks = Checks.chosen(options.only)
    wifi = Wifi(options.wifi_from)
    board = Board(options.port)
    facts, files = look(board)
    try:
        with tempfile.TemporaryDirectory(prefix="ben-check-") as folder:
            well = check(board, facts, wifi, checks, options, folder)
    finally:
        left = tidy_up(board)
    if left != files:
        report("failed", "the board's files", f"they were {files}, and are {left}")
    else:
        report("ok", "the board's files", "are as they were, and it was restarted")
    return well and left == files


def look(board):
    """(facts, the names of its files), before anything is changed; prints what the report begins with."""
    try:
        facts = dict(board.call("facts", restarted=True))
        # What a check that was broken off left is removed first.
        files = board.call("remove", FOLDER)
    except (Stop, Failed) as error:
        raise Stop(
            f"there is no MicroPython board to talk to: {error}. Is it plugged in, and is no other program using it? "
            "'mpremote devs' lists the ports, and --port names one"
        ) from None
    print(f"ben {ben.__version__}, board check of {time.strftime('%Y-%m-%d')}")
    for name, value in facts.items():
        print(f"    {name}: {value}")
    sys.stdout.flush()
    if not facts["cryptolib"] or not facts["socket"]:
        raise Stop("this board's MicroPython has no cryptolib or no socket: ben cannot run on it")
    return facts, files


def check(board, facts, wifi, checks, options, folder):
    """Makes all checks that are asked for; whether none failed."""
    address = wifi.join(board, facts)
    if address:
        report("ok", "Wi-Fi", "joined")
    else:
        report("skipped", "Wi-Fi", "this board has none; its network must be up by itself")
    here = own_address(options.address, address, facts["platform"])
    station = Station(folder, here, options.udp_port)
    install(board, station.key, options.compiled, folder)
    report("ok", "copied to the board", "compiled" if options.compiled else "as source")
    station.start()
    try:
        return Checks(board, station, facts, wifi).make(checks)
    finally:
        station.stop()


def tidy_up(board):
    """Leaves the board as it was; the names of its files."""
    # A second Ctrl-C would leave it half done.
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        left = last_look(board)
        board.mpremote("reset")
        return left
    except (Stop, Failed) as error:  # after which the first fault is still the one to tell
        report("failed", "tidying up", f"remove the board's folder {FOLDER} yourself ({error})")
        return None
    finally:
        for each, old in before.items():
            signal.signal(each, old)


def last_look(board):
    """Removes our folder; the names that are left. A step that was broken off may still keep the board busy."""
    for _ in range(2):
        with contextlib.suppress(Stop, Failed):
            return board.call("remove", FOLDER, restarted=True)
    return board.call("remove", FOLDER, restarted=True)

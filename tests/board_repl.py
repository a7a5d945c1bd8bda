"""A board as mpremote sees it: a raw REPL on a serial line, a file system of its own, soft and hard reset.

    micropython board_repl.py FOLDER [raw]    with the board's side of a serial line as stdin and stdout

FOLDER becomes the whole file system. A reset ends the process with a status that asks its starter for a new
one; raw is for the one after a soft reset in the raw REPL, which runs boot.py only. This is MicroPython.
"""

import io
import os
import sys

HARD_RESET = 10
SOFT_RESET = 11

BANNER = "raw REPL; CTRL-B to exit\r\n>"
WINDOW = 1024  # bytes that mpremote may send before it is told to go on


class Machine:
    """What the unix port's module machine lacks: a class, for the names of an instance cannot be imported."""

    def reset():
        sys.exit(HARD_RESET)

    def unique_id():
        return b"\x01\x02\x03\x04\x05\x06"


def main(folder, raw):
    os.umount("/")
    os.mount(os.VfsPosix(folder), "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.modules["machine"] = Machine
    names = {"__name__": "__main__"}
    run("boot.py", names)
    if raw:
        write(BANNER)
    else:
        run("main.py", names)
    repl(names)


def run(file, names):
    try:
        with open(file) as source:
            execute(source.read(), names, sys.stderr)
    except OSError:  # a new board has none
        pass


def repl(names):
    while True:
        char = read()
        if char == "\x01":
            write(BANNER)
        elif char == "\x02":
            write("\r\n>>> ")
        elif char == "\x04":
            write("OK\r\nMPY: soft reboot\r\n")
            sys.exit(SOFT_RESET)
        elif char == "\x05" and read() + read() == "A\x01":
            source = paste()
            write("\x04")
            errors = io.StringIO()
            execute(source, names, errors)
            write("\x04" + errors.getvalue() + "\x04>")


def paste():
    write("R\x01" + chr(WINDOW & 0x7F) + chr(WINDOW >> 8))
    source = ""
    while True:
        window = []
        while len(window) < WINDOW:
            char = read()
            if char == "\x04":
                return source + "".join(window)
            window.append(char)
        source += "".join(window)
        write("\x01")


def execute(source, names, errors):
    try:
        exec(source, names)
    except Exception as error:
        sys.print_exception(error, errors)


def read():
    char = sys.stdin.read(1)
    if not char:
        sys.exit(0)  # nobody is at the other end any more
    return char


def write(text):
    sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] == ["raw"])

#!/usr/bin/env python3
"""Find a MicroPython unix port, or fetch one; print the path of a file to run.

    tools/micropython.py             of this machine's own width
    tools/micropython.py --bits 32   the 32-bit one, whose objects and heap are those of a small board
    tools/micropython.py --all       both, fetched side by side; a line each: BITS VERSION PATH

Looked at in this order, each passed over unless it runs, is 1.25 or newer and has the right width:
$MICROPYTHON (for 32 bits $MICROPYTHON32), micropython on PATH, the project's cache, and last the
machine's own Debian or Ubuntu archive, which needs no root and installs nothing (see tools/debian.py).
"""

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools import cache, debian
from tools.cache import Missing

MINIMUM = (1, 25)  # the first whose mip knows the relative addresses that package.json has
NATIVE = 64 if sys.maxsize > 2**32 else 32

# Debian's names of a machine's architecture, and of those whose programs it runs.
RUNS = {
    "amd64": {64: "amd64", 32: "i386"},
    "arm64": {64: "arm64", 32: "armhf"},
    "i386": {32: "i386"},
    "armhf": {32: "armhf"},
    "armel": {32: "armel"},
}

# The imports are what the project stands on; a port built without them ("minimal") will not do.
PROBE = (
    "import sys, asyncio, cryptolib, hashlib, socket; v = sys.implementation; "
    "print(v[0], v[1][0], v[1][1], v[1][2], 64 if sys.maxsize > 0x7fffffff else 32)"
)


def find(bits):
    """The path of a MicroPython of 32 or 64 bits that runs here. Missing says what to install."""
    variable = _variable(bits)
    chosen = os.environ.get(variable)
    if chosen and not suits(chosen, bits):
        cache.say(
            f"${variable} is passed over: {chosen} is no {bits}-bit MicroPython {_least()} or newer that runs"
        )
    for candidate in filter(None, (chosen, shutil.which("micropython"))):
        if suits(candidate, bits):
            return os.path.abspath(shutil.which(candidate))
    try:
        return _from_archive(bits)
    except Missing as error:
        raise Missing(
            f"no {bits}-bit MicroPython {_least()} or newer here ({error}). "
            f"{_advice(bits)}, or set {variable} to the path of one."
        ) from None


def find_all():
    """{64: path, 32: path}, with the Missing in the place of a path that is not to be had."""
    both = (64, 32)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(both, pool.map(_path_or_missing, both)))


def _path_or_missing(bits):
    try:
        return find(bits)
    except Missing as error:
        return error


def suits(executable, bits):
    version, width = probe(executable)
    return version >= MINIMUM and width == bits


def probe(executable):
    """((major, minor, patch), bits) of a MicroPython; ((), 0) of anything else, be it a file that does not run."""
    command = [executable, "-c", PROBE]
    try:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return (), 0
    words = done.stdout.split()
    if len(words) != 5 or words[0] != "micropython":
        return (), 0
    major, minor, patch, bits = map(int, words[1:])
    return (major, minor, patch), bits


def _from_archive(bits):
    if not debian.available():
        raise Missing("and no apt to fetch one with")
    native = debian.native()
    arch = RUNS.get(native, {NATIVE: native}).get(bits)
    if not arch:
        raise Missing(f"{native} has none")
    executable = debian.program("micropython", "/usr/bin/micropython", arch, at_least=_least())
    if not suits(executable, bits):
        raise Missing(f"{executable} does not run on this machine")
    return executable


def _variable(bits):
    return "MICROPYTHON32" if bits == 32 else "MICROPYTHON"


def _least():
    return ".".join(map(str, MINIMUM))


def _advice(bits):
    if bits == 32 and NATIVE == 64:  # no system has it as a package beside the 64-bit one
        return "Build the unix port with 'make MICROPY_FORCE_32BIT=1'"
    if sys.platform == "darwin":
        return "Run 'brew install micropython'"
    kin = debian.kin(debian.distribution())
    if "arch" in kin:
        return "Run 'pacman -S micropython'"
    if "fedora" in kin:
        return "Run 'dnf install micropython'"
    return "Run 'apt-get install micropython' (Debian 13, Ubuntu 25.04 or newer)"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bits", type=int, choices=(32, 64), default=NATIVE)
    parser.add_argument("--all", action="store_true", help="status 1 unless both are there")
    arguments = parser.parse_args()
    if arguments.all:
        return _print_all()
    print(find(arguments.bits))
    return 0


def _print_all():
    status = 0
    for bits, found in find_all().items():
        if isinstance(found, Missing):
            cache.say(found)
            status = 1
        else:
            print(bits, ".".join(map(str, probe(found)[0])), found)
    return status


if __name__ == "__main__":
    cache.run_script(main)

